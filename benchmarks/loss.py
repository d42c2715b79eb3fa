"""Token loss with a written-out gradient against the same made of torch's functions, forward and backward, side by side.

    python benchmarks/loss.py

One thread, medians in milliseconds; shapes as in a training step of the small recipes and with a vocabulary of 152 thousand.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from varco_vision.train.loss import SoftNumbers, token_losses

SHAPES = ((900, 2600, 15), (64, 152_064, 7))  # supervised tokens, vocabulary, repetitions


def composed(logits_SW: Tensor, targets_S: Tensor, soft: SoftNumbers) -> Tensor:
    """The same loss by log-softmax and gathers, differentiated by autograd."""
    logs_SW = F.log_softmax(logits_SW.float(), dim=-1)
    place = soft.place[targets_S]
    numbers = place >= 0
    softened = -(logs_SW[numbers][:, soft.ids] * soft.weights[place[numbers]]).sum(1)
    return (-logs_SW.gather(1, targets_S[:, None])[:, 0]).masked_scatter(numbers, softened)


def milliseconds(loss: Callable[..., Tensor], arguments: tuple, logits: Tensor) -> float:
    began = time.perf_counter()
    loss(logits, *arguments).sum().backward()
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}")
    for supervised, vocabulary, repeats in SHAPES:
        logits = torch.randn(supervised, vocabulary, requires_grad=True)
        targets = torch.randint(0, vocabulary, (supervised,))
        targets[::3] = torch.randint(300, 401, targets[::3].shape)
        arguments = (targets, SoftNumbers(list(range(300, 401)), 1.5, vocabulary))
        times: dict[str, list[float]] = {"composed": [], "ours": []}
        for _ in range(repeats):  # in turn, so that a busy machine slows both
            times["composed"].append(milliseconds(composed, arguments, logits))
            times["ours"].append(milliseconds(token_losses, arguments, logits))
        a, b = (statistics.median(v[1:]) for v in times.values())
        print(f"{supervised} x {vocabulary}: composed {a:.1f} ms, ours {b:.1f} ms, {a / b:.1f} times as fast")


if __name__ == "__main__":
    main()
