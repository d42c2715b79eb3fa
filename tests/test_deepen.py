"""More layers in a model that has learned: same answers at first, every layer learns, and a recipe can ask for it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from test_run import recipe  # noqa: F401
from tiny import write_tiny

from varco_vision.errors import InputError
from varco_vision.model import checkpoint
from varco_vision.model.deepen import deepen, origins
from varco_vision.train.recipe import read


def logits(loaded: checkpoint.Loaded, model: torch.nn.Module) -> torch.Tensor:
    """Of a picture of one tile with its overview and a few words, float32."""
    torch.manual_seed(0)
    side, image = loaded.anyres.tile, model.config.image_token_id
    cells = (side // loaded.anyres.patch) ** 2
    rows = round(cells**0.5)
    ids = torch.tensor([[5, *[image] * (cells + rows * (rows + 1)), 7, 8, 9]])
    pixels = torch.randn(1, 2, 3, side, side)
    with torch.no_grad():
        return model(input_ids=ids, pixel_values=pixels, image_sizes=torch.tensor([[side, side]])).logits


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> checkpoint.Loaded:
    return checkpoint.load(write_tiny(tmp_path_factory.mktemp("tiny")), device="cpu", dtype=torch.float32)


@pytest.mark.parametrize(
    ("old", "new", "expected"), [(4, 6, [0, 1, 1, 2, 3, 3]), (2, 2, [0, 1]), (2, 5, [0, 0, 1, 1, 1]), (3, 4, [0, 1, 2, 2])]
)  # fmt: skip
def test_copies_stand_evenly_behind_their_origins(old: int, new: int, expected: list[int]) -> None:
    found = origins(old, new)
    assert [origin for origin, _ in found] == expected
    first = [expected.index(origin) == place for place, origin in enumerate(expected)]
    assert [not copied for _, copied in found] == first, "the first of each is the old layer, the others are copies"


def test_a_deeper_model_answers_as_before(loaded: checkpoint.Loaded, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    deeper = deepen(loaded.model, {"tower": 3, "language": 5})
    assert (deeper.config.vision_config.num_hidden_layers, deeper.config.text_config.num_hidden_layers) == (3, 5)
    assert torch.equal(logits(loaded, deeper), logits(loaded, loaded.model))
    assert all(torch.equal(value, before[name]) for name, value in loaded.model.state_dict().items())
    checkpoint.save(dataclasses.replace(loaded, model=deeper), tmp_path / "m")
    again = checkpoint.load(tmp_path / "m", device="cpu", dtype=torch.float32)
    assert torch.equal(logits(loaded, again.model), logits(loaded, loaded.model))


def test_every_added_layer_learns(loaded: checkpoint.Loaded) -> None:
    deeper = deepen(loaded.model, {"tower": 4, "language": 4})
    for parameter in deeper.parameters():
        parameter.requires_grad_(True)
    optimizer = torch.optim.SGD(deeper.parameters(), lr=0.1)
    start = {name: value.clone() for name, value in deeper.state_dict().items()}
    side, image = loaded.anyres.tile, deeper.config.image_token_id
    rows = side // loaded.anyres.patch
    ids = torch.tensor([[5, *[image] * (rows * rows + rows * (rows + 1)), 7, 8, 9]])
    pixels = torch.randn(1, 2, 3, side, side)
    for _ in range(2):  # the second step reaches what stands before the maps that began at zero
        optimizer.zero_grad()
        out = deeper(input_ids=ids, pixel_values=pixels, image_sizes=torch.tensor([[side, side]])).logits
        out.float().pow(2).mean().backward()
        optimizer.step()
    still = [
        name for name, value in deeper.state_dict().items()
        if "layers." in name and torch.equal(value, start[name]) and "k_proj.bias" not in name
    ]  # fmt: skip
    assert not still, "a bias of keys alone has no gradient: it adds the same to all scores of a query"


def test_what_cannot_be_done_is_said(loaded: checkpoint.Loaded) -> None:
    with pytest.raises(InputError, match="1 layers are asked for, the model has 2"):
        deepen(loaded.model, {"language": 1})
    assert deepen(loaded.model, {"language": 2}) is loaded.model
    loaded.model.config.vision_feature_layer = -2
    with pytest.raises(InputError, match="reads layer -2"):
        deepen(loaded.model, {"tower": 3})
    loaded.model.config.vision_feature_layer = -1


@pytest.mark.parametrize(
    ("given", "message"),
    [("{eyes: 3}", "deepen names"), ("{language: 0}", "at least 1"), ("{tower: three}", "type int")],
)
def test_wrong_depths_are_refused(recipe: Path, given: str, message: str) -> None:  # noqa: F811
    with pytest.raises(InputError, match=message):
        read(recipe, [f"stages.basic.deepen={given}"])
    with pytest.raises(InputError, match="stages of the whole model"):
        read(recipe, ["stages.tower.deepen={tower: 3}"])
