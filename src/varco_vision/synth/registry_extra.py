"""Sources beyond coloured shapes, by name. `sources.make_source` finds them here.

Each class documents its options; `options_of` lists their names.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from varco_vision.data.source import Source
from varco_vision.synth.chart_source import Charts
from varco_vision.synth.documents.source import Documents
from varco_vision.synth.letters import Letters
from varco_vision.synth.line_source import Lines
from varco_vision.synth.pairs import Pairs
from varco_vision.synth.table_source import Tables
from varco_vision.synth.text_source import Knowledge
from varco_vision.synth.thing_sources import ThingPairs, Things
from varco_vision.synth.wild_source import WildText

EXTRA: dict[str, Callable[..., Source]] = {
    "things": Things,
    "thing_pairs": ThingPairs,
    "wild": WildText,
    "lines": Lines,
    "documents": Documents,
    "tables": Tables,
    "charts": Charts,
    "knowledge": Knowledge,
    "letters": Letters,
    "pairs": Pairs,
}


def options_of(name: str) -> tuple[str, ...]:
    """The names of all options that one of `EXTRA` understands."""
    made: Any = EXTRA[name]
    parameters = inspect.signature(made).parameters.values()
    own = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name not in ("seed", "split")]
    return (*own, *made.option_names)
