"""The drawings of NLVR (Suhr et al. 2017): sentences that are true or false, and boxes of the shapes.

A drawing is three boxes of 100 x 100 pixels, 50 apart; each sentence has up to six drawings in which the boxes are
permuted. The file's `structured_rep` lists the shapes of each box in the order of the first drawing.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

from varco_vision.convert import wording as w
from varco_vision.convert.base import Gallery, Groups, Settings, needed, pixel_box, read_json, sample
from varco_vision.convert.names import Name, plural
from varco_vision.convert.objects import Asker, Things
from varco_vision.errors import InputError
from varco_vision.geometry import Box
from varco_vision.markup import escape

STEP = 150  # pixels from the start of a box to that of the next
_COLOURS = {"yellow": ("yellow", "노란색"), "black": ("black", "검은색"), "#0099ff": ("blue", "파란색")}
_SHAPES = {"circle": "원", "square": "정사각형", "triangle": "삼각형"}
NAMES = {
    f"{en} {shape}": Name(f"{en} {shape}", plural(f"{en} {shape}"), f"{ko} {_SHAPES[shape]}", "개")
    for (en, ko), shape in product(_COLOURS.values(), _SHAPES)
}


def nlvr(path: Path, settings: Settings) -> Groups:
    """A file train.json, dev.json or test.json (JSON lines) beside the folder `images`."""
    gallery = Gallery(settings.images or path.parent / "images", settings.losses)
    for number, row in enumerate(read_json(path, lines=True), start=1):
        place = f"{path}:{number}"
        identifier = needed(row, "identifier", str, place)
        label = str(needed(row, "label", (str, bool), place)).lower()
        if label not in ("true", "false"):
            settings.losses.drop("sentences without a label", identifier)
            continue
        measured = gallery.measured(f"{needed(row, 'directory', str, place)}/{path.stem}-{identifier}-0.png")
        if measured is None:
            continue
        page = Things(identifier, measured[0], _shapes(row, measured[1], settings, place))
        group = [s for lang in settings.langs for s in Asker(page, NAMES, lang, settings, "nlvr").group()]
        text = escape(" ".join(needed(row, "sentence", str, place).split()))
        for lang in settings.langs:  # the sentence itself stays English
            question = settings.speaker.say(settings.rng("nlvr", identifier, lang), w.TRUE_OF, lang, text=text)
            answer, name = w.YES_NO[lang][label == "false"], f"nlvr-{identifier}-true-{lang}"
            group.append(sample(name, [page.path], "vqa", lang, question, answer, kind="true", present=label == "true"))
        yield group


def _shapes(row: dict, size: tuple[int, int], settings: Settings, place: str) -> dict[str, list[Box]]:
    found: dict[str, list[Box]] = {}
    for number, shapes in enumerate(needed(row, "structured_rep", list, place)):
        for shape in shapes:
            colour = _COLOURS.get(str(shape.get("color")).lower())
            if colour is None or shape.get("type") not in _SHAPES:
                raise InputError(
                    f"{place}: a shape is {shape.get('color')!r} {shape.get('type')!r}, which NLVR has not"
                )
            x, y, side = shape["x_loc"] + number * STEP, shape["y_loc"], shape["size"]
            box = pixel_box((x, y, x + side, y + side), size, settings, place)
            found.setdefault(f"{colour[0]} {shape['type']}", []).extend([box] if box else [])
    return {name: boxes for name, boxes in found.items() if boxes}
