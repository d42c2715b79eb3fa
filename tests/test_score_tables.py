"""Every number in the tables of the documents comes from a file of scores."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
import score_tables as tables

ROOT = Path(__file__).parent.parent


def test_documents_say_what_was_measured():
    known = tables.makers()
    for name in tables.DOCUMENTS:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert tables.REGION.search(text), name
        assert tables.filled(text, known) == text, f"{name} is stale; run python scripts/score_tables.py"


def test_a_changed_number_is_found():
    text = "<!-- scores: mini line -->grounding 99 %<!-- /scores --> and more"
    new = tables.filled(text, tables.makers())
    assert new != text and new.endswith("<!-- /scores --> and more") and "Korean / English: grounding" in new
    with pytest.raises(KeyError):
        tables.filled("<!-- scores: nobody -->x<!-- /scores -->", tables.makers())


def test_cells():
    assert tables.cell({"value": 0.5, "low": 0.4, "high": 0.6001}) == "50.0 % (40.0 – 60.0)"
    assert tables.minutes(684.3, "en") == "11 min 24 s" and tables.minutes(684.3, "ko") == "11분 24초"
