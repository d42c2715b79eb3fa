"""Strings that are written into pictures: people, places, shops, goods, dates, prices, numbers, sentences.

Every name belongs to one split by a stable hash (`belongs`), so evaluation shows names that training has not written.
"""

from __future__ import annotations

import datetime
import json
import random
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from varco_vision.errors import InputError
from varco_vision.synth.lexicon import ENGLISH_WORDS, NOUNS, syllables
from varco_vision.synth.rng import stable_hash
from varco_vision.synth.typeset import drawable, faces, rare_syllable
from varco_vision.synth.words import word_split

EVAL_NAMES = 20  # percent


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SURNAMES = _words(
    "김 이 박 최 정 강 조 윤 장 임 한 오 서 신 권 황 안 송 류 전 홍 고 문 양 손 배 백 허 유 남 심 노 하 곽 성 차 주 우 구 민"
)
GIVEN_FIRST = _words("민 서 지 하 도 예 은 현 준 수 윤 채 시 유 태 재 승 건 우 나 소 다 가 라 세 정 영 동 경 혜")
GIVEN_LAST = _words("준 윤 우 호 연 아 은 진 현 민 원 영 훈 빈 서 희 율 린 경 수 철 석 미 나 숙 환 람 솔 별 규")
FIRST_EN = _words(
    "Anna Ben Clara David Emma Frank Grace Henry Iris James Kate Leo Mia Noah Olivia Paul Rose Sam Tina Victor Wendy Jack Laura Peter Ruth Oscar"
)
LAST_EN = _words(
    "Adams Baker Carter Dixon Evans Foster Green Harris Irwin Jones Keller Lewis Mason Nolan Owens Parker Quinn Reed Stone Turner Vance Walker Young Hughes"
)
PLACES = {
    "ko": _words("서울 부산 대구 인천 광주 대전 울산 세종 수원 성남 용인 고양 창원 청주 전주 천안 포항 김해 제주 강릉 춘천 원주 여수 순천 목포 경주 안동 구미 군산 속초"),
    "en": _words("Boston Denver Seattle Austin Chicago Dallas Portland Oakland Bristol Leeds Oxford York Dublin Sydney Perth Toronto Ottawa Calgary Vienna Geneva"),
}  # fmt: skip
ROADS = {
    "ko": _words("중앙로 한빛로 새벽길 은행로 강변로 벚꽃길 충무로 시청로 솔밭길 달맞이길 평화로 해오름길 문화로 단풍길 학교길 온천로"),
    "en": ("Maple Street", "Oak Avenue", "River Road", "Hill Lane", "Park Street", "Lake Drive", "Station Road", "Garden Way"),
}  # fmt: skip
SHOPS = {
    "ko": _words("약국 미용실 분식 치킨 세탁소 서점 꽃집 빵집 카페 식당 부동산 안경원 철물점 문구점 정육점 과일가게 사진관 노래방 당구장 태권도 학원 병원 치과 한의원 슈퍼 편의점 피아노 국밥 냉면 칼국수 만두 김밥 횟집"),
    "en": ("Pharmacy", "Hair Salon", "Bakery", "Cafe", "Laundry", "Books", "Flowers", "Diner", "Optics", "Hardware", "Grocery", "Dental Clinic", "Toys", "Music", "Pizza"),
}  # fmt: skip
SHOP_FIRST = {
    "ko": _words("행복 우리 한빛 미소 푸른 샛별 으뜸 다정 솔잎 하늘 소망 참좋은 새싹 한마음 무지개 늘봄 고향 달빛 보람 가온 누리 아람 해든 온누리"),
    "en": ("Sunny", "Happy", "Green", "Blue Door", "Corner", "Golden", "Little", "Old Town", "North", "Star", "Harbor", "Maple"),
}  # fmt: skip
GOODS = {  # name ko, name en, usual price in won
    "cafe": (("아메리카노", "Americano", 4500), ("카페라테", "Latte", 5000), ("녹차", "Green Tea", 4000), ("레모네이드", "Lemonade", 5500), ("핫초코", "Hot Chocolate", 5000), ("치즈케이크", "Cheesecake", 6500), ("머핀", "Muffin", 3500), ("유자차", "Citron Tea", 4800), ("에스프레소", "Espresso", 3500), ("크루아상", "Croissant", 3800), ("샌드위치", "Sandwich", 6800), ("스콘", "Scone", 3600)),
    "food": (("김치찌개", "Kimchi Stew", 8000), ("된장찌개", "Soybean Stew", 8000), ("비빔밥", "Bibimbap", 9000), ("불고기", "Bulgogi", 14000), ("냉면", "Cold Noodles", 9500), ("칼국수", "Noodle Soup", 8500), ("만두", "Dumplings", 6000), ("떡볶이", "Rice Cakes", 4500), ("김밥", "Gimbap", 3500), ("순두부", "Soft Tofu", 8500), ("삼겹살", "Pork Belly", 15000), ("공기밥", "Steamed Rice", 1000), ("잡채", "Glass Noodles", 10000), ("갈비탕", "Short Rib Soup", 13000)),
    "market": (("우유", "Milk", 2800), ("달걀", "Eggs", 6900), ("식빵", "Bread", 3200), ("두부", "Tofu", 1900), ("사과", "Apples", 7900), ("바나나", "Bananas", 3900), ("라면", "Ramen", 4200), ("생수", "Water", 1100), ("휴지", "Tissue", 8900), ("치약", "Toothpaste", 2900), ("비누", "Soap", 2400), ("감자", "Potatoes", 3300), ("양파", "Onions", 2700), ("참치캔", "Canned Tuna", 3100), ("요구르트", "Yogurt", 3600), ("오렌지주스", "Orange Juice", 4400)),
    "stationery": (("공책", "Notebook", 1500), ("연필", "Pencil", 500), ("볼펜", "Pen", 1200), ("지우개", "Eraser", 700), ("가위", "Scissors", 2500), ("풀", "Glue", 1000), ("색종이", "Colored Paper", 1800), ("자", "Ruler", 900), ("필통", "Pencil Case", 5500), ("스케치북", "Sketchbook", 3500)),
}  # fmt: skip
TRADES = {  # which shops sell which goods
    "cafe": {"ko": ("카페", "다방", "찻집"), "en": ("Cafe", "Coffee", "Tea House")},
    "food": {"ko": ("식당", "분식", "국밥", "밥상"), "en": ("Diner", "Kitchen", "Restaurant")},
    "market": {"ko": ("슈퍼", "편의점", "마트"), "en": ("Grocery", "Market", "Mini Mart")},
    "stationery": {"ko": ("문구점", "문구", "화방"), "en": ("Stationery", "Paper Shop", "Art Supplies")},
}
SIGNS = {
    "ko": ("출입 금지", "주차 금지", "금연", "영업 중", "준비 중", "정기 휴무", "화장실", "비상구", "입구", "출구", "당기세요", "미세요", "공사 중", "미끄럼 주의", "관계자 외 출입 금지", "어린이 보호 구역", "무단 횡단 금지", "신발을 벗어 주세요", "음식물 반입 금지", "촬영 금지", "24시간 영업", "임대 문의", "할인 판매", "신메뉴 출시", "오늘의 추천", "포장 가능", "배달 환영", "분리 배출", "개 조심", "천천히", "버스 정류장", "주차장 입구", "안내 데스크", "엘리베이터 점검 중", "머리 조심", "쓰레기를 버리지 마세요"),
    "en": ("NO PARKING", "NO SMOKING", "OPEN", "CLOSED", "EXIT", "ENTRANCE", "PUSH", "PULL", "WET FLOOR", "KEEP OUT", "STAFF ONLY", "SALE", "FREE WIFI", "PLEASE WAIT", "NO PHOTOS", "LOST AND FOUND", "BUS STOP", "TAKE OUT", "HELP WANTED", "FOR RENT", "SLOW", "DANGER", "FIRE EXIT", "WELCOME", "NEW MENU", "MIND THE STEP"),
}  # fmt: skip
JOBS = {
    "ko": ("대표", "부장", "과장", "대리", "팀장", "연구원", "실장", "이사", "변호사", "원장", "기자", "디자이너"),
    "en": ("Director", "Manager", "Engineer", "Designer", "Researcher", "Lawyer", "Editor", "Consultant", "Analyst"),
}
COMPANIES = {
    "ko": ("한빛전자", "푸른건설", "가온소프트", "누리통신", "샛별식품", "다온물산", "미래연구소", "온새미디자인", "해든출판사", "이룸교육", "솔내병원", "나래항공"),
    "en": ("Northlight Electronics", "Bluefield Software", "Harbor Foods", "Summit Design", "Redwood Press", "Lakeside Clinic", "Orchard Labs", "Silverline Telecom"),
}  # fmt: skip
_MONTHS_EN = _words("January February March April May June July August September October November December")
WEEKDAYS_KO = "월화수목금토일"


def belongs(kind: str, name: str, split: str) -> bool:
    """Whether a split may write this name."""
    return (stable_hash("name", kind, name) % 100 < EVAL_NAMES) == (split == "eval")


@lru_cache(maxsize=256)
def own(kind: str, names: tuple[str, ...], split: str) -> tuple[str, ...]:
    """The names of a list that belong to a split: a fifth to evaluation, but at least six where the list has twenty."""
    ranked = sorted(names, key=lambda name: stable_hash("name", kind, name))
    held = ranked[: max(len(names) * EVAL_NAMES // 100, min(6, len(names) // 3))]
    return tuple(name for name in names if (name in held) == (split == "eval"))


def pick(rng: random.Random, kind: str, names: tuple[str, ...], split: str) -> str:
    """A name of a list that belongs to the split; the list must have one."""
    return rng.choice(own(kind, names, split))


def _until(make, kind: str, split: str) -> str:
    while True:
        name = make()
        if belongs(kind, name, split):
            return name


def person(rng: random.Random, lang: str, split: str) -> str:
    """A whole name."""
    if lang == "ko":
        return _until(lambda: rng.choice(SURNAMES) + rng.choice(GIVEN_FIRST) + rng.choice(GIVEN_LAST), "person", split)
    return _until(lambda: f"{rng.choice(FIRST_EN)} {rng.choice(LAST_EN)}", "person", split)


def shop(rng: random.Random, lang: str, split: str, trade: str | None = None) -> str:
    """A shop's name: 한빛약국, Sunny Bakery; with `trade`, of one that sells those `GOODS`."""
    space = "" if lang == "ko" else " "
    kinds = TRADES[trade][lang] if trade else SHOPS[lang]
    return _until(lambda: rng.choice(SHOP_FIRST[lang]) + space + rng.choice(kinds), "shop", split)


def address(rng: random.Random, lang: str, split: str) -> str:
    """Town, street and number."""
    if lang == "ko":
        return _until(
            lambda: f"{rng.choice(PLACES['ko'])} {rng.choice(ROADS['ko'])} {rng.randint(1, 299)}", "address", split
        )
    return _until(
        lambda: f"{rng.randint(1, 299)} {rng.choice(ROADS['en'])}, {rng.choice(PLACES['en'])}", "address", split
    )


def phone(rng: random.Random) -> str:
    """A telephone number in Korean form."""
    head = rng.choice(("010", "02", "031", "051", "064", "070"))
    return f"{head}-{rng.randint(200, 9999)}-{rng.randint(0, 9999):04d}"


def day(rng: random.Random) -> datetime.date:
    return datetime.date(2015, 1, 1) + datetime.timedelta(days=rng.randrange(365 * 15))


def birthday(rng: random.Random) -> datetime.date:
    """A day on which somebody who signs a form may have been born."""
    return datetime.date(1948, 1, 1) + datetime.timedelta(days=rng.randrange(365 * 64))


def date_text(rng: random.Random, when: datetime.date, lang: str) -> str:
    """A date in one of the forms that are usual in the language."""
    y, m, d = when.year, when.month, when.day
    if lang == "en":
        return rng.choice((f"{_MONTHS_EN[m - 1]} {d}, {y}", f"{d} {_MONTHS_EN[m - 1]} {y}", f"{y}-{m:02d}-{d:02d}"))
    forms = (
        f"{y}년 {m}월 {d}일", f"{y}. {m}. {d}.", f"{y}-{m:02d}-{d:02d}", f"{y}.{m:02d}.{d:02d}",
        f"{y}년 {m}월 {d}일({WEEKDAYS_KO[when.weekday()]})",
    )  # fmt: skip
    return rng.choice(forms)


def time_text(rng: random.Random, lang: str) -> str:
    """A time of day."""
    hour, minute = rng.randint(8, 20), rng.choice((0, 0, 10, 15, 30, 45))
    if lang == "ko":
        half = "오전" if hour < 12 else "오후"
        h = hour if hour <= 12 else hour - 12
        return rng.choice((f"{half} {h}시" + (f" {minute}분" if minute else ""), f"{hour:02d}:{minute:02d}"))
    return rng.choice((f"{(hour - 1) % 12 + 1}:{minute:02d} {'AM' if hour < 12 else 'PM'}", f"{hour:02d}:{minute:02d}"))


def won(amount: int, lang: str = "ko", sign: bool = False) -> str:
    """12,000원 or ₩12,000; in English 12,000 won."""
    digits = f"{amount:,}"
    return f"₩{digits}" if sign else f"{digits}원" if lang == "ko" else f"{digits} won"


def measured(number: str, unit: str) -> str:
    """A number with its unit: Korean units and % stand without a space ("1,234천 원", "12%"), others with one ("12 km")."""
    close = not unit or unit[0] == "%" or "가" <= unit[0] <= "힣"
    return f"{number}{'' if close else ' '}{unit}"


@lru_cache(maxsize=8)
def own_words(path: str, split: str) -> tuple[str, ...]:
    """The words of a user's file that belong to the split and that a face of it draws.

    InputError for a file that cannot be read, a line that is not of its form, or no word that can be written.
    """
    source = Path(path).expanduser()
    try:
        lines = source.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a text file ({error}); give texts one a line, in UTF-8") from error
    words: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        if source.suffix == ".jsonl" and line.strip():
            try:
                line = json.loads(line)["text"]
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f'{path}:{number}: no JSON object with a field "text"; give one a line') from error
            if not isinstance(line, str):
                raise InputError(f'{path}:{number}: "text" holds {line!r}; it must be a text')
        words.update(dict.fromkeys(unicodedata.normalize("NFC", line).split()))
    fonts = faces(split, "all")
    mine = [w for w in words if len(w) <= 20 and "<" not in w and ">" not in w and word_split(w) == split]
    able = tuple(w for w in mine if any(drawable(font, w) for font in fonts))
    if not able:
        raise InputError(f"{path} has no word for the split {split!r} that a font on this machine can draw; add some")
    return able


@dataclass(frozen=True)
class TextStock:
    """What texts in the wild are made of. Shares are of words.

    rare: random ones of all 11,172 syllables. latin, numbers, marks: Latin words, numbers with units, punctuation.
    syllables: random common words take that many of the commonest syllables. real: real words among the rest.
    texts: a file of texts of your own, one a line or JSON lines with a field "text", whose words stand in place of all
    the other kinds; they too are divided between the splits by the hash of each word.
    """

    split: str = "train"
    rare: float = 0.08
    latin: float = 0.18
    numbers: float = 0.1
    marks: float = 0.06
    real: float = 0.6
    syllables: int = 1000
    texts: str | None = None

    def __post_init__(self) -> None:
        if min(self.rare, self.latin, self.numbers) < 0 or self.rare + self.latin + self.numbers > 1:
            raise InputError(
                f"rare={self.rare}, latin={self.latin}, numbers={self.numbers} asked for; shares are at least 0 and together at most 1"
            )
        if not 1 <= self.syllables <= 2350:
            raise InputError(f"syllables={self.syllables} asked for; choose 1 to 2350 (KS X 1001)")
        if self.texts is not None:
            own_words(self.texts, self.split)

    def _any(self, rng: random.Random) -> str:
        if self.texts is not None:
            return rng.choice(own_words(self.texts, self.split))
        r = rng.random()
        if r < self.rare:
            return "".join(rare_syllable(rng) for _ in range(rng.randint(1, 3)))
        if r < self.rare + self.numbers:
            return rng.choice(
                (
                    f"{rng.randint(1, 99)}%", f"{rng.randint(1, 99) * 100:,}원", f"{rng.randint(1, 12)}월", f"{rng.randint(1, 30)}층",
                    str(rng.randint(10, 99_999)), phone(rng), f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}",
                    f"{rng.randint(1, 20)}km", f"{rng.randint(1, 31)}일", f"{rng.randint(1, 99)}번",
                )
            )  # fmt: skip
        if r < self.rare + self.numbers + self.latin:
            word = rng.choice(ENGLISH_WORDS)
            return rng.choice((word, word.upper(), word.capitalize()))
        if rng.random() < self.real:
            return rng.choice(NOUNS)
        pool = syllables(self.syllables)
        return "".join(rng.choice(pool) for _ in range(rng.randint(1, 4)))

    def word(self, rng: random.Random) -> str:
        """A word that belongs to the split."""
        while True:
            word = self._any(rng)
            if word_split(word) == self.split:
                break
        if self.texts is None and rng.random() < self.marks:
            word = rng.choice(
                ("{}!", "{}?", "({})", "[{}]", "{},", "{}.", "“{}”", "#{}", "※{}", "{}~", "{}:", "·{}")
            ).format(word)
        return word

    def phrase(self, rng: random.Random, count: int) -> list[str]:
        """About `count` words as they stand on a sign: a set phrase, a shop, a telephone number, or words at random."""
        r = rng.random()
        if self.texts is not None:
            return [self.word(rng) for _ in range(count)]
        lang = "en" if rng.random() < self.latin else "ko"
        if r < 0.25 and count <= 6:
            text = pick(rng, "sign", SIGNS[lang], self.split)
        elif r < 0.4 and count <= 6:
            text = shop(rng, lang, self.split) + (" " + phone(rng) if count > 2 else "")
        elif r < 0.45 and count >= 3:
            text = address(rng, lang, self.split)
        else:
            return [self.word(rng) for _ in range(count)]
        words = text.split()
        return words + [self.word(rng) for _ in range(count - len(words))]
