"""Scoring: golden values worked out by hand, invariants, faults, and the command line on a tiny model."""

from __future__ import annotations

import json
import random
import sys

import pytest
from eval_sets import eval_command
from hypothesis import strategies as st
from PIL import Image
from tiny import write_tiny

from varco_vision import markup
from varco_vision.data import jsonl
from varco_vision.data.sample import TASKS, Sample, text_of
from varco_vision.errors import InputError
from varco_vision.eval import own, statistics
from varco_vision.infer.answer import Answer, Grounded, Word

TEXTS = st.text(alphabet="가각갂나값abAB ㄱ.1", max_size=12)
PIXELS = Image.new("RGB", (64, 48), (200, 200, 200))


def answer(raw, **changes):
    """An Answer as the engine reads it from this raw text."""
    repairs = []
    items = markup.parse(raw, repairs)
    fields = {
        "text": markup.plain(items).strip(),
        "raw": raw,
        "objects": [Grounded(i.phrase, list(i.boxes)) for i in items if isinstance(i, markup.Object) and i.boxes],
        "words": [Word(i.text, i.boxes[0], 0.9) for i in items if isinstance(i, markup.Chars) and i.boxes],
        "truncated": False,
        "stop_reason": "end",
        "confidence": 0.5,
        "image_tokens": 0,
        "repairs": repairs,
    }
    return Answer(**{**fields, **changes})


class Replay:
    """An engine that says what it is told to say, and keeps what it was asked."""

    def __init__(self, raws):
        self.raws = list(raws)
        self.asked = []

    def generate(self, requests, progress=None):
        self.asked = list(requests)
        if progress is not None:
            progress(len(requests))
        return [raw if isinstance(raw, Answer) else answer(raw) for raw in self.raws]


def sample(task, question, gold, lang="ko", name="s", images=None, **meta):
    pictures = (PIXELS,) if images is None else images
    content = [*({"type": "image"} for _ in pictures), {"type": "text", "text": question}]
    turns = ({"role": "user", "content": content}, {"role": "assistant", "content": [{"type": "text", "text": gold}]})
    return Sample(name, tuple(pictures), task, lang, turns, meta=meta)


def scored(one, raw):
    """The record of one sample's answer."""
    return own.score(Replay([raw]), [one]).records[0]


def earned(one, raw):
    return scored(one, raw)["values"]


# --- one answer ---


def test_grounding_thresholds_and_counters():
    one = sample("grounding", "<gro>\n원은 어디에 있어?", "<obj>원</obj><bbox>0.0, 0.0, 0.4, 0.4</bbox>")
    assert earned(one, "<obj>원</obj><bbox>0.0, 0.0, 0.4, 0.2</bbox>") == pytest.approx(
        {"grounding_miou": 0.5, "grounding_acc30": 1, "grounding_acc70": 0, "grounding_acc50": 1, "language_acc": 1}
    )
    none = scored(one, "원")
    assert none["flags"] == ["no_box"] and none["iou"] == 0.0 and none["correct"] is False
    two = scored(one, "<obj>원</obj><bbox>0.5, 0.5, 0.9, 0.9<delim>0.0, 0.0, 0.4, 0.4</bbox>")
    assert two["flags"] == ["several_boxes"] and two["iou"] == 0.0 and len(two["boxes"]) == 2


def test_gold_of_meta_goes_before_rounded_text():
    exact = [0.104, 0.1, 0.296, 0.3]
    one = sample("grounding", "<gro>\n?", "<obj>원</obj><bbox>0.1, 0.1, 0.3, 0.3</bbox>", boxes=[exact])
    assert scored(one, "<obj>원</obj><bbox>0.1, 0.1, 0.3, 0.3</bbox>")["iou"] == pytest.approx(0.192 / 0.2)
    with pytest.raises(InputError, match="four numbers"):
        own.gold_of(sample("grounding", "?", "x", boxes=[[0.1, 0.2]]))


def test_absent_things():
    one = sample("grounding", "<gro>\n별은 어디에 있어?", "그림에는 별이 없습니다.", boxes=[])
    assert earned(one, "그림에는 별이 없습니다.")["grounding_absent_acc"] == 1
    assert earned(one, "별이 없습니다")["grounding_absent_acc"] == 1
    wrong = scored(one, "<obj>별</obj><bbox>0.1, 0.1, 0.3, 0.3</bbox>")
    assert wrong["values"]["grounding_absent_acc"] == 0 and "grounding_acc50" not in wrong["values"]
    assert wrong["flags"] == []


def test_several_things():
    a, b = "0.0, 0.0, 0.2, 0.2", "0.5, 0.5, 0.7, 0.7"
    one = sample("grounding", "<gro>\n원을 모두 찾아 줘.", f"<obj>원</obj><bbox>{a}<delim>{b}</bbox>")
    assert earned(one, f"<obj>원</obj><bbox>{b}<delim>{a}</bbox>")["grounding_all_f1"] == 1
    assert earned(one, f"<obj>원</obj><bbox>{b}</bbox>")["grounding_all_f1"] == pytest.approx(2 / 3)
    named = sample("grounding", "<gro>\n?", f"<obj>원</obj><bbox>{a}</bbox><obj>별</obj><bbox>{b}</bbox>")
    swapped = f"<obj>별</obj><bbox>{a}</bbox><obj>원</obj><bbox>{b}</bbox>"
    assert earned(named, swapped)["grounding_all_f1"] == 0, "different things must be called by their names"


def test_referring_and_reading_a_box():
    box = "<bbox>0.1, 0.1, 0.3, 0.3</bbox>"
    one = sample("referring", f"<obj>이 물체</obj>{box}는 무엇인가요?", "빨간 원", label={"colour": "red"})
    assert earned(one, "빨간 원입니다.") == {"referring_strict_acc": 0, "referring_acc": 1, "language_acc": 1}
    assert earned(one, "red circle") == {"referring_strict_acc": 0, "referring_acc": 0, "language_acc": 0}
    text = sample("referring", f"<char>이 글자</char>{box}를 읽어 줘.", "Cafe")
    assert earned(text, "Cafe") == {"referring_read_acc": 1}
    assert earned(text, "cafe") == {"referring_read_acc": 0}, "letters are read as they are written"


def test_counting_choice_and_yes_no():
    three = sample("counting", "물체가 몇 개 있나요?", "3개", count=3)
    assert [earned(three, t)["counting_acc"] for t in ("세 개입니다", "three", "4", "많아요")] == [1, 1, 0, 0]
    assert scored(three, "많아요")["flags"] == ["unparsed"]
    with pytest.raises(InputError, match="no number"):
        scored(sample("counting", "?", "많아요"), "3")
    letter = sample("choice", "?", "B")
    assert [earned(letter, t)["choice_acc"] for t in ("(B)", "정답은 B입니다.", "A", "고양이")] == [1, 1, 0, 0]
    named = sample("choice", "?", "B", options=["개", "고양이", "새", "말"])
    told = ("고양이입니다.", "정답은 A가 아니라 B입니다.", "A 또는 B", "개", "고양이가 자고 있습니다.")
    assert [earned(named, t)["choice_acc"] for t in told] == [1, 1, 0, 0, 0], "as extract.choice reads it"
    assert scored(named, "A 또는 B")["flags"] == ["unparsed"]
    with pytest.raises(InputError, match="no letter"):
        scored(sample("choice", "?", "고양이"), "B")
    there = sample("vqa", "원이 있나요?", "네")
    assert [earned(there, t)["presence_acc"] for t in ("네, 있습니다.", "yes", "아니요", "글쎄요")] == [1, 1, 0, 0]
    assert scored(there, "글쎄요")["flags"] == ["unparsed"]
    colour = sample("vqa", "What colour?", "red", lang="en")
    assert earned(colour, "Red.") == {"vqa_acc": 1, "language_acc": 1}
    listed = sample("vqa", "What colour?", "red", lang="en", answers=["red", "crimson"])
    assert earned(listed, "crimson")["vqa_acc"] == 1


def words(*items):
    return "\n".join(f"<char>{text}</char><bbox>{box}</bbox>" for text, box in items)


def test_ocr():
    a, b = "0.0, 0.0, 0.4, 0.1", "0.0, 0.2, 0.4, 0.3"
    one = sample("ocr", "<ocr>", words(("서울", a), ("커피", b)))
    full = scored(one, words(("서울", a), ("커피", b)))
    assert full["correct"] is True and full["parts"]["ocr_word_acc"] == [2, 2] and full["parts"]["ocr_cer"] == [0, 5]
    wrong = scored(one, words(("서울", a), ("거피", b), ("더", "0.6, 0.6, 0.8, 0.8")))["parts"]
    assert wrong["ocr_word_acc"] == [1, 2] and wrong["ocr_box_recall"] == [2, 2]
    assert wrong["ocr_word_f1"] == [2, 5], "the word too many costs"
    assert wrong["ocr_word_text_acc"] == [1, 2] and wrong["ocr_cer"] == [3, 5]
    assert wrong["ocr_jamo_cer"] == [4, 10] and wrong["ocr_cer_no_spaces"] == [2, 4]
    moved = scored(one, words(("서울", b), ("커피", a)))["parts"]
    assert (
        moved["ocr_word_acc"] == [0, 2] and moved["ocr_word_text_acc"] == [2, 2] and moved["ocr_box_recall"] == [2, 2]
    )
    bare = scored(one, "서울 커피")
    assert bare["parts"]["ocr_word_f1"] == [0, 4], "words told without a box were told"
    assert bare["flags"] == ["no_box"] and bare["parts"]["ocr_word_text_acc"] == [2, 2]
    empty = scored(one, "")
    assert empty["flags"] == ["no_box", "unparsed"] and empty["parts"]["ocr_cer"] == [5, 5] and not empty["correct"]


def test_reading_captions_and_texts():
    read = sample("vqa", "뭐라고 적혀 있나요?", "서울 커피", words=[{"text": "서울", "box": [0, 0, 1, 0.5]}])
    assert scored(read, "서울  커피.")["values"] == {"reading_acc": 1}
    assert scored(read, "서울커피")["parts"]["reading_cer"] == [1, 5]
    seen = sample("caption", "설명해 줘.", "원이 있습니다.", boxes=[[0, 0, 1, 1]], words=[])
    assert earned(seen, "원이 있습니다")["caption_acc"] == 1
    three = sample("caption", "설명해 줘.", "원, 별과 고리가 있습니다.", boxes=[[0, 0, 1, 1]], words=[])
    lists = (
        "원, 별과 고리가 있습니다.",
        "원, 별, 고리가 있습니다.",
        "원과 별, 고리가 있습니다.",
        "원, 별와 고리가 있습니다.",
    )
    assert [earned(three, text)["caption_acc"] for text in lists] == [1, 1, 1, 0]
    assert scored(three, lists[1])["parts"]["caption_cer"][0] == 0 < scored(three, lists[3])["parts"]["caption_cer"][0]
    capital = sample("text", "한국의 수도는?", "서울", images=())
    assert [earned(capital, t)["text_acc"] for t in ("서울", "서울.", " 서울 ", "부산", "")] == [1, 1, 1, 0, 0]
    assert earned(capital, "") == {"text_acc": 0, "language_acc": 0}
    assert "language_acc" not in earned(capital, "42")
    assert earned(sample("chat", "안녕!", "안녕하세요!", images=()), "안녕하세요!")["text_acc"] == 1


def test_flags_of_the_engine():
    one = sample("text", "?", "서울", images=())
    assert scored(one, answer("서울", truncated=True, stop_reason="length"))["flags"] == ["truncated"]
    assert scored(one, answer("서울", truncated=True, stop_reason="loop"))["flags"] == ["loop"]
    assert scored(one, answer("서울", repairs=["x"]))["flags"] == ["repaired"]


def test_requests():
    earlier = ({"role": "user", "content": "가"}, {"role": "assistant", "content": "나"})
    turns = (*earlier, {"role": "user", "content": "다"}, {"role": "assistant", "content": "라"})
    one = Sample("s", (), "text", "ko", turns)
    request = own.requests_for([one])[0]
    assert [turn["content"] for turn in request.messages] == ["가", "나", "다"], "the answer is not given away"
    assert request.max_new_tokens == own.LIMITS["text"] and not request.single_view
    assert own.requests_for([one], {"text": 7}, single_view=True)[0].max_new_tokens == 7
    pair = Sample("p", (), "text", "ko", turns[:3], chosen=turns[3:], rejected=turns[1:2])
    assert len(own.requests_for([pair])[0].messages) == 3 and own.gold_of(pair).text == "라"
    with pytest.raises(InputError, match="no assistant turn"):
        own.requests_for([Sample("s", (), "text", "ko", turns[:3])])
    with pytest.raises(InputError, match="'poetry'"):
        own.requests_for([Sample("s", (), "poetry", "ko", turns)])
    assert set(own.LIMITS) == set(TASKS)


# --- many answers ---


@pytest.fixture(scope="module")
def world():
    from varco_vision.synth.sources import evaluation_set

    tasks = ("grounding", "absent", "referring", "counting", "vqa", "caption", "description", "choice")
    return evaluation_set(seed=11, n_scenes=4, n_words=3, n_text=6, tasks=tasks)


def gold(samples):
    return [text_of(one.messages[-1]) for one in samples]


def test_the_right_answers_earn_everything(world):
    scores = own.score(Replay(gold(world)), world)
    table = scores.to_dict()
    assert table["n"] == len(world) and not any(scores.counters().values())
    assert all(record["correct"] for record in scores.records)
    for name, metric in own.METRICS.items():
        for cell in table.get(name, {}).values():
            if name in ("grounding_miou", "grounding_acc70", "grounding_acc50"):
                assert cell["value"] > 0.7, "gold text has two decimals"
            else:
                assert cell["value"] == (1.0 if metric.higher_is_better else 0.0), name
            assert cell["low"] <= cell["value"] <= cell["high"]
    asked = {"grounding_acc50", "grounding_absent_acc", "grounding_all_f1", "referring_acc", "counting_acc", "vqa_acc"}
    assert asked | {"ocr_word_acc", "ocr_cer", "text_acc", "caption_acc", "choice_acc"} <= table.keys()
    assert all(set(table[name]) == {"ko", "en"} for name in asked)


def test_silence_earns_nothing(world):
    table = own.score(Replay([""] * len(world)), world).to_dict()
    for name, metric in own.METRICS.items():
        for cell in table.get(name, {}).values():
            silent = {"grounding_absent_acc": 1.0}.get(name, 0.0 if metric.higher_is_better else 1.0)
            assert cell["value"] == silent, name
            assert cell["low"] <= cell["value"] <= cell["high"]
    assert table["ocr_word_acc"]["ko"]["high"] > 0.3, "three pages do not prove that nothing can be read"


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_merging_parts_is_scoring_the_whole(world, parts):
    raws = gold(world)
    random.Random(parts).shuffle(raws)
    whole = own.score(Replay(raws), world)
    pieces = [own.score(Replay(raws[k::parts]), world[k::parts]) for k in range(parts)]
    joined = own.merge(own.Scores(json.loads(json.dumps(piece.records))) for piece in pieces)
    assert joined.to_dict() == whole.to_dict()
    assert own.merge([]).to_dict()["n"] == 0


def test_progress_and_json(world):
    seen = []
    scores = own.score(Replay(gold(world)), world, progress=seen.append)
    assert seen == [len(world)]
    assert own.Scores(json.loads(json.dumps(scores.records))) == scores, "records are plain JSON"
    json.dumps(scores.to_dict(), allow_nan=False)


def test_values_by_hand():
    capitals = [sample("text", f"{k}?", "서울", images=(), name=str(k)) for k in range(4)]
    first = own.score(Replay(["서울", "서울", "부산", "부산"]), capitals)
    cell = first.to_dict()["text_acc"]
    assert set(cell) == {"ko"} and cell["ko"]["value"] == 0.5 and cell["ko"]["n"] == 4
    assert (cell["ko"]["low"], cell["ko"]["high"]) == statistics.wilson(2, 4)
    second = own.score(Replay(["부산", "서울", "서울"]), capitals[:3])
    found = own.kept(first, second)["ko"]
    assert (found.n, found.lost, found.gained, found.kept) == (3, 1, 1, 0.5)
    assert own.kept(first, own.Scores()) == {}


def test_set_digest(world):
    digest = own.set_digest(world)
    assert digest == own.set_digest(world[::-1]) and len(digest) == 16
    assert digest != own.set_digest(world[1:])
    changed = sample("vqa", "?", "네"), sample("vqa", "?", "네", images=(Image.new("RGB", (64, 48), (200, 200, 201)),))
    assert own.set_digest(changed[:1]) != own.set_digest(changed[1:]), "one pixel value"


# --- the command line ---


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_tiny(tmp_path_factory.mktemp("tiny") / "model"))


@pytest.fixture
def run(capsys):
    return eval_command(capsys)


def test_run_on_a_file(run, model, tmp_path):
    data = tmp_path / "질문.jsonl"
    jsonl.write(
        [sample("counting", "몇 개?", "3개", name="a"), sample("text", "수도는?", "서울", images=(), name="b")], data
    )
    code, out, err = run(
        "run", "--model", model, "--data", data, "--out", tmp_path / "s", "--max-new-tokens", 4, "--json"
    )
    assert code == 0, err
    printed = json.loads(out)
    assert printed == json.loads((tmp_path / "s" / "scores.json").read_text(encoding="utf-8"))
    assert printed["protocol"]["n"] == 2 and printed["protocol"]["decoding"] == "greedy"
    assert printed["protocol"]["digest"] in err and str(data) in err
    assert set(printed["scores"]) >= {"counting_acc", "text_acc", "counters"}
    records = [json.loads(line) for line in (tmp_path / "s" / "records.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["id"] for record in records] == ["a", "b"]
    assert own.Scores(records).to_dict() == printed["scores"]


def test_run_on_an_own_set_prints_protocol_and_table(run, model):
    code, out, err = run("run", "--model", model, "--own", 1, "--seed", 5, "--max-new-tokens", 2)
    assert code == 0, err
    assert out.startswith("protocol own-5 | set synth:eval seed=5 scenes=1") and "greedy" in out
    for metric in ("grounding_acc50", "ocr_word_acc", "text_acc"):
        assert any(line.startswith(metric) for line in out.splitlines())
    assert "95 % interval" in out


def test_list(run):
    code, out, _ = run("list")
    assert code == 0 and "grounding_acc50" in out and "protocol own-5" in out
    code, out, _ = run("list", "--json")
    assert set(json.loads(out)["metrics"]) == set(own.METRICS)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "either --data FILE.jsonl or --own N"),
        (["--data", "a.jsonl", "--own", "1"], "either --data FILE.jsonl or --own N"),
        (["--data", "no-such.jsonl"], "no-such.jsonl"),
        (["--own", "1", "--model", "no-such-model"], "no-such-model"),
    ],
)
def test_user_mistakes(run, args, message):
    code, out, err = run("run", *args)
    assert code == 2 and not out and message in err


def test_help_has_examples(run):
    for verb in ("run", "list"):
        code, out, _ = run(verb, "--help")
        assert code == 0 and "Example:\n" in out and f"varco-vision eval {verb}" in out


def test_scoring_does_not_load_torch():
    import subprocess

    code = "import sys, varco_vision.eval.own, varco_vision.eval.figures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
