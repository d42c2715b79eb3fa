"""Pictures of things from colour-emoji fonts, with their names in Korean and English.

Names are those of the `emoji` package (Unicode's CLDR); a few that describe the drawing rather than the thing are
replaced. Designs (a face and a character) are split by a stable hash.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from varco_vision.errors import InputError
from varco_vision.synth.fonts import font_directories
from varco_vision.synth.rng import SPLITS, stable_hash

EVAL_DESIGNS = 20  # percent
SIDE = 128  # pixels of a kept drawing
_SIZES = (109, 128, 136, 160, 96, 64)  # bitmap faces have one size only
CATEGORIES = {
    "animal": "🐧🐦🦆🦅🦉🦇🐗🐝🦋🐌🐞🐜🕷🦂🐢🐍🦎🐙🦑🦐🦞🦀🐡🐟🐬🐋🦈🐊🐅🐆🦓🐘🦏🐪🦒🐂🐄🐎🐖🐏🐐🦌🐕🐈🐓🦃🐇🐁🦔🐸🐔🐨🐉🦘🦢🦚🦜🐒🦍",
    "vehicle": "🚗🚕🚌🚓🚑🚒🚐🚛🚜🏍🛵🚲🛴✈🚀🚁⛵🚤🛳🚂",
    "fruit": "🍐🍊🍋🍌🍉🍇🍓🍒🍑🥭🍍🥥🥝🍅🍆🥑🥦🥕🌽🥔🍠",
    "food": "🥐🍞🥨🥚🥓🍔🍟🍕🌭🥪🌮🍣🍱🍙🍜🍦🎂🍫🍬🍩🍪🧀",
    "thing": "⚽🏀🎾🏐🏈⚾🥊🎸🎹🎺🎻🥁🎨📷📺📱💻🖨💡🔦🕯✏📌📎✂🔑🔨🪓🔧🧲🔬🔭💊🛏🪑🚪🛁🚽🧸🎈🎁🎀✉📦📮🧹🧺🧻🧽🪣☎⏰⌛🎒👜⌚☂👓🕶🏮🔔🧭🎯🎲🧩🪁🛒🪜🧦🧤🧣👖👕👗👟👠👢🧢👑🎩🥄🍴🍷🍺☕🫖🍼🧂",
    "plant": "🌵🌲🌳🌴🌻🌹🌷🍀🍁🍄",
    "place": "🏠🏰⛺⛲🗼",
    "sky": "🌙☀☁❄",
}  # fmt: skip
RENAMED = {
    "🏀": ("농구공", "basketball"), "🎾": ("테니스공", "tennis ball"), "🧀": ("치즈", "cheese"), "☕": ("커피", "cup of coffee"),
    "🍦": ("아이스크림", "ice cream"), "🎂": ("생일 케이크", "birthday cake"), "🍙": ("주먹밥", "rice ball"), "🥚": ("달걀", "egg"),
    "🍠": ("고구마", "sweet potato"), "🌽": ("옥수수", "corn cob"), "🥝": ("키위", "kiwi"), "🍊": ("귤", "tangerine"), "🍫": ("초콜릿", "chocolate bar"),
    "🚗": ("자동차", "car"), "🚛": ("트럭", "truck"), "🚂": ("기관차", "steam engine"), "🚒": ("소방차", "fire truck"), "🛳": ("여객선", "ship"),
    "🐏": ("숫양", "ram"), "🐂": ("황소", "ox"), "🐄": ("젖소", "cow"), "🐞": ("무당벌레", "ladybug"), "🐁": ("생쥐", "mouse"), "🐝": ("꿀벌", "bee"),
    "🐡": ("복어", "pufferfish"), "🎺": ("트럼펫", "trumpet"), "🎨": ("팔레트", "palette"), "📱": ("휴대전화", "mobile phone"), "🎁": ("선물 상자", "gift box"),
    "🎀": ("리본", "ribbon"), "📦": ("상자", "box"), "✉": ("편지 봉투", "envelope"), "📮": ("우편함", "mailbox"), "👕": ("티셔츠", "T-shirt"), "👖": ("청바지", "pair of jeans"),
    "👟": ("운동화", "sneaker"), "👢": ("부츠", "boot"), "👠": ("하이힐", "high heel"), "🎩": ("신사 모자", "top hat"), "🧢": ("야구 모자", "baseball cap"), "☂": ("우산", "umbrella"),
    "🎒": ("책가방", "backpack"), "🍷": ("와인 잔", "wine glass"), "🍺": ("맥주잔", "beer mug"), "🌲": ("전나무", "fir tree"), "🌳": ("나무", "tree"), "🌹": ("장미", "rose"),
    "🏰": ("성", "castle"), "🗼": ("탑", "tower"), "⏰": ("자명종", "alarm clock"), "⌛": ("모래시계", "hourglass"), "☎": ("전화기", "telephone"), "🧻": ("두루마리 휴지", "toilet roll"),
    "🧹": ("빗자루", "broom"), "🧺": ("바구니", "basket"), "🧽": ("스펀지", "sponge"), "🪣": ("양동이", "bucket"), "🏮": ("등불", "lantern"), "🎯": ("다트 판", "dartboard"),
    "🎲": ("주사위", "die"), "🧩": ("퍼즐 조각", "puzzle piece"), "🪁": ("연", "kite"), "🛒": ("쇼핑 카트", "shopping cart"), "🪜": ("사다리", "ladder"), "🧦": ("양말", "pair of socks"),
    "🧤": ("장갑", "pair of gloves"), "🧣": ("목도리", "scarf"), "👑": ("왕관", "crown"), "🥄": ("숟가락", "spoon"), "🍴": ("포크와 나이프", "fork and knife"), "🫖": ("찻주전자", "teapot"),
    "🍼": ("젖병", "baby bottle"), "🧂": ("소금 통", "salt shaker"), "🔔": ("종", "bell"), "🧭": ("나침반", "compass"), "👓": ("안경", "pair of glasses"), "🕶": ("선글라스", "pair of sunglasses"),
    "✂": ("가위", "pair of scissors"), "🧸": ("곰 인형", "teddy bear"), "🍟": ("감자튀김", "box of french fries"), "🍇": ("포도", "bunch of grapes"), "🍒": ("체리", "bunch of cherries"),
    "🥨": ("프레첼", "pretzel"), "🥓": ("베이컨", "slice of bacon"), "🍞": ("빵", "loaf of bread"), "🍣": ("초밥", "piece of sushi"), "🍜": ("국수", "bowl of noodles"), "🍱": ("도시락", "lunch box"),
    "🍬": ("사탕", "piece of candy"), "🥦": ("브로콜리", "broccoli floret"), "🦐": ("새우", "shrimp"), "🐟": ("물고기", "fish"), "🕯": ("양초", "candle"), "📺": ("텔레비전", "television"),
    "🥊": ("권투 장갑", "boxing glove"), "🎹": ("피아노 건반", "piano keyboard"), "💊": ("알약", "pill"), "☀": ("해", "sun"), "🌙": ("초승달", "crescent moon"), "🐸": ("개구리", "frog"), "🏈": ("미식축구공", "football"), "⌚": ("손목시계", "wristwatch"),
    "❄": ("눈송이", "snowflake"), "👗": ("원피스", "dress"), "🦃": ("칠면조", "turkey"), "🐒": ("원숭이", "monkey"), "🐔": ("닭", "hen"), "🐓": ("수탉", "rooster"), "🌷": ("튤립", "tulip"),
}  # fmt: skip
_COUNTERS = {"animal": "마리", "vehicle": "대", "plant": "그루"}
_COUNTER_OF = {"🌻": "송이", "🌹": "송이", "🌷": "송이", "🍀": "개", "🍁": "장", "🍄": "개", "🚀": "대", "🏠": "채", "🏰": "채", "🕷": "마리", "💻": "대", "📺": "대",
               "📷": "대", "🖨": "대", "☎": "대", "📱": "대", "🎹": "대", "🎸": "대", "⛵": "척", "🚤": "척", "🛳": "척", "✏": "자루", "👖": "벌", "👕": "벌", "👗": "벌",
               "🧦": "켤레", "🧤": "켤레", "☕": "잔"}  # fmt: skip
_PLURALS = {"ox": "oxen", "fish": "fish", "pufferfish": "pufferfish", "sheep": "sheep", "deer": "deer", "mouse": "mice", "die": "dice", "squid": "squid",
            "shrimp": "shrimp", "loaf of bread": "loaves of bread", "wolf": "wolves", "octopus": "octopuses", "cactus": "cacti",
            "fork and knife": "forks and knives", "scarf": "scarves", "maple leaf": "maple leaves", "goldfish": "goldfish"}  # fmt: skip


@dataclass(frozen=True)
class Thing:
    """Something to show: an emoji or a picture file. counter: how Korean counts it."""

    key: str
    ko: str
    en: str
    category: str
    counter: str = "개"

    def name(self, lang: str) -> str:
        return self.ko if lang == "ko" else self.en

    @property
    def plural(self) -> str:
        return plural(self.en)


def plural(name: str) -> str:
    """The English plural of a name: cats, foxes, cherries, pairs of socks."""
    if name in _PLURALS:
        return _PLURALS[name]
    head, of, rest = name.partition(" of ")
    if of:
        return plural(head) + of + rest
    if name.endswith(("s", "x", "ch", "sh")):
        return name + "es"
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    if name in ("potato", "tomato", "mango", "sweet potato"):
        return name + "es"
    return name + "s"


def indefinite(name: str) -> str:
    """The English name with its article: an ox, a cat, an hourglass."""
    return f"{'an' if name[0].lower() in 'aeiou' or name.startswith('hour') else 'a'} {name}"


def _package():
    try:
        import emoji
    except ImportError as error:
        raise InputError(
            'pictures of things need the package "emoji", which is not installed; pip install "varco-vision-open[synth]"'
        ) from error
    emoji.config.load_language("ko")
    return emoji


@lru_cache(maxsize=1)
def things() -> tuple[Thing, ...]:
    """Every thing that has a name in both languages; names are unique in each language."""
    data = _package().EMOJI_DATA
    found: list[Thing] = []
    for category, characters in CATEGORIES.items():
        for c in characters:
            known = data.get(c) or data.get(c + "\ufe0f")
            if c in RENAMED:
                ko, en = RENAMED[c]
            elif known and "ko" in known:
                ko, en = (known[lang].strip(":").replace("_", " ") for lang in ("ko", "en"))
            else:
                continue
            counter = _COUNTER_OF.get(c) or _COUNTERS.get(category, "개")
            found.append(Thing(c, ko, en, category, counter))
    for lang in ("ko", "en"):
        names = [t.name(lang) for t in found]
        assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)
    return tuple(found)


def emoji_fonts() -> list[Path]:
    """Colour-emoji faces that Pillow can draw, ordered by file name; perhaps none."""
    files: dict[str, Path] = {}
    for place in font_directories():
        for file in [place] if place.is_file() else sorted(place.rglob("*")):
            if file.suffix.lower() in (".ttf", ".otf", ".ttc") and "emoji" in file.name.lower():
                files.setdefault(file.name, file)
    return [files[name] for name in sorted(files) if _size(str(files[name])) and _drawing(str(files[name]), "🐘")]


@lru_cache(maxsize=16)
def _size(font: str) -> int | None:
    for size in _SIZES:
        try:
            ImageFont.truetype(font, size)
        except OSError:
            continue
        return size
    return None


@lru_cache(maxsize=2048)
def _drawing(font: str, character: str) -> Image.Image | None:
    """The drawing cropped to its ink, RGBA; None where the face has none in colour."""
    size = _size(font)
    assert size is not None
    face = ImageFont.truetype(font, size, layout_engine=ImageFont.Layout.BASIC)
    image = Image.new("RGBA", (size * 2, size * 2), (0, 0, 0, 0))
    ImageDraw.Draw(image).text((size // 4, size // 4), character, font=face, embedded_color=True)
    box = image.getchannel("A").point([255 * (v > 40) for v in range(256)]).getbbox()
    if box is None:
        return None
    cut = image.crop(box)
    colours = cut.convert("RGB").getcolors(8)
    return None if colours is not None and len(colours) < 3 else cut  # an outline in one colour is no colour emoji


@dataclass(frozen=True)
class Design:
    """A thing in the drawing of one face."""

    thing: Thing
    font: str

    def image(self) -> Image.Image:
        made = _drawing(self.font, self.thing.key)
        assert made is not None
        return made


@lru_cache(maxsize=8)
def designs(split: str, everything: bool = False) -> tuple[Design, ...]:
    """The designs of a split; InputError where the machine has no colour-emoji face. `everything`: of both splits."""
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}; the splits are {' and '.join(SPLITS)}")
    fonts = emoji_fonts()
    if not fonts:
        raise InputError(
            "no colour-emoji font found; install one (Debian: fonts-noto-color-emoji) or name its folder in VARCO_VISION_FONTS"
        )
    chosen = []
    for font in fonts:
        for thing in things():
            held = stable_hash("emoji", font.name, thing.key) % 100 < EVAL_DESIGNS
            if (everything or held == (split == "eval")) and _drawing(str(font), thing.key) is not None:
                chosen.append(Design(thing, str(font)))
    return tuple(chosen)


def pick_design(rng: random.Random, split: str, everything: bool = False) -> Design:
    return rng.choice(designs(split, everything))
