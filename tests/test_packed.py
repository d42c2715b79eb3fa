"""Packed rows are separate conversations: same logits as plain transformers, same gradients, no leak between documents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import picture_processor, write_tiny

from varco_vision.chat import render
from varco_vision.data.collate import collate
from varco_vision.data.pack import Budget, Feeding, RowStream, answers, documents
from varco_vision.data.sample import Sample
from varco_vision.errors import InputError
from varco_vision.model.checkpoint import Loaded, load
from varco_vision.model.packed import supervised_logits, use_shared_prefix, visibility
from varco_vision.train.loss import token_losses

SIZES = [(40, 40), (100, 30), (30, 100), (64, 48), (200, 170), (7, 90), (1, 1), (333, 20)]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture()
def loaded(directory: Path) -> Loaded:
    return load(directory, device="cpu")


def picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def sample(name: str, images: list[Image.Image], question: str, answer: str) -> Sample:
    parts = [{"type": "image"} for _ in images] + [{"type": "text", "text": question}]
    turns = (
        {"role": "user", "content": parts},
        {"role": "assistant", "content": [{"type": "text", "text": answer}]},
    )
    return Sample(id=name, images=tuple(images), task="vqa", lang="en", messages=turns)


def groups() -> list[list[Sample]]:
    """One, several and no pictures; one and several questions; every aspect ratio."""
    made = [
        [
            sample(f"{n}-{k}", [picture(size, n)], f"Question {k}? 질문 {k}", f"{k} answers 대답" * (k + 1))
            for k in range(3)
        ]
        for n, size in enumerate(SIZES)
    ]
    made.append([sample("two", [picture((30, 50), 8), picture((60, 20), 9)], "Compare.", "They differ.")])
    made.append([sample("text", [], "What is 2 plus 2?", "4")])
    return made


def feeding(loaded: Loaded, single: bool = False) -> Feeding:
    return Feeding(loaded.tokenizer, loaded.anyres, single, tuple(int(m * 255) for m in loaded.mean))


def plain_logits(loaded: Loaded, one: Sample) -> torch.Tensor:
    """Logits at the supervised positions from transformers' own model and processor, one conversation alone."""
    processor = picture_processor(loaded.model.config)
    inputs, counts = {}, []
    if one.images:
        pixels = processor(images=[list(one.images)], return_tensors="pt")
        inputs = {key: pixels[key] for key in ("pixel_values", "image_sizes", "batch_num_images")}
        features = loaded.model.get_image_features(**inputs).pooler_output
        counts = [len(f) for f in features]
    rendered = render(one.messages, loaded.tokenizer, counts)
    logits = loaded.model(input_ids=torch.tensor([rendered.ids]), **inputs).logits[0]
    return logits[np.flatnonzero(rendered.supervised) - 1]


def batch_of(loaded: Loaded, made: list[list[Sample]], rows: int = 2):
    packed = [d for group in made for d in documents(group, feeding(loaded), 10_000)[0]]
    return collate([packed[r::rows] for r in range(rows)], 0, loaded.anyres.side)


@pytest.mark.parametrize("shared", [False, True])
def test_logits_equal_plain_transformers(loaded: Loaded, shared: bool) -> None:
    made = groups()
    if shared:
        use_shared_prefix(loaded.model)
    batch = batch_of(loaded, made)
    with torch.no_grad():
        packed = supervised_logits(loaded.model, batch, loaded.mean, loaded.std)
        by_name = {s.id: s for group in made for s in group}
        assert sorted(batch.samples) == sorted(by_name)
        for n, name in enumerate(batch.samples):
            expected = plain_logits(loaded, by_name[name])
            assert torch.allclose(packed[batch.sequence_S == n], expected, atol=1e-4), name


def test_gradients_equal_separate_rows(loaded: Loaded) -> None:
    made = groups()
    together = gradients(loaded, [batch_of(loaded, made)])
    apart = gradients(loaded, [batch_of(loaded, [[s]], rows=1) for group in made for s in group])
    for name, gradient in together.items():
        assert torch.allclose(gradient, apart[name], atol=2e-4, rtol=1e-3), name


def gradients(loaded: Loaded, batches: list) -> dict[str, torch.Tensor]:
    loaded.model.zero_grad()
    for batch in batches:
        token_losses(supervised_logits(loaded.model, batch, loaded.mean, loaded.std), batch.targets_S).sum().backward()
    return {n: p.grad.clone() for n, p in loaded.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("shared", [False, True])
def test_documents_do_not_see_each_other(loaded: Loaded, shared: bool) -> None:
    if shared:
        use_shared_prefix(loaded.model)
    made = groups()
    changed = [list(group) for group in made]
    changed[0][1] = sample(
        "0-1", list(made[0][1].images), "Question 1? 질문 9", made[0][1].messages[1]["content"][0]["text"]
    )
    with torch.no_grad():
        before, after = (batch_of(loaded, g) for g in (made, changed))
        a, b = (supervised_logits(loaded.model, x, loaded.mean, loaded.std) for x in (before, after))
    touched = {n for n, name in enumerate(before.samples) if name == "0-1"}
    others = torch.tensor([int(n) not in touched for n in before.sequence_S])
    assert torch.equal(a[others], b[others])
    assert not torch.allclose(a[~others], b[~others])


def test_visibility_is_causal_and_separate() -> None:
    document = torch.tensor([[0, 0, 0, 0, 0, 1, 1, -1]])
    branch = torch.tensor([[0, 0, 1, 1, 2, 1, 1, 0]])
    seen = visibility(document, branch)[0].int().tolist()
    assert seen == [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 0, 0, 1],
    ]


def test_single_view_is_the_several_pictures_layout(loaded: Loaded) -> None:
    one = sample("one", [picture((90, 40))], "What?", "This.")
    (document,), _ = documents([one], feeding(loaded, single=True), 1000)
    assert len(document.slots) == loaded.anyres.side**2 + 1
    assert len(document.views_VTTC) == 1


def test_a_model_that_disagrees_with_the_plan_is_refused(loaded: Loaded) -> None:
    batch = batch_of(loaded, groups()[:1], rows=1)
    batch.cells += 1
    with pytest.raises(RuntimeError, match=r"0-0.*features a view of .* the plan expects"):
        supervised_logits(loaded.model, batch, loaded.mean, loaded.std)


def test_prefix_holds_nothing_supervised(loaded: Loaded) -> None:
    for group in groups():
        for document in documents(group, feeding(loaded), 10_000)[0]:
            assert all(b.supervised[0] is False for b in document.branches) or document.prefix == ()
            for branch in document.branches:
                whole = [*document.prefix, *branch.ids]
                counts = [] if not group[0].images else _counts(document, group[0])
                one = next(s for s in group if s.id == branch.sample)
                ids = render(answers(one)[0], loaded.tokenizer, counts).ids
                assert whole == ids[: len(whole)] and len(ids) - len(whole) <= 1


def _counts(document, one: Sample) -> list[int]:
    from varco_vision.geometry import plan_sample

    return [p.token_count for p in plan_sample([i.size for i in one.images], _counts.anyres)]


@pytest.fixture(autouse=True)
def _anyres(loaded: Loaded) -> None:
    _counts.anyres = loaded.anyres


class Endless:
    """A source over `groups()`, for the stream."""

    def __init__(self) -> None:
        self.made = groups()

    def group(self, index: int) -> list[Sample]:
        return self.made[index % len(self.made)]


def test_rows_keep_the_budget_and_resume_exactly(loaded: Loaded) -> None:
    stream = RowStream(Endless(), feeding(loaded), Budget(700, 40), shard=1, shards=2, lookahead=5)
    for _ in range(4):
        row = stream.row()
        assert sum(d.tokens for d in row) <= 700
        assert sum(len(d.views_VTTC) for d in row) <= 40
    state = stream.state()
    later = [[b.ids for d in stream.row() for b in d.branches] for _ in range(5)]
    again = RowStream(Endless(), feeding(loaded), Budget(700, 40), shard=1, shards=2, lookahead=5)
    again.restore(state)
    assert [[b.ids for d in again.row() for b in d.branches] for _ in range(5)] == later
    assert again.samples == stream.samples


def test_what_fits_no_row_is_counted_by_name(loaded: Loaded) -> None:
    _, refused = documents(groups()[0], feeding(loaded), 120)
    assert refused and all(name.startswith("0-") for name in refused)
    with pytest.raises(InputError, match="do not fit a row of 5 tokens"):
        RowStream(Endless(), feeding(loaded), Budget(5), 0, 1).row()


def test_generation_is_the_same_under_shared_prefix_attention(loaded: Loaded) -> None:
    """Left padding needs its mask also when the attention for training stays switched on."""
    from varco_vision.infer.engine import Engine, Request

    asked = [Request([{"role": "user", "content": "2 + 2 " * n}], [], max_new_tokens=12) for n in (1, 9, 30)]
    expected = [a.raw for a in Engine(loaded).generate(asked)]
    use_shared_prefix(loaded.model)
    assert [a.raw for a in Engine(loaded).generate(asked)] == expected
