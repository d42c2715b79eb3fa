"""Built evaluation sets: the same bytes again, the published columns, balanced letters, true answers, no blind answers."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from varco_vision.bench import abilities, blind, card, items, schema, sets
from varco_vision.bench import build as work
from varco_vision.bench.bank import Bank, Sizes
from varco_vision.bench.encode import encode
from varco_vision.cli.bench import app
from varco_vision.errors import InputError
from varco_vision.eval import benchmarks
from varco_vision.synth import emoji_names
from varco_vision.synth.shapes import COLOURS, SHAPES

RUN = CliRunner()
COUNT = 12


def _without() -> frozenset[str]:
    """Sources that this machine cannot draw."""
    try:
        return frozenset() if emoji_names.emoji_fonts() else frozenset({"things"})
    except InputError:
        return frozenset({"things"})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bench") / "k-mini"
    work.run(work.Plan(count=COUNT, seed=3, tsv=True, without=_without()), out)
    return out


def test_same_seed_same_bytes_other_seed_other_pictures(built: Path, tmp_path: Path) -> None:
    work.run(work.Plan("k_mmbench,k_dtcbench", count=COUNT, seed=3, without=_without()), tmp_path / "again")
    work.run(work.Plan("k_mmbench", count=COUNT, seed=4, without=_without()), tmp_path / "other")
    for task in ("k_mmbench", "k_dtcbench"):
        assert (built / f"{task}.parquet").read_bytes() == (tmp_path / "again" / f"{task}.parquet").read_bytes()
    assert card.sha256(built / "k_mmbench.parquet") != card.sha256(tmp_path / "other" / "k_mmbench.parquet")


COLUMNS = {
    "k_mmbench": "index question hint A B C D answer category l2-category source split image",
    "k_seed": "question_id question choice_a choice_b choice_c choice_d answer data_type image",
    "k_mmstar": "index question image answer category l2_category",
    "k_dtcbench": "index question choice_a choice_b choice_c choice_d answer category image",
    "k_llava_w": "question_id question gpt_answer caption category image",
}


@pytest.mark.parametrize("task", sets.TASKS)
def test_columns_and_loading(built: Path, tmp_path: Path, task: str) -> None:
    from pyarrow import parquet

    table = parquet.read_table(built / f"{task}.parquet")
    assert set(table.column_names) == set(COLUMNS[task].split())
    assert b'"_type": "Image"' in table.schema.metadata[b"huggingface"]
    loaded = benchmarks.load(benchmarks.find(task), built)
    assert len({item.group for item in loaded.items}) == COUNT
    assert not any(n for name, n in loaded.counters.items() if "stray" in name)
    (tmp_path / f"{task}.tsv").write_bytes((built / f"{task}.tsv").read_bytes())
    assert benchmarks.load(benchmarks.find(task), tmp_path).digest == loaded.digest


@pytest.mark.parametrize("task", sets.TASKS[:4])
def test_options_are_fair(built: Path, task: str) -> None:
    loaded = benchmarks.load(benchmarks.find(task), built).items
    rows = [item for item in loaded if item.index == item.group]
    assert Counter(item.answer for item in rows) == dict.fromkeys("ABCD", COUNT // 4)
    for item in loaded:
        texts = [items.plain(text or "") for text in item.options.values()]
        assert len(set(texts)) == 4 and all(texts)
        assert not re.search(r"을\(를\)|이\(가\)|\{|\}|<", item.question)
        assert benchmarks.stem(item.question).endswith("까?")


def test_rotations_keep_the_right_text(built: Path) -> None:
    groups: dict[str, list[benchmarks.Item]] = {}
    for item in benchmarks.load(benchmarks.find("k_mmbench"), built).items:
        groups.setdefault(item.group, []).append(item)
    for rows in groups.values():
        assert {int(row.index) // benchmarks.ROTATION for row in rows} == {0, 1, 2, 3}
        assert len({row.options[row.answer] for row in rows}) == 1
        assert {row.answer for row in rows} == set("ABCD")


def test_the_first_questions_are_of_several_classes(built: Path) -> None:
    for task in ("k_mmbench", "k_mmstar", "k_dtcbench", "k_llava_w"):
        first = benchmarks.load(benchmarks.find(task), built, limit=6).items
        assert len({item.category for item in first}) >= 2


def test_no_picture_is_in_two_sets(built: Path) -> None:
    seen: dict[bytes, str] = {}
    for task in sets.TASKS:
        for item in benchmarks.load(benchmarks.find(task), built).items:
            assert seen.setdefault(item.images[0], task) == task


def test_card_and_checksums(built: Path) -> None:
    text = (built / "README.md").read_text(encoding="utf-8")
    for part in ("seed: 3", "Known limits", "CC BY 4.0", *sets.TASKS, "split `eval`"):
        assert part in text
    for task in sets.TASKS:
        assert benchmarks.load(benchmarks.find(task), built).digest in text
    found = card.verify(built)
    assert set(found.values()) == {"ok"}
    assert set(found) == {p.name for p in built.iterdir()} - {card.CHECKSUMS}


def test_changed_file_is_found(built: Path, tmp_path: Path) -> None:
    for path in built.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "README.md").write_text("other", encoding="utf-8")
    (tmp_path / "k_seed.parquet").unlink()
    found = RUN.invoke(app, ["check", str(tmp_path)])
    assert isinstance(found.exception, InputError) and "2 of" in str(found.exception)
    assert "changed  README.md" in found.stdout and "missing  k_seed.parquet" in found.stdout


# --- answers are true ------------------------------------------------------------------------------------------------


def _pixel_count(image: Image.Image, rgb: tuple[int, int, int]) -> int:
    """Pixels near a colour; shapes stray by 8 at most from their colour."""
    return int((np.abs(np.asarray(image.convert("RGB"), int) - np.array(rgb)).max(2) <= 9).sum())


def test_answers_about_colours_are_in_the_picture() -> None:
    bank = Bank(5, Sizes())
    asked = 0
    for index in range(12):
        picture = bank.picture("scenes", index)
        there = {c.ko for c in COLOURS if _pixel_count(picture.image, c.rgb) > 60}
        for draft in picture.drafts:
            if draft.kind == "colour":
                asked += 1
                assert draft.right in there
            if draft.kind in ("present", "biggest", "outermost"):
                assert draft.right.split()[0] in there
            if draft.kind == "count_all":
                listed = re.search("그림에는 (.*?)[이가] 있습니다", picture.caption)
                assert listed and draft.right == f"{len(re.split(', |[와과] ', listed[1]))}개"
    assert asked >= 5


def test_every_kind_has_a_place_and_can_be_drawn() -> None:
    bank = Bank(6, Sizes(picture=200, page=480), _without())
    kinds: set[str] = set()
    for source in _sources(bank):
        for index in range({"things": 48, "words": 40, "documents": 24}.get(source, 10)):
            for look in sets.LOOKS if source in abilities.DTC else ("digital",):
                picture = bank.picture(source, index, look)
                kinds |= {d.kind for d in picture.drafts if sets._enough(d)}
                assert picture.caption and picture.facts
                for draft in picture.drafts:
                    assert sets.source_of(draft.kind) == source
                    assert draft.right not in draft.wrong
                    assert "{" not in draft.question + draft.sentence
    assert kinds <= set(abilities.KINDS)
    missing = {k for k in abilities.KINDS if sets.source_of(k) not in bank.without} - kinds
    assert not missing


def _sources(bank: Bank) -> list[str]:
    from varco_vision.bench.bank import SOURCES

    return [source for source in SOURCES if source not in bank.without]


def test_statements_are_about_four_pairs() -> None:
    """Two opposite statements about one pair would halve the choice."""
    bank = Bank(8, Sizes())
    names = [f"{c.ko} {s.ko}" for c in COLOURS for s in SHAPES]
    found = 0
    for index in range(30):
        for draft in bank.picture("scenes", index).drafts:
            if draft.kind in ("statement", "false_statement"):
                found += 1
                pairs = [frozenset(n for n in names if n in text) for text in (draft.right, *draft.wrong)]
                assert len(set(pairs)) == 4
    assert found > 10


# --- wrong options ---------------------------------------------------------------------------------------------------


def test_four_of_is_symmetric() -> None:
    rng = random.Random(0)
    for text in ("010-2345-6789", "12,500원", "버스", "Bakery", "2024-9913"):
        for _ in range(30):
            four = [text, *items.four_of(rng, text)]
            assert len(set(four)) == 4

            def apart(a: str, b: str) -> int:
                return sum(x != y for x, y in zip(a, b, strict=True))

            # a square: each has two neighbours at one change and one at two
            assert {tuple(sorted(apart(a, b) for b in four)) for a in four} == {(0, 1, 1, 2)}
    assert items.four_of(rng, "7") == []


def test_numbers_around_give_no_rank_away() -> None:
    rng = random.Random(1)
    ranks = Counter(sorted([9, *items.numbers_around(rng, 9)]).index(9) for _ in range(4000))
    assert all(abs(n / 4000 - 0.25) < 0.04 for n in ranks.values()) and len(ranks) == 4


@pytest.mark.parametrize("value,step", [(2, 1), (143, 1), (0.4, 0.1), (52_100, 100)])
def test_sums_of_are_three_others(value: float, step: float) -> None:
    rng = random.Random(2)
    for _ in range(50):
        wrong = items.sums_of(rng, value, step, 0)
        if wrong:
            assert len({value, *wrong}) == 4 and min(wrong) >= 0


def _choice(k: int, options: tuple[str, ...], answer: int, kind: str = "colour") -> items.Choice:
    return items.Choice(f"q{k}", b"", "그림에 있는 원은 무슨 색입니까?", options, answer, "c", "s", kind, "scenes")


def test_priors_find_what_is_usual_and_nothing_else() -> None:
    rng = random.Random(3)
    usual, fair = [], []
    colours = [c.ko for c in COLOURS]
    for k in range(60):
        wrong = rng.sample(colours[1:], 3)
        usual.append(_choice(k, (colours[0], *wrong), 0, "usual"))
        four = tuple(rng.sample(colours, 4))
        fair.append(_choice(k, four, rng.randrange(4), "fair"))
    answered = blind.by_priors([*usual, *fair])
    assert all(answered[:60])
    assert sum(answered[60:]) <= 6
    assert blind.prior_accuracy(usual) == 1.0


def test_priors_find_the_rank_of_numbers() -> None:
    rng = random.Random(4)
    least = []
    for k in range(40):
        n = rng.randint(1, 50) * 7
        least.append(_choice(k, (f"{n}개", f"{n + 3}개", f"{n + 5}개", f"{n + 9}개"), 0, "count"))
    assert all(blind.by_priors(least))


class _Parrot:
    """Answers by a rule from the text alone."""

    def __init__(self, rule: str) -> None:
        self.rule = rule

    def chat_batch(self, requests: list[dict]) -> list:
        from types import SimpleNamespace

        answers = []
        for request in requests:
            assert "image" not in request
            lines = [line for line in request["text"].splitlines() if re.match("[A-D]\\. ", line)]
            letter = next((line[0] for line in lines if line[3:] == self.rule), "A")
            answers.append(SimpleNamespace(text=f"정답은 {letter}입니다."))
        return answers


def test_text_only_run_counts_four_rotations() -> None:
    known = [_choice(k, ("빨간색", "파란색", "초록색", "노란색"), k % 4) for k in range(4)]
    assert blind.by_model(known, _Parrot("빨간색")) == [True, False, False, False]
    # a model that always says A is right once for each question, and answers none
    assert blind.by_model(known, _Parrot("없는 글")) == [False] * 4


def test_filtered_sets_lose_what_a_text_only_model_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    bank = Bank(3, Sizes())

    def knows(asked: list[items.Choice], model: object) -> list[bool]:
        return [item.kind == "shape" for item in asked]

    monkeypatch.setattr(sets, "groups", lambda of: {("attributes",): ["colour", "shape"]})
    assert {c.kind for c in sets.build("k_seed", bank, 8).choices} == {"colour", "shape"}
    monkeypatch.setattr(blind, "by_model", knows)
    made = sets.build("k_seed", bank, 6, _Parrot(""))
    assert {c.kind for c in made.choices} == {"colour"}
    assert made.counters["answered by the text-only run in all four rotations, left out"] >= 3
    with pytest.raises(InputError, match="ask for fewer"):
        monkeypatch.setattr(blind, "by_model", lambda asked, model: [True] * len(asked))
        sets.build("k_seed", bank, 6, _Parrot(""))


def test_balance_differs_by_one_at_most() -> None:
    rng = random.Random(5)
    for n in (1, 5, 7, 10, 103):
        made = items.balance([_choice(k, ("가", "나", "다", "라"), 0) for k in range(n)], rng)
        counts = items.letter_shares(made).values()
        assert max(counts) - min(counts) <= 1
        assert all(c.right == "가" for c in made)


def test_mmstar_questions_hold_their_options() -> None:
    options = ("1,234만 원", "12.5 km", "빨간색 원은 파란색 별보다 왼쪽에 있습니다.", "9월")
    assert benchmarks.split_options(schema.inside("무엇입니까?", options)) == dict(zip("ABCD", options, strict=True))


def test_grainy_pictures_become_jpeg() -> None:
    rng = random.Random(0)
    noise = Image.frombytes("RGB", (256, 256), rng.randbytes(256 * 256 * 3))
    assert encode(Image.new("RGB", (256, 256))).startswith(b"\x89PNG")
    assert encode(noise).startswith(b"\xff\xd8")


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["k-maxi"], "k-mini"),
        (["k_seed", "--picture-px", "64"], "128 to 1024"),
        (["k_seed", "--without", "photos"], "scenes"),
        (["k_dtcbench", "--without", "documents,tables,charts"], "needs one of"),
        (["k_llava_w", "--blind-model", "default"], "neither"),
        ([","], "no set"),
    ],
)
def test_mistakes(tmp_path: Path, args: list[str], told: str) -> None:
    found = RUN.invoke(app, ["build", *args, "--out", str(tmp_path / "new"), "--count", "4"])
    assert isinstance(found.exception, InputError) and told in str(found.exception)


def test_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    found = RUN.invoke(app, ["build", "k_mmbench", "--out", str(tmp_path)])
    assert isinstance(found.exception, InputError) and "not empty" in str(found.exception)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_stopped_build_leaves_no_half_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = work.Plan("k_mmbench,k_dtcbench", count=4, without=_without())

    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(card, "card", stop)
        with pytest.raises(KeyboardInterrupt):
            work.run(plan, tmp_path / "set")
    assert [p.name for p in (tmp_path / "set").iterdir()] == [work.PARTS]
    work.run(plan, tmp_path / "set")
    assert set(card.verify(tmp_path / "set").values()) == {"ok"}


def test_shipped_model_is_measured_on_a_built_set(built: Path, tmp_path: Path) -> None:
    """`eval run` takes the folder as it is; the closed tasks, two questions each."""
    from varco_vision.cli.eval import app as eval_app
    from varco_vision.model.checkpoint import default_path

    try:
        default_path()
    except InputError as error:
        pytest.skip(f"no shipped model: {error}")
    tasks = "k_mmbench,k_seed,k_mmstar,k_dtcbench"
    args = [
        "run",
        "--tasks",
        tasks,
        "--data-dir",
        str(built),
        "--limit",
        "2",
        "--out",
        str(tmp_path / "scores"),
        "--json",
    ]
    found = RUN.invoke(eval_app, [*args, "--max-new-tokens", "8"])
    assert found.exit_code == 0, found.exception
    for title in tasks.split(","):
        assert title in found.stdout
    assert len((tmp_path / "scores" / "answers.jsonl").read_text().splitlines()) == 2 * (4 + 1 + 1 + 1)
