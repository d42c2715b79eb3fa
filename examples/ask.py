"""Grounding, referring, OCR and chat with the default model: `python examples/ask.py [MODEL]`.

MODEL is a checkpoint directory or a hub id; without it the model inside the package answers.
"""

from __future__ import annotations

import sys
from pathlib import Path

from varco_vision import Box, VarcoVision
from varco_vision.infer.drawing import draw

HERE = Path(__file__).parent
QUESTIONS = ("Where is the red circle?", "빨간색 원은 어디에 있나요?")


def main(model: str | None = None) -> None:
    """Ask about the two pictures of this folder and write the first answer's boxes to grounded.png."""
    vision = VarcoVision.from_pretrained(model)
    scene, words = HERE / "scene.png", HERE / "words.png"
    for question in QUESTIONS:
        answer = vision.ground(scene, question)
        print(
            question, "->", [(thing.phrase, box.to_pixels(128, 128)) for thing in answer.objects for box in thing.boxes]
        )
    star = Box.from_pixels(89, 6, 123, 47, width=128, height=128)
    print(
        "refer ->",
        vision.refer(scene, "What is this object?", box=star),
        "|",
        vision.refer(scene, "이것은 무엇인가요?", box=star),
    )
    page = vision.ocr(words)
    print("ocr ->", [(word.text, round(word.confidence, 2)) for word in page.words])
    requests = [(scene, "물체가 몇 개 있나요?"), (scene, "How many objects are there?"), (None, "3 + 4 = ?")]
    print("chat ->", [str(answer) for answer in vision.chat_batch(requests)])

    from PIL import Image

    draw(Image.open(scene), vision.ground(scene, QUESTIONS[0])).save("grounded.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
