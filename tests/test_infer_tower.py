"""The tower of the engine against the module that training uses: the same features, every view encoded once."""

import pytest
import torch
from tiny import write_tiny
from torch import nn
from torch.nn import functional as F

from varco_vision.infer import products
from varco_vision.infer.products import Product
from varco_vision.infer.tower import Tower, distinct
from varco_vision.model import checkpoint
from varco_vision.model.vision import encode_views

laid_out = pytest.mark.skipif(not products.can_lay_out(), reason="no laid-out products on this processor")


@pytest.fixture(scope="module")
def default():
    return checkpoint.load(checkpoint.default_path(), device="cpu")


def views(loaded, *seeds):
    side = loaded.anyres.tile
    made = [torch.randint(0, 256, (side, side, 3), generator=torch.Generator().manual_seed(s)) for s in seeds]
    return torch.stack(made).to(torch.uint8)


@torch.inference_mode()
def test_features_equal_the_module(default):
    pictures = views(default, 1, 2, 3)
    ours = Tower(default.model)
    assert bool(ours.layers) is products.can_lay_out()
    expected = encode_views(default.model, pictures, default.mean, default.std)
    torch.testing.assert_close(ours(pictures, default.mean, default.std), expected, atol=2e-4, rtol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("layer", [-1, -2, 1])
def test_features_of_any_hidden_layer(default, layer, monkeypatch):
    monkeypatch.setattr(default.model.config, "vision_feature_layer", layer)
    pictures = views(default, 4)
    expected = encode_views(default.model, pictures, default.mean, default.std)
    found = Tower(default.model)(pictures, default.mean, default.std)
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)


@torch.inference_mode()
def test_what_has_no_fast_way_goes_through_the_module(default, monkeypatch, tmp_path):
    pictures = views(default, 1)
    expected = encode_views(default.model, pictures, default.mean, default.std)
    monkeypatch.setattr(products, "JOIN_BYTES", 0)
    assert not Tower(default.model).layers, "weights too large to copy"
    assert torch.equal(Tower(default.model)(pictures, default.mean, default.std), expected)
    monkeypatch.setattr(products, "JOIN_BYTES", 2**30)
    half = checkpoint.load(write_tiny(tmp_path / "model"), device="cpu", dtype="bfloat16")
    assert not Tower(half.model).layers, "only float32 is laid out"


@torch.inference_mode()
def test_equal_views_go_through_the_tower_once(default, monkeypatch):
    seen, ours = [], Tower(default.model)
    encode = ours._encode
    monkeypatch.setattr(ours, "_encode", lambda v, *rest: seen.append(len(v)) or encode(v, *rest))
    found = ours(views(default, 1, 2, 1, 1, 2), default.mean, default.std)
    assert seen == [2] and len(found) == 5
    assert torch.equal(found[0], found[2]) and torch.equal(found[0], found[3]) and torch.equal(found[1], found[4])
    assert not torch.allclose(found[0], found[1])


def test_distinct_views():
    pictures = torch.arange(4, dtype=torch.uint8)[[3, 1, 3, 0, 1]].view(5, 1, 1, 1).expand(5, 2, 2, 3)
    assert distinct(pictures) == ([0, 1, 3], [0, 1, 0, 2, 1])


@torch.inference_mode()
@pytest.mark.parametrize("rows", [1, 40, 3000])
@pytest.mark.parametrize("bias", [True, False])
def test_product_of_joined_layers(rows, bias):
    torch.manual_seed(0)
    layers = [nn.Linear(48, 64, bias=bias), nn.Linear(48, 32)]
    x = torch.randn(2, rows, 48)
    expected = torch.cat([layer(x) for layer in layers], dim=-1)
    for copies in (True, False):
        torch.testing.assert_close(Product(layers, copies)(x), expected, atol=1e-4, rtol=1e-4)


@laid_out
def test_small_products_stay_with_the_plain_call(monkeypatch):
    layer = nn.Linear(48, 64)
    product = Product([layer], True)
    monkeypatch.setattr(products, "_product", lambda *_: pytest.fail("laid out"))
    assert product.least_rows > 1
    with torch.inference_mode():
        few = torch.randn(product.least_rows - 1, 48)
        assert torch.equal(product(few), F.linear(few, layer.weight, layer.bias))


def test_layers_that_do_more_than_a_product_are_called():
    layer = nn.Linear(8, 8)
    layer.register_forward_hook(lambda module, inputs, output: output + 1)
    x = torch.randn(3, 8)
    assert not products.small([layer])
    assert torch.equal(Product([layer], True)(x), layer(x))


def test_weights_that_are_loaded_when_called_are_not_copied():
    """What libraries for models larger than the memory do: a `forward` of its own on each layer, weights elsewhere."""
    layer = nn.Linear(8, 8)
    plain = layer.forward
    layer.forward = lambda x: plain(x) * 2
    x = torch.randn(3, 8)
    assert not products.small([layer])
    assert torch.equal(Product([layer], True)(x), F.linear(x, layer.weight, layer.bias) * 2)


def test_layers_of_several_kinds_are_not_joined():
    assert products.small([nn.Linear(8, 8), nn.Linear(8, 4)])
    assert not products.small([nn.Linear(8, 8), nn.Linear(8, 8, dtype=torch.bfloat16)])
    assert not products.small([nn.Linear(8, 8), nn.Linear(8, 8, device="meta")])


@torch.inference_mode()
def test_who_listens_to_the_tower_hears_it(default):
    heard = []
    block = default.model.model.vision_tower.get_submodule("encoder.layers.0")
    handle = block.register_forward_hook(lambda *_: heard.append(1))
    try:
        Tower(default.model)(views(default, 1), default.mean, default.std)
    finally:
        handle.remove()
    assert heard == [1]


@torch.inference_mode()
def test_a_layer_that_the_tower_has_not_is_an_error(default, monkeypatch):
    monkeypatch.setattr(default.model.config, "vision_feature_layer", 99)
    with pytest.raises(IndexError):
        Tower(default.model)(views(default, 1), default.mean, default.std)


@laid_out
@torch.inference_mode()
def test_a_layout_holds_for_other_numbers_of_threads_and_strides():
    torch.manual_seed(0)
    layer = nn.Linear(96, 200)
    product, threads = Product([layer], True), torch.get_num_threads()
    x = torch.randn(96, 700).T
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            torch.testing.assert_close(product(x), layer(x), atol=1e-4, rtol=1e-4)
    finally:
        torch.set_num_threads(threads)
