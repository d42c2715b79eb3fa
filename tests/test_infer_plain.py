"""Our checkpoints without us: plain transformers, put together as examples/plain_transformers.py does; the pipeline."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny import write_tiny
from transformers import AutoConfig, AutoModelForImageTextToText
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


@pytest.mark.skipif(not is_torchvision_available(), reason="transformers' processor for this class needs torchvision")
def test_pipeline(model):
    from transformers import pipeline

    image = Image.linear_gradient("L").resize((60, 40)).convert("RGB")
    pipe = pipeline("image-text-to-text", model=model, dtype=torch.float32)
    messages = [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": "a"}]}]
    (made,) = pipe(text=messages, max_new_tokens=8, return_full_text=False, generate_kwargs={"do_sample": False})
    (answer,) = Engine(checkpoint.load(model, device="cpu")).generate([ask(image, "a", 8)])
    assert made["generated_text"].strip() == answer.raw


@pytest.mark.skipif(is_torchvision_available(), reason="with torchvision the processor loads")
def test_without_torchvision_the_processor_says_so(model):
    from transformers import AutoProcessor

    with pytest.raises((ImportError, ValueError, OSError), match="(?i)torchvision|video"):
        AutoProcessor.from_pretrained(model)
