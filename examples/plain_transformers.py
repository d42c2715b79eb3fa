"""The same checkpoint with nothing but transformers: `python examples/plain_transformers.py [MODEL] [PICTURE] [TEXT]`.

With torchvision installed `AutoProcessor.from_pretrained(MODEL)` does what `processor` below does, and
`pipeline("image-text-to-text", model=MODEL)` works as for any other model. Without torchvision transformers refuses to
load a processor that names a video processor, so the parts are put together by hand: tokenizer and picture processor.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from PIL import Image
from transformers import AutoTokenizer, LlavaOnevisionForConditionalGeneration, LlavaOnevisionProcessor
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil
from transformers.utils import is_torchvision_available

HERE = Path(__file__).parent


def processor(model: str) -> Any:
    """`AutoProcessor` where torchvision is there, else the same processor without its video part."""
    if is_torchvision_available():
        from transformers import AutoProcessor

        return AutoProcessor.from_pretrained(model)
    import json

    made = LlavaOnevisionProcessor.__new__(LlavaOnevisionProcessor)
    made.tokenizer = AutoTokenizer.from_pretrained(model)
    made.image_processor = LlavaOnevisionImageProcessorPil.from_pretrained(model)
    settings = json.loads((Path(model) / "processor_config.json").read_text(encoding="utf-8"))
    made.num_image_tokens = settings["num_image_tokens"]
    made.vision_aspect_ratio = settings["vision_aspect_ratio"]
    made.vision_feature_select_strategy = settings["vision_feature_select_strategy"]
    made.image_token = settings["image_token"]
    return made


def inputs(made: Any, image: Image.Image, text: str) -> Any:
    """Model inputs of one question about one picture."""
    content = [{"type": "image"}, {"type": "text", "text": text}]
    prompt = made.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    pixels = made.image_processor([[image]], return_tensors="pt")
    plain = {key: value.tolist() if key != "pixel_values" else value for key, value in pixels.items()}
    prompt = prompt.replace(made.image_token, made.replace_image_token(plain, 0), 1)
    return {**made.tokenizer(prompt, return_tensors="pt"), **pixels}


def main(
    model: str | None = None, picture: str = str(HERE / "scene.png"), text: str = "Where is the red circle?"
) -> None:
    """Answer with boxes; markers are kept because they carry the boxes."""
    if model is None:
        import varco_vision

        model = str(Path(varco_vision.__file__).parent / "default_model")
    made = processor(model)
    network = LlavaOnevisionForConditionalGeneration.from_pretrained(model, dtype="float32").eval()
    given = inputs(made, Image.open(picture).convert("RGB"), f"<gro>\n{text}")
    out = network.generate(**given, max_new_tokens=128, do_sample=False)
    ids = [i for i in out[0, given["input_ids"].shape[1] :].tolist() if i != made.tokenizer.eos_token_id]
    print(made.tokenizer.decode(ids, skip_special_tokens=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
