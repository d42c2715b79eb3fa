"""The start of a new projector: centred, whitened, at the scale of words."""

import copy

import torch
from torch import nn
from transformers import SiglipVisionConfig, SiglipVisionModel

from varco_vision.model.initialise import centre_tower, exchange_tower, fit_linear, whiten_projector


class Projector(nn.Module):
    """The published projector's two layers under their names."""

    def __init__(self, width=24, out=32):
        super().__init__()
        self.linear_1, self.act, self.linear_2 = nn.Linear(width, out), nn.GELU(), nn.Linear(out, out)

    def forward(self, x):
        return self.linear_2(self.act(self.linear_1(x)))


def massive(seed=0, factor=100.0):
    """Features [V, P, W] with one channel `factor` times as large as the others, far from zero."""
    torch.manual_seed(seed)
    features = torch.randn(8, 32, 24) * torch.linspace(0.5, 2.0, 24) + 3.0
    features[..., 5] = factor * (torch.randn(8, 32) - 2.0)
    return features


def test_projected_features_are_centred_and_as_large_as_words():
    torch.manual_seed(1)
    projector, features = Projector(), massive()
    whiten_projector(projector, features, 0.15)
    projected = projector(features).flatten(0, 1)
    assert projected.mean(0).abs().max() < 1e-5
    assert abs(projected.pow(2).mean().sqrt() - 0.15) < 1e-6


def test_every_channel_counts_alike_whatever_its_size():
    torch.manual_seed(1)
    projector, features = Projector(), massive()
    plain = projector.linear_1.weight.clone()
    whiten_projector(projector, features, 0.15)
    inner = projector.linear_1(features).flatten(0, 1)
    assert inner.mean(0).abs().max() < 1e-4
    # What unit-variance inputs would give through the same random matrix, up to the damping of small directions.
    assert torch.allclose(inner.std(0), plain.norm(dim=1), rtol=0.2)
    untouched = nn.functional.linear(features, plain).flatten(0, 1)
    share = torch.corrcoef(torch.stack([untouched[:, 0], features[..., 5].flatten()]))[0, 1].abs()
    whitened = torch.corrcoef(torch.stack([inner[:, 0], features[..., 5].flatten()]))[0, 1].abs()
    assert share > 0.9 and whitened < 0.6


def test_a_centred_tower_gives_the_same_states_less_their_mean():
    torch.manual_seed(2)
    config = SiglipVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8
    )
    tower = SiglipVisionModel(config).eval()
    pixels = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        before = tower(pixels, output_hidden_states=True).hidden_states[-1]
        centre_tower(tower, before)
        after = tower(pixels, output_hidden_states=True).hidden_states[-1]
    assert after.flatten(0, 1).mean(0).abs().max() < 1e-5
    assert torch.allclose(after, before - before.flatten(0, 1).mean(0), atol=1e-5)


def test_a_linear_map_is_found_again():
    torch.manual_seed(3)
    x, weight, bias = torch.randn(4, 50, 12) + 2, torch.randn(7, 12), torch.randn(7)
    found, offset, share = fit_linear(x, x @ weight.T + bias, ridge=1e-9)
    assert torch.allclose(found.float(), weight, atol=1e-4) and torch.allclose(offset.float(), bias, atol=1e-3)
    assert share > 0.999999
    assert abs(fit_linear(x, torch.randn(4, 50, 7))[2]) < 0.2, "noise is not explained"


def test_an_exchanged_tower_is_read_as_the_old_one():
    """A tower whose last states are another basis of the old ones gives the projector what it saw before."""
    torch.manual_seed(4)
    config = SiglipVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8
    )
    old, new, projector = SiglipVisionModel(config).eval(), SiglipVisionModel(config).eval(), Projector(32, 16)
    views = torch.randn(200, 3, 32, 32)
    with torch.no_grad():
        before = projector(old(views, output_hidden_states=True).hidden_states[-1])
        same = exchange_tower(old, copy.deepcopy(old), projector, views, -1)
        kept = projector(old(views, output_hidden_states=True).hidden_states[-1])
    assert same > 0.999 and torch.allclose(kept, before, atol=1e-2)
    with torch.no_grad():
        unfitted = projector(new(views, output_hidden_states=True).hidden_states[-1])
        found = exchange_tower(old, new, projector, views, -1)
        after = projector(old(views, output_hidden_states=True).hidden_states[-1])
    assert all(torch.equal(a, b) for a, b in zip(old.state_dict().values(), new.state_dict().values(), strict=True))
    assert 0 < found < 1 and (after - before).pow(2).mean() < 0.7 * (unfitted - before).pow(2).mean()
