"""Which resources each split draws from, as plain JSON: fonts, emoji designs, backgrounds, layouts, names, templates."""

from __future__ import annotations

from typing import Any

from varco_vision.errors import InputError
from varco_vision.synth import charts, strings, tables, wording, wording_choices, wording_places
from varco_vision.synth import templates as _templates
from varco_vision.synth.backgrounds import designs as background_designs
from varco_vision.synth.documents import base
from varco_vision.synth.documents import sentences as s
from varco_vision.synth.emoji_names import designs as emoji_designs
from varco_vision.synth.fonts import latin_fonts, split_fonts
from varco_vision.synth.phrasing import LANGUAGES, WORDINGS
from varco_vision.synth.rng import SPLITS

assert _templates and wording and wording_choices and wording_places  # importing them defines the wordings


def _names(split: str) -> dict[str, list[str]]:
    lists = {
        "company": strings.COMPANIES, "sign": strings.SIGNS, "job": strings.JOBS, "table place": strings.PLACES,
    }  # fmt: skip
    found = {
        f"{kind} ({lang})": strings.own(kind, names[lang], split) for kind, names in lists.items() for lang in LANGUAGES
    }
    goods = [g[0] for trade in strings.GOODS.values() for g in trade]
    found["goods"] = [n for n in goods if strings.belongs("goods", n, split)]
    for name in ("LETTER", "ARTICLE", "HEADLINES", "EVENTS"):
        for lang in LANGUAGES:
            found[f"{name.lower()} sentences ({lang})"] = strings.own("sentence", getattr(s, name)[lang], split)
    return found


def resources(split: str) -> dict[str, Any]:
    """What a split draws from. Nothing stands in both splits, except fonts on a machine that has a single Korean one.

    Emoji designs are left out (null) where no colour-emoji face or no `emoji` package is installed.
    """
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}; the splits are {' and '.join(SPLITS)}")
    try:
        emoji: list[str] | None = [f"{d.font.rsplit('/', 1)[-1]}:{d.thing.key}" for d in emoji_designs(split)]
    except InputError:
        emoji = None
    fonts = {name: [p.name for p in split_fonts(name, latin=True)] for name in SPLITS}
    return {
        "split": split,
        "fonts": fonts[split],
        "fonts_shared": sorted(set(fonts["train"]) & set(fonts["eval"])),
        "latin_fonts_known": len(latin_fonts()),
        "emoji": emoji,
        "backgrounds": list(background_designs(split)),
        "layouts": [x for kind in base.KINDS for x in base.layouts(kind, split)]
        + [*tables.layout_names(split), *charts.layout_names(split)],
        "names": _names(split),
        "composed_names": f"{strings.EVAL_NAMES if split == 'eval' else 100 - strings.EVAL_NAMES} of 100 people, shops and addresses by a stable hash",
        "templates": {
            name: {lang: list(w.of(split, lang)) for lang in LANGUAGES} for name, w in sorted(WORDINGS.items())
        },
    }
