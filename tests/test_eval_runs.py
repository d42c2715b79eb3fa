"""Generating, reading and scoring in stages: resuming, what invalidates an answer, numbers by hand, the command line."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import eval_sets
import pytest
from tiny import write_tiny

from varco_vision.cli.main import main
from varco_vision.errors import InputError
from varco_vision.eval import aggregate, benchmarks, pipeline, protocols, runs
from varco_vision.eval.benchmarks import BENCHMARKS
from varco_vision.eval.cache import Store, key_of
from varco_vision.infer.answer import Answer
from varco_vision.infer.engine import Engine
from varco_vision.model import checkpoint

SETTINGS = protocols.Settings(max_new_tokens=6)


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


def prepared(sets, task="k_dtcbench", protocol="strict", model="m", settings=SETTINGS):
    return pipeline.prepare(benchmarks.load(BENCHMARKS[task], sets), protocols.find(protocol), settings, model, "views")


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


# --- the command line ---


@pytest.fixture
def call(capsys):
    def call(*args):
        with pytest.raises(SystemExit) as caught:
            main(["eval", *map(str, args)])
        out, err = capsys.readouterr()
        return caught.value.code or 0, out, err

    return call


TASKS = "k_mmbench,k_seed,k_mmstar,k_dtcbench,k_llava_w"


@pytest.fixture(scope="module")
def finished(sets, model, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    args = ["eval", "run", "--model", model, "--tasks", TASKS, "--data-dir", str(sets), "--out", str(out)]
    with pytest.raises(SystemExit) as caught:
        main([*args, "--protocol", "strict,lmms-0.7.3", "--max-new-tokens", "4"])
    assert not caught.value.code
    return out


def test_run_writes_everything(finished):
    results = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    assert len(results["tasks"]) == 10 and len({task["told"]["id"] for task in results["tasks"]}) == 10
    for task in results["tasks"]:
        assert (task["score"] is None) == (task["told"]["task"] == "k_llava_w")
    assert len(list((finished / "pictures").glob("*.jpg"))) == 6
    html, markdown = ((finished / f"report.{kind}").read_text(encoding="utf-8") for kind in ("html", "md"))
    assert "K-MMBench" in html and "data:image/jpeg;base64," in html and "<script" not in html
    assert results["tasks"][0]["told"]["id"] in html and results["tasks"][0]["told"]["id"] in markdown
    assert "VARCO-VISION: Expanding Frontiers" in markdown and "| VARCO-VISION-14B | 82.21 |" in markdown


def test_score_again_needs_neither_model_nor_data(finished, call):
    before = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    code, out, err = call("score", "--out", finished, "--json")
    assert code == 0, err
    again = json.loads(out)
    assert [t["score"] for t in again["tasks"]] == [t["score"] for t in before["tasks"]]
    code, out, _ = call("score", "--out", finished)
    assert "protocol strict/k_mmbench#" in out and "circular" in out and "not read" in out
    assert (
        "k_mmbench, published for the whole set: VARCO-VISION-14B 87.16 (kovlmeval); VARCO-VISION-14B 82.21 (paper)"
        in out
    )


def test_a_killed_run_goes_on_and_ends_with_the_same_answers(sets, model, tmp_path, finished):
    """SIGKILL while it answers; the second start asks only what is missing."""
    out = tmp_path / "killed"
    slow = (
        "import sys, time\n"
        "from varco_vision.infer.engine import Engine\n"
        "whole = Engine.generate\n"
        "def generate(self, requests, progress=None):\n"
        "    answers = whole(self, requests, progress)\n"
        "    time.sleep(0.7)\n"
        "    return answers\n"
        "Engine.generate = generate\n"
        "from varco_vision.cli.main import main\n"
        "main(sys.argv[1:])\n"
    )
    args = ["eval", "run", "--model", model, "--tasks", TASKS, "--data-dir", str(sets), "--out", str(out)]
    args += ["--protocol", "strict,lmms-0.7.3", "--max-new-tokens", "4", "--batch-size", "1"]
    first = subprocess.Popen(
        [sys.executable, "-c", slow, *args], stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    path, deadline = out / "answers.jsonl", time.monotonic() + 240
    while time.monotonic() < deadline and first.poll() is None and not (path.exists() and path.stat().st_size):
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    with path.open("ab") as file:
        file.write(b'{"key": "torn')
    some = len(Store(path, writing=False))
    whole = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    with pytest.raises(SystemExit) as caught:
        main(args[:-2])
    assert not caught.value.code
    kept, wanted = (Store(folder / "answers.jsonl", writing=False).records for folder in (out, finished))
    assert 0 < some < len(kept), "it was killed in the middle"
    assert {k: r["answer"] for k, r in kept.items()} == {k: r["answer"] for k, r in wanted.items()}
    ours = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert [t["score"] for t in ours["tasks"]] == [t["score"] for t in whole["tasks"]]


def judged_record(finished, path, reply, swap=False):
    """A recorded judge that says the same of every answer."""
    from varco_vision.eval import judged
    from varco_vision.eval.judge import Judge

    path.touch()
    judge = Judge(None, "recorded", path)
    run = runs.read_run(finished)
    answers = Store(finished / "answers.jsonl", writing=False).records
    with path.open("w", encoding="utf-8") as file:
        for task in run["tasks"]:
            if task["rules"].judge is None:
                continue
            for messages in judged.requests(task["told"], task["asked"], task["rules"], answers, swap):
                entry = {
                    "key": judge.key(messages),
                    "model": "recorded",
                    "messages": messages,
                    "raw": reply,
                    "usage": {},
                }
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def test_a_recorded_judge_scores_open_questions(finished, call, tmp_path):
    import shutil

    out = shutil.copytree(finished, tmp_path / "judged")
    judged_record(out, out / "reviews.jsonl", "8 6\n좋습니다.")
    code, text, err = call("score", "--out", out, "--judge-model", "recorded", "--json")
    assert code == 0, err
    open_tasks = [task for task in json.loads(text)["tasks"] if task["told"]["task"] == "k_llava_w"]
    assert len(open_tasks) == 2
    for task in open_tasks:
        assert task["score"]["value"] == pytest.approx(0.75) and task["score"]["failed"] == 0
        assert task["told"]["judge"].startswith("recorded T=0.2") and set(task["tables"]["category"]) == {
            "conv",
            "detail",
            "complex",
        }
    code, _, err = call("score", "--out", out, "--judge-model", "another")
    assert code == 2 and "no reply of another" in err


def test_what_judging_would_cost_is_told_before_anything_is_sent(finished, call, tmp_path):
    import shutil

    out = shutil.copytree(finished, tmp_path / "judged")
    asked = ("score", "--out", out, "--judge-model", "recorded", "--judge-preview", "--json")
    code, text, err = call(*asked, "--judge-prices", "2,10")
    assert code == 0, err
    first = json.loads(text)
    assert [one["task"] for one in first] == ["k_llava_w", "k_llava_w"] and not (out / "reviews.jsonl").exists()
    for one in first:
        assert one["requests"] > 0 and one["recorded"] == 0 and one["output_tokens"] == 1024 * one["requests"]
        assert one["cost"] == pytest.approx((2 * one["input_tokens"] + 10 * one["output_tokens"]) / 1e6)
    swapped = json.loads(call(*asked, "--judge-swap")[1])
    assert [b["requests"] for b in swapped] == [2 * a["requests"] for a in first] and swapped[0]["cost"] is None
    judged_record(out, out / "reviews.jsonl", "8 6")
    assert [one["requests"] for one in json.loads(call(*asked)[1])] == [0, 0]
    for wrong, said in (("2", "two numbers"), ("2,-1", "two numbers"), ("2,inf", "two numbers")):
        code, _, err = call(*asked, "--judge-prices", wrong)
        assert code == 2 and said in err
    assert "for --judge-preview" in call("score", "--out", out, "--judge-prices", "1,2")[2]
    assert "needs --judge-model" in call("score", "--out", out, "--judge-preview")[2]


def test_both_orders_stand_apart_from_the_official_score(finished, call, tmp_path):
    import shutil

    out = shutil.copytree(finished, tmp_path / "judged")
    judged_record(out, out / "reviews.jsonl", "8 6", swap=True)
    code, text, err = call("score", "--out", out, "--judge-model", "recorded", "--judge-swap")
    assert code == 0, err
    said = "both orders: 100.0 per cent of the reference; the same winner in 0 % of"
    assert text.count(said) == 2 and "standing first is worth +2.00 points" in text and " 75.0 (" in text
    assert said in (out / "report.html").read_text(encoding="utf-8")
    assert said in (out / "report.md").read_text(encoding="utf-8")


def test_koffvqa_is_judged_by_its_criteria(tmp_path):
    from varco_vision.eval import judged
    from varco_vision.eval.judge import Judge

    rows = [
        {"index": str(k), "question": "?", "answer": "- 색 (10점)", "caption": "", "category": "c", "key": str(k)}
        for k in range(3)
    ]
    told = {"task": "koffvqa", "protocol": "strict", "judge_protocol": "strict"}
    rules = protocols.find("strict").of("koffvqa")
    said = ["빨간색입니다.", "It is red.", "빨강"]
    records = {str(k): {"answer": text, "stop_reason": "end"} for k, text in enumerate(said)}

    def transport(url, body, headers, timeout):
        content = {"choices": [{"message": {"content": "항목 1: 충족\n최종 점수: 10점 만점에 8점"}}]}
        assert "- 색 (10점)" in json.loads(body)["messages"][0]["content"]
        return 200, json.dumps(content).encode()

    judge = Judge("http://judge/v1", "j", tmp_path / "r.jsonl", transport=transport)
    found = judged.score(told, rows, rules, records, judge)
    assert found["score"]["value"] == pytest.approx((8 + 0 + 8) / 30), "an English answer earns nothing"
    assert judged.score(told, rows, rules, records, None)["score"] is None


@pytest.mark.parametrize(("before", "after", "sign"), [(True, False, -1), (False, True, 1)])
def test_a_change_of_every_answer_keeps_an_interval(before, after, sign):
    from varco_vision.eval.statistics import compare, wilson

    found = compare([before] * 6, [after] * 6)
    assert found.difference == sign and found.p == 2 * 0.5**6
    assert sorted((abs(found.low), abs(found.high))) == [pytest.approx(wilson(6, 6)[0]), 1.0]
    assert found.low <= found.difference <= found.high


def test_compare(call, sets, tmp_path):
    """Two runs whose answers differ in known rows."""
    folders = []
    for name, wrong in (("before", {"0", "1"}), ("after", {"1"})):
        run = prepared(sets, "k_seed", model=name)
        out = tmp_path / name
        runs.write_run(out, name, name, SETTINGS, [run])
        with Store(out / "answers.jsonl") as store:
            store.append(
                {"key": one.key, "answer": "Z" if one.item.index in wrong else one.item.answer, "stop_reason": "end"}
                for one in run.asked
            )
        runs.score_run(out)
        folders.append(out)
    code, out, err = call("compare", *folders, "--json")
    assert code == 0, err
    found = json.loads(out)[0]
    assert (found["n"], found["lost"], found["gained"], found["p"]) == (6, 0, 1, 1.0)
    assert found["before"] == pytest.approx(4 / 6) and found["after"] == pytest.approx(5 / 6) and found["same_protocol"]
    code, out, _ = call("compare", *folders)
    assert "k_seed" in out and "+16.7" in out
    other = prepared(sets, "k_seed", model="x", settings=protocols.Settings(max_new_tokens=9))
    runs.write_run(tmp_path / "x", "x", "x", SETTINGS, [other])
    with Store(tmp_path / "x" / "answers.jsonl") as store:
        store.append({"key": one.key, "answer": "A", "stop_reason": "end"} for one in other.asked)
    runs.score_run(tmp_path / "x")
    code, _, err = call("compare", folders[0], tmp_path / "x")
    assert code == 2 and "same protocol id" in err
    code, out, _ = call("compare", folders[0], tmp_path / "x", "--across")
    assert code == 0 and "the protocols differ" in out


def test_exports(finished, call, tmp_path):
    code, out, err = call("export", "--out", finished, "--form", "vlmevalkit", "--to", tmp_path / "v")
    assert code == 0, err
    path = next(p for p in map(Path, out.split()) if p.name.endswith("strict_MMBench_DEV_KO.tsv"))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == 12 and {
        "index",
        "question",
        "A",
        "D",
        "answer",
        "category",
        "l2-category",
        "prediction",
    } <= set(rows[0])
    assert {row["index"] for row in rows} >= {"0", "1000000", "3000002"}, "rotations keep their indices"
    code, out, err = call("export", "--out", finished, "--form", "lmms-eval", "--to", tmp_path / "l")
    path = next(p for p in map(Path, out.split()) if p.name.endswith("lmms-0.7.3_samples_dtcbench.jsonl"))
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["doc_id"] for row in rows] == [0, 1, 2, 3] and rows[0]["resps"] == [rows[0]["filtered_resps"]]
    assert len({row["doc_hash"] for row in rows}) == 4
    assert call("export", "--out", finished, "--form", "xlsx", "--to", tmp_path)[0] == 2


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run", "--tasks", "k_meme", "--out", "o"], "the task 'k_meme' is unknown"),
        (["run", "--tasks", "k_seed"], "--tasks needs --out"),
        (["run", "--tasks", ",", "--out", "o"], "at least one name"),
        (["run", "--tasks", "k_seed", "--protocol", "best", "--out", "o"], "the protocol 'best' is unknown"),
        (["run", "--tasks", "kreta", "--protocol", "lmms-0.7.3", "--out", "o"], "no rules for kreta"),
        (["run", "--tasks", "k_seed", "--data-dir", "absent", "--out", "o"], "--data-dir absent is no folder"),
        (["run", "--tasks", "k_seed", "--own", "3", "--out", "o"], "or --tasks A,B"),
        (["run", "--tasks", "k_llava_w", "--judge-endpoint", "http://x/v1", "--out", "o"], "needs --judge-model"),
        (["run", "--tasks", "k_llava_w", "--judge-model", "x", "--out", "o"], "needs --judge-endpoint"),
        (["score", "--out", "o"], "run.json does not exist"),
        (["compare", "a", "b"], "results.json does not exist"),
        (["export", "--out", "o", "--form", "lmms-eval", "--to", "t"], "run.json does not exist"),
    ],
)
def test_mistakes_are_one_sentence(args, said, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(*args)
    assert code == 2 and said in err and err.count("\n") <= 2 and not out


def test_list_names_everything(call):
    _, out, _ = call("list")
    assert all(name in out for name in [*BENCHMARKS, *protocols.PROTOCOLS, "mmstar-2025"])
    _, out, _ = call("list", "--json")
    assert json.loads(out)["sets"]["tasks"]["k_seed"]["hub"] == "NCSOFT/K-SEED"
