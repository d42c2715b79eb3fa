"""Runs the original readers, scores and prompts on the generated cases of tests/choice_cases.py and records what they say.

    pip install --no-deps lmms-eval==0.7.3; pip install loguru pandas pyyaml requests pytz tenacity ...   (docs/evaluation.md)
    python scripts/record_choice_goldens.py --lmms-git DIR --vlmevalkit-git DIR

The two folders are git checkouts of EvolvingLMMs-Lab/lmms-eval (for the rules of March 2025) and open-compass/VLMEvalKit.
The tests need none of this: they read tests/data/choice_goldens.json.gz.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib.metadata
import io
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import choice_cases as cases

OLD_RULES = "2714c46d"  # lmms-eval, 2025-03-13: the Korean sets are added


def shown(repository: Path, revision: str, path: str) -> str:
    """A file of a git repository as text."""
    return subprocess.run(
        ["git", "-C", str(repository), "show", f"{revision}:{path}"], capture_output=True, text=True, check=True
    ).stdout


def functions(source: str, name: str, **stubs: Any) -> Any:
    """A module made of source text; `stubs` are modules that it may import."""
    for stub, content in stubs.items():
        sys.modules[stub.replace("__", ".")] = content
    module = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
    return module


def lmms_readers() -> dict[str, str]:
    """One character per case: the letter that was read, "-" for none; or "1" / "0" for credited or not."""
    from lmms_eval.tasks._task_utils.mcq_extract import extract_mcq_answer
    from lmms_eval.tasks.dtcbench import utils as dtc
    from lmms_eval.tasks.mmbench.ko_utils import mmbench_evaluator
    from lmms_eval.tasks.mmstar import utils as mmstar
    from lmms_eval.tasks.seedbench import ko_utils as seed

    made = cases.answers()
    found: dict[str, list[str]] = {name: [] for name in ("lmms", "k_mmstar", "k_seed", "k_dtcbench", "lmms-mmbench")}
    for told, options, right in made:
        found["lmms"].append(extract_mcq_answer(told, choices=list(options)) or "-")
        row = {"answer": right, "category": "c", "l2_category": "l", "index": 0, "question_id": 0, "data_type": "image"}
        found["k_mmstar"].append(str(int(mmstar.mmstar_process_results_ko(row, [told])["average"]["score"])))
        found["k_seed"].append(
            str(int(seed.seed_aggregation_result([seed.seed_process_result(row, [told])["seed_image"]])))
        )
        found["k_dtcbench"].append(
            str(int(dtc.dtcbench_aggregation_result([dtc.dtcbench_process_result(row, [told])["dtcbench_acc"]])))
        )
        item = {"prediction": told.strip(), **{letter: options.get(letter) for letter in "ABCD"}}
        found["lmms-mmbench"].append(mmbench_evaluator.prefetch_answer(item) or "-")
    return {name: "".join(values) for name, values in found.items()}


def lmms_circular() -> dict[str, Any]:
    """Hit or miss of every question under MMBench's `static` evaluation, and the three kinds of averages."""
    from lmms_eval.tasks.mmbench.ko_utils import mmbench_evaluator

    made = cases.groups()
    hits = []
    for rows in made:
        answers = {row["index"]: row["answer"] for row in rows}
        import pandas as pd

        table = pd.DataFrame(rows).sort_values(by="index")
        table["prediction"] = [str(x).strip() for x in table["prediction"]]
        hits.append(str(mmbench_evaluator.eval_sub_data(table, answers, static_only=True)))
    every = [{**row, "prediction": row["prediction"].strip()} for rows in made for row in rows]
    with contextlib.redirect_stdout(io.StringIO()):
        overall, category, group = mmbench_evaluator.eval_result(copy.deepcopy(every), "static")
    return {"hits": "".join(hits), "overall": float(overall), "category": dict(category), "l2": dict(group)}


def lmms_prompts() -> dict[str, str]:
    """First 4 digits of the digest of every prompt, one after the other, by task."""
    from lmms_eval.tasks.dtcbench import utils as dtc
    from lmms_eval.tasks.mmbench import en_utils as mmbench_en
    from lmms_eval.tasks.mmbench import ko_utils as mmbench_ko
    from lmms_eval.tasks.mmstar import utils as mmstar
    from lmms_eval.tasks.seedbench import ko_utils as seed_ko
    from lmms_eval.tasks.seedbench import utils as seed_en

    korean = {"pre_prompt": "", "post_prompt": "\n주어진 선택지 중 해당 옵션의 문자로 바로 답하세요."}
    english = {"pre_prompt": "", "post_prompt": "\nAnswer with the option's letter from the given choices directly."}
    stars = {"pre_prompt": "", "post_prompt": "\nAnswer with the option's letter from the given choices directly"}
    builders = {
        "k_mmbench": lambda row: mmbench_ko.mmbench_doc_to_text(row, korean),
        "mmbench": lambda row: mmbench_en.mmbench_doc_to_text(row, english),
        "k_seed": seed_ko.seed_doc_to_text,
        "seed": seed_en.seed_doc_to_text,
        "k_dtcbench": dtc.dtcbench_doc_to_text,
        "k_mmstar": lambda row: mmstar.mmstar_doc_to_text({**row, "question": row["mmstar"]}, stars),
    }
    return {
        task: "".join(cases.digest(build(dict(row)))[:4] for row in cases.documents())
        for task, build in builders.items()
    }


def lmms_macro() -> float:
    """K-MMStar's average over groups of the generated answers, groups of unlike size."""
    from lmms_eval.tasks.mmstar import utils as mmstar

    rows = []
    for number, (told, _, right) in enumerate(cases.answers()):
        row = {"answer": right, "category": "c", "l2_category": f"l{(number * number) % 18}", "index": number}
        rows.append(mmstar.mmstar_process_results_ko(row, [told])["average"])
    return mmstar.mmstar_aggregate_results(rows)


def old_rules(repository: Path) -> dict[str, str]:
    """K-MMStar's and MMStar's rule of March 2025 on every case."""
    found = {}
    for name, path in (("mmstar-2025", "ko_utils"), ("mmstar-2025-en", "utils")):
        source = shown(repository, OLD_RULES, f"lmms_eval/tasks/mmstar/{path}.py")
        rule = next(node for node in ast.parse(source).body if getattr(node, "name", "") == "exact_match")
        module = functions(ast.unparse(rule), path)  # the module itself wants files that lie beside it
        found[name] = "".join(str(int(module.exact_match(told, right))) for told, _, right in cases.answers())
    return found


def vlmevalkit(repository: Path) -> dict[str, Any]:
    """VLMEvalKit's letters ("Z" and none are "-"), and hit or miss of every question under `exact_matching`."""
    import logging

    import pandas as pd

    log = types.SimpleNamespace(get_logger=lambda *_: logging.getLogger("vlmeval"))
    matching = functions(
        shown(repository, "HEAD", "vlmeval/utils/matching_util.py"), "matching_util",
        vlmeval=types.ModuleType("vlmeval"), vlmeval__smp=types.ModuleType("vlmeval.smp"), vlmeval__smp__log=log,
    )  # fmt: skip
    letters = []
    for told, options, _ in cases.answers():
        read = matching.can_infer(told, dict(options))
        letters.append(read if read and read in options else "-")
    needed = ("cn_string", "d2df", "dump", "get_pred_file_format", "istype", "load", "timestr")
    smp = types.SimpleNamespace(get_logger=log.get_logger, **dict.fromkeys(needed))
    utils = types.SimpleNamespace(can_infer=matching.can_infer, can_infer_lego=None, track_progress_rich=None)
    choices = functions(
        shown(repository, "HEAD", "vlmeval/dataset/utils/multiple_choice.py"), "multiple_choice",
        vlmeval__smp=smp, vlmeval__smp__vlm=types.SimpleNamespace(build_option_str=None), vlmeval__utils=utils,
    )  # fmt: skip
    hits = []
    for rows in cases.groups():
        table = pd.DataFrame(rows)
        table["GT"] = table["answer"]
        found = choices.prefetch_circular_group(table)
        hits.append(str(found["hit"] if isinstance(found, dict) else 0))
    return {"letters": "".join(letters), "hits": "".join(hits)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lmms-git", type=Path, required=True)
    parser.add_argument("--vlmevalkit-git", type=Path, required=True)
    given = parser.parse_args()
    os.environ.setdefault("API_TYPE", "dummy")
    logging_off()
    outputs = {
        "of": {
            "lmms-eval": importlib.metadata.version("lmms-eval"),
            "old rules": OLD_RULES,
            "VLMEvalKit": subprocess.run(["git", "-C", str(given.vlmevalkit_git), "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip(),
        },
        "readers": lmms_readers() | old_rules(given.lmms_git),
        "circular": lmms_circular(),
        "prompts": lmms_prompts(),
        "macro": lmms_macro(),
        "vlmevalkit": vlmevalkit(given.vlmevalkit_git),
    }  # fmt: skip
    cases.store(outputs)
    print(cases.PATH, cases.PATH.stat().st_size, "bytes")


def logging_off() -> None:
    """The originals log a line for every case."""
    from loguru import logger

    logger.remove()


if __name__ == "__main__":
    main()
