"""Makes scene.png and words.png again: `python examples/make_pictures.py`.

Both come from the world that the small models are trained on, but from its evaluation side: training has seen neither
the scene nor the two words. The faces of the letters depend on the Korean fonts of the machine.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from varco_vision.synth.fonts import split_fonts
from varco_vision.synth.rng import stream
from varco_vision.synth.scenes import SceneConfig, make_scene
from varco_vision.synth.words import set_word

HERE = Path(__file__).parent
SCENE = 21  # a blue square, a red circle and a green star
WORDS = (("담요", 38, 18, 20), ("apple", 34, 30, 76))  # text, size, left, top


def scene() -> Image.Image:
    """Three coloured shapes on a plain ground, 128 x 128."""
    return make_scene(stream("example", "eval", SCENE), SceneConfig(min_objects=3)).image


def words() -> Image.Image:
    """A Korean word and an English one, 128 x 128."""
    image = Image.new("RGB", (128, 128), (240, 243, 250))
    face = str(split_fonts("eval")[0])
    for text, size, left, top in WORDS:
        set_word(text, face, size).draw(image, left, top, (35, 35, 50))
    return image


if __name__ == "__main__":
    scene().save(HERE / "scene.png", optimize=True)
    words().save(HERE / "words.png", optimize=True)
