"""Text exercises whose answer is worked out: arithmetic, units, dates, sorting, letters, following instructions, talk.

Operands, words and lists are split by a stable hash, so evaluation asks for what training has not worked out.
"""

from __future__ import annotations

import datetime
import json
import random
from collections.abc import Callable

from varco_vision.synth import strings
from varco_vision.synth.asking import quoted
from varco_vision.synth.facts import Question, Say
from varco_vision.synth.lexicon import ENGLISH_WORDS, NOUNS
from varco_vision.synth.rng import stable_hash
from varco_vision.synth.templates import text as t

HELD_OUT = 15  # percent
_DAYS_EN = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NTH_KO = ("", "첫 번째", "두 번째", "세 번째", "네 번째", "다섯 번째", "여섯 번째")
_NTH_EN = ("", "first", "second", "third", "fourth", "fifth", "sixth")


def held(split: str, *key: object) -> bool:
    """Whether this exercise belongs to the split."""
    return (stable_hash("exercise", *key) % 100 < HELD_OUT) == (split == "eval")


def _drawn(rng: random.Random, split: str, kind: str, draw: Callable[[], tuple]) -> tuple:
    """Operands of the split."""
    while True:
        made = draw()
        if held(split, kind, *made):
            return made


def _words(rng: random.Random, lang: str, least: int = 2) -> list[str]:
    return [w for w in (NOUNS if lang == "ko" else ENGLISH_WORDS) if len(w) >= least]


def _near(rng: random.Random, value: int) -> tuple[str, ...]:
    return tuple(f"{v}" for v in dict.fromkeys((value + 1, value - 1, value + 10, value - 10)) if v != value)[:3]


def arithmetic(rng: random.Random, say: Say, lang: str, split: str) -> Question:
    """One or two operations on whole numbers, or a percentage that comes out even."""

    def draw() -> tuple[str, int]:
        kind = rng.randrange(5)
        if kind == 0:
            a, b = rng.randint(0, 999), rng.randint(0, 999)
            return f"{a} + {b}", a + b
        if kind == 1:
            a, b = sorted((rng.randint(0, 999), rng.randint(0, 999)), reverse=True)
            return f"{a} - {b}", a - b
        if kind == 2:
            a, b = rng.randint(2, 99), rng.randint(2, 12)
            return f"{a} × {b}", a * b
        if kind == 3:
            b, q = rng.randint(2, 12), rng.randint(2, 60)
            return f"{b * q} ÷ {b}", q
        a, b, c = rng.randint(2, 20), rng.randint(2, 9), rng.randint(1, 50)
        return f"{a} × {b} + {c}", a * b + c

    expression, value = _drawn(rng, split, "arithmetic", draw)
    return Question(
        "arithmetic", expression, say(t.ARITHMETIC, lang, expression=expression), str(value), _near(rng, value)
    )


# unit from, unit to (Korean), unit to (English), factor
_UNITS = (
    ("km", "미터", "meters", 1000), ("m", "센티미터", "centimeters", 100), ("cm", "밀리미터", "millimeters", 10), ("kg", "그램", "grams", 1000),
    ("L", "밀리리터", "milliliters", 1000), ("t", "킬로그램", "kilograms", 1000), ("시간/hours", "분", "minutes", 60), ("분/minutes", "초", "seconds", 60),
    ("일/days", "시간", "hours", 24), ("주/weeks", "일", "days", 7), ("년/years", "개월", "months", 12),
)  # fmt: skip


def units(rng: random.Random, say: Say, lang: str, split: str) -> Question:
    """A number of large units in small ones, or the other way where it comes out even."""
    n, k = _drawn(rng, split, "units", lambda: (rng.randint(2, 48), rng.randrange(len(_UNITS))))
    name, ko, en, factor = _UNITS[k]
    source = name.split("/")[0 if lang == "ko" else -1]
    value = f"{n}{source}" if lang == "ko" or "/" not in name else f"{n} {source}"
    answer = f"{n * factor:,}{ko}" if lang == "ko" else f"{n * factor:,} {en}"
    wrong = tuple(
        answer.replace(f"{n * factor:,}", f"{v:,}")
        for v in (n * factor * 10, n * factor + factor, max(1, n * factor // 10))
    )
    return Question("units", f"{n} {name}", say(t.UNITS, lang, value=value, unit_ko=ko, unit_en=en), answer, wrong)


def date_form(rng: random.Random, say: Say, lang: str, split: str) -> Question:
    """A numeric date in words of the language."""
    (day,) = _drawn(rng, split, "date", lambda: (strings.day(rng).isoformat(),))
    when = datetime.date.fromisoformat(day)
    answers = {
        "ko": f"{when.year}년 {when.month}월 {when.day}일",
        "en": f"{strings._MONTHS_EN[when.month - 1]} {when.day}, {when.year}",
    }
    wrong = (
        [f"{when.year}년 {when.day}월 {when.month}일", f"{when.month}월 {when.day}일 {when.year}년"]
        if lang == "ko"
        else [f"{when.day}/{when.month}/{when.year}", f"{when.year} {strings._MONTHS_EN[when.month - 1]}, {when.day}"]
    )
    return Question(
        "date_form",
        day,
        say(t.DATE_FORM, lang, date=day),
        answers[lang],
        tuple(wrong),
        answers["en" if lang == "ko" else "ko"],
    )


def weekday(rng: random.Random, say: Say, lang: str, split: str) -> Question:
    """The day of the week of a date (Gregorian)."""
    (day,) = _drawn(rng, split, "weekday", lambda: (strings.day(rng).isoformat(),))
    when = datetime.date.fromisoformat(day)
    shown = (
        f"{when.year}년 {when.month}월 {when.day}일"
        if lang == "ko"
        else f"{strings._MONTHS_EN[when.month - 1]} {when.day}, {when.year}"
    )
    names = {"ko": tuple(f"{d}요일" for d in strings.WEEKDAYS_KO), "en": _DAYS_EN}
    answer = names[lang][when.weekday()]
    return Question(
        "weekday",
        day,
        say(t.WEEKDAY, lang, date=shown),
        answer,
        tuple(n for n in names[lang] if n != answer)[:3],
        names["en" if lang == "ko" else "ko"][when.weekday()],
    )


def sorting(rng: random.Random, say: Say, lang: str, split: str) -> Question:
    """Numbers by size or words by the alphabet (Unicode's order, which for Hangul is that of dictionaries)."""

    def draw() -> tuple:
        n = rng.randint(3, 6)
        if rng.random() < 0.5:
            return (*rng.sample(range(1, 100), n), "number")
        return (*rng.sample(_words(rng, lang), n), "word")

    *items, kind = _drawn(rng, split, "sorting", draw)
    down = kind == "number" and rng.random() < 0.5
    orders = {
        "ko": ("큰 수부터" if down else "작은 수부터") if kind == "number" else "가나다순으로",
        "en": ("from largest to smallest" if down else "from smallest to largest")
        if kind == "number"
        else "in alphabetical order",
    }
    ranked = ", ".join(map(str, sorted(items, reverse=down)))
    shown = ", ".join(map(str, items))
    wrong = tuple(
        x for x in dict.fromkeys((shown, ", ".join(map(str, sorted(items, reverse=not down))))) if x != ranked
    )
    return Question("sorting", shown, say(t.SORT, lang, order=orders[lang], list=shown), ranked, wrong)


def _word(rng: random.Random, lang: str, split: str, kind: str, least: int = 2) -> str:
    pool = _words(rng, lang, least)
    return _drawn(rng, split, kind, lambda: (rng.choice(pool),))[0]


def count_letters(rng: random.Random, say: Say, lang: str, split: str) -> Question:
    """Letters of an English word, syllables of a Korean one."""
    word = _word(rng, lang, split, "count_letters")
    n = len(word)
    unit = "글자" if lang == "ko" else ""
    return Question(
        "count_letters",
        word,
        say(t.COUNT_LETTERS, lang, **quoted(word)),
        f"{n}{unit}",
        tuple(f"{x}{unit}" for x in (n + 1, n - 1, n + 2)),
    )


def count_one(rng: random.Random, say: Say, lang: str, split: str) -> Question:
    """How often a letter occurs in a word (in Korean: a syllable in a few words run together)."""
    word = (
        _word(rng, lang, split, "count_one", 4)
        if lang == "en"
        else _word(rng, lang, split, "count_one") + _word(rng, lang, split, "count_one") + rng.choice(NOUNS)
    )
    letter = rng.choice(word)
    n = word.count(letter)
    unit = "번" if lang == "ko" else ""
    values = quoted(word)
    values["topic"], values["subject"] = quoted(letter)["topic"], quoted(letter)["subject"]
    return Question(
        "count_one_letter",
        f"{word}:{letter}",
        say(t.COUNT_ONE, lang, **values, letter=letter),
        f"{n}{unit}",
        tuple(f"{x}{unit}" for x in (n + 1, n + 2, n + 3)),
    )


def reverse(rng: random.Random, say: Say, lang: str, split: str) -> Question:
    word = _word(rng, lang, split, "reverse", 3)
    swapped = word[1:] + word[0]
    return Question(
        "reverse",
        word,
        say(t.REVERSE, lang, **quoted(word)),
        word[::-1],
        tuple(x for x in (word, swapped) if x != word[::-1]),
    )


def letter_at(rng: random.Random, say: Say, lang: str, split: str) -> Question:
    word = _word(rng, lang, split, "letter_at", 3)
    k = rng.randint(1, min(6, len(word)))
    nth = (_NTH_KO if lang == "ko" else _NTH_EN)[k]
    return Question(
        "letter_at",
        f"{word}:{k}",
        say(t.LETTER_AT, lang, **quoted(word), nth=nth),
        word[k - 1],
        tuple(dict.fromkeys(c for c in word if c != word[k - 1]))[:3],
    )


def repeat(rng: random.Random, say: Say, lang: str, split: str) -> Question:
    word, n = _word(rng, lang, split, "repeat"), rng.randint(2, 5)
    wrong = (" ".join([word] * (n + 1)), " ".join([word] * (n - 1)))
    return Question("repeat", f"{word}:{n}", say(t.REPEAT, lang, **quoted(word), n=n), " ".join([word] * n), wrong)


def _items(rng: random.Random, lang: str, split: str, kind: str) -> list[str]:
    return list(_drawn(rng, split, kind, lambda: tuple(rng.sample(_words(rng, lang), rng.randint(3, 5)))))


def as_list(rng: random.Random, say: Say, lang: str, split: str) -> Question:
    items = _items(rng, lang, split, "as_list")
    answer = "\n".join(f"{k}. {item}" for k, item in enumerate(items, start=1))
    wrong = ("\n".join(f"- {item}" for item in items), ", ".join(items))
    return Question("as_list", ",".join(items), say(t.AS_LIST, lang, list=", ".join(items)), answer, wrong)


def pick_item(rng: random.Random, say: Say, lang: str, split: str) -> Question:
    items = _items(rng, lang, split, "pick_item")
    k = rng.randint(1, len(items))
    nth = (_NTH_KO if lang == "ko" else _NTH_EN)[k]
    return Question(
        "pick_item",
        f"{','.join(items)}:{k}",
        say(t.PICK, lang, list=", ".join(items), nth=nth),
        items[k - 1],
        tuple(x for x in items if x != items[k - 1])[:3],
    )


def to_json(rng: random.Random, say: Say, lang: str, split: str) -> Question:
    """A few fields as one JSON object."""
    name, phone = strings.person(rng, lang, split), strings.phone(rng)
    place = rng.choice(strings.PLACES[lang])
    fields = (
        {"이름": name, "전화": phone, "도시": place} if lang == "ko" else {"name": name, "phone": phone, "city": place}
    )
    chosen = dict(rng.sample(list(fields.items()), rng.randint(2, 3)))
    shown = ", ".join(f"{k} {v}" for k, v in chosen.items())
    answer = json.dumps(chosen, ensure_ascii=False)
    return Question("fields_to_json", shown, say(t.TO_JSON, lang, fields=shown), answer, (answer[:-1], shown))


_TALK = {
    "ko": (
        (("안녕하세요, {name|이라고/라고} 해요.", "안녕하세요. 저는 {name|이에요/예요}."), "안녕하세요, {name} 님. 만나서 반갑습니다. 무엇을 도와드릴까요?"),
        (("도와줘서 고마워.", "도움을 주셔서 감사합니다.", "정말 고맙습니다."), "천만에요. 도움이 되어 기쁩니다."),
        (("오늘 {place}에 가요.", "이제 {place|으로/로} 여행을 떠나요."), "{place}에 가시는군요. 즐거운 시간 보내세요!"),
        (("요즘 {thing|을/를} 배우고 있어요.", "얼마 전부터 {thing|을/를} 배워요."), "{thing|을/를} 배우고 계시는군요. 꾸준히 하시면 분명 좋아질 거예요."),
        (("내일 시험이 있어서 걱정돼.", "시험 때문에 걱정이에요."), "많이 걱정되시겠어요. 푹 쉬고 차분히 보시면 잘하실 거예요."),
        (("이제 자러 갈게.", "오늘은 이만 잘게요."), "안녕히 주무세요. 좋은 꿈 꾸세요."),
        (("너는 누구야?", "당신은 누구인가요?"), "저는 그림과 글을 함께 이해하는 인공지능 도우미입니다."),
        (("오늘 기분이 안 좋아.", "기분이 좀 우울해요."), "속상하시겠어요. 무슨 일이 있었는지 이야기해 주시겠어요?"),
    ),
    "en": (
        (("Hello, my name is {name}.", "Hi, I am {name}."), "Hello, {name}. Nice to meet you. How can I help you?"),
        (("Thank you for your help.", "Thanks a lot!"), "You are welcome. I am glad I could help."),
        (("I am going to {place} today.", "I am leaving for {place}."), "You are going to {place}. Have a good time!"),
        (("I am learning {thing}.", "I have just started to learn {thing}."), "Learning {thing} sounds interesting. Keep at it!"),
        (("I have an exam tomorrow and I am worried.", "I am nervous about my exam."), "That sounds stressful. Get some rest and take it calmly; you will do well."),
        (("I am going to bed now.", "Time for me to sleep."), "Good night. Sweet dreams."),
        (("Who are you?", "What are you?"), "I am an AI assistant that understands pictures and text together."),
        (("I feel sad today.", "I am not feeling well today."), "I am sorry to hear that. Would you like to tell me what happened?"),
    ),
}  # fmt: skip


_LEARNT = {
    "ko": ("수영", "피아노", "요가", "서예", "바둑", "기타", "한문", "중국어", "프랑스어", "요리", "뜨개질", "사진", "춤", "배드민턴", "도자기", "첼로"),
    "en": ("Korean", "French", "chess", "yoga", "the piano", "the guitar", "cooking", "knitting", "pottery", "the cello", "calligraphy", "photography", "badminton", "how to swim"),
}  # fmt: skip


def dialogue(rng: random.Random, say: Say, lang: str, split: str) -> Question:
    """One turn of small talk; the way the user puts it is split by a stable hash."""
    from varco_vision.synth.korean import fill

    while True:
        asked, answer = rng.choice(_TALK[lang])
        own = [a for a in asked if (stable_hash("talk", a) % 2 == 0) == (split == "eval")]
        if own:
            break
    values = {
        "name": strings.person(rng, lang, split),
        "place": rng.choice(strings.PLACES[lang]),
        "thing": rng.choice(_LEARNT[lang]),
    }
    others = tuple(fill(a, **values) for _, a in _TALK[lang] if a != answer)
    return Question(
        "dialogue", asked[0], fill(rng.choice(own), **values), fill(answer, **values), tuple(rng.sample(others, 3))
    )


Maker = Callable[[random.Random, Say, str, str], Question]
MAKERS: dict[str, Maker] = {
    "arithmetic": arithmetic, "units": units, "date_form": date_form, "weekday": weekday, "sorting": sorting, "count_letters": count_letters,
    "count_one_letter": count_one, "reverse": reverse, "letter_at": letter_at, "repeat": repeat, "as_list": as_list, "pick_item": pick_item,
    "fields_to_json": to_json, "dialogue": dialogue,
}  # fmt: skip
