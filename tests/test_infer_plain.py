"""Our checkpoints without us: plain transformers, put together as examples/plain_transformers.py does; the pipeline."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny import write_tiny
from transformers import AutoConfig, AutoModelForImageTextToText, pipeline
from transformers.utils import is_torchvision_available

from varco_vision.infer.engine import Engine, Request
from varco_vision.model import checkpoint

EXAMPLE = Path(__file__).parent.parent / "examples" / "plain_transformers.py"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Written by our own `save`, as training does."""
    place = tmp_path_factory.mktemp("plain")
    return str(checkpoint.save(checkpoint.load(write_tiny(place / "tiny"), device="cpu"), place / "saved"))


def example():
    spec = importlib.util.spec_from_file_location("plain_transformers", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ask(image, text, tokens):
    return Request([{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}], [image], tokens)


@pytest.mark.parametrize("size", [(40, 40), (120, 70)])
def test_the_example_gives_the_engines_tokens(model, size):
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    module = example()
    given = module.inputs(module.processor(model), image, "어디에 있나요?")
    network = AutoModelForImageTextToText.from_pretrained(model, dtype="float32").eval()
    out = network.generate(**given, max_new_tokens=20, do_sample=False)[0, given["input_ids"].shape[1] :].tolist()
    loaded = checkpoint.load(model, device="cpu")
    (answer,) = Engine(loaded, stop_loops=False).generate([ask(image, "어디에 있나요?", 20)])
    assert answer.token_ids == [t for t in out if t not in loaded.stop_ids]


def test_automatic_classes_know_the_checkpoint(model):
    assert AutoConfig.from_pretrained(model).model_type == "llava_onevision"


@pytest.mark.parametrize("automatic", [False, True])
def test_pipeline(model, automatic):
    """`automatic`: by the name of the checkpoint alone, which needs torchvision."""
    if automatic and not is_torchvision_available():
        pytest.skip("transformers' processor for this class needs torchvision")
    module = example()
    given = {"model": model, "dtype": torch.float32}
    if not automatic:
        network = AutoModelForImageTextToText.from_pretrained(model, dtype="float32").eval()
        given = {"model": network, "processor": module.processor(model)}
    pipe = pipeline("image-text-to-text", **given)
    images = [Image.linear_gradient("L").resize(size).convert("RGB") for size in ((60, 40), (33, 90))]
    options = {"max_new_tokens": 8, "return_full_text": False, "skip_special_tokens": False}
    made = pipe(text=[module.question(i, "a") for i in images], generate_kwargs={"do_sample": False}, **options)
    answers = Engine(checkpoint.load(model, device="cpu")).generate([ask(image, "a", 8) for image in images])
    assert [found[0]["generated_text"].removesuffix("<|im_end|>") for found in made] == [a.raw for a in answers]


def test_several_pictures_in_the_example(model):
    """The processor counts positions for several pictures as the engine does."""
    module = example()
    made = module.processor(model)
    images = [Image.linear_gradient("L").resize(size).convert("RGB") for size in ((60, 40), (33, 90))]
    content = [{"type": "image", "image": image} for image in images] + [{"type": "text", "text": "a"}]
    given = made.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True,
        return_tensors="pt",
    )  # fmt: skip
    network = AutoModelForImageTextToText.from_pretrained(model, dtype="float32").eval()
    out = network.generate(**given, max_new_tokens=8, do_sample=False)[0, given["input_ids"].shape[1] :].tolist()
    loaded = checkpoint.load(model, device="cpu")
    plain = [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "a"}]
    (answer,) = Engine(loaded, stop_loops=False).generate([Request([{"role": "user", "content": plain}], images, 8)])
    assert answer.token_ids == [t for t in out if t not in loaded.stop_ids]


@pytest.mark.skipif(is_torchvision_available(), reason="with torchvision the processor loads")
def test_without_torchvision_the_processor_says_so(model):
    from transformers import AutoProcessor

    with pytest.raises((ImportError, ValueError, OSError), match="(?i)torchvision|video"):
        AutoProcessor.from_pretrained(model)
