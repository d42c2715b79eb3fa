"""Runs the original programs of metrics on the generated cases of tests/metric_cases.py and records what they say.

    python scripts/record_metric_goldens.py popeval --source DIR   # DIR holds popEval.py; needs shapely<2, numpy<1.24
    python scripts/record_metric_goldens.py refcoco cider judge cleval

Each original wants its own environment (docs/metrics.md). The tests need none of them: they read tests/data/metrics_*.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import io
import json
import os
import sys
import tempfile
import types
import zipfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import metric_cases as cases


def popeval(source: Path) -> None:
    """naver/popeval's `process` on pages in its own file format; null where it divides by zero and drops the picture."""
    sys.path.insert(0, str(source))
    import popEval

    sys.setrecursionlimit(100_000)
    outputs: list[Any] = []
    made = cases.pages()
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, name) for name in ("gold.txt", "told.txt")]
        for number, both in enumerate(made):
            for file, regions in zip(files, both, strict=True):
                lines = [" ".join(map(str, quad)) + "##::" + text for text, quad in regions]
                Path(file).write_text("\n".join(lines), encoding="utf-8")
            with contextlib.redirect_stdout(io.StringIO()):
                found = popEval.process(*files, "###")
            outputs.append(list(found[2:]) if found else None)
            if number % 1000 == 0:
                print(number, flush=True)
    print(cases.store("popeval", "naver/popeval popEval.py", made, outputs))


def refcoco(_: Path) -> None:
    """lmms-eval's refcoco_bbox_rec: parse, then each metric on one row; null where it divides by zero."""
    from lmms_eval.tasks.refcoco import utils_rec as original

    made = cases.box_cases()
    outputs: list[Any] = []
    for answer, gold in made:
        row = original.refcoco_bbox_rec_process_result({"question_id": 0, "answer": "", "bbox": gold}, [answer])
        one = row["refcoco_IoU"]
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                scores = [original.refcoco_bbox_rec_aggregation_result([one], m) for m in original.COCO_REC_METRICS]
                outputs.append([one["pred"], [float(s) for s in scores]])
            except ZeroDivisionError:
                outputs.append(None)
    version = importlib.metadata.version("lmms-eval")
    print(cases.store("refcoco", f"lmms-eval {version} refcoco/utils_rec.py", made, outputs))


def cider(_: Path) -> None:
    """pycocoevalcap's Cider on tokens parted by blanks."""
    from pycocoevalcap.cider.cider import Cider

    made = cases.caption_sets()
    outputs = []
    for rows in made:
        gold = {k: known for k, (_, known) in enumerate(rows)}
        told = {k: [answer] for k, (answer, _) in enumerate(rows)}
        outputs.append([float(f"{s:.10g}") for s in Cider().compute_score(gold, told)[1]])
    version = importlib.metadata.version("pycocoevalcap")
    print(cases.store("cider", f"pycocoevalcap {version} Cider", made, outputs))


def judge(_: Path) -> None:
    """lmms-eval's K-LLaVA-W: `parse_score` on stripped replies, as its own request leaves them, and the aggregation."""
    import lmms_eval.tasks

    server = types.SimpleNamespace(evaluate=None)
    import lmms_eval.llm_judge as package

    package.get_server = lambda server_name, config: server
    path = Path(lmms_eval.tasks.__file__).parent / "llava-in-the-wild" / "utils_ko.py"
    spec = importlib.util.spec_from_file_location("utils_ko", path)
    original = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(original)
    made = [cases.reviews(), cases.score_lists()]
    pairs = [original.parse_score(text.strip()) for text in made[0]]
    ratios = [original.llava_all_aggregation([{"scores": s} for s in scores]) for scores in made[1]]
    asked: list[Any] = []

    def evaluate(request: Any) -> Any:
        asked.append(request.messages)
        return types.SimpleNamespace(content="8 6", model_used="fake")

    server.evaluate = evaluate
    doc = {
        "question": "무엇이 보이나요?",
        "gpt_answer": "고양이입니다.",
        "caption": ["고양이", "의자"],
        "category": "conv",
    }
    original.llava_process_results(doc, ["강아지입니다."])
    version = importlib.metadata.version("lmms-eval")
    outputs = {"pairs": pairs, "ratios": ratios, "messages": asked[0]}
    print(cases.store("judge", f"lmms-eval {version} llava-in-the-wild/utils_ko.py", made, outputs))


def cleval(_: Path) -> None:
    """The `cleval` command on zips of text files: all counts, and the scores."""
    from cleval.arg_parser import get_params
    from cleval.main import cleval as run

    made = cases.cleval_sets()
    outputs = []
    with tempfile.TemporaryDirectory() as folder:
        for pages in made:
            for side, prefix in enumerate(("gt", "res")):
                with zipfile.ZipFile(f"{folder}/{prefix}.zip", "w") as archive:
                    for number, page in enumerate(pages):
                        lines = [",".join(map(str, quad)) + "," + text for text, quad in page[side]]
                        archive.writestr(f"{prefix}_{number}.txt", "\n".join(lines))
            sys.argv[1:] = [f"-g={folder}/gt.zip", f"-s={folder}/res.zip", f"-o={folder}", "--E2E", "--DEBUG"]
            found = run(get_params())["all"]
            scores = {f"{k}_{s[0]}": found[k][s] for k in ("det", "e2e") for s in ("recall", "precision", "hmean")}
            counts = {k: found[k] for k in ("num_splitted", "num_merged", "num_char_overlapped")}
            outputs.append(scores | counts)
    print(cases.store("cleval", f"cleval {importlib.metadata.version('cleval')}", made, outputs))


def main() -> None:
    originals = {f.__name__: f for f in (popeval, refcoco, cider, judge, cleval)}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="+", choices=originals)
    parser.add_argument("--source", type=Path, default=Path("."), help="folder of a source checkout")
    given = parser.parse_args()
    print(json.dumps({name: originals[name](given.source) for name in given.names}))


if __name__ == "__main__":
    main()
