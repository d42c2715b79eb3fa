"""nanoVLM's training loop as a contender of benchmarks/train.py: its own model, rows, collation and step, from a checkout of it.

The sizes are those of the benchmark's model: the same tower, language model and vocabulary, tiles of the same side, and no
pixel shuffle, so that a picture takes about as many tokens. All questions of a picture are turns of one conversation, as
nanoVLM's data are, and rows are as long as the longest of them, which wastes least. Its loop fixes bfloat16 autocast.

wandb, torchvision and einops need not be installed: of the first nothing is called, and the four functions that nanoVLM takes from
the others to cut up pictures are given here on Pillow and torch.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any


class Finished(Exception):
    """The round that is measured is over."""


def stand_ins() -> None:
    """Modules that nanoVLM imports and that its step does not need."""
    import numpy as np
    import torch
    from PIL import Image
    from transformers.utils import is_torchvision_available

    is_torchvision_available()  # transformers remembers the answer, which must be about the real one

    class Compose:
        def __init__(self, steps: list[Any]) -> None:
            self.steps = steps

        def __call__(self, value: Any) -> Any:
            for step in self.steps:
                value = step(value)
            return value

    class ToTensor:
        def __call__(self, image: Any) -> torch.Tensor:
            return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255

    def resize(image: Any, size: list[int], interpolation: Any = None) -> Any:
        if isinstance(image, Image.Image):
            return image.resize(size[::-1], Image.Resampling.BICUBIC)
        return torch.nn.functional.interpolate(image, size=size, mode="bilinear", antialias=True)

    def tiles(image: torch.Tensor, pattern: str, ph: int, pw: int) -> torch.Tensor:
        b, c, h, w = image.shape
        return image.view(b, c, h // ph, ph, w // pw, pw).permute(0, 2, 4, 1, 3, 5).reshape(-1, c, ph, pw)

    functional = types.SimpleNamespace(
        resize=resize, InterpolationMode=types.SimpleNamespace(BICUBIC="bicubic", BILINEAR="bilinear")
    )
    made = {
        "wandb": {},
        "einops": {"rearrange": tiles},
        "torchvision": {},
        "torchvision.transforms": {"Compose": Compose, "ToTensor": ToTensor},
        "torchvision.transforms.functional": vars(functional),
    }
    for name, members in made.items():
        module = types.ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        module.__dict__.update(members)
        sys.modules[name] = module
    sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"]  # type: ignore[attr-defined]


def conversations(made: list[list[Any]]) -> list[dict[str, Any]]:
    """One sample a picture, its questions as turns."""
    said = lambda message: message["content"] if isinstance(message["content"], str) else message["content"][-1]["text"]  # noqa: E731
    return [
        {
            "images": [image.convert("RGB") for image in group[0].images],
            "texts": [{"user": said(s.messages[0]), "assistant": said(s.messages[1])} for s in group],
        }
        for group in made
    ]


def run_nanovlm(repository: Path, model: Path, made: list[list[Any]], batch: int, clock: Any) -> dict[str, float]:
    """The second of two rounds over the samples, by nanoVLM's own `train`; answers are what is counted."""
    stand_ins()
    sys.path.insert(0, str(repository))
    import train  # type: ignore[import-not-found]
    from data import datasets  # type: ignore[import-not-found]
    from data.advanced_datasets import ConstantLengthDataset  # type: ignore[import-not-found]
    from data.collators import VQACollator  # type: ignore[import-not-found]
    from data.processors import get_image_processor, get_tokenizer  # type: ignore[import-not-found]
    from models.config import TrainConfig, VLMConfig  # type: ignore[import-not-found]
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(model)
    tower, text = config.vision_config, config.text_config
    sizes = VLMConfig(
        vit_hidden_dim=tower.hidden_size, vit_inter_dim=tower.intermediate_size, vit_patch_size=tower.patch_size,
        vit_img_size=tower.image_size, vit_n_heads=tower.num_attention_heads, vit_n_blocks=tower.num_hidden_layers,
        lm_hidden_dim=text.hidden_size, lm_inter_dim=text.intermediate_size, lm_n_heads=text.num_attention_heads,
        lm_n_kv_heads=text.num_key_value_heads, lm_n_blocks=text.num_hidden_layers, lm_base_vocab_size=text.vocab_size,
        lm_vocab_size=text.vocab_size, lm_tokenizer=str(model), mp_pixel_shuffle_factor=1,
        mp_image_token_length=(tower.image_size // tower.patch_size) ** 2, max_img_size=2 * tower.image_size,
        resize_to_max_side_len=False, vlm_load_backbone_weights=False, hf_repo_name=None,
    )  # fmt: skip
    tokenizer = get_tokenizer(sizes.lm_tokenizer, sizes.vlm_extra_tokens, sizes.lm_chat_template)
    real = tokenizer.apply_chat_template
    # nanoVLM expects the list of ids that this method gave before transformers 5
    tokenizer.apply_chat_template = lambda turns, **options: real(turns, **{"return_dict": False, **options})
    pictures = get_image_processor(sizes.max_img_size, sizes.vit_img_size, sizes.resize_to_max_side_len)
    dataset = datasets.VQADataset(conversations(made), tokenizer, pictures, sizes.mp_image_token_length)
    longest = max(len(dataset[n]["input_ids"]) for n in range(len(dataset))) + 2
    sizes.lm_max_length = -(-longest // 64) * 64
    collate = VQACollator(tokenizer, sizes.lm_max_length)
    rounds = []

    class Rounds:
        def __iter__(self) -> Iterator[dict[str, Any]]:
            rows = ConstantLengthDataset(
                dataset,
                max_sample_length=sizes.lm_max_length,
                seq_length=sizes.lm_max_length,
                num_of_sequences=batch * 4,
            )
            rounds.append(rows)
            if len(rounds) == 2:
                clock.start()
            waiting: list[dict[str, Any]] = []
            for row in rows:
                waiting.append(row)
                if len(waiting) == batch:
                    yield collate(waiting)
                    waiting = []
            if waiting:
                yield collate(waiting)
            if len(rounds) == 2:
                raise Finished

    loader = Rounds()
    train.get_dataloaders = lambda *arguments: (loader, loader, iter(loader), iter(loader))
    plan = TrainConfig(
        batch_size=batch, gradient_accumulation_steps=1, eval_in_epochs=False, max_training_steps=1000, log_wandb=False
    )
    try:
        train.train(plan, sizes)
    except Finished:
        return clock.stop(sum(map(len, made)))
    raise AssertionError("nanoVLM's loop ended before the second round")
