"""Rows filled by parts of documents, sources met in an even order, and what a stage says about its shares."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import write_tiny
from train_tools import WORLD, Pictures, make_stage, set_up, use_pictures

from varco_vision.data.collate import collate
from varco_vision.data.pack import Budget, Document, Feeding, RowStream, choose, documents
from varco_vision.data.sample import Sample
from varco_vision.data.shares import positions, shares
from varco_vision.data.source import PERIOD, Mixture, even_pattern
from varco_vision.errors import InputError
from varco_vision.model.checkpoint import Loaded, load
from varco_vision.model.packed import supervised_logits, use_shared_prefix
from varco_vision.train import feed
from varco_vision.train.loss import token_losses
from varco_vision.train.recipe import SourceRecipe
from varco_vision.train.stage import StageResult, train_stage


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load(write_tiny(tmp_path_factory.mktemp("tiny")), device="cpu")


class Asked(Pictures):
    """Pictures with six questions each, every fourth group a text with six of them."""

    def group(self, index: int) -> list[Sample]:
        images = list(super().group(index)[0].images)
        made = [self._sample(index, k, images) for k in range(6)]
        return [replace(s, id=f"{index}-{k}") for k, s in enumerate(made)]


def stream(loaded: Loaded, split: bool, pairs: bool = False, tokens: int = 1200, lookahead: int = 8) -> RowStream:
    feeding = Feeding(loaded.tokenizer, loaded.anyres, False, (127, 127, 127))
    return RowStream(Asked(pairs, groups=1000), feeding, Budget(tokens), 0, 1, lookahead, split)


def names(rows: list[list[Document]]) -> list[str]:
    return [b.sample for row in rows for d in row for b in d.branches]


@pytest.mark.parametrize("pairs", [False, True])
def test_parts_fill_rows_and_every_sample_comes_once(loaded: Loaded, pairs: bool) -> None:
    filled = {}
    for split in (False, True):
        rows = stream(loaded, split, pairs)
        made = [rows.row() for _ in range(25)]
        assert all(sum(d.tokens for d in row) <= 1200 for row in made)
        filled[split] = sum(d.tokens for row in made for d in row) / (25 * 1200)
        answers = 2 if pairs else 1
        left = [b.sample for w in rows.buffer for b in w.document.branches]
        came = Counter(names(made) + left)
        whole = {f"{group}-{k}" for group in range(rows.next_group) for k in range(6)}
        assert set(came) == whole - {n.split()[0] for n in rows.refused} and set(came.values()) == {answers}
        if pairs:
            for document in (d for row in made for d in row):
                assert names([[document]])[0::2] == names([[document]])[1::2], "the two answers of a pair stay together"
    assert filled[True] > max(0.96, filled[False])


def test_a_stream_of_parts_resumes_exactly(loaded: Loaded) -> None:
    rows = stream(loaded, split=True)
    for _ in range(7):
        rows.row()
    state = json.loads(json.dumps(rows.state()))
    assert any(len(entry) == 3 for entry in state["waiting"]), "some document waits with a part of its samples"
    later = [[(d.prefix, d.branches) for d in rows.row()] for _ in range(9)]
    again = stream(loaded, split=True)
    again.restore(state)
    assert [[(d.prefix, d.branches) for d in again.row()] for _ in range(9)] == later
    assert again.samples == rows.samples
    whole = stream(loaded, split=False)
    whole.row()
    assert all(len(entry) == 2 for entry in whole.state()["waiting"])


class Changed(Asked):
    """The same groups, but the answers of some are other ones, or there are fewer."""

    def __init__(self, count: int, word: str) -> None:
        super().__init__(groups=1000)
        self.count, self.word = count, word

    def group(self, index: int) -> list[Sample]:
        answer = {"role": "assistant", "content": [{"type": "text", "text": self.word}]}
        made = super().group(index)[: self.count]
        return [replace(s, messages=(s.messages[0], answer)) for s in made] if self.word else made


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(("count", "word"), [(1, ""), (6, "other words")])
def test_a_source_that_changed_since_the_checkpoint_is_named(
    loaded: Loaded, split: bool, count: int, word: str
) -> None:
    def over(source: Any) -> RowStream:
        rows = stream(loaded, split)
        rows.source = Mixture({"asked": source}, {"asked": 1.0}, 0)
        return rows

    rows = over(Asked(groups=1000))
    for _ in range(7):
        rows.row()
    state = json.loads(json.dumps(rows.state()))
    over(Asked(groups=1000)).restore(state)
    with pytest.raises(InputError, match="source 'asked' gives other samples for group .* resume, or train anew"):
        over(Changed(count, word)).restore(state)
    empty = {**state, "waiting": [], "marks": []}  # every document went into a row: the newest group still tells
    over(Asked(groups=1000)).restore(empty)
    with pytest.raises(InputError, match="source 'asked' gives other samples for group"):
        over(Changed(count, word)).restore(empty)
    old = {
        key: value for key, value in state.items() if key not in ("marks", "last")
    }  # as written before marks were kept
    over(Asked(groups=1000)).restore(old)


def test_another_number_of_rows_is_one_sentence(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    use_pictures(monkeypatch)
    first = feed.Feed(make_stage(rows=4), loaded, 0, WORLD)
    first.batches()
    states = [json.loads(json.dumps(first.state()))]
    feed.Feed(make_stage(rows=4), loaded, 0, WORLD).restore(states)
    with pytest.raises(InputError, match="stage 's': the checkpoint was written with rows: 4, and rows is 2 now"):
        feed.Feed(make_stage(rows=2), loaded, 0, WORLD).restore(states)
    monkeypatch.setattr(feed, "open_mixture", lambda stage, seed: Changed(6, "other words"))
    with pytest.raises(InputError, match="stage 's': the source gives other samples for group"):
        feed.Feed(make_stage(rows=4), loaded, 0, WORLD).restore(states)


def test_a_part_is_not_worth_its_picture_unless_it_holds_more(loaded: Loaded) -> None:
    rows = stream(loaded, split=True)
    rows._refill()
    prefix = max(len(w.document.prefix) for w in rows.buffer)
    least = min(min(w.document.sizes()) for w in rows.buffer)
    rows.buffer = [w for w in rows.buffer if len(w.document.prefix) == prefix]
    assert rows._part(prefix + least, 1000) is None
    assert rows._part(10_000, 0) is None, "no view is left for a picture"
    assert rows._part(10_000, 1000) is not None


def test_parts_of_a_document_are_learned_as_the_whole(loaded: Loaded) -> None:
    use_shared_prefix(loaded.model)
    feeding = Feeding(loaded.tokenizer, loaded.anyres, False, (127, 127, 127))
    (document,), _ = documents(Asked(groups=100).group(1), feeding, 10_000)
    ways = [[document], [document.part([1, 4]), document.part([0, 2, 3, 5])]]
    found = []
    for way in ways:
        batch = collate([way], 0, loaded.anyres.side)
        loaded.model.zero_grad(set_to_none=True)
        losses = token_losses(supervised_logits(loaded.model, batch, loaded.mean, loaded.std), batch.targets_S)
        losses.sum().backward()
        gradients = {n: p.grad.clone() for n, p in loaded.model.named_parameters() if p.grad is not None}
        by_sample = {name: losses[batch.sequence_S == n].detach() for n, name in enumerate(batch.samples)}
        found.append((by_sample, gradients))
    (whole, a), (parts, b) = found
    assert whole.keys() == parts.keys() and len(whole) == 6
    assert all(torch.allclose(whole[n], parts[n], atol=1e-4) for n in whole)
    assert all(torch.allclose(a[n], b[n], atol=1e-3, rtol=1e-3) for n in a)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(0, 200))
def test_chosen_parts_fit_and_leave_no_room_for_another(sizes: list[int], room: int) -> None:
    chosen = choose(sizes, room)
    used = sum(sizes[n] for n in chosen)
    assert used <= room and chosen == sorted(set(chosen))
    assert all(used + sizes[n] > room for n in range(len(sizes)) if n not in chosen)


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(st.text("abcdefgh", min_size=1, max_size=2), st.integers(1, 60), min_size=1, max_size=8),
    st.integers(1, 20),
)
def test_an_even_pattern_is_never_two_off(counts: dict[str, int], shards: int) -> None:
    total = sum(counts.values())
    pattern = even_pattern(counts, shards)
    assert Counter(pattern) == Counter(counts)
    for taken in [pattern, *(pattern[k::shards] for k in range(shards))]:
        made: Counter[str] = Counter()
        for place, name in enumerate(taken, start=1):
            made[name] += 1
            assert all(abs(place * count / total - made[n]) < 2 for n, count in counts.items())


class Numbered:
    """A source whose groups are their own numbers."""

    def __init__(self, name: str) -> None:
        self.name = name

    def group(self, index: int) -> list:
        return [(self.name, index)]


def even(weights: dict[str, float], shards: int | None) -> Mixture:
    return Mixture({n: Numbered(n) for n in weights}, weights, 3, shards)


@pytest.mark.parametrize("shards", [1, 3, 8, 64])
def test_even_order_misses_no_group_and_is_near_from_the_first_on(shards: int) -> None:
    weights = {"a": 0.42, "b": 0.46, "c": 0.12}
    mixture = even(weights, shards)
    drawn = [mixture.group(i)[0] for i in range(2 * PERIOD)]
    for name, weight in weights.items():
        mine = [i for n, i in drawn if n == name]
        assert sorted(mine) == list(range(len(mine))) and len(mine) == pytest.approx(2 * PERIOD * weight, abs=2)
    taken = lambda groups: positions({s: s + groups - groups % shards for s in range(shards)}, shards)  # noqa: E731
    worst = lambda m, groups: max(abs(s.actual - s.asked) for s in shares(m, weights, taken(groups)))  # noqa: E731
    assert worst(mixture, 200) < 0.011
    assert sum(worst(even(weights, None), n) > 0.011 for n in (200, 230, 260, 290, 320)) > 2, (
        "where random draws miss it"
    )


def stage_of(**changes: Any) -> Any:
    mixture = {"many": SourceRecipe(source="synth:text", weight=3), "few": SourceRecipe(source="synth:text", weight=1)}
    return make_stage(mixture=mixture, steps=4, rows=2, micro_rows=2, max_tokens=500, **changes)


def test_a_stage_says_and_keeps_the_shares_that_it_reached(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "open_source", lambda name, recipe, seed: Pictures(groups=1000))
    stage, said = stage_of(order="even", split_groups=True), []
    setup = set_up(loaded, stage, tmp_path)
    result = train_stage(setup.task, stage, tmp_path, WORLD, ([], []), False, False, said.append)
    groups = {s["source"]: s["groups"] for s in result.shares}
    following = [s["next"] for s in setup.task.state().values()]
    assert sum(groups.values()) == sum(n // 2 for n in following) > 10
    assert [(s["source"], s["asked"]) for s in result.shares] == [("many", 0.75), ("few", 0.25)]
    assert all(s["reached"] == pytest.approx(s["asked"], abs=0.08) for s in result.shares)
    assert any("asked 75.0 %" in line or "asked 75.0%" in line for line in said)
    kept = json.loads(json.dumps(result.to_dict()))
    assert StageResult(**kept) == result
    del kept["shares"]
    assert StageResult(**kept).shares == [], "what older versions left is read"


def test_sources_without_shares_have_none(loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_pictures(monkeypatch)
    assert set_up(loaded, make_stage(), tmp_path).task.feed.shares([]) == []


def test_an_unknown_order_is_one_sentence(tmp_path: Path) -> None:
    from varco_vision.train.recipe import find, read

    with pytest.raises(InputError, match=r"order: found 'sorted'; one of random, even is needed"):
        read(find("nano"), ["stages.basic.order=sorted"])
