"""Writes training samples on your own pictures as JSON lines: `python examples/own_samples.py own/train.jsonl`.

Here the one picture is scene.png, with questions in both languages; replace `samples` by a loop over your pictures.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from varco_vision.data import jsonl
from varco_vision.data.sample import Sample
from varco_vision.geometry import Box
from varco_vision.markup import Object, write

PICTURE = Path(__file__).parent / "scene.png"
THINGS = {  # pixels of the picture: left, top, right, bottom
    "ko": {"파란색 사각형": (9, 12, 49, 52), "빨간색 원": (43, 69, 95, 121), "초록색 별": (89, 6, 123, 47)},
    "en": {"blue square": (9, 12, 49, 52), "red circle": (43, 69, 95, 121), "green star": (89, 6, 123, 47)},
}
WHERE = {"ko": "<gro>\n다음을 찾아 주세요: {}", "en": "<gro>\nFind the {}."}


def samples() -> Iterator[Sample]:
    """One grounding question for each thing and language, all on the same picture."""
    with Image.open(PICTURE) as picture:
        width, height = picture.size
    for lang, things in THINGS.items():
        for number, (name, corners) in enumerate(things.items()):
            answer = write([Object(name, (Box.from_pixels(*corners, width, height),))], digits=2)
            question = [{"type": "image"}, {"type": "text", "text": WHERE[lang].format(name)}]
            turns = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
            yield Sample(f"scene-{lang}-{number}", (str(PICTURE),), "grounding", lang, turns)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "own/train.jsonl")
    print(f"{jsonl.write(samples(), target)} samples: {target}")
