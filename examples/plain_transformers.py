"""The same checkpoint with nothing but transformers: `python examples/plain_transformers.py [MODEL] [PICTURE] [TEXT]`.

With torchvision installed `AutoProcessor.from_pretrained(MODEL)` gives the processor, and
`pipeline("image-text-to-text", model=MODEL)` works as for any other model. Without torchvision transformers refuses to
load a processor that names a video processor; `processor` then makes one for pictures alone, and the pipeline takes it:
`pipeline("image-text-to-text", model=network, processor=processor(MODEL))`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    LlavaOnevisionProcessor,
    ProcessorMixin,
    pipeline,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil
from transformers.utils import is_torchvision_available

HERE = Path(__file__).parent


class PictureProcessor(LlavaOnevisionProcessor):
    """transformers' processor without its video part. Its parts are the parameters of `__init__`, by their names."""

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None, **settings: Any):
        self.num_image_tokens = settings["num_image_tokens"]
        self.vision_aspect_ratio = settings["vision_aspect_ratio"]
        self.vision_feature_select_strategy = settings["vision_feature_select_strategy"]
        self.image_token = settings["image_token"]
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)


def processor(model: str) -> Any:
    """`AutoProcessor` where torchvision is there, else the same processor for pictures alone. `model`: a folder."""
    if is_torchvision_available():
        return AutoProcessor.from_pretrained(model)
    settings = json.loads((Path(model) / "processor_config.json").read_text(encoding="utf-8"))
    pictures, tokenizer = LlavaOnevisionImageProcessorPil.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    return PictureProcessor(pictures, tokenizer, tokenizer.chat_template, **settings)


def question(image: Image.Image, text: str) -> list[dict[str, Any]]:
    """One question about one picture, as transformers' processors and pipelines take it."""
    return [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": text}]}]


def inputs(made: Any, image: Image.Image, text: str) -> Any:
    """Model inputs of one question about one picture."""
    return made.apply_chat_template(
        question(image, text), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )


def main(
    model: str | None = None, picture: str = str(HERE / "scene.png"), text: str = "Where is the red circle?"
) -> None:
    """Answer with boxes, by `generate` and by the pipeline; markers are kept because they carry the boxes."""
    if model is None:
        import varco_vision

        model = str(Path(varco_vision.__file__).parent / "default_model")
    made, image, text = processor(model), Image.open(picture).convert("RGB"), f"<gro>\n{text}"
    network = AutoModelForImageTextToText.from_pretrained(model, dtype="float32").eval()
    given = inputs(made, image, text)
    out = network.generate(**given, max_new_tokens=128, do_sample=False)[0, given["input_ids"].shape[1] :]
    print(made.decode([token for token in out.tolist() if token != made.tokenizer.eos_token_id]))

    ask = pipeline("image-text-to-text", model=network, processor=made)
    options = {"max_new_tokens": 128, "return_full_text": False, "skip_special_tokens": False}
    (found,) = ask(text=question(image, text), generate_kwargs={"do_sample": False}, **options)
    print(found["generated_text"].removesuffix(made.tokenizer.eos_token))


if __name__ == "__main__":
    main(*sys.argv[1:])
