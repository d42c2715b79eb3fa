"""Finding fonts that really draw Hangul, and the division of them into training and evaluation faces."""

from __future__ import annotations

import importlib.util
import os
import re
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from varco_vision.errors import InputError
from varco_vision.synth.rng import SPLITS, stable_hash

FONT_PATHS_VARIABLE = "VARCO_VISION_FONTS"
EVAL_ONLY = ("baekmuk", "alee")  # families, by the names of their folders or files
EVAL_SHARE = 25  # percent of the files, by the hash of their names
_LATIN_PROBE = "AQgz05"
_PROBE = "가각뜻뷰쉽앓왜읽틀힘" + _LATIN_PROBE
_LATIN_TEXT = ("dejavu", "liberation")  # folders of plain text faces without Hangul
_UNUSUAL = re.compile("brush|pen|pilgi|jamo|dinaru|yet|taza|vada|eunjin|bangwool|bandal|math|mono", re.IGNORECASE)
FACES = ("all", "text")
_SUFFIXES = (".ttf", ".otf", ".ttc")


def font_directories() -> list[Path]:
    """Folders (and single files) that are searched, those of the variable VARCO_VISION_FONTS first."""
    own = [Path(p).expanduser() for p in os.environ.get(FONT_PATHS_VARIABLE, "").split(os.pathsep) if p]
    for path in own:
        if not path.exists():
            raise InputError(f"{FONT_PATHS_VARIABLE} names {path}, which does not exist; give folders or font files")
    home = Path.home()
    places = [*own, Path("/usr/share/fonts"), home / ".fonts", home / ".local/share/fonts"]
    spec = importlib.util.find_spec("koreanize_matplotlib")
    if spec is not None and spec.submodule_search_locations:
        places += [Path(folder) / "fonts" for folder in spec.submodule_search_locations]
    return [p for p in places if p.exists()]


def _font_files() -> list[Path]:
    """Every font file, one per file name (the first folder wins), ordered by name so that machines agree."""
    found: dict[str, Path] = {}
    for place in font_directories():
        files = [place] if place.is_file() else sorted(place.rglob("*"))
        for file in files:
            if file.suffix.lower() in _SUFFIXES:
                found.setdefault(file.name, file)
    return [found[name] for name in sorted(found)]


@lru_cache(maxsize=2048)
def load_font(path: str, size: int) -> ImageFont.FreeTypeFont:
    """A face at a size in pixels; the basic layout engine, so that every machine places glyphs alike."""
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def _ink(font: ImageFont.FreeTypeFont, character: str) -> tuple[tuple[int, int], bytes]:
    left, top, right, bottom = font.getbbox(character)
    size = (max(1, int(right - left)), max(1, int(bottom - top)))
    image = Image.new("L", size, 0)
    ImageDraw.Draw(image).text((-left, -top), character, font=font, fill=255)
    return size, image.tobytes()


@lru_cache(maxsize=200_000)
def _has_glyph(path: str, character: str) -> bool:
    if character.isspace():
        return True
    font = load_font(path, 24)
    size, ink = _ink(font, character)
    # a face without the character draws nothing or its box for missing glyphs
    return any(ink) and (size, ink) not in (_ink(font, "\uffff"), _ink(font, "\U000e0fff"))


def can_draw(font: str | Path, text: str) -> bool:
    """Whether the font file has a visible glyph of its own for every character of the text."""
    return all(_has_glyph(str(font), character) for character in text)


def _is_korean(path: Path) -> bool:
    try:
        load_font(str(path), 24)
    except OSError:
        return False
    return can_draw(path, _PROBE)


@lru_cache(maxsize=4)
def _korean_fonts(_where: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(path for path in _font_files() if "emoji" not in path.name.lower() and _is_korean(path))


def korean_fonts() -> list[Path]:
    """Font files that draw Hangul, Latin letters and digits, ordered by file name. InputError when there is none."""
    where = tuple(str(p) for p in font_directories())
    fonts = list(_korean_fonts(where))
    if not fonts:
        raise InputError(
            f"no font with Hangul found in {', '.join(where) or 'any font folder'}; install one (Debian: fonts-nanum, "
            f"pip: koreanize-matplotlib) or name a folder in {FONT_PATHS_VARIABLE}"
        )
    return fonts


def emoji_font() -> Path | None:
    """A colour emoji font, or None where the machine has none."""
    return next((path for path in _font_files() if "emoji" in path.name.lower()), None)


def latin_fonts() -> list[Path]:
    """Text faces that draw Latin letters and digits but no Hangul, ordered by file name; perhaps none."""
    return list(_latin_fonts(tuple(str(p) for p in font_directories())))


@lru_cache(maxsize=4)
def _latin_fonts(where: tuple[str, ...]) -> tuple[Path, ...]:
    korean = set(_korean_fonts(where))
    plain = (p for p in _font_files() if any(part.startswith(_LATIN_TEXT) for part in p.parts) and p not in korean)
    return tuple(p for p in plain if not _UNUSUAL.search(p.name) and can_draw(p, _LATIN_PROBE))


def divide(fonts: list[Path]) -> dict[str, list[Path]]:
    """Fonts by split: by a stable hash of the file name, both sides nonempty; a single font serves both."""
    if len(fonts) < 2:
        return {split: list(fonts) for split in SPLITS}
    forced = [f for f in fonts if any(part.lower().startswith(EVAL_ONLY) for part in f.parts)]
    free = sorted((f for f in fonts if f not in forced), key=lambda f: stable_hash("font", f.name))
    held = forced + [f for f in free if stable_hash("font", f.name) % 100 < EVAL_SHARE]
    if not held:
        held = free[:1]
    if len(held) == len(fonts):
        held = held[:-1]
    return {"train": [f for f in fonts if f not in held], "eval": [f for f in fonts if f in held]}


def split_fonts(split: str, faces: str = "all", latin: bool = False) -> list[Path]:
    """The Korean fonts of a split ("train" or "eval"); `latin` adds text faces without Hangul.

    faces: "all", or "text" to leave out brush, pen and other display faces (all of them are kept where nothing else is).
    """
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}; the splits are {' and '.join(SPLITS)}")
    if faces not in FACES:
        raise InputError(f"unknown kind of faces {faces!r}; there are {' and '.join(FACES)}")
    chosen = divide(korean_fonts())[split]
    plain = [f for f in chosen if not _UNUSUAL.search(f.name)] if faces == "text" else chosen
    return (plain or chosen) + (divide(latin_fonts())[split] if latin else [])
