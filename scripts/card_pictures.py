"""The three best and the three worst pictures of the shipped model, chosen by rule, for the README and the model card.

python scripts/card_pictures.py            # writes docs/mini-examples.png

Of the recipe's evaluation pictures each has a score: the share of its questions that were answered right, ties broken by
the mean IoU of its boxes. The three highest and the three lowest are drawn with every question and answer; pictures of
words and of shapes take turns among them.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from varco_vision import markup, pictures
from varco_vision.eval import own
from varco_vision.infer.drawing import draw
from varco_vision.infer.engine import Engine
from varco_vision.model import checkpoint
from varco_vision.synth.fonts import korean_fonts, load_font
from varco_vision.synth.sources import evaluation_set

TARGET = Path(__file__).parent.parent / "docs" / "mini-examples.png"
SIDE, TEXT, GAP = 256, 13, 12
SHOWN = 9  # lines under a picture


def groups() -> list[list[tuple[Any, Any, dict[str, Any]]]]:
    """(sample, answer, record) of every evaluation picture, scenes and words."""
    loaded = checkpoint.load(checkpoint.default_path())
    section = {**loaded.record["recipe"]["evaluation"], "n_scenes": 60, "n_words": 40, "n_text": 1}
    samples = [s for s in evaluation_set(**section) if s.images]
    answers = Engine(loaded, batch_size=24).generate(own.requests_for(samples))
    found: dict[int, list] = defaultdict(list)
    for sample, answer in zip(samples, answers, strict=True):
        found[id(sample.images[0])].append((sample, answer, own.record(sample, answer)))
    return list(found.values())


def score(group: list[tuple[Any, Any, dict[str, Any]]]) -> tuple[float, float]:
    """Share of right answers, mean IoU."""
    records = [r for _, _, r in group]
    ious = [r["iou"] for r in records if r["iou"] is not None]
    return statistics.mean(float(bool(r["correct"])) for r in records), statistics.mean(ious) if ious else 0.0


def panel(group: list[tuple[Any, Any, dict[str, Any]]]) -> Image.Image:
    """The picture with the boxes of its first answer that has some, and below it questions and answers."""
    picture = pictures.load(group[0][0].images[0])
    boxed = next((a for _, a, _ in group if a.objects or a.words), None)
    shown = (draw(picture, boxed) if boxed else picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    font = load_font(str(next(f for f in korean_fonts() if f.name == "NanumGothic.ttf")), TEXT)
    canvas = Image.new("RGB", (SIDE, SIDE + SHOWN * (TEXT + 5) + 4), "white")
    canvas.paste(shown, (0, 0))
    pen = ImageDraw.Draw(canvas)
    for line, (sample, answer, record) in enumerate(group[:SHOWN]):
        asked = markup.plain(markup.parse(own.text_of(own.prompt_of(sample)[-1]))).strip() or "<ocr>"
        text = f"{asked.splitlines()[0]} {answer.text}"
        while font.getlength(text) > SIDE - 16:
            text = text[:-2] + "…"
        colour = "#14733c" if record["correct"] else "#b3261e"
        pen.text(
            (2, SIDE + 4 + line * (TEXT + 5)), f"{'○' if record['correct'] else '×'} {text}", fill=colour, font=font
        )
    return canvas


def main() -> None:
    ranked = sorted(groups(), key=score, reverse=True)
    words = [g for g in ranked if g[0][0].task == "ocr"]
    scenes = [g for g in ranked if g[0][0].task != "ocr"]
    chosen = [scenes[0], words[0], scenes[1], scenes[-1], words[-1], scenes[-2]]
    panels = [panel(group) for group in chosen]
    width, height = panels[0].size
    sheet = Image.new("RGB", (3 * width + 4 * GAP, 2 * height + 3 * GAP), "#dddddd")
    for place, item in enumerate(panels):
        row, column = divmod(place, 3)
        sheet.paste(item, (GAP + column * (width + GAP), GAP + row * (height + GAP)))
    sheet.save(TARGET, optimize=True)
    print(f"{TARGET}: scores {[tuple(round(v, 2) for v in score(g)) for g in chosen]}")


if __name__ == "__main__":
    main()
