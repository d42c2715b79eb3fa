"""Loading evaluation sets: schemas, every form of nothing, pictures, faults that must be named."""

from __future__ import annotations

import base64
import json

import eval_sets
import pytest

from varco_vision.errors import InputError
from varco_vision.eval import benchmarks, protocols, published, tables
from varco_vision.eval.benchmarks import BENCHMARKS, items_of, split_options
from varco_vision.eval.prompts import BUILDERS


def made(task, rows, folder):
    return items_of(BENCHMARKS[task], rows, folder)


@pytest.mark.parametrize("value", [None, float("nan"), "", "nan", "NaN", "None", "null", "<NA>", " ", []])
def test_every_form_of_nothing(value):
    assert tables.is_nothing(value) and tables.text(value) is None


@pytest.mark.parametrize(("value", "wanted"), [(3.0, "3"), (3.5, "3.5"), ("가", "가"), (0, "0"), ("nano", "nano")])
def test_something(value, wanted):
    assert tables.text(value) == wanted


def test_five_sets_from_one_folder(tmp_path):
    folder = eval_sets.write_all(tmp_path)
    for task, count in {"k_mmbench": 12, "k_seed": 6, "k_mmstar": 6, "k_dtcbench": 4, "k_llava_w": 4}.items():
        loaded = benchmarks.load(BENCHMARKS[task], folder)
        assert len(loaded.items) == count and len(loaded.digest) == 16
        assert all(len(sha) == 64 for sha in loaded.files.values())
        assert all(item.images[0].startswith(b"\x89PNG") for item in loaded.items)
        assert any("published set" in note for note in loaded.notes), "the number of rows is not the published one"


def test_rows_of_mmbench(tmp_path):
    items, _ = made("k_mmbench", eval_sets.mmbench_rows(), tmp_path)
    assert [item.group for item in items[:5]] == ["0", "0", "0", "0", "1"]
    assert items[0].hint is None and items[4].hint is None and items[8].hint == "그림을 보세요."
    assert (
        items[0].options == {"A": "빨강", "B": "파랑", "C": "초록", "D": "노랑"}
        and items[0].subcategory == "perception"
    )
    assert items[0].images[0] is items[1].images[0], "a picture is kept once"
    assert BUILDERS["lmms-mmbench-ko"](items[0]) == (
        "동그라미 0번은 무슨 색입니까? There are several options:\nA. 빨강\nB. 파랑\nC. 초록\nD. 노랑\n\n"
        "주어진 선택지 중 해당 옵션의 문자로 바로 답하세요."
    )
    assert BUILDERS["strict-ko"](items[8]).startswith("그림을 보세요.\n동그라미 2번은 무슨 색입니까?\nA. ")


def test_options_may_be_fewer(tmp_path):
    rows = eval_sets.mmbench_rows(1, 1)
    rows[0] |= {"C": "nan", "D": None, "E": "다섯"}
    items, _ = made("k_mmbench", rows, tmp_path)
    assert items[0].options == {"A": "빨강", "B": "파랑", "E": "다섯"}
    assert "C." not in BUILDERS["vlmevalkit-mcq"](items[0])


def test_stray_marker_and_options_inside(tmp_path):
    items, counters = made("k_mmstar", eval_sets.mmstar_rows(2), tmp_path)
    assert items[0].question.startswith("0번") and items[0].options["D"] == "노랑"
    assert counters == {
        "questions with a stray <image>, taken out": 2,
        "questions that hold their options, told apart": 2,
    }
    sent = BUILDERS["lmms-mmstar"](items[0])
    assert "<image>" not in sent and sent.endswith(
        "D: 노랑\nAnswer with the option's letter from the given choices directly"
    )
    assert BUILDERS["strict-ko"](items[0]).splitlines()[1:5] == ["A. 빨강", "B. 파랑", "C. 초록", "D. 노랑"]


def test_split_options():
    assert split_options("무엇?\nOptions: A: 개, 고양이, B: 새, C: 말. D: 소.") == {
        "A": "개, 고양이",
        "B": "새",
        "C": "말.",
        "D": "소.",
    }
    assert split_options("Which?\nOptions: A: vitamin C: 1 mg, B: 2, C: 3") == {
        "A": "vitamin C: 1 mg",
        "B": "2",
        "C": "3",
    }
    assert split_options("무엇입니까?") is None and split_options("Options: A: 개") is None


def test_options_that_cannot_be_told_apart(tmp_path):
    rows = eval_sets.mmstar_rows(1)
    rows[0]["question"] = "몇 번입니까? (가) (나) (다) (라)"
    items, counters = made("k_mmstar", rows, tmp_path)
    assert items[0].options == dict.fromkeys("ABCD")
    assert counters["questions whose options could not be told apart"] == 1
    assert BUILDERS["vlmevalkit-mcq"](items[0]) == "Question: 몇 번입니까? (가) (나) (다) (라)\n"


def test_tsv_with_pictures_in_base64_and_rows_that_refer_to_others(tmp_path):
    rows = eval_sets.mmbench_rows(2, 2, text_image=True)
    rows[1]["image"] = "0"
    eval_sets.write_tsv(rows, tmp_path / "MMBench_DEV_KO.tsv")
    loaded = benchmarks.load(BENCHMARKS["k_mmbench"], tmp_path)
    assert loaded.items[0].images == loaded.items[1].images and loaded.items[0].hint is None
    assert any("not the published one" in note for note in loaded.notes), "the MD5 is compared"


def test_the_same_rows_from_tsv_and_parquet_are_one_set(tmp_path):
    rows = eval_sets.mmbench_rows(3, 2)
    for row in rows:
        row["image"] = row["image"]["bytes"]
    one = items_of(BENCHMARKS["k_mmbench"], rows, tmp_path)[0]
    for row in rows:
        row["image"], row["index"] = base64.b64encode(row["image"]).decode(), str(row["index"])
    path = eval_sets.write_tsv(rows, tmp_path / "k_mmbench.tsv")
    other = items_of(BENCHMARKS["k_mmbench"], tables.read(path), tmp_path)[0]
    assert benchmarks.set_digest(one) == benchmarks.set_digest(other) == benchmarks.set_digest(one[::-1])


def test_digest_sees_every_byte_of_a_picture(tmp_path):
    one, other = eval_sets.seed_rows(2), eval_sets.seed_rows(2)
    other[1]["image"] = eval_sets.cell(9)
    assert benchmarks.set_digest(made("k_seed", one, tmp_path)[0]) != benchmarks.set_digest(
        made("k_seed", other, tmp_path)[0]
    )


def test_jsonl_with_paths(tmp_path):
    (tmp_path / "a.png").write_bytes(eval_sets.picture(1))
    row = {**eval_sets.seed_rows(1)[0], "image": "a.png"}
    (tmp_path / "k_seed.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n\n", encoding="utf-8")
    assert benchmarks.load(BENCHMARKS["k_seed"], tmp_path).items[0].images == (eval_sets.picture(1),)


def test_english_seed_has_lists_of_pictures_and_videos(tmp_path):
    rows = eval_sets.seed_rows(3)
    for row in rows:
        row["image"] = [row["image"]]
    rows[2] |= {"data_type": "video"}
    items, counters = made("seed", rows, tmp_path)
    assert len(items) == 2 and counters["rows that ask about videos, left out"] == 1


def viscuit(*numbers, options=("김치", "불고기", "비빔밥", "떡")):
    return [
        {
            "id_": f"v{k}",
            "question": "?",
            "options": list(options),
            "answer": n,
            "category": "food",
            "image": eval_sets.cell(k),
        }
        for k, n in enumerate(numbers)
    ]


def test_numbers_of_right_options(tmp_path):
    assert [i.answer for i in made("k_viscuit", viscuit(0, 3, 1), tmp_path)[0]] == ["A", "D", "B"]
    assert [i.answer for i in made("k_viscuit", viscuit(1, 4), tmp_path)[0]] == ["A", "D"]
    assert [i.answer for i in made("k_viscuit", viscuit("B", "C"), tmp_path)[0]] == ["B", "C"]
    with pytest.raises(InputError, match="count from 0 or from 1"):
        made("k_viscuit", viscuit(1, 2), tmp_path)


def test_newer_sets(tmp_path):
    rows = [
        {
            "id": "k1",
            "question": "?",
            **dict.fromkeys("ABCD", "가"),
            "answer": "D",
            "category": "x",
            "topic_difficulty": "System2",
            "image": eval_sets.cell(1),
        }
    ]
    items, _ = made("kreta", rows, tmp_path)
    assert items[0].level == "System2" and BUILDERS["kreta-direct"](items[0]).startswith(
        "Question: ?\nOptions:\nA. 가\n"
    )
    rows = [
        {
            "index": 1,
            "question": "설명?",
            "answer": "- 색 (10점)",
            "category": "c",
            "image": base64.b64encode(eval_sets.picture(0)).decode(),
        }
    ]
    assert made("koffvqa", rows, tmp_path)[0][0].answer == "- 색 (10점)"
    rows = [{"question": "?", "options": "['1', '2']", "answer": "B", "image": [eval_sets.cell(1), eval_sets.cell(2)]}]
    item = made("kmmmu", rows, tmp_path)[0][0]
    assert len(item.images) == 2 and item.options == {"A": "1", "B": "2"} and item.index == "0"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answer": "E"}, "none of its options A, B, C, D"),
        ({"answer": None}, "none of its options"),
        ({"question": "nan"}, "has no question"),
        ({"image": None}, "has no picture"),
        ({"image": "not there.png"}, "neither a picture in base64 nor a file"),
        ({"image": 3}, "holds no picture"),
        ({"image": [eval_sets.cell(0), eval_sets.cell(1)]}, "has 2 pictures"),
        (dict.fromkeys(["choice_a", "choice_b", "choice_c", "choice_d"]), "has no option"),
    ],
)
def test_faults_of_a_row_name_set_row_and_column(tmp_path, change, said):
    rows = eval_sets.seed_rows(2)
    rows[1].update(change)
    with pytest.raises(InputError, match=said) as caught:
        made("k_seed", rows, tmp_path)
    assert "K-SEED, row 1 (index 1)" in str(caught.value)


def test_faults_of_a_table(tmp_path):
    rows = eval_sets.seed_rows(2)
    for row in rows:
        del row["answer"]
    with pytest.raises(InputError, match="lacks the column answer; it has question_id, question"):
        made("k_seed", rows, tmp_path)
    with pytest.raises(InputError, match="share an index"):
        made("k_seed", [eval_sets.seed_rows(1)[0]] * 2, tmp_path)
    with pytest.raises(InputError, match="rotations but no first row"):
        made("k_mmbench", eval_sets.mmbench_rows(2, 2)[1:], tmp_path)
    bare = [{k: v for k, v in row.items() if not k.startswith("choice_")} for row in eval_sets.seed_rows(2)]
    with pytest.raises(InputError, match="has no options, neither in a column .options or A or choice_a or option_a"):
        made("k_seed", bare, tmp_path)
    llava = eval_sets.llava_rows(1)
    llava[0]["caption"] = "nan"
    with pytest.raises(InputError, match="has no caption"):
        made("k_llava_w", llava, tmp_path)


def test_faults_of_files(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        benchmarks.load(BENCHMARKS["k_seed"], tmp_path / "absent")
    with pytest.raises(InputError, match=r"looked for k_seed\.parquet, K-SEED\.parquet, SEEDBench_IMG_KO\.parquet"):
        benchmarks.load(BENCHMARKS["k_seed"], tmp_path)
    path = tmp_path / "k_seed.parquet"
    path.write_bytes(b"PAR1 cut off")
    with pytest.raises(InputError, match="no complete parquet"):
        benchmarks.load(BENCHMARKS["k_seed"], tmp_path)
    path.unlink()
    (tmp_path / "k_seed.tsv").write_text("index\tquestion\n1\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        benchmarks.load(BENCHMARKS["k_seed"], tmp_path)
    (tmp_path / "k_seed.tsv").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="holds no rows"):
        benchmarks.load(BENCHMARKS["k_seed"], tmp_path)
    (tmp_path / "k_seed.tsv").unlink()
    (tmp_path / "k_seed.jsonl").write_text('{"a": 1}\n{', encoding="utf-8")
    with pytest.raises(InputError, match="line 2 is no JSON"):
        benchmarks.load(BENCHMARKS["k_seed"], tmp_path)
    with pytest.raises(InputError, match=r"no table.*\.parquet"):
        tables.read(tmp_path / "x.csv")
    with pytest.raises(InputError, match="'k_meme' is unknown"):
        benchmarks.find("k_meme")
    assert benchmarks.find("seedbench_ko").task == "k_seed"


def test_limit_keeps_whole_questions(tmp_path):
    eval_sets.write_parquet(eval_sets.mmbench_rows(), tmp_path / "k_mmbench.parquet")
    loaded = benchmarks.load(BENCHMARKS["k_mmbench"], tmp_path, limit=2)
    assert len(loaded.items) == 8 and {item.group for item in loaded.items} == {"0", "1"}


def test_protocols_are_whole():
    for protocol in protocols.PROTOCOLS.values():
        for task, rules in protocol.rules.items():
            benchmark = BENCHMARKS[task]
            assert rules.prompt in BUILDERS
            assert (rules.aggregation == "judge") == (benchmark.kind == "open") == (rules.scorer is None)
            assert (rules.aggregation == "circular") == benchmark.circular
    assert set(protocols.PROTOCOLS["strict"].rules) == set(BENCHMARKS)
    with pytest.raises(InputError, match="no rules for kreta; these have: strict"):
        protocols.find("lmms-0.7.3").of("kreta")
    with pytest.raises(InputError, match="'best' is unknown"):
        protocols.find("best")


def test_answers_are_cut_where_the_protocol_says():
    rules = protocols.PROTOCOLS["lmms-0.7.3"].of("k_mmstar")
    assert rules.cut("B\n\n왜냐하면") == "B" and rules.cut("B\n왜") == "B\n왜" and rules.cut("\n\nB") == ""


def test_published_scores_have_sources():
    for task in BENCHMARKS:
        for one in published.of(task):
            assert 0 < one["score"] < 110 and one["title"] and one["protocol"]
    ours = {one["source"]: one["score"] for one in published.of("k_mmbench") if one["model"] == "VARCO-VISION-14B"}
    assert ours == {"paper": 82.21, "kovlmeval": 87.16}
