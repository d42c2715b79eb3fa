"""Generating, reading and scoring in stages: resuming, what invalidates an answer, numbers by hand, the command line."""

from __future__ import annotations

from dataclasses import replace

import eval_sets
import pytest
from eval_sets import SETTINGS, prepared
from tiny import write_tiny

from varco_vision.errors import InputError
from varco_vision.eval import aggregate, benchmarks, pipeline, protocols
from varco_vision.eval.benchmarks import BENCHMARKS
from varco_vision.eval.cache import Store, key_of
from varco_vision.infer.answer import Answer
from varco_vision.infer.engine import Engine
from varco_vision.model import checkpoint


class Replay:
    """An engine that answers by a function of the prompt, and counts."""

    def __init__(self, say, batch_size=2):
        self.say, self.batch_size, self.asked = say, batch_size, []

    def generate(self, requests, progress=None):
        prompts = [request.messages[0]["content"][-1]["text"] for request in requests]
        self.asked += prompts
        return [Answer(text, text, [], [], False, "end", 0.5, 10, new_tokens=1) for text in map(self.say, prompts)]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return eval_sets.write_all(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_tiny(tmp_path_factory.mktemp("tiny") / "model"))


@pytest.fixture(scope="module")
def loaded_model(model):
    return checkpoint.load(model, device="cpu")


def scored(run, say):
    """Scores of a task whose answers a function of the row gives."""
    rows = [one.to_dict() for one in run.asked]
    records = {row["key"]: {"answer": say(row), "stop_reason": "end"} for row in rows}
    return pipeline.score_choice(run.told, rows, run.rules, records)


# --- the store ---


def test_store_keeps_what_was_written_and_cuts_a_torn_line(tmp_path):
    path = tmp_path / "a" / "answers.jsonl"
    with Store(path) as store:
        store.append([{"key": "1", "answer": "가"}, {"key": "2", "answer": "b"}])
        assert "1" in store and len(store) == 2
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"key": "3", "ans')
    assert Store(path, writing=False).torn == 17 and path.stat().st_size > len(whole), "reading changes nothing"
    with Store(path) as store:
        assert store.torn == 17 and len(store) == 2
        store.append([{"key": "3", "answer": "c"}])
    assert path.read_bytes().startswith(whole) and len(Store(path, writing=False)) == 3
    path.write_bytes(b"not json\n" + whole)
    with pytest.raises(InputError, match="line 1 is no record"):
        Store(path)


def test_two_runs_cannot_write_one_file(tmp_path):
    pytest.importorskip("fcntl", reason="file locks of this kind are not on this system")
    with Store(tmp_path / "a.jsonl"), pytest.raises(InputError, match="another run is writing"):
        Store(tmp_path / "a.jsonl")
    Store(tmp_path / "a.jsonl").close()


# --- keys ---


def test_what_invalidates_an_answer(sets):
    keys = {one.item.index: one.key for one in prepared(sets).asked}
    assert len(set(keys.values())) == len(keys)
    same = prepared(sets, settings=protocols.Settings(max_new_tokens=6))
    assert {one.item.index: one.key for one in same.asked} == keys
    for other in (
        prepared(sets, model="another"),
        prepared(sets, settings=protocols.Settings(max_new_tokens=7)),
        prepared(sets, settings=protocols.Settings(max_new_tokens=6, max_tiles=2)),
        prepared(sets, settings=protocols.Settings(max_new_tokens=6, single_view=True)),
        prepared(sets, protocol="lmms-0.7.3"),
    ):
        assert not set(keys.values()) & {one.key for one in other.asked}


def test_one_picture_or_one_prompt_changes_one_key(sets):
    loaded = benchmarks.load(BENCHMARKS["k_dtcbench"], sets)
    first = prepared(sets).asked
    for change in ({"images": (eval_sets.picture(77),)}, {"question": "다른 질문?"}):
        changed = replace(loaded, items=[replace(loaded.items[0], **change), *loaded.items[1:]])
        second = pipeline.prepare(changed, protocols.find("strict"), SETTINGS, "m", "views").asked
        assert [a.key == b.key for a, b in zip(first, second, strict=True)] == [False, True, True, True]
    scored_otherwise = replace(loaded, items=[replace(loaded.items[0], answer="D", category="x"), *loaded.items[1:]])
    third = pipeline.prepare(scored_otherwise, protocols.find("strict"), SETTINGS, "m", "views").asked
    assert [one.key for one in third] == [one.key for one in first], "the right answer is nothing the model sees"


def test_fingerprint_is_of_the_weights_and_not_of_the_place(loaded_model, model, tmp_path):
    import shutil

    import torch

    one = pipeline.fingerprint(loaded_model)
    elsewhere = checkpoint.load(shutil.copytree(model, tmp_path / "copy"), device="cpu")
    assert pipeline.fingerprint(elsewhere) == one
    with torch.no_grad():
        next(elsewhere.model.parameters()).view(-1)[0] += 0.001
    assert pipeline.fingerprint(elsewhere) != one


# --- generating ---


def test_nothing_is_asked_twice(sets, tmp_path):
    runs_ = [prepared(sets, task) for task in ("k_mmbench", "k_dtcbench")]
    with Store(tmp_path / "a.jsonl") as store:
        engine = Replay(lambda prompt: "A")
        told = pipeline.generate(engine, runs_, store)
        assert told == {"asked": 16, "answered": 16, "known": 0, "shared": 0} and len(engine.asked) == 16
        again = pipeline.generate(engine, runs_, store)
        assert again["answered"] == 0 and again["known"] == 16 and len(engine.asked) == 16
        fewer = [replace(runs_[0], asked=runs_[0].asked[:3])]
        assert pipeline.generate(engine, fewer, store)["known"] == 3


def test_protocols_with_one_prompt_share_answers(sets, tmp_path):
    """K-SEED is asked with the same bytes by `strict` and by lmms-eval 0.7.3."""
    with Store(tmp_path / "a.jsonl") as store:
        both = [prepared(sets, "k_seed", name) for name in ("strict", "lmms-0.7.3")]
        assert pipeline.generate(Replay(lambda p: "A"), both, store)["shared"] == 6


def test_a_fault_in_the_middle_loses_little(sets, tmp_path):
    run = prepared(sets, "k_mmbench")
    said = []

    def say(prompt):
        said.append(prompt)
        if len(said) == 10:
            raise RuntimeError("out of memory")
        return "A"

    with Store(tmp_path / "a.jsonl") as store, pytest.raises(RuntimeError):
        pipeline.generate(Replay(say, batch_size=1), [run], store)
    assert len(Store(tmp_path / "a.jsonl", writing=False)) == 8, "two chunks of four batches"
    with Store(tmp_path / "a.jsonl") as store:
        assert pipeline.generate(Replay(lambda p: "A"), [run], store)["known"] == 8


def answers_of(engine, run, path):
    with Store(path) as store:
        pipeline.generate(engine, [run], store)
        return {one.item.index: store[one.key]["answer"] for one in run.asked}


def test_batch_of_one_equals_batch_of_eight(sets, loaded_model, tmp_path):
    """Token for token, with a model whose choices are far from ties."""
    print_ = pipeline.fingerprint(loaded_model)
    for task in ("k_mmbench", "k_mmstar"):
        run = prepared(sets, task, model=print_, settings=protocols.Settings(max_new_tokens=12))
        one, eight = (
            answers_of(Engine(loaded_model, batch_size=size), run, tmp_path / f"{task}{size}.jsonl") for size in (1, 8)
        )
        assert one == eight and len(set(one.values())) > 1


# --- reading and scoring ---


def test_numbers_by_hand(sets):
    """Question 0 right in all rotations, question 1 in three of four, question 2 not read once."""
    run = prepared(sets, "k_mmbench")

    def say(row):
        if row["group"] == "1" and row["index"].startswith("1000"):
            return "A" if row["answer"] != "A" else "B"
        if row["group"] == "2" and row["index"].startswith("3000"):
            return "모르겠습니다."
        return f"정답은 {row['answer']}입니다."

    found = scored(run, say)
    assert found["score"]["value"] == pytest.approx(1 / 3) and found["score"]["n"] == 3
    assert found["score"]["unread"] == pytest.approx(1 / 12) and found["n_rows"] == 12
    strict = found["readers"]["strict"]
    assert strict["per_row"]["value"] == pytest.approx(10 / 12) and strict["circular"]["value"] == pytest.approx(1 / 3)
    assert found["readers"]["first-letter"]["per_row"]["value"] == 0, "정 is no letter"
    assert found["readers"]["lmms"]["per_row"]["value"] == pytest.approx(10 / 12)
    assert found["tables"]["category"]["color"]["value"] == pytest.approx(1 / 2)
    assert found["tables"]["category"]["shape"]["value"] == 0
    for cell in (found["score"], strict["per_row"], strict["circular"]):
        assert cell["low"] <= cell["value"] <= cell["high"]


def test_macro_weighs_groups_alike():
    marks = [aggregate.Mark(str(k), str(k), "A", k < 8, subcategory="a" if k < 8 else "b") for k in range(10)]
    assert aggregate.micro(marks)["value"] == 0.8 and aggregate.macro(marks)["value"] == 0.5
    assert aggregate.unread([*marks, aggregate.Mark("x", "x", None, False)]) == pytest.approx(1 / 11)


def test_rows_of_one_question_are_not_independent():
    rows = [aggregate.Mark(f"{g}.{k}", str(g), "A", g % 2 == 0) for g in range(20) for k in range(4)]
    alone = [aggregate.Mark(str(k), str(k), "A", k % 2 == 0) for k in range(80)]
    wide, narrow = aggregate.micro(rows), aggregate.micro(alone)
    assert wide["value"] == narrow["value"] == 0.5
    assert wide["high"] - wide["low"] > 1.5 * (narrow["high"] - narrow["low"])


def test_all_right_and_all_wrong(sets):
    for task in ("k_mmbench", "k_seed", "k_mmstar", "k_dtcbench"):
        for protocol in protocols.PROTOCOLS:
            run = prepared(sets, task, protocol)
            right, wrong = scored(run, lambda row: row["answer"]), scored(run, lambda row: "")
            assert right["score"]["value"] == 1 and right["score"]["unread"] == 0, (task, protocol)
            assert wrong["score"]["value"] == 0 and wrong["score"]["unread"] == 1 and wrong["counters"]["empty"]
            assert wrong["score"]["low"] == 0 < wrong["score"]["high"]


def test_letters_are_read_once_and_kept(sets, tmp_path):
    run = prepared(sets, "k_seed")
    rows = [one.to_dict() for one in run.asked]
    said = {row["key"]: "B" for row in rows}
    with Store(tmp_path / "letters.jsonl") as store:
        first = pipeline.read(rows, said, run.rules, store)
        assert first[rows[0]["index"]]["strict"] == "B"
        assert len(store) == 1, "the same answer to the same options is one reading"
        store.records[next(iter(store.records))]["letters"]["strict"] = "D"
        assert pipeline.read(rows, said, run.rules, store)[rows[0]["index"]]["strict"] == "D", "it comes from the store"


def test_scores_need_every_answer(sets):
    run = prepared(sets, "k_seed")
    with pytest.raises(InputError, match="6 of 6 rows have no answer yet"):
        pipeline.score_choice(run.told, [one.to_dict() for one in run.asked], run.rules, {})


def test_protocol_ids(sets):
    ids = {prepared(sets, "k_seed", name).told["id"] for name in protocols.PROTOCOLS}
    assert len(ids) == 4 and prepared(sets, "k_seed").told["id"] in ids
    assert prepared(sets, "k_seed", settings=protocols.Settings(max_new_tokens=7)).told["id"] not in ids
    told = prepared(sets, "k_llava_w").told
    assert protocols.with_judge(told, "one")["id"] != protocols.with_judge(told, "two")["id"]
    assert key_of(a=1, b=2) == key_of(b=2, a=1)
