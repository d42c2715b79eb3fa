"""A page that shows samples with their pictures, boxes drawn in; it is one HTML file that needs no other."""

from __future__ import annotations

import base64
import html
import io
import random
from collections.abc import Iterable, Sequence
from itertools import cycle

from PIL import Image

from varco_vision import markup, pictures
from varco_vision.data.sample import Sample, Turn, text_of
from varco_vision.geometry import Box

LONGEST_SIDE = 640  # pixels of a stored picture
SHOWN_SIDE = 320  # smaller ones are shown larger, by a whole factor
MOST_LABELS = 20  # pictures with more boxes have no names written at them, only a title on each box
LONGEST_LABEL = 24
LETTERS = 11  # height of a name in pixels of the page
COLOURS = ("#d7263d", "#1b998b", "#2e59d9", "#b5179e", "#c46a00", "#4a7c1f", "#6a4c93", "#00799e")
STYLE = """
body{font:15px/1.5 "Noto Sans KR","Apple SD Gothic Neo","Malgun Gothic",sans-serif;margin:2em auto;max-width:1000px;
padding:0 1em;color:#222;background:#fafafa}
article{background:#fff;border:1px solid #ddd;border-radius:6px;padding:1em;margin:1em 0}
h2{font-size:1em;margin:0 0 .6em}h2 small{font-weight:normal;color:#777}
figure{position:relative;display:inline-block;margin:0 .6em .6em 0}figure img{display:block;max-width:100%}
figure svg{position:absolute;inset:0;width:100%;height:100%}
svg text{font-weight:600;paint-order:stroke;stroke:#fff;stroke-width:.25em}
rect{fill:none;stroke-width:2;vector-effect:non-scaling-stroke}
p{margin:.3em 0;white-space:pre-wrap}b.role{color:#777;font-weight:600;margin-right:.5em}
.marker{color:#999;font-size:.85em}.fault{color:#b00020}
"""

Marked = list[tuple[str, str, Box]]  # colour, name, box


def pick(samples: Iterable[Sample], count: int, seed: int | None, each_task: bool = False) -> list[Sample]:
    """The first `count` samples, or with a seed as many drawn evenly from all (reservoir sampling); of each task if asked.

    Drawn samples stay in the order of the file.
    """
    kept: dict[str, list[tuple[int, Sample]]] = {}
    seen: dict[str, int] = {}
    rng = random.Random(seed)
    for number, sample in enumerate(samples):
        key = sample.task if each_task else ""
        pool = kept.setdefault(key, [])
        seen[key] = seen.get(key, 0) + 1
        if len(pool) < count:
            pool.append((number, sample))
        elif seed is not None and (place := rng.randrange(seen[key])) < count:
            pool[place] = (number, sample)
        elif seed is None and not each_task:
            break
    chosen = [pair for pool in kept.values() for pair in sorted(pool, key=lambda pair: pair[0])]
    return [sample for _, sample in chosen]


def page(samples: Sequence[Sample], title: str) -> str:
    """The whole page. Boxes are drawn where a sample has one picture; with several it is not known whose they are."""
    shown = "\n".join(_article(sample) for sample in samples)
    name = html.escape(title)
    return (
        f'<!doctype html>\n<html lang="ko"><head><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style></head>\n'
        f"<body><h1>{name}</h1>\n{shown}\n</body></html>\n"
    )


def _article(sample: Sample) -> str:
    colours = cycle(COLOURS)
    marked: Marked = []
    turns = [(turn["role"], turn) for turn in sample.messages]
    turns += [(name, turn) for name in ("chosen", "rejected") for turn in getattr(sample, name) or ()]
    texts = "\n".join(_turn(role, turn, colours, marked) for role, turn in turns)
    boxes = marked if len(sample.images) == 1 else []
    figures = "".join(_figure(image, boxes) for image in sample.images)
    head = f"{html.escape(sample.id)} <small>{html.escape(sample.task)}, {html.escape(sample.lang)}</small>"
    return f'<article lang="{html.escape(sample.lang)}"><h2>{head}</h2>{figures}\n{texts}</article>'


def _turn(role: str, turn: Turn, colours: cycle[str], marked: Marked) -> str:
    """A turn's text with its phrases in the colours of their boxes, which are added to `marked`."""
    repairs: list[str] = []
    parts = []
    for item in markup.parse(text_of(turn), repairs):
        if isinstance(item, markup.Text):
            parts.append(html.escape(item.text))
            continue
        name = item.phrase if isinstance(item, markup.Object) else item.text
        colour = next(colours)
        marked.extend((colour, name, box) for box in item.boxes)
        places = " / ".join(markup.format_box(box) for box in item.boxes)
        parts.append(f'<b style="color:{colour}">{html.escape(name)}</b><span class="marker"> [{places}] </span>')
    faults = "".join(f'<p class="fault">{html.escape(repair)}</p>' for repair in repairs)
    return f'<p><b class="role">{html.escape(role)}</b>{"".join(parts)}</p>{faults}'


def _figure(image: str | Image.Image, marked: Marked) -> str:
    """A picture as a data URI under the drawn boxes."""
    picture = pictures.load(image).copy()  # it is shrunk in place
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=88)
    data = base64.b64encode(buffer.getvalue()).decode()
    width, height = picture.size
    larger = max(1, SHOWN_SIDE // max(width, height))
    labels = len(marked) <= MOST_LABELS
    letters = LETTERS / larger  # in pixels of the picture
    shapes = "".join(
        _shape(colour, name, box.to_pixels(width, height), letters if labels else 0) for colour, name, box in marked
    )
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" width="{larger * width}" height="{larger * height}" alt="">'
        f'<svg viewBox="0 0 {width} {height}" style="font-size:{letters:.1f}px">{shapes}</svg></figure>'
    )


def _shape(colour: str, name: str, corners: tuple[float, float, float, float], letters: float) -> str:
    """A box, and its name at its upper left corner (below the edge of the picture); no name where `letters` is 0."""
    x1, y1, x2, y2 = corners
    short = name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"
    text = (
        f'<text x="{x1 + 1:.1f}" y="{max(y1 - letters / 4, letters):.1f}" fill="{colour}">{html.escape(short)}</text>'
    )
    return (
        f'<rect x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}" stroke="{colour}">'
        f"<title>{html.escape(name)}</title></rect>{text if letters else ''}"
    )
