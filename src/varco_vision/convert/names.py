"""Names of everyday things in both languages, with plural and counting word: the categories of COCO and Pascal VOC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from varco_vision.synth.korean import counter

# English, plural where it is not formed with -s, Korean, counting word where it is not 개
_TABLE = """
person|people|사람|명
bicycle||자전거|대
car||자동차|대
motorcycle||오토바이|대
airplane||비행기|대
bus|buses|버스|대
train||기차|대
truck||트럭|대
boat||배|척
traffic light||신호등|
fire hydrant||소화전|
stop sign||정지 표지판|
parking meter||주차 요금기|대
bench|benches|벤치|
bird||새|마리
cat||고양이|마리
dog||개|마리
horse||말|마리
sheep|sheep|양|마리
cow||소|마리
elephant||코끼리|마리
bear||곰|마리
zebra||얼룩말|마리
giraffe||기린|마리
backpack||배낭|
umbrella||우산|
handbag||핸드백|
tie||넥타이|
suitcase||여행 가방|
frisbee||프리스비|
skis|pairs of skis|스키|
snowboard||스노보드|
sports ball||공|
kite||연|
baseball bat||야구 방망이|
baseball glove||야구 글러브|
skateboard||스케이트보드|
surfboard||서핑 보드|
tennis racket||테니스 라켓|
bottle||병|
wine glass|wine glasses|와인 잔|
cup||컵|
fork||포크|
knife|knives|칼|
spoon||숟가락|
bowl||그릇|
banana||바나나|
apple||사과|
sandwich|sandwiches|샌드위치|
orange||오렌지|
broccoli|pieces of broccoli|브로콜리|
carrot||당근|
hot dog||핫도그|
pizza||피자|
donut||도넛|
cake||케이크|
chair||의자|
couch|couches|소파|
potted plant||화분|
bed||침대|
dining table||식탁|
toilet||변기|
tv||텔레비전|대
laptop||노트북|대
mouse|mice|마우스|
remote||리모컨|
keyboard||키보드|
cell phone||휴대 전화|대
microwave||전자레인지|대
oven||오븐|대
toaster||토스터|대
sink||싱크대|
refrigerator||냉장고|대
book||책|권
clock||시계|
vase||꽃병|
scissors|pairs of scissors|가위|
teddy bear||곰 인형|
hair drier||헤어드라이어|
toothbrush|toothbrushes|칫솔|
"""
_ALIASES = {  # names of Pascal VOC
    "aeroplane": "airplane",
    "motorbike": "motorcycle",
    "diningtable": "dining table",
    "pottedplant": "potted plant",
    "tvmonitor": "tv",
    "sofa": "couch",
}
_SHOWN = {"skis": "pair of skis", "scissors": "pair of scissors"}  # "Is there a ...?" needs a singular
_ES = ("s", "x", "z", "ch", "sh")


@dataclass(frozen=True)
class Name:
    """What a thing is called; `ko` is None where only the English name is known."""

    en: str
    plural: str
    ko: str | None
    unit: str

    def of(self, lang: str) -> str:
        assert lang == "en" or self.ko
        return self.en if lang == "en" else str(self.ko)


def plural(name: str) -> str:
    """The regular English plural of a phrase's last word."""
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return name[:-1] + "ies"
    return name + ("es" if name.endswith(_ES) else "s")


def _known() -> dict[str, Name]:
    found = {}
    for line in _TABLE.strip().splitlines():
        en, many, ko, unit = line.split("|")
        found[en] = Name(_SHOWN.get(en, en), many or plural(en), ko, unit or "개")
    return found


KNOWN = _known()


def name_of(category: str, own: Mapping[str, str]) -> Name:
    """The names of a category: the user's Korean name first, then the table's, which knows it by small letters too."""
    en = _ALIASES.get(category, category).replace("_", " ")
    known = KNOWN.get(en) or KNOWN.get(en.lower())
    ko = own.get(category, own.get(en))
    if ko is not None:
        return replace(known, ko=ko) if known else Name(en, plural(en), ko, counter(ko))
    return known or Name(en, plural(en), None, "개")
