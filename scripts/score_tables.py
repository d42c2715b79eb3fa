"""Write measured scores into the tables of the documents, so that no number is typed by hand.

python scripts/score_tables.py                              # from docs/mini-scores.json and docs/nano-scores.json
python scripts/score_tables.py --nano runs/demo/results.json  # first take over what a demo measured
python scripts/score_tables.py --check                      # exit code 1 where a document says something else

A table stands between `<!-- scores: WHICH -->` and `<!-- /scores -->`.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import safe_open

ROOT = Path(__file__).parent.parent
MINI, NANO = ROOT / "docs" / "mini-scores.json", ROOT / "docs" / "nano-scores.json"
SETS = ROOT / "docs" / "mini-sets.json"  # scripts/measure_sets.py
BROAD = ROOT / "docs" / "mini-broad.json"  # scripts/measure_broad.py
KEPT = ROOT / "docs" / "mini-kept.json"  # varco-vision eval kept runs/mini --json
RECORD = ROOT / "src" / "varco_vision" / "default_model" / "training_record.json"
DOCUMENTS = ("README.md", "README.ko.md", "docs/model-card.md", "recipes/README.md")
REGION = re.compile(r"(<!-- scores: (.+?) -->)(.*?)(<!-- /scores -->)", re.DOTALL)
NANO_METRICS = ("grounding_acc50", "referring_acc", "counting_acc", "ocr_box_recall", "ocr_word_acc", "text_acc")

# (metric, stage or None, English, Korean)
Row = tuple[str, str | None, str, str]
MINI_ROWS: tuple[Row, ...] = (
    ("grounding_acc50", None, "grounding: first box, IoU ≥ 0.5", "그라운딩: 첫 상자의 IoU ≥ 0.5"),
    (
        "grounding_checked_acc50",
        None,
        "the same, the model asked back about its box (`--check`)",
        "같은 질문, 상자를 되물어 확인함 (`--check`)",
    ),
    (
        "grounding_absent_acc",
        None,
        "grounding of what is not there: it says so",
        "없는 것을 찾으라는 질문: 없다고 답함",
    ),
    (
        "referring_acc",
        None,
        "referring: the thing in the box is named (at random: 1 in 64)",
        "지시: 상자 안에 있는 것의 이름 (무작위: 64분의 1)",
    ),
    ("counting_acc", None, "counting one to five (at random: 1 in 5)", "하나부터 다섯까지 세기 (무작위: 5분의 1)"),
    ("presence_acc", None, "is it there? (at random: 1 in 2)", "있는지 없는지 (무작위: 2분의 1)"),
    (
        "vqa_acc",
        None,
        "short questions: colour, shape, position, presence",
        "짧은 질문: 색, 모양, 위치, 있는지 없는지",
    ),
    ("choice_acc", None, "multiple choice, four options (at random: 1 in 4)", "객관식, 보기 네 개 (무작위: 4분의 1)"),
    ("ocr_box_recall", None, "OCR of one word: its place, IoU ≥ 0.5", "낱말 하나의 OCR: 위치, IoU ≥ 0.5"),
    ("ocr_word_acc", None, "OCR of one word: place and every letter", "낱말 하나의 OCR: 위치와 모든 글자"),
    (
        "ocr_jamo_cer",
        None,
        "OCR: letter errors, Hangul counted in jamo (lower is better)",
        "OCR: 글자 오류율, 한글은 자모 단위 (낮을수록 좋음)",
    ),
    ("text_acc", None, "facts without a picture", "그림 없이 묻는 지식"),
)
NANO_ROWS: tuple[Row, ...] = (
    ("grounding_acc50", "preference", "grounding: first box, IoU ≥ 0.5", "그라운딩: 첫 상자의 IoU ≥ 0.5"),
    (
        "referring_acc",
        "preference",
        "referring: the thing in the box is named (at random: 1 in 24)",
        "지시: 상자 안에 있는 것의 이름 (무작위: 24분의 1)",
    ),
    (
        "counting_acc",
        "preference",
        "counting one to three (at random: 1 in 3)",
        "하나부터 셋까지 세기 (무작위: 3분의 1)",
    ),
    ("ocr_box_recall", "preference", "OCR of one word: its place, IoU ≥ 0.5", "낱말 하나의 OCR: 위치, IoU ≥ 0.5"),
    ("ocr_word_acc", "preference", "OCR of one word: place and every letter", "낱말 하나의 OCR: 위치와 모든 글자"),
    ("text_acc", "backbones", "facts without a picture, before stage 1", "그림 없이 묻는 지식, 1단계 전"),
    ("text_acc", "preference", "the same after the last stage", "같은 질문, 마지막 단계 후"),
)
LINE = (
    ("grounding_acc50", "grounding"),
    ("referring_acc", "referring"),
    ("counting_acc", "counting"),
    ("ocr_box_recall", "boxes of words"),
    ("ocr_word_acc", "words read"),
    ("text_acc", "facts"),
)
MEASURED = {"circular": "questions right in all rotations", "per_row": "right rows"}
BROAD_ROWS = (  # set of mini-broad.json, metric, how the row is called
    ("things: grounding", "grounding_acc50", "everyday things: first box, IoU ≥ 0.5"),
    ("things: not there", "grounding_absent_acc", "things that are not there: it says so"),
    ("things: referring", "referring_acc", "the thing in the box is named (at random: 1 in 175)"),
    ("things: counting", "counting_acc", "counting things"),
    ("things: presence", "presence_acc", "is the thing there? (at random: 1 in 2)"),
    ("print: words", "ocr_word_acc", "lines of print, 20 to 30 px: place and every letter of a word"),
    ("print: words", "ocr_jamo_cer", "the same: letter errors (lower is better)"),
    ("documents: words", "ocr_word_acc", "small pages, 15 to 20 px: place and every letter of a word"),
    ("documents: fields", "vqa_acc", "what a field of a page says"),
    ("tables: cells", "vqa_acc", "what a cell of a table says"),
    ("tables: multiple choice", "choice_acc", "the same as multiple choice (at random: 1 in 4)"),
    ("charts: values", "vqa_acc", "a value of a chart"),
    ("charts: multiple choice", "choice_acc", "the same as multiple choice (at random: 1 in 4)"),
)
HEADS = {"en": ("Korean", "English", "questions in each"), "ko": ("한국어", "영어", "언어별 질문 수")}


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def from_demo(path: Path) -> dict[str, Any]:
    """What docs/nano-scores.json keeps of a demo's results.json."""
    found = read(path)
    scores = {
        stage: {
            metric: {
                lang: {
                    "value": value,
                    "n": found["counts"][stage][metric][lang],
                    "low": found["intervals"][stage][metric][lang][0],
                    "high": found["intervals"][stage][metric][lang][1],
                }
                for lang, value in found["scores"][stage][metric].items()
            }
            for metric in NANO_METRICS
        }
        for stage in ("backbones", "preference")
    }
    kept = ("total_seconds", "n_eval", "written", "versions", "command")
    return {**{name: found[name] for name in kept}, "scores": scores}


def cell(score: dict[str, Any]) -> str:
    """Percent with the 95 % interval."""
    value, low, high = (100 * score[name] for name in ("value", "low", "high"))
    return f"{value:.1f} % ({low:.1f} – {high:.1f})"


def row(name: str, found: dict[str, Any]) -> str:
    """A metric in both languages with the number of questions (one number where both have the same)."""
    counts = " / ".join(dict.fromkeys(str(found[lang]["n"]) for lang in ("ko", "en")))
    return f"| {name} | {cell(found['ko'])} | {cell(found['en'])} | {counts} |"


def table(scores: dict[str, Any], rows: tuple[Row, ...], lang: str) -> str:
    lines = [f"| | {' | '.join(HEADS[lang])} |", "| --- | --- | --- | --- |"]
    for metric, stage, en, ko in rows:
        lines.append(row(en if lang == "en" else ko, (scores[stage] if stage else scores)[metric]))
    return "\n" + "\n".join(lines) + "\n"


def one_line(scores: dict[str, Any]) -> str:
    parts = (f"{name} {cell(scores[metric]['ko'])} / {cell(scores[metric]['en'])}" for metric, name in LINE)
    return "Korean / English: " + ", ".join(parts)


def stages(record: dict[str, Any]) -> str:
    """What each stage of a finished checkpoint trained, on how many samples, and how long it took."""
    lines = ["| stage | trains | samples | steps | minutes |", "| --- | --- | --- | --- | --- |"]
    for s in record["stages"]:
        cells = (f"{s['stage']} {s['name']}", ", ".join(s["trainable"]), f"{s['samples']:,}", f"{s['steps']:,}")
        lines.append(f"| {' | '.join(cells)} | {s['seconds'] / 60:.0f} |")
    return "\n" + "\n".join(lines) + "\n"


def sets(found: dict[str, Any]) -> str:
    """Every closed set of k-mini with chance beside it."""
    lines = ["| set | measured as | n | by chance | `mini` |", "| --- | --- | --- | --- | --- |"]
    for task, told in found["sets"].items():
        for measure, by_chance in told["chance"].items():
            n = told["n_questions"] if measure == "circular" else told["n_rows"]
            score = cell(found["models"]["mini"][task]["scores"][measure])
            lines.append(f"| {told['title']} | {MEASURED[measure]} | {n} | {100 * by_chance:.1f} % | {score} |")
    return "\n" + "\n".join(lines) + "\n"


def broad(found: dict[str, Any]) -> str:
    """What lies outside `evaluation`: everyday things, print, pages, tables, charts."""
    lines = ["| | Korean | English | questions in each |", "| --- | --- | --- | --- |"]
    for name, metric, said in BROAD_ROWS:
        lines.append(row(said, found["sets"][name]["scores"][metric]))
    return "\n" + "\n".join(lines) + "\n"


def kept(found: list[dict[str, Any]]) -> str:
    """Text knowledge after each stage against the backbone's, on the same questions."""
    lines = [
        "| after | language | n | before stage 1 | now | difference, points | kept of what was right |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for told in (one for one in found if one["kept"]):
        for lang, name in (("ko", "Korean"), ("en", "English")):
            k = told["kept"][lang]
            low, difference, high = (f"{100 * k[x]:+.1f}" for x in ("low", "difference", "high"))
            cells = (told["name"], name, f"{k['n']:,}", f"{100 * k['before']:.1f} %", f"{100 * k['after']:.1f} %")
            lines.append(f"| {' | '.join(cells)} | {difference} ({low} to {high}) | {100 * k['kept']:.1f} % |")
    return "\n" + "\n".join(lines) + "\n"


def whole_minutes(record: dict[str, Any]) -> str:
    """Minutes of all stages together."""
    return f"{sum(s['seconds'] for s in record['stages']) / 60:.0f}"


def parameters() -> int:
    """Numbers in the shipped weights; tied tables lie there once."""
    found = 0
    for path in RECORD.parent.glob("*.safetensors"):
        with safe_open(path, "numpy") as weights:
            names = weights.keys()
            found += sum(math.prod(weights.get_slice(name).get_shape()) for name in names)
    return found


def minutes(seconds: float, lang: str) -> str:
    whole, rest = divmod(int(seconds), 60)
    return f"{whole} min {rest} s" if lang == "en" else f"{whole}분 {rest}초"


def makers() -> dict[str, Callable[[], str]]:
    """What may stand in a region, by its name."""
    mini, nano, record = read(MINI)["scores"], read(NANO), read(RECORD)
    return {
        "mini sets": lambda: sets(read(SETS)),
        "mini sets together": lambda: cell(read(SETS)["together"]),
        "mini broad": lambda: broad(read(BROAD)),
        "mini kept": lambda: kept(read(KEPT)),
        "mini en": lambda: table(mini, MINI_ROWS, "en"),
        "mini ko": lambda: table(mini, MINI_ROWS, "ko"),
        "nano en": lambda: table(nano["scores"], NANO_ROWS, "en"),
        "nano ko": lambda: table(nano["scores"], NANO_ROWS, "ko"),
        "mini stages": lambda: stages(record),
        "mini minutes": lambda: whole_minutes(record),
        "mini parameters": lambda: f"{parameters():,}",
        "mini line": lambda: one_line(mini),
        "nano line": lambda: one_line(nano["scores"]["preference"]),
        "nano time en": lambda: minutes(nano["total_seconds"], "en"),
        "nano time ko": lambda: minutes(nano["total_seconds"], "ko"),
    }


def filled(text: str, known: dict[str, Callable[[], str]]) -> str:
    """`text` with every region written anew; KeyError for a region that nobody knows."""
    return REGION.sub(lambda m: m[1] + known[m[2]]() + m[4], text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nano", type=Path, help="results.json of a demo to take over")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.nano:
        NANO.write_text(json.dumps(from_demo(options.nano), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    known, stale = makers(), []
    for name in DOCUMENTS:
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        new = filled(text, known)
        if new != text:
            stale.append(name)
            if not options.check:
                path.write_text(new, encoding="utf-8")
    print(f"{'stale' if options.check else 'written'}: {', '.join(stale) or 'nothing'}")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
