"""Variable-length attention reads exactly what the dense mask lets through.

The kernel itself needs a GPU; here its place is taken by `plain_attention`, which computes the same sequence by sequence.
`benchmarks/gpu.py` compares the kernel with it.
"""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import write_tiny
from train_tools import make_stage, set_up, use_pictures

from varco_vision.data.collate import join
from varco_vision.model.attention import make_layout
from varco_vision.model.checkpoint import Loaded, load
from varco_vision.model.packed import layout_of, supervised_logits, use_shared_prefix, use_varlen, visibility
from varco_vision.model.varlen import make_sequences, plain_attention

SPANS = [
    (0, 5, [3, 4, 2]),
    (16, 0, [3, 2]),
    (21, 4, [6]),
    (31, 0, [1]),
    (34, 1, [1, 1]),
]  # gaps at 14, 32 and behind 37
TOKENS = 40


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


def fresh(directory: Path) -> Loaded:
    return load(directory, device="cpu")


def planes() -> tuple[torch.Tensor, torch.Tensor]:
    """document_RL and branch_RL of `SPANS`."""
    document, branch = np.full((1, TOKENS), -1), np.zeros((1, TOKENS), np.int64)
    for n, (at, prefix, sizes) in enumerate(SPANS):
        document[0, at : at + prefix + sum(sizes)] = n
        at += prefix
        for k, size in enumerate(sizes, start=1):
            branch[0, at : at + size] = k
            at += size
    return torch.from_numpy(document), torch.from_numpy(branch)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_sequences_read_what_the_dense_mask_lets_through(kv_heads: int) -> None:
    torch.manual_seed(0)
    query = torch.randn(TOKENS, 4, 8, dtype=torch.float64)
    key, value = (torch.randn(TOKENS, kv_heads, 8, dtype=torch.float64) for _ in range(2))
    sequences = make_sequences(SPANS, TOKENS)
    found = plain_attention(query, key[sequences.keys_K], value[sequences.keys_K], sequences, 0.3)
    document, branch = planes()
    seen = visibility(document, branch)[0]
    keys, values = (t.repeat_interleave(4 // kv_heads, 1).transpose(0, 1) for t in (key, value))
    scores = (query.transpose(0, 1) @ keys.transpose(1, 2) * 0.3).masked_fill(~seen, -torch.inf)
    expected = (scores.softmax(-1) @ values).transpose(0, 1)
    real = document[0] >= 0
    assert torch.allclose(found[real], expected[real], atol=1e-12)
    assert found.isfinite().all()
    assert sequences.pairs == int(visibility(document, branch)[0][real].sum())


def test_sequences_cover_every_token_once_and_repeat_keys_of_shared_prefixes_only() -> None:
    sequences = make_sequences(SPANS, TOKENS)
    assert sequences.starts_q[-1] == TOKENS
    repeated = sum(prefix * (len(sizes) if len(sizes) > 1 else 0) for _, prefix, sizes in SPANS)
    assert sequences.keys_K is not None and len(sequences.keys_K) == sequences.starts_k[-1] == TOKENS + repeated
    assert sequences.longest_q == int(sequences.starts_q.diff().max())
    assert sequences.longest_k == int(sequences.starts_k.diff().max())


def test_nothing_is_gathered_where_nothing_is_shared() -> None:
    sequences = make_sequences([(0, 5, [3]), (8, 0, [2, 2])], 12)
    assert sequences.keys_K is None
    assert torch.equal(sequences.starts_q, sequences.starts_k)
    assert sequences.starts_q.tolist() == [0, 8, 10, 12]


def test_the_model_gives_the_same_logits_and_gradients(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_pictures(monkeypatch)
    loaded = fresh(directory)
    model = loaded.model
    feed = set_up(loaded, make_stage(), tmp_path).task.feed
    rows = [row for row, _, _ in feed._rows().values()][:2]
    assert any(len(branches) > 1 for row in rows for _, _, branches in row.spans)
    found = {}
    for name, use in (("plain", use_shared_prefix), ("varlen", use_varlen)):
        use(model)
        batch = join(rows, feed.pad_id, feed.side, layout_of(model))
        model.zero_grad()
        logits = supervised_logits(model, batch, loaded.mean, loaded.std)
        torch.nn.functional.cross_entropy(logits, batch.targets_S).backward()
        found[name] = (logits.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    assert torch.allclose(found["plain"][0], found["varlen"][0], atol=1e-4)
    for name, gradient in found["plain"][1].items():
        assert torch.allclose(gradient, found["varlen"][1][name], atol=1e-5), name


def test_a_layout_of_the_other_kind_is_an_error_not_another_mask(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_pictures(monkeypatch)
    loaded = fresh(directory)
    feed = set_up(loaded, make_stage(), tmp_path).task.feed
    batch = join([feed._rows()[0][0]], feed.pad_id, feed.side, make_layout)
    use_varlen(loaded.model)
    with pytest.raises(RuntimeError, match="Layout met an attention that reads Sequences"):
        supervised_logits(loaded.model, batch, loaded.mean, loaded.std)


def test_on_a_cpu_the_stage_says_what_is_used_instead(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_pictures(monkeypatch)
    setup = set_up(fresh(directory), make_stage(attention="varlen"), tmp_path)
    assert setup.notes == [
        "variable-length attention is for GPUs, and this is a cpu; shared-prefix attention is used instead"
    ]


def test_rows_laid_out_ahead_are_the_same_and_so_is_what_a_checkpoint_says_of_them(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_pictures(monkeypatch)
    plain, ahead = (set_up(fresh(directory), make_stage(workers=workers), tmp_path).task.feed for workers in (0, 2))
    ahead.threaded = True
    for _ in range(3):
        for a, b in zip(plain.batches(), ahead.batches(), strict=True):
            assert torch.equal(a.input_ids_RL, b.input_ids_RL) and torch.equal(a.views_VTTC, b.views_VTTC)
        assert plain.state() == ahead.state(), "the state is of the rows handed out, not of those laid out ahead"
    assert plain.samples == ahead.samples
    ahead.close()


@pytest.mark.parametrize("threaded", [False, True])
def test_a_closed_feed_leaves_no_process_and_no_thread(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threaded: bool
) -> None:
    use_pictures(monkeypatch)
    feed = set_up(fresh(directory), make_stage(workers=2), tmp_path).task.feed
    feed.threaded = threaded
    feed.batches()
    loaders = list(feed.steps._workers)
    assert len(loaders) == 2
    feed.close()
    assert [loader.exitcode for loader in loaders] == [0, 0], "an exit code of 1 stops whatever runs next"
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("feed")]
