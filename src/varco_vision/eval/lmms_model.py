"""The class that lmms-eval 0.7 runs; imported by it alone. See `lmms_plugin`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lmms_eval.api.model import lmms

from varco_vision.errors import InputError
from varco_vision.eval import lmms_plugin
from varco_vision.infer.api import VarcoVision
from varco_vision.infer.engine import Request


class VarcoVisionModel(lmms):
    """A checkpoint behind our engine. model_args: pretrained (directory or hub id; left out: the default model), dtype,
    max_new_tokens (where a task declares none)."""

    is_simple = True

    def __init__(
        self,
        pretrained: str | None = None,
        batch_size: int | str = 8,
        device: str = "auto",
        dtype: str = "auto",
        max_new_tokens: int = 1024,
        **unknown: Any,
    ) -> None:
        super().__init__()
        if unknown := {name: value for name, value in unknown.items() if value is not None}:
            raise InputError(
                f"the model varco_vision has no argument {', '.join(unknown)}; it has pretrained, dtype, max_new_tokens"
            )
        self.vision = VarcoVision.from_pretrained(pretrained, device=device, dtype=dtype, batch_size=int(batch_size))
        self.longest = int(max_new_tokens)

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Answers in the order of the requests; all of them go to the engine at once, which forms the batches."""
        prepared = [self._request(*request.args) for request in requests]
        answers = self.vision.engine.generate(prepared)
        texts = []
        for request, said in zip(requests, answers, strict=True):
            _, settings, _, _, task, _ = request.args
            texts.append(lmms_plugin.until(lmms_plugin.answer(task, said.raw), settings.get("until")))
        return texts

    def _request(
        self, context: str, settings: dict[str, Any], doc_to_visual: Any, doc_id: int, task: str, split: str
    ) -> Request:
        if settings.get("do_sample") or settings.get("temperature"):
            raise InputError(f"the task {task} wants sampled answers; this model answers greedily")
        images = list(doc_to_visual(self.task_dict[task][split][doc_id]) or ())
        content = [*({"type": "image"} for _ in images), {"type": "text", "text": lmms_plugin.prompt(task, context)}]
        longest = int(settings.get("max_new_tokens") or self.longest)
        return Request([{"role": "user", "content": content}], images, longest)

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        raise InputError("varco_vision gives no log-likelihoods to lmms-eval; use tasks that generate")

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        raise InputError("varco_vision does not run tasks of several rounds in lmms-eval")
