"""Asking the model back about its box."""

from dataclasses import replace

import pytest

from varco_vision.eval import checking as pays
from varco_vision.geometry import Box
from varco_vision.infer import checking
from varco_vision.infer.answer import Answer, Grounded
from varco_vision.infer.calibration import Calibration, calibration_of
from varco_vision.markup import Object, write

HERE, THERE, ELSEWHERE = Box(0.1, 0.1, 0.3, 0.3), Box(0.5, 0.5, 0.8, 0.9), Box(0.6, 0.1, 0.9, 0.3)


def answer(*things, text="", stop="end"):
    raw = ", ".join(write([Object(name, boxes)], 2) for name, *boxes in things) or text
    objects = [Grounded(name, list(boxes), [0.5] * len(boxes)) for name, *boxes in things]
    return Answer(text or raw, raw, objects, [], stop != "end", stop, 0.5, 10)


class Model:
    """Calls boxes by the names of `names`, and describes the picture by `described`; counts what it was asked."""

    def __init__(self, names, described=()):
        self.names, self.described, self.asked = names, described, []

    def refer(self, question, box):
        self.asked.append((question, box))
        return answer(text=self.names.get(box, "nothing"))

    def ask(self, question):
        self.asked.append(question)
        return answer(*self.described)

    def check(self, given):
        return checking.checked(given, self.refer, self.ask, 2)


def test_a_box_that_holds_costs_one_question():
    model = Model({HERE: "a red star."})
    given = answer(("red star", HERE))
    assert model.check(given) == replace(given, check="held")
    assert model.asked == [("What is this object?", HERE)]


def test_a_contradicted_box_moves_to_the_described_one():
    model = Model({HERE: "파란색 원입니다."}, [("파란색 원", HERE), ("빨간색 별", THERE)])
    found = model.check(answer(("빨간색 별", HERE)))
    assert found.check == "moved" and found.objects[0].boxes == [THERE] and found.objects[0].phrase == "빨간색 별"
    assert found.raw == "<obj>빨간색 별</obj><bbox>0.5, 0.5, 0.8, 0.9</bbox>"
    assert model.asked[0][0] == "이것은 무엇인가요?" and "설명" in model.asked[1]


def test_described_boxes_are_asked_back_where_names_do_not_settle_it():
    described = [("blue circle", HERE), ("green ring", THERE), ("pink heart", ELSEWHERE)]
    model = Model({HERE: "blue circle", THERE: "red star", ELSEWHERE: "pink heart"}, described)
    found = model.check(answer(("red star", HERE)))
    assert found.check == "moved" and found.objects[0].boxes == [THERE]
    twice = Model({HERE: "blue circle", THERE: "red star"}, [("red star", THERE), ("red star", ELSEWHERE)])
    assert twice.check(answer(("red star", HERE))).objects[0].boxes == [THERE]


def test_what_nothing_settles_stays():
    for names, described in (
        ({HERE: "blue circle"}, []),
        ({HERE: "blue circle", THERE: "red star", ELSEWHERE: "red star"}, [("a", THERE), ("b", ELSEWHERE)]),
        ({HERE: "blue circle"}, [("red star", HERE)]),
    ):
        given = answer(("red star", HERE))
        assert Model(names, described).check(given) == replace(given, check="doubtful")


@pytest.mark.parametrize(
    "given",
    [
        answer(text="There is no red star in the picture."),
        answer(("red star", HERE, THERE)),
        answer(("red star", HERE), ("blue circle", THERE)),
        answer(("red star", HERE), stop="length"),
    ],
)
def test_other_answers_are_not_asked_about(given):
    model = Model({})
    assert model.check(given) is given and not model.asked


def test_names_are_compared_without_articles_copulas_and_stops():
    assert checking.name_of("A red star.") == checking.name_of("the Red Star") == "red star"
    assert checking.name_of("빨간색 별입니다.") == checking.name_of("빨간색 별") == "빨간색 별"
    assert checking.name_of("고리예요") == "고리" and checking.name_of("원이에요.") == "원"


def test_advice_needs_a_significant_gain():
    better = [("ko", False, True)] * 8 + [("en", True, True)] * 20
    kept = pays.gains(better)
    assert kept["all"].difference > 0 and kept["all"].p < 0.05 and kept["ko"].n == 8 and kept["en"].difference == 0
    assert pays.gains([("ko", False, True), ("ko", True, False)])["all"].p == 1
    advice = Calibration({}, 3, check_boxes=True)
    assert calibration_of(advice.to_dict()) == advice
    assert not calibration_of({"format": 1, "longest_answer": 3, "curves": {}}).check_boxes
