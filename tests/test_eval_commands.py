"""`varco-vision eval`: a whole run, a run after a kill, judges on record, comparing, exporting, mistakes."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import eval_sets
import pytest
from eval_sets import SETTINGS, eval_command, prepared
from tiny import write_tiny

from varco_vision.cli.main import main
from varco_vision.eval import protocols, runs
from varco_vision.eval.benchmarks import BENCHMARKS
from varco_vision.eval.cache import Store


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return eval_sets.write_all(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_tiny(tmp_path_factory.mktemp("tiny") / "model"))


@pytest.fixture
def call(capsys):
    return eval_command(capsys)


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
