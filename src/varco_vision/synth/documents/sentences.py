"""Running text of letters and articles: sentences with slots, each of which belongs to one split by a stable hash."""

from __future__ import annotations

import random

from varco_vision.synth import strings
from varco_vision.synth.korean import fill

LETTER = {
    "ko": (
        "그동안 잘 지내셨는지요?", "오랜만에 소식을 전합니다.", "{place}의 날씨는 요즘 무척 맑습니다.", "지난주에는 가족과 함께 {place}에 다녀왔습니다.",
        "그곳에서 {thing|을/를} 보고 당신 생각이 났습니다.", "보내 주신 {thing|은/는} 잘 받았습니다.", "{month}월에는 꼭 만나서 이야기를 나누고 싶습니다.",
        "새로 시작한 일은 생각보다 재미있습니다.", "아이들은 모두 건강하게 자라고 있습니다.", "요즘은 {thing|을/를} 그리는 재미에 푹 빠져 있습니다.",
        "혹시 시간이 되시면 {place}에 들러 주세요.", "늘 따뜻하게 챙겨 주셔서 고맙습니다.", "다음에는 제가 {thing|을/를} 준비하겠습니다.", "환절기에 감기 조심하세요.",
        "{n}년 전에 함께 걷던 길이 문득 떠올랐습니다.", "답장을 기다리겠습니다.", "좋은 일만 가득하기를 바랍니다.", "사진 몇 장을 함께 보냅니다.",
    ),
    "en": (
        "I hope this letter finds you well.", "It has been a long time since we last spoke.", "The weather in {place} has been lovely.", "Last week we went to {place} with the family.",
        "There I saw {thing_a} and thought of you.", "Thank you for the {thing} you sent me.", "I would love to meet you again in {month_en}.", "My new job is more fun than I expected.",
        "The children are growing up fast.", "Please visit us in {place} if you have the time.", "Thank you for always being so kind.", "Next time I will bring the {thing}.",
        "I remember the walk we took {n} years ago.", "I look forward to your reply.", "I wish you all the best.", "I am sending a few photos with this letter.", "Take care of yourself this season.",
    ),
}  # fmt: skip
ARTICLE = {
    "ko": (
        "{place}시는 {month}월부터 새로운 버스 노선을 운영한다고 밝혔다.", "이번 행사에는 시민 {digit}백여 명이 참여했다.", "관계자는 준비가 차질 없이 진행되고 있다고 말했다.",
        "{place}의 한 시장에서는 {thing} 가격이 지난달보다 {n}퍼센트 올랐다.", "전문가들은 당분간 이런 흐름이 이어질 것으로 내다봤다.", "도서관은 {thing} 전시를 {month}월 말까지 연다.",
        "주민들은 새 공원이 생겨 반갑다는 반응을 보였다.", "{person} 씨는 {n}년째 같은 자리에서 가게를 지키고 있다.", "학교는 학생들의 의견을 모아 급식을 바꾸기로 했다.",
        "이 사업에는 모두 {n}억 원이 들어갈 예정이다.", "날씨가 풀리면서 나들이를 떠나는 사람이 늘고 있다.", "{place}에서는 {thing|을/를} 주제로 한 축제가 열린다.",
        "자세한 내용은 누리집에서 확인할 수 있다.", "시는 안전 점검을 더 자주 하기로 했다.", "참가 신청은 {month}월 {n}일까지 받는다.", "조사 결과 응답자 열 명 가운데 {digit}명이 만족한다고 답했다.",
        "{place}에서 온 {person} 씨는 해마다 이 행사를 찾는다고 했다.", "올해는 지난해보다 {n}일 일찍 문을 연다.", "시장 상인들은 손님이 {digit}배 늘었다며 반가워했다.",
        "아이들과 함께 온 가족이 눈에 많이 띄었다.", "누구나 무료로 참여할 수 있다.", "{month}월에는 두 번째 행사가 이어진다.", "비가 오면 장소를 실내로 옮길 계획이다.", "주최 측은 대중교통을 이용해 달라고 당부했다.",
    ),
    "en": (
        "The city of {place} will open a new bus line in {month_en}.", "About {digit} hundred people took part in the event.", "Officials said the work is going as planned.",
        "At a market in {place}, the price of {thing_a} rose by {n} percent.", "Experts expect the trend to continue for a while.", "The library will show its {thing} collection until the end of {month_en}.",
        "Residents said they were glad to have a new park.", "{person} has kept the same shop for {n} years.", "The school will change its lunch menu after asking the students.",
        "The project will cost {n} million dollars in total.", "More people are going out as the weather gets warmer.", "A festival about the {thing} will be held in {place}.",
        "More details can be found on the website.", "The city decided to check its bridges more often.", "Applications are open until {month_en} {n}.", "In a survey, {digit} out of ten people said they were satisfied.",
        "{person} from {place} comes to the event every year.", "This year the doors open {n} days earlier than last year.", "Shop owners said they had {digit} times as many customers.",
        "Many families came with their children.", "Everyone can take part free of charge.", "A second event follows in {month_en}.", "If it rains, the event moves indoors.", "Visitors are asked to come by bus or train.",
    ),
}  # fmt: skip
HEADLINES = {
    "ko": ("{place}에 새 도서관 문 연다", "{thing} 축제, {month}월에 열려", "{place} 시장 {thing} 값 올라", "버스 노선 {n}개 새로 생긴다", "{place} 공원에 {thing} 전시", "학생이 고른 급식 인기", "{n}년 만에 돌아온 {thing}", "{place}, 걷기 좋은 길 만든다"),
    "en": ("New Library Opens in {place}", "{thing_cap} Festival Comes to {place}", "Price of the {thing_cap} Rises in {place}", "{n} New Bus Lines Planned", "Students Choose Their Own Lunch", "The {thing_cap} Returns After {n} Years", "{place} Builds Paths for Walking"),
}  # fmt: skip
EVENTS = {
    "ko": ("{thing} 나눔 행사 안내", "봄맞이 대청소 안내", "{place} 걷기 대회 안내", "엘리베이터 점검 안내", "수도 공사 안내", "주민 회의 안내", "{thing} 만들기 교실 안내", "무료 건강 검진 안내", "가족 음악회 안내", "독서 모임 안내"),
    "en": ("Spring Cleaning Day", "{place} Walking Contest", "Elevator Inspection Notice", "Residents' Meeting", "{thing_cap} Workshop", "Free Health Check", "Family Concert", "Reading Club", "Water Supply Notice", "Book Sharing Day"),
}  # fmt: skip


THINGS = {  # what may be sent as a present, shown, sold, and have a festival
    "ko": ("장미", "튤립", "해바라기", "국화", "사과", "포도", "딸기", "복숭아", "감자", "고구마", "옥수수", "김치", "만두", "두부", "꿀", "녹차", "커피", "인형", "우산", "장난감", "도자기", "한지", "그림책", "자전거", "부채", "목걸이", "모자", "촛불", "사진", "비누"),
    "en": ("rose", "tulip", "sunflower", "apple", "grape", "strawberry", "peach", "potato", "pumpkin", "cake", "cookie", "honey pot", "tea set", "doll", "umbrella", "toy train", "vase", "picture book", "bicycle", "fan", "necklace", "hat", "candle", "postcard", "quilt", "basket", "lantern", "kite"),
}  # fmt: skip


def sentence(rng: random.Random, texts: dict[str, tuple[str, ...]], lang: str, split: str) -> str:
    """One sentence (or headline) of a list with its slots filled."""
    return _filled(rng, strings.pick(rng, "sentence", texts[lang], split), lang, split)


def _filled(rng: random.Random, template: str, lang: str, split: str) -> str:
    thing = rng.choice(THINGS[lang])
    values = {
        "place": rng.choice(strings.PLACES[lang]), "thing": thing, "thing_a": f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}", "thing_cap": thing.title(), "month": rng.randint(1, 12),
        "month_en": strings._MONTHS_EN[rng.randrange(12)], "n": rng.randint(2, 28), "digit": rng.randint(3, 9), "person": strings.person(rng, lang, split),
    }  # fmt: skip
    return fill(template, **values)


def passage(
    rng: random.Random,
    texts: dict[str, tuple[str, ...]],
    lang: str,
    split: str,
    count: int,
    used: set[str] | None = None,
) -> str:
    """Up to `count` sentences, no template twice; those in `used` are left out, and those that are written added to it."""
    used = set() if used is None else used
    free = [template for template in strings.own("sentence", texts[lang], split) if template not in used]
    chosen = rng.sample(free, min(count, len(free)))
    used.update(chosen)
    return " ".join(_filled(rng, template, lang, split) for template in chosen)
