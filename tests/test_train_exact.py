"""However a step is cut, stored or sped up, it is the same step."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from tiny import write_tiny
from train_tools import Pictures as Source
from train_tools import losses, make_stage, same_course, set_up, steps, use_pictures

from varco_vision.model.checkpoint import Loaded, load
from varco_vision.model.flexible import block_mask
from varco_vision.model.packed import supervised_logits, use_flex, use_shared_prefix, visibility
from varco_vision.train.loss import SoftNumbers, chunked_token_losses, token_losses

COURSES: dict[Path, torch.Tensor] = {}  # the same for every test that compares with it


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


def fresh(directory: Path) -> Loaded:
    return load(directory, device="cpu")


def course(directory: Path, tmp_path: Path, **changes: object) -> torch.Tensor:
    return losses(steps(set_up(fresh(directory), make_stage(**changes), tmp_path)))


@pytest.fixture()
def plain(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    use_pictures(monkeypatch)
    if directory not in COURSES:
        COURSES[directory] = course(directory, tmp_path, steps=50)
    return COURSES[directory]


def test_rows_through_the_model_at_once_change_nothing(plain: torch.Tensor, directory: Path, tmp_path: Path) -> None:
    same_course(plain, course(directory, tmp_path, steps=50, micro_rows=4))


@pytest.mark.parametrize("how", ["full", "selective"])
def test_recomputation_changes_nothing(plain: torch.Tensor, directory: Path, tmp_path: Path, how: str) -> None:
    same_course(plain, course(directory, tmp_path, steps=50, checkpointing=how), largest=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling for a CPU needs g++")
def test_compilation_changes_nothing(plain: torch.Tensor, directory: Path, tmp_path: Path) -> None:
    same_course(plain, course(directory, tmp_path, steps=50, compile=True))


@pytest.mark.parametrize("softened", [False, True])
@pytest.mark.parametrize("frozen_head", [False, True])
def test_chunked_loss_equals_the_whole(softened: bool, frozen_head: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(70, 24, generator=generator, requires_grad=True)
    weight = torch.randn(300, 24, generator=generator, requires_grad=not frozen_head)
    targets, scale = torch.randint(0, 300, (70,), generator=generator), torch.rand(70, generator=generator)
    soft = SoftNumbers(list(range(50, 200)), 1.5, 300) if softened else None
    inputs = [hidden] if frozen_head else [hidden, weight]
    whole = token_losses(hidden @ weight.t(), targets, soft)
    parts = chunked_token_losses(hidden, weight, targets, soft, chunk=16)
    assert torch.allclose(whole, parts, atol=1e-5)
    a = torch.autograd.grad((whole * scale).sum(), inputs)
    b = torch.autograd.grad((parts * scale).sum(), inputs)
    assert all(torch.allclose(x, y, atol=1e-4) for x, y in zip(a, b, strict=True))


def test_chunked_loss_never_holds_all_logits() -> None:
    from varco_vision.train.estimate import LiveBytes

    hidden = torch.randn(512, 8, requires_grad=True)
    weight = torch.randn(4096, 8, requires_grad=True)
    targets, most = torch.randint(0, 4096, (512,)), {}
    ways = {
        "whole": lambda: token_losses(hidden @ weight.t(), targets),
        "parts": lambda: chunked_token_losses(hidden, weight, targets, None, 64),
    }
    for name, loss in ways.items():
        with LiveBytes() as live:
            loss().sum().backward()
        most[name] = live.most
    assert most["whole"] > 512 * 4096 * 4 > 2 * most["parts"]


def test_a_large_vocabulary_takes_the_chunked_loss(
    plain: torch.Tensor, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from varco_vision.train import forward

    seen = []
    real = forward.chunked_token_losses
    monkeypatch.setattr(forward, "LARGE_VOCABULARY", 1)
    monkeypatch.setattr(forward, "chunked_token_losses", lambda *a: seen.append(1) or real(*a))
    same_course(plain, course(directory, tmp_path, steps=50, logit_chunk=16))
    assert seen


def test_flex_attention_reads_what_the_dense_mask_lets_through(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_pictures(monkeypatch)
    loaded = fresh(directory)
    task = set_up(loaded, make_stage(), tmp_path).task
    batch = task.batches(0)[0]
    seen = visibility(batch.document_RL, batch.branch_RL)
    mask = block_mask(batch.document_RL, batch.branch_RL)
    row, n = torch.tensor(0), batch.document_RL.shape[1]
    places = torch.arange(n)
    allowed = mask.mask_mod(row, torch.tensor(0), places[:, None], places[None, :])
    assert torch.equal(allowed, seen[0])
    blocks = mask.to_dense()[0, 0].bool()
    for i in range(blocks.shape[0]):
        for j in range(blocks.shape[1]):
            assert blocks[i, j] == seen[0, i * 128 : (i + 1) * 128, j * 128 : (j + 1) * 128].any()
    with torch.no_grad():
        use_shared_prefix(loaded.model)
        a = supervised_logits(loaded.model, batch, loaded.mean, loaded.std)
        use_flex(loaded.model)
        b = supervised_logits(loaded.model, batch, loaded.mean, loaded.std)
    assert torch.allclose(a, b, atol=1e-4)


def test_flex_attention_on_a_cpu_says_what_is_used_instead(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_pictures(monkeypatch)
    setup = set_up(fresh(directory), make_stage(attention="flex"), tmp_path)
    assert setup.notes == ["flex attention is for GPUs, and this is a cpu; shared-prefix attention is used instead"]
    assert setup.loaded.model.model.language_model.config._attn_implementation == "shared_prefix"


def test_a_step_counts_what_it_put_through(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_pictures(monkeypatch, text_every=100)
    setup = set_up(fresh(directory), make_stage(), tmp_path)
    batches = setup.task.feed.batches()
    load = [setup.task.load(b) for b in batches]
    tokens = sum(int((b.document_RL >= 0).sum()) for b in batches)
    assert sum(part["text"] + part["picture"] for part in load) == tokens
    assert sum(part["tiles"] for part in load) == sum(len(b.views_VTTC) for b in batches) > 0
    assert sum(part["supervised"] for part in load) == sum(len(b.targets_S) for b in batches)
    assert sum(part["room"] for part in load) == 4 * 700
    for batch, part in zip(batches, load, strict=True):
        assert batch.layout.pairs == int(visibility(batch.document_RL, batch.branch_RL).sum())
        assert part["flops"] > 0
    assert Source().group(1)[0].images
