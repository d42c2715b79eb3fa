"""Wall-clock of an evaluation against lmms-eval 0.7.3: the same checkpoint, the same questions with their rotations.

    python benchmarks/eval.py --lmms-python VENV/bin/python [--questions 125] [--repeats 3] [--model DIR]

Each side is one process on one thread, from start to scores; they run in turn, and medians are told. Ours is the command
`varco-vision eval run`; theirs is benchmarks/lmms_runner.py, in an environment that has lmms-eval 0.7.3 (docs/evaluation.md
says how to make one). Processor time is what to read on a machine that others use too. The last line of the output is one JSON document.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import transformers

from varco_vision.model.checkpoint import default_path
from varco_vision.synth.sources import evaluation_set

TASK = "mmbench_ko_local"
COLOURS = ["빨간색", "파란색", "초록색", "노란색"]
YAML = """
task: {task}
dataset_path: parquet
dataset_kwargs: {{data_files: {{dev: {path}}}}}
test_split: dev
output_type: generate_until
doc_to_visual: !function local_utils.pictures
doc_to_text: !function local_utils.mmbench_doc_to_text
doc_to_target: answer
process_results: !function local_utils.mmbench_process_results
generation_kwargs: {{until: ["ASSISTANT:"], max_new_tokens: {tokens}, temperature: 0, do_sample: false}}
lmms_eval_specific_kwargs: {{default: {{pre_prompt: "", post_prompt: "\\n주어진 선택지 중 해당 옵션의 문자로 바로 답하세요."}}}}
metric_list:
  - {{metric: gpt_eval_score, aggregation: !function local_utils.static, higher_is_better: true}}
metadata: [{{version: 0.0}}]
"""
UTILS = """
import io

from PIL import Image
from lmms_eval.tasks.mmbench.ko_utils import mmbench_doc_to_text, mmbench_evaluator, mmbench_process_results


def pictures(doc):
    return [Image.open(io.BytesIO(doc["image"]["bytes"])).convert("RGB")]


def static(results, args=None):
    return mmbench_evaluator.eval_result(results, "static")[0] * 100
"""


def make_set(questions: int, path: Path) -> int:
    """Pictures of the project's world with four options each, turned four times; the number of rows."""
    scenes = [s for s in evaluation_set(seed=77, n_scenes=questions, n_words=0, n_text=0, tasks=("vqa",)) if s.images]
    pictures = list({id(s.images[0]): s.images[0] for s in scenes}.values())[:questions]
    rows = []
    for q, picture in enumerate(pictures):
        kept = io.BytesIO()
        picture.save(kept, "PNG")
        for k in range(4):
            turned = COLOURS[k:] + COLOURS[:k]
            rows.append(
                {
                    "index": q + k * 1_000_000, "question": "그림에서 가장 왼쪽에 있는 도형은 무슨 색입니까?", "hint": None,
                    **dict(zip("ABCD", turned, strict=True)), "answer": "ABCD"[turned.index(COLOURS[q % 4])],
                    "category": "color", "l2-category": "perception", "source": "made", "split": "dev",
                    "image": {"bytes": kept.getvalue(), "path": None},
                }
            )  # fmt: skip
    rows.sort(key=lambda row: row["index"])
    schema = pa.Table.from_pylist(rows).schema
    schema = schema.set(schema.get_field_index("hint"), pa.field("hint", pa.string()))
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return len(rows)


class Times:
    """Seconds on the clock and of the processor that a command took; it must succeed."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        self.wall = time.monotonic() - begun
        self.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lmms-python", required=True, help="python of an environment with lmms-eval 0.7.3")
    parser.add_argument("--questions", type=int, default=125)
    parser.add_argument("--model", default=str(default_path()))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--max-new-tokens", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=16)
    given = parser.parse_args()
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "API_TYPE": "dummy",
        "TOKENIZERS_PARALLELISM": "false",
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = make_set(given.questions, folder / "k_mmbench.parquet")
        (folder / "tasks").mkdir()
        yaml = YAML.format(task=TASK, path=folder / "k_mmbench.parquet", tokens=given.max_new_tokens)
        (folder / "tasks" / f"{TASK}.yaml").write_text(yaml, encoding="utf-8")
        (folder / "tasks" / "local_utils.py").write_text(UTILS, encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "varco_vision.cli.main",
            "eval",
            "run",
            "--tasks",
            "k_mmbench",
            "--protocol",
            "lmms-0.7.3",
        ]
        command += ["--data-dir", name, "--model", given.model, "--device", "cpu", "--out", str(folder / "ours")]
        command += ["--max-new-tokens", str(given.max_new_tokens), "--batch-size", str(given.batch_size)]
        runner = Path(__file__).with_name("lmms_runner.py")
        cached = {**env, "HF_HOME": str(folder / "hf"), "HF_DATASETS_CACHE": str(folder / "hf")}
        other = [given.lmms_python, str(runner), given.model, str(folder / "tasks"), TASK, str(folder / "theirs.json")]
        rounds = []
        for _ in range(given.repeats):
            for kept in ("ours", "hf"):
                shutil.rmtree(folder / kept, ignore_errors=True)
            ours = Times(command, env)
            again = Times(
                command, env
            )  # everything is answered: left are starting, reading the set, scoring, the report
            theirs = Times(other, cached)
            rounds.append(round_of(folder, ours, again, theirs))
        print(json.dumps(summary(folder, rows, rounds), ensure_ascii=False))


def round_of(folder: Path, ours: Times, again: Times, theirs: Times) -> dict[str, float]:
    """Seconds of one round, and ours against theirs."""
    answering = json.loads((folder / "theirs.json").read_text(encoding="utf-8"))["answering_cpu"]
    return {
        "ours_wall": ours.wall, "ours_cpu": ours.cpu, "ours_answering_cpu": ours.cpu - again.cpu, "ours_again_cpu": again.cpu,
        "lmms_wall": theirs.wall, "lmms_cpu": theirs.cpu, "lmms_answering_cpu": answering,
        "ratio_wall": theirs.wall / ours.wall, "ratio_cpu": theirs.cpu / ours.cpu,
        "ratio_answering_cpu": answering / (ours.cpu - again.cpu),
    }  # fmt: skip


def summary(folder: Path, rows: int, rounds: list[dict[str, float]]) -> dict[str, object]:
    """Medians over the rounds, and on how many rows the answers are equal (in the last one)."""
    other = json.loads((folder / "theirs.json").read_text(encoding="utf-8"))
    kept = _lines(folder / "ours" / "rows" / "lmms-0.7.3.k_mmbench.jsonl")
    answers = {record["key"]: record["answer"] for record in _lines(folder / "ours" / "answers.jsonl")}
    pairs = [(answers[row["key"]].strip(), other["answers"][str(number)].strip()) for number, row in enumerate(kept)]
    results = json.loads((folder / "ours" / "results.json").read_text(encoding="utf-8"))["tasks"][0]
    medians = {name: round(statistics.median(one[name] for one in rounds), 2) for name in rounds[0]}
    return {
        "rows": rows, "equal_answers": sum(a == b for a, b in pairs), "different": [pair for pair in pairs if pair[0] != pair[1]][:5],
        "repeats": len(rounds), **medians, "ratio_wall_range": [round(f(one["ratio_wall"] for one in rounds), 2) for f in (min, max)],
        "ours_score": 100 * results["score"]["value"], "lmms_eval_score": other["scores"],
        "torch": torch.__version__, "transformers": transformers.__version__, "machine": platform.machine(), "threads": 1,
    }  # fmt: skip


def _lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
