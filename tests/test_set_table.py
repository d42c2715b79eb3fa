"""Models side by side on evaluation sets: chance worked out by hand, what stands in the table, processes that share questions."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_report import Page

from varco_vision.cli import demo_bench
from varco_vision.eval import figures, page, set_table
from varco_vision.eval.cache import Store


def row(index: int, group: int, options: int) -> dict:
    return {
        "index": str(index),
        "group": str(group),
        "options": {"ABCD"[k]: "말" if k < options else None for k in range(4)},
    }


def test_chance_is_that_of_drawing_a_letter_for_each_row() -> None:
    rows = [
        row(k, k % 2, 4 if k % 2 else 2) for k in range(8)
    ]  # two questions in four rotations, of four and two options
    assert set_table.chance(rows, circular=True) == pytest.approx((0.25**4 + 0.5**4) / 2)
    assert set_table.chance(rows, circular=False) == pytest.approx((0.25 + 0.5) / 2)


@pytest.mark.parametrize(
    ("low", "high", "side"), [(0.3, 0.5, "above"), (0.1, 0.2, "below"), (0.2, 0.3, "like"), (0.25, 0.4, "like")]
)
def test_a_score_is_told_from_chance_by_its_interval(low: float, high: float, side: str) -> None:
    assert set_table.against_chance({"low": low, "high": high}, 0.25) == side


def results(right: int) -> dict:
    cell = {"value": right / 4, "low": 0.01, "high": 0.2, "n": 4}
    told = {"task": "k_seed", "aggregation": "micro", "protocol": "strict", "id": "strict/k_seed#1", "set": "s", "prompt": "p",
            "prompt_digest": "d", "max_new_tokens": 9, "scorer": "strict-1", "judge_protocol": None, "judge": None, "resolution": "r"}  # fmt: skip
    judged = {
        **told,
        "task": "k_llava_w",
        "id": "strict/k_llava_w#1",
        "aggregation": "judge",
        "scorer": None,
        "judge_protocol": "strict",
    }
    tasks = [
        {"told": told, "about": {"title": "K-SEED"}, "n_questions": 4, "n_rows": 4, "score": {"reader": "strict"},
         "readers": {"strict": {"per_row": cell, "unread": 0.5}},
         "tables": {"category": {"수량": cell, "색": {**cell, "n": 1}}, "source": {"one": cell}}},
        {"told": judged, "about": {"title": "K-LLaVA-W"}, "n_questions": 2, "n_rows": 2, "score": None, "readers": {}},
    ]  # fmt: skip
    return {"tasks": tasks}


@pytest.fixture
def found() -> dict:
    rows = {"k_seed": [row(k, k, 4) for k in range(4)], "k_llava_w": [row(k, k, 0) for k in range(2)]}
    found = set_table.collect({"one <a>": results(1), "two": results(0)}, rows)
    told = {"one <a>": {"answer": "B|나", "letter": "B"}, "two": {"answer": "", "letter": None}}
    found["examples"] = [
        {"task": "k_seed", "title": "K-SEED", "picture": None, "question": "<b>?", "options": {"A": "가", "B": "나"}, "answer": "B", "told": told}
    ]  # fmt: skip
    return json.loads(json.dumps(found))


def test_table_says_score_interval_chance_and_unread(found: dict) -> None:
    lines = set_table.table_rows(found)
    assert lines[0] == [
        "K-SEED",
        "right rows",
        "4",
        "25.0\u00a0%",
        "25.0 (1.0 - 20.0)",
        "50.0\u00a0%",
        "0.0 (1.0 - 20.0)",
        "50.0\u00a0%",
    ]
    assert lines[1] == ["K-LLaVA-W", "by a judge", "2", "–", "not judged", "–", "not judged", "–"]
    assert len(set_table.head(found)) == len(lines[0])
    text = set_table.markdown(found, "title")
    assert text.count("| K-SEED |") == 1 and "strict/k_seed#1" in text and "<code>" not in text


def test_two_models_are_compared_on_the_same_questions(found: dict, tmp_path: Path) -> None:
    assert set_table.paired_rows(found) == [] and "Lost / gained" not in set_table.markdown(found, "t")
    kept = {"n": 4, "difference": -0.25, "low": -0.75, "high": 0.0, "lost": 1, "gained": 0, "p": 1.0, "judged": False}
    found["paired"] = [{"task": "k_seed", **kept}, {"task": "k_llava_w", "judged": True, "n": 0}]
    assert set_table.paired_rows(found) == [["K-SEED", "4", "-25.0 (-75.0 to +0.0)", "1 / 0", "1"]]
    assert "| K-SEED | 4 | -25.0" in set_table.markdown(found, "t")
    assert "From one <a> to two" in Page(set_table.html(found, tmp_path)).text


def test_categories_stand_side_by_side_where_there_are_several(found: dict, tmp_path: Path) -> None:
    text = Page(set_table.html(found, tmp_path)).text
    assert "K-SEED by category" in text and "수량" in text and "K-SEED by source" not in text


def test_a_page_of_its_own_links_to_each_models_report(found: dict, tmp_path: Path) -> None:
    found["reports"] = {"two": "scores/two/report.html"}
    (tmp_path / "scores").mkdir()
    html, text = set_table.write(found, "k <mini>", tmp_path / "scores", tmp_path)
    shown = html.read_text(encoding="utf-8")
    assert Page(shown) and "k &lt;mini&gt;" in shown and 'href="two/report.html"' in shown and "$" not in shown
    assert text.read_text(encoding="utf-8").startswith("# k <mini>")
    assert 'href="scores/two/report.html"' in set_table.html(found, tmp_path)


def test_a_figure_shows_interval_and_chance() -> None:
    drawn = figures.interval({"value": 0.5, "low": 0.25, "high": 1.0}, 0.25)
    assert drawn.count('cx="48.0"') == 1 and 'class="bar" x1="25.0" y1="6.0" x2="94.0"' in drawn


def test_section_is_well_formed_and_escaped(found: dict, tmp_path: Path) -> None:
    shown = Page(set_table.html(found, tmp_path))
    assert (
        "one <a>" in shown.text and "<b>?" in shown.text and "(nothing)" in shown.text and "below chance" in shown.text
    )
    assert set_table.html(None, tmp_path) == ""
    assert "needs pyarrow" in Page(set_table.html({"left_out": "needs pyarrow"}, tmp_path)).text


def test_markdown_cells_keep_their_columns() -> None:
    assert page.markdown(("a", "b"), [["x|y", "z\nw"]])[2] == "| x\\|y | z w |"


class Echo:
    """An engine that answers with the request."""

    batch_size = 3

    def generate(self, requests: list) -> list:
        return [f"answer to {request}" for request in requests]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_processes_share_questions_and_all_get_all_answers_in_order(size: int, count: int) -> None:
    requests = list(range(count))
    parts: list[list] = []
    for rank in range(size):  # first what each process would send ...
        world = SimpleNamespace(rank=rank, size=size, gather=lambda part: parts.append(part) or parts)
        demo_bench.Spread(Echo(), world).generate(requests)
    assert sum(map(len, parts)) == count
    world = SimpleNamespace(rank=0, size=size, gather=lambda part: parts)  # ... then what all of them receive
    spread = demo_bench.Spread(Echo(), world)
    assert spread.batch_size == 3 * size
    assert spread.generate(requests) == [f"answer to {k}" for k in requests]


def test_a_follower_writes_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "answers.jsonl") as store:
        store.append([{"key": "1"}])
        follower = demo_bench.Follower(store.path, store.records)
        follower.append([{"key": "2"}])
        assert "1" in follower and "2" in follower and "2" not in store
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 1


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo_bench.importlib.util, "find_spec", lambda name: None if name == "pyarrow" else name)
    found = demo_bench.measure({}, tmp_path, 4, SimpleNamespace(leads=True))
    assert found == {"left_out": "k-mini needs pyarrow: pip install 'varco-vision-open[eval,synth]'"}
