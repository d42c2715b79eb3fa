"""Ask the model inside the package about what `evaluation` of its recipe does not hold: everyday things, print, pages, tables, charts.

python scripts/measure_broad.py [--model DIR] [--count 100] [--cleval]      # prints, and writes docs/mini-broad.json

One question a picture, drawn by the sources of `synth` with the split "eval": fonts, grounds and sentences that training does not use.
The things are those of training in new scenes (a drawing that was never shown has no name). Questions: protocol own-5; pages: ocr-1.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from varco_vision.data.sample import LANGUAGES, Sample
from varco_vision.eval import ocr, own
from varco_vision.eval.readers import Region, TextPage
from varco_vision.eval.report import versions
from varco_vision.infer.api import VarcoVision
from varco_vision.model import checkpoint
from varco_vision.synth.sources import make_source

TARGET = Path(__file__).parent.parent / "docs" / "mini-broad.json"
SEED = 77
THINGS = {"size": [[128, 128], [192, 128], [192, 192], [256, 256]], "objects": [1, 5], "object_px": [28, 80], "shapes": 0.0, "harm": 0.3,
          "seen_designs": True, "choices": 0.0, "turns": 0.0}  # fmt: skip
PLAIN = {"choices": 0.0, "turns": 0.0}
SETS: dict[str, tuple[str, str, dict[str, Any]]] = {  # name -> source, family, options
    "things: grounding": ("things", "grounding", THINGS),
    "things: referring": ("things", "referring", THINGS),
    "things: counting": ("things", "counting", THINGS),
    "things: presence": ("things", "presence", THINGS),
    "things: not there": ("things", "absent", THINGS),
    "print: words": ("words", "ocr", {"line_share": 1.0, "lines": [2, 7], "word_px": [20, 30], "size": [256, 256], "latin_share": 0.5,
                                      "real_share": 0.5, "faces": "text"}),
    "documents: words": ("documents", "ocr", {**PLAIN, "size": [[256, 256]], "text_px": [15, 20], "harm": 0.3}),
    "documents: fields": ("documents", "field", {**PLAIN, "size": [[256, 256]], "text_px": [15, 20], "harm": 0.3}),
    "tables: cells": ("tables", "cell", PLAIN),
    "tables: multiple choice": ("tables", "cell", {**PLAIN, "choices": 1.0}),
    "charts: values": ("charts", "value", PLAIN),
    "charts: multiple choice": ("charts", "value", {**PLAIN, "choices": 1.0}),
}  # fmt: skip
PAGES = {"size": [[448, 640]], "text_px": [20, 24], "looks": ["flat", "scan"], "harm": 0.3}


def questions(name: str, count: int) -> list[Sample]:
    """`count` questions in each language, one a picture, in the order in which the source gives them."""
    source, family, options = SETS[name]
    made = make_source(source, seed=SEED, split="eval", questions=2, tasks={family: 1.0}, **options)
    found: dict[str, list[Sample]] = {lang: [] for lang in LANGUAGES}
    for index in range(20 * count):
        free = [s for s in made.group(index) if len(found[s.lang]) < count]
        if free:
            sample = min(free, key=lambda s: len(found[s.lang]))
            found[sample.lang].append(sample)
        if all(len(part) == count for part in found.values()):
            break
    return [sample for part in found.values() for sample in part]


def pages(vision: VarcoVision, count: int, with_cleval: bool) -> dict[str, Any]:
    """Whole pages, read as `varco-vision ocr` reads them."""
    source = make_source("documents", seed=SEED, split="eval", questions=1, tasks={"ocr": 1.0}, **PLAIN, **PAGES)
    samples = [group[0] for group in map(source.group, range(3 * count)) if group][:count]
    told = vision.ocr_batch([s.images[0] for s in samples])
    pairs = []
    for sample, page in zip(samples, told, strict=True):
        width, height = sample.images[0].size
        corners = lambda box, w=width, h=height: (box[0] * w, box[1] * h, box[2] * w, box[3] * h)  # noqa: E731
        gold = tuple(Region.rectangle(word["text"], corners(word["box"])) for word in sample.meta["words"])
        read = tuple(Region.rectangle(w.text, corners((w.box.x1, w.box.y1, w.box.x2, w.box.y2))) for w in page.words)
        pairs.append((TextPage(sample.id, gold, (width, height)), TextPage(sample.id, read, (width, height))))
    return ocr.score(pairs, with_cleval=with_cleval)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=checkpoint.default_path())
    parser.add_argument(
        "--count", type=int, default=100, help="questions of each set in each language; pages: half of it"
    )
    parser.add_argument("--cleval", action="store_true", help="pages also by CLEval, which must be installed")
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    began = time.monotonic()
    vision = VarcoVision(checkpoint.load(options.model), batch_size=24)
    told: dict[str, Any] = {"protocol": own.PROTOCOL, "count": options.count, "sets": {}}
    for name in SETS:
        samples = questions(name, options.count)
        scores = own.score(vision.engine, samples).to_dict()
        told["sets"][name] = {"digest": own.set_digest(samples), "options": SETS[name][2], "scores": scores}
        shown = {
            k: {lang: round(c["value"], 3) for lang, c in v.items()}
            for k, v in scores.items()
            if k != "counters" and isinstance(v, dict)
        }
        print(name, len(samples), json.dumps(shown), flush=True)
    told["pages"] = {"options": PAGES, **pages(vision, max(1, options.count // 2), options.cleval)}
    print("pages", json.dumps(told["pages"]["rates"]), json.dumps(told["pages"].get("cleval", {})))
    told |= {"versions": versions(), "seconds": round(time.monotonic() - began, 1)}
    options.out.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
