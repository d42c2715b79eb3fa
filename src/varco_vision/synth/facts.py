"""World facts in both languages out of locale data (Unicode's CLDR through `babel`): names of territories, currencies,
languages, scripts, months and days, currencies and official languages of countries.

Both splits know the same facts; evaluation asks in words that training has not seen (`phrasing`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from varco_vision.errors import InputError
from varco_vision.synth.asking import quoted, readable
from varco_vision.synth.phrasing import Wording
from varco_vision.synth.templates import text as t

_LANGUAGE_WORDS = {"ko": {"ko": "한국어", "en": "영어"}, "en": {"ko": "Korean", "en": "English"}}
_SCRIPTS = "Hang Latn Cyrl Arab Grek Hebr Deva Thai Hira Kana Armn Geor Ethi Khmr Laoo Mong Tibt Taml Beng Telu Mymr Sinh Runr Copt Brai".split()  # noqa: SIM905
_LANGUAGES = [
    "ko",
    "en",
    "ja",
    "zh",
    "fr",
    "de",
    "es",
    "it",
    "pt",
    "ru",
    "ar",
    "hi",
    "th",
    "vi",
    "id",
    "ms",
    "tr",
    "nl",
    "sv",
    "no",
    "da",
    "fi",
    "pl",
    "cs",
    "hu",
    "el",
    "he",
    "fa",
    "ur",
    "bn",
    "ta",
    "te",
    "mn",
    "my",
    "km",
    "lo",
    "ne",
    "si",
    "ka",
    "hy",
    "az",
    "kk",
    "uz",
    "uk",
    "bg",
    "ro",
    "sr",
    "hr",
    "sk",
    "sl",
    "lt",
    "lv",
    "et",
    "sq",
    "is",
    "ga",
    "cy",
    "eu",
    "ca",
    "gl",
    "sw",
    "am",
    "zu",
    "af",
    "la",
    "eo",
    "mt",
    "tl",
]


@dataclass(frozen=True)
class Question:
    """A question without a picture. `wrong`: answers of the same kind that are wrong; `key`: what it is about."""

    kind: str
    key: str
    text: str
    answer: str
    wrong: tuple[str, ...] = ()
    other: str | None = None


@lru_cache(maxsize=1)
def _locales() -> dict[str, Any]:
    try:
        from babel import Locale
    except ImportError as error:
        raise InputError(
            'facts out of locale data need the package "babel", which is not installed; pip install "varco-vision-open[synth]"'
        ) from error
    return {lang: Locale(lang) for lang in ("ko", "en")}


def _plain(name: str) -> bool:
    """Names without remarks in brackets, commas and the like, and with a reading for particles."""
    return readable(name) and not any(c in name for c in "()[],·/&’'“”") and len(name) <= 40


def _table(part: str, codes: list[str]) -> tuple[tuple[str, str, str], ...]:
    """(code, Korean, English) of what has a plain name in both languages; names are unique in each."""
    found = []
    seen: set[str] = set()
    for code in codes:
        ko, en = (getattr(_locales()[lang], part).get(code) for lang in ("ko", "en"))
        if ko and en and _plain(ko) and _plain(en) and not {ko, en} & seen:
            seen |= {ko, en}
            found.append((code, ko, en))
    return tuple(found)


@lru_cache(maxsize=1)
def territories() -> tuple[tuple[str, str, str], ...]:
    """(code, Korean, English) of countries and other territories."""
    codes = sorted(
        c
        for c in _locales()["en"].territories
        if len(c) == 2 and c.isalpha() and c not in ("ZZ", "EU", "UN", "EZ", "QO", "XA", "XB")
    )
    return _table("territories", codes)


@lru_cache(maxsize=1)
def languages() -> tuple[tuple[str, str, str], ...]:
    return _table("languages", list(_LANGUAGES))


@lru_cache(maxsize=1)
def scripts() -> tuple[tuple[str, str, str], ...]:
    return _table("scripts", list(_SCRIPTS))


@lru_cache(maxsize=1)
def currencies_of() -> tuple[tuple[str, str, str, str], ...]:
    """(territory in Korean, in English, currency in Korean, in English) where one tender is in use today."""
    from babel.numbers import get_territory_currencies

    found = []
    for code, ko, en in territories():
        used = get_territory_currencies(code, tender=True)
        if len(used) != 1:
            continue
        names = [_locales()[lang].currencies.get(used[0]) for lang in ("ko", "en")]
        if all(names) and all(map(_plain, names)):
            found.append((ko, en, *names))
    return tuple(found)


@lru_cache(maxsize=1)
def currency_codes() -> tuple[tuple[str, str, str], ...]:
    """(code, Korean, English) of currencies in use somewhere today."""
    from babel.numbers import get_territory_currencies

    used = sorted({c for code, _, _ in territories() for c in get_territory_currencies(code, tender=True)})
    return _table("currencies", used)


@lru_cache(maxsize=1)
def official_languages() -> tuple[tuple[str, str, str, str], ...]:
    """(territory in Korean, in English, language in Korean, in English) where exactly one language is official."""
    from babel.languages import get_official_languages

    names = {code: (ko, en) for code, ko, en in languages()}
    found = []
    for code, ko, en in territories():
        official = get_official_languages(code, regional=False, de_facto=True)
        if len(official) == 1 and official[0] in names:
            found.append((ko, en, *names[official[0]]))
    return tuple(found)


@lru_cache(maxsize=1)
def calendar() -> tuple[tuple[str, str], ...]:
    """Months and days of the week, (Korean, English)."""
    ko, en = _locales()["ko"], _locales()["en"]
    months = [(ko.months["stand-alone"]["wide"][m], en.months["stand-alone"]["wide"][m]) for m in range(1, 13)]
    days = [(ko.days["stand-alone"]["wide"][d], en.days["stand-alone"]["wide"][d]) for d in range(7)]
    return tuple(months + days)


Say = Callable[..., str]


def _others(rng: random.Random, names: list[str], answer: str) -> tuple[str, ...]:
    pool = [n for n in dict.fromkeys(names) if n != answer]
    return tuple(rng.sample(pool, min(3, len(pool))))


def _translated(
    kind: str, wording: Wording, table: tuple[tuple[str, ...], ...]
) -> Callable[[random.Random, Say, str], Question]:
    """A name in one language is asked for in the other; the last two columns are Korean and English."""

    def make(rng: random.Random, say: Say, lang: str) -> Question:
        ko, en = rng.choice(table)[-2:]
        source, target = rng.choice((("ko", "en"), ("en", "ko")))
        name, answer = (ko, en) if source == "ko" else (en, ko)
        text = say(wording, lang, **quoted(name), language=_LANGUAGE_WORDS[lang][target])
        return Question(
            kind,
            f"{en}>{target}",
            text,
            answer,
            _others(rng, [row[-2 if target == "ko" else -1] for row in table], answer),
        )

    return make


def _currency(rng: random.Random, say: Say, lang: str) -> Question:
    i = 0 if lang == "ko" else 1
    row = rng.choice(currencies_of())
    text = say(t.CURRENCY, lang, name=row[i])
    return Question(
        "currency", row[1], text, row[2 + i], _others(rng, [r[2 + i] for r in currencies_of()], row[2 + i]), row[3 - i]
    )


def _code(rng: random.Random, say: Say, lang: str) -> Question:
    code, ko, en = rng.choice(currency_codes())
    text = say(t.CURRENCY_CODE, lang, **quoted(ko if lang == "ko" else en))
    return Question("currency_code", code, text, code, _others(rng, [r[0] for r in currency_codes()], code))


def _official(rng: random.Random, say: Say, lang: str) -> Question:
    i = 0 if lang == "ko" else 1
    row = rng.choice(official_languages())
    text = say(t.OFFICIAL, lang, name=row[i])
    return Question(
        "official_language",
        row[1],
        text,
        row[2 + i],
        _others(rng, [r[2 + i] for r in official_languages()], row[2 + i]),
        row[3 - i],
    )


@lru_cache(maxsize=1)
def makers() -> dict[str, Callable[[random.Random, Say, str], Question]]:
    """One maker for each kind of fact."""
    return {
        "territory": _translated("territory", t.TERRITORY, territories()),
        "language_name": _translated("language_name", t.LANGUAGE_NAME, languages()),
        "script_name": _translated("script_name", t.SCRIPT_NAME, scripts()),
        "calendar_name": _translated("calendar_name", t.CALENDAR, calendar()),
        "currency": _currency,
        "currency_code": _code,
        "official_language": _official,
    }


KINDS = ("territory", "language_name", "script_name", "calendar_name", "currency", "currency_code", "official_language")
