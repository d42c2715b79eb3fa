"""Runs a vision-language model of this layout as a text model inside lm-evaluation-harness.

    python -m varco_vision.eval.lm_eval_adapter --model varco-vision \
        --model_args pretrained=runs/nano/basic/model --tasks kmmlu,kobest,haerae,mmlu --log_samples --output_path after

The arguments are those of `lm_eval`; its Hugging Face backend does the work, on the language model inside the checkpoint.
So the backbones before stage 1 and the model after any stage are scored by the same code, and
`varco_vision.eval.kept.paired_samples` pairs their logs item by item. For multiple choice, `--model hf` on a bare language
backbone gives the same numbers; for generated text it does not where a tokenizer spells Hangul in jamo, see `tok_decode`.
"""

from __future__ import annotations

import sys
import unicodedata
from typing import Any

from varco_vision.errors import InputError

try:
    from lm_eval.api.registry import register_model
    from lm_eval.models.huggingface import HFLM
except ImportError as missing:
    _SENTENCE = f"lm-evaluation-harness could not be loaded ({missing}); install the extra: pip install 'varco-vision-open[kept]'"
    if __name__ == "__main__":
        print(f"error: {_SENTENCE}", file=sys.stderr)
        sys.exit(2)
    raise InputError(_SENTENCE) from missing


@register_model("varco-vision")
class VarcoVisionText(HFLM):
    """HFLM on a checkpoint that `varco_vision.model.checkpoint.load` reads; pictures are never given.

    pretrained: checkpoint directory or hub id, or a `Loaded`. device, dtype: as in `load`. What else HFLM takes is passed
    on (batch_size, max_length, ...).
    """

    def __init__(self, pretrained: Any, device: str = "auto", dtype: str = "auto", **settings: Any) -> None:
        from varco_vision.model.checkpoint import Loaded, load

        loaded = pretrained if isinstance(pretrained, Loaded) else load(pretrained, device=device, dtype=dtype)
        settings.setdefault("max_length", loaded.context)
        super().__init__(
            pretrained=loaded.model, tokenizer=loaded.tokenizer, backend="causal", device=str(loaded.device), **settings
        )

    def tok_decode(self, tokens: Any, skip_special_tokens: bool = True) -> str:
        """Composed text: tokenizers that spell Hangul in jamo would otherwise never equal a gold answer."""
        return unicodedata.normalize("NFC", super().tok_decode(tokens, skip_special_tokens=skip_special_tokens))


def main() -> None:
    """The command line of lm-evaluation-harness, with the model "varco-vision" known to it."""
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()


if __name__ == "__main__":
    main()
