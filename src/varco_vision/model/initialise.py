"""Starting values that let models of width 128-512 learn; the defaults of the field suit widths of thousands.

Measured (docs/log.md): with normal(0, 0.02) a projector of width 128 shrinks features about 12-fold twice and nothing
spatial is learned; learned position tables that start as noise stay noise for the length of a small training.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def sincos_positions(side: int, width: int, base: float = 100.0) -> Tensor:
    """2-D sine-cosine table [side * side, width], row-major: a quarter each of sin x, cos x, sin y, cos y.

    Cells are spaced as if the grid were 16 wide, so that tables of different sides cover the same range of phases.
    """
    quarter = width // 4
    if quarter * 4 != width:
        raise ValueError(f"the tower's width must be a multiple of 4 for sin-cos positions, found {width}")
    frequencies = base ** (-torch.arange(quarter) / quarter)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    x_PF = x.flatten()[:, None] * (16 / side) * frequencies
    y_PF = y.flatten()[:, None] * (16 / side) * frequencies
    return torch.cat([x_PF.sin(), x_PF.cos(), y_PF.sin(), y_PF.cos()], dim=1)


@torch.no_grad()
def alike_queries_and_keys(tower: nn.Module, scale: float = 1.4) -> None:
    """Every attention of a new tower begins with equal query and key matrices, both times `scale`.

    Patches then attend first to what resembles them, and with sine-cosine positions that is what lies near them. Small
    transformers learn to see much faster from there (mimetic initialisation, Trockman and Kolter 2023, simplified).
    """
    for module in tower.modules():
        if hasattr(module, "q_proj") and hasattr(module, "k_proj"):
            module.q_proj.weight.mul_(scale)
            module.k_proj.weight.copy_(module.q_proj.weight)


@torch.no_grad()
def fan_in(module: nn.Module, layers: int, generator: torch.Generator, residual: tuple[str, ...]) -> None:
    """Every matrix of `module` to normal(0, fan_in^-1/2); those that write into the residual stream times (2 layers)^-1/2.

    `residual` names those matrices by the end of their parent's name (GPT-2's scaled initialisation).
    """
    for name, parameter in module.named_parameters():
        if parameter.dim() != 2 or "embed" in name:
            continue
        std = parameter.shape[1] ** -0.5
        if name.removesuffix(".weight").endswith(residual):
            std *= (2 * layers) ** -0.5
        parameter.normal_(0.0, std, generator=generator)


def number_code(count: int, width: int) -> Tensor:
    """A Fourier code [count, width] of the numbers 0 ... count - 1, periods from 8 to 400, rows of norm sqrt(width / 2).

    Neighbouring numbers get neighbouring vectors, and a softmax over dot products with it peaks at the number coded.
    """
    half = width // 2
    period = 400.0 * (8.0 / 400.0) ** (torch.arange(half) / half)
    phase_NF = torch.arange(count)[:, None] * (2 * math.pi / period)
    return torch.cat([phase_NF.sin(), phase_NF.cos()], dim=1)


@torch.no_grad()
def number_embeddings(embedding_VD: Tensor, ids: list[int], std: float) -> None:
    """Give the rows of the number tokens, in rising order, the Fourier code of their value at standard deviation `std`."""
    embedding_VD[ids] = number_code(len(ids), embedding_VD.shape[1]).to(embedding_VD) * std * math.sqrt(2)


@torch.no_grad()
def syllable_embeddings(embedding_VD: Tensor, parts: dict[int, list[int]]) -> None:
    """Give the row of every syllable token the sum of its jamo's rows, scaled to their standard deviation.

    The logit of a syllable is then the sum of its letters' from the start, so that what is learned about one syllable holds
    for all that share a letter with it; random rows would make 500 unrelated classes of them.
    """
    for row, jamo in parts.items():
        embedding_VD[row] = embedding_VD[jamo].sum(0) / math.sqrt(len(jamo))


@torch.no_grad()
def centre_tower(tower: nn.Module, features_VPW: Tensor) -> None:
    """Take the mean of `features`, the tower's last hidden states, out of the bias that writes into them last.

    A tower that was trained through a layer norm hides a large constant in its last states, most of it in one or two
    channels; the projector, which sees them bare, would start with units that are always on or always off.
    """
    layers = getattr(tower, "vision_model", tower).encoder.layers
    layers[-1].mlp.fc2.bias.sub_(features_VPW.flatten(0, 1).mean(0))


@torch.no_grad()
def whiten_projector(projector: nn.Module, features_VPW: Tensor, size: float) -> None:
    """Fold the whitening of `features` into a new projector, and let them leave it centred, with root mean square `size`.

    Some channels of a tower are many times larger than all others. Unwhitened they are all that the first matrix passes
    on, and learning to look elsewhere takes thousands of steps. Directions with less than a tenth of the median variance
    are not raised further, so that noise stays small.
    """
    features_TW = features_VPW.flatten(0, 1).double()
    mean_W = features_TW.mean(0)
    values_W, vectors_WW = torch.linalg.eigh(torch.cov(features_TW.T))
    scales_W = (values_W.clamp(min=0) + 0.1 * values_W.median()).rsqrt()
    whitening_WW = (vectors_WW * scales_W) @ vectors_WW.T
    first = projector.linear_1
    first.weight.copy_(first.weight.double() @ whitening_WW)
    first.bias.copy_(-first.weight.double() @ mean_W)
    projected_TD = projector(features_VPW).flatten(0, 1)
    scale = size / (projected_TD - projected_TD.mean(0)).pow(2).mean().sqrt()
    projector.linear_2.weight.mul_(scale)
    projector.linear_2.bias.sub_(projected_TD.mean(0)).mul_(scale)


@torch.no_grad()
def fit_linear(features_VPW: Tensor, wanted_VPO: Tensor, ridge: float = 1e-4) -> tuple[Tensor, Tensor, float]:
    """Weight [O, W] and bias [O] of the linear map from `features` to `wanted` by least squares, and its R^2.

    ridge: penalty on the weights, as a share of the features' mean square.
    """
    x_TW, y_TO = features_VPW.flatten(0, 1).double(), wanted_VPO.flatten(0, 1).double()
    x_W, y_O = x_TW.mean(0), y_TO.mean(0)
    x_TW, y_TO = x_TW - x_W, y_TO - y_O
    gram_WW = x_TW.T @ x_TW
    gram_WW.diagonal().add_(ridge * gram_WW.diagonal().mean())
    weight_WO = torch.linalg.solve(gram_WW, x_TW.T @ y_TO)
    left = (y_TO - x_TW @ weight_WO).pow(2).sum() / y_TO.pow(2).sum()
    return weight_WO.T, y_O - x_W @ weight_WO, 1 - left.item()


@torch.no_grad()
def exchange_tower(tower: nn.Module, other: nn.Module, projector: nn.Module, views_V3TT: Tensor, layer: int) -> float:
    """Put the weights of `other` into `tower`, and let the projector read them as it read the old ones; the R^2 of that.

    The map from new features (hidden states `layer`) to old ones, fitted on the given views, goes into the projector's
    first matrix, so that the language model sees nearly what it knows and learns on from there.
    """

    def features(model: nn.Module) -> Tensor:
        parts = [model(x, output_hidden_states=True).hidden_states[layer].float() for x in views_V3TT.split(64)]
        return torch.cat(parts)

    weight_WW, bias_W, found = fit_linear(features(other), features(tower))
    first = projector.linear_1
    first.bias.add_((first.weight.double() @ bias_W).to(first.bias.dtype))
    first.weight.copy_(first.weight.double() @ weight_WW)
    tower.load_state_dict(other.state_dict())
    return found
