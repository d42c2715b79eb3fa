"""Pictures with their drafts, from `synth` with the resources of evaluation only. A picture is a function of seed and index."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from varco_vision.bench import figures, papers, shapes, things
from varco_vision.bench.draft import Picture
from varco_vision.errors import InputError
from varco_vision.synth.chart_source import Charts
from varco_vision.synth.charts import chart
from varco_vision.synth.documents.render import document
from varco_vision.synth.documents.source import Documents
from varco_vision.synth.rng import stream
from varco_vision.synth.sources import Scenes, Words, make_source
from varco_vision.synth.table_source import Tables
from varco_vision.synth.tables import table
from varco_vision.synth.thing_sources import Things

SPLIT = "eval"
SOURCES = ("scenes", "things", "words", "documents", "tables", "charts")
LEAST_PX, MOST_PX = 128, 1024


@dataclass(frozen=True)
class Sizes:
    """Sides in pixels. picture: of shapes, things and words (square). page: the longer side of documents, tables, charts."""

    picture: int = 256
    page: int = 512

    def __post_init__(self) -> None:
        for name, least in (("picture", LEAST_PX), ("page", 320)):
            value = getattr(self, name)
            if not least <= value <= MOST_PX:
                raise InputError(f"--{name}-px is {value}; choose {least} to {MOST_PX}")


class Bank:
    """Pictures by source and index. look: "digital" or "handwritten", for documents, tables and charts."""

    def __init__(self, seed: int, sizes: Sizes, without: frozenset[str] = frozenset()) -> None:
        if unknown := without - set(SOURCES):
            raise InputError(f"unknown source {', '.join(sorted(unknown))}; the sources are {', '.join(SOURCES)}")
        self.seed, self.sizes, self.without = seed, sizes, without
        self._sources: dict[tuple[str, str], Any] = {}

    def picture(self, source: str, index: int, look: str = "digital") -> Picture:
        """Picture `index` of a source."""
        make: Callable[[int, random.Random, str], Picture] = getattr(self, f"_{source}")
        return make(index, stream("bench", source, SPLIT, self.seed, index, look), look)

    def pictures(self, source: str, first: int, look: str = "digital") -> Iterator[Picture]:
        """Pictures of a source from an index on, without end."""
        while True:
            yield self.picture(source, first, look)
            first += 1

    def _of(self, name: str, look: str = "", **options: Any) -> Any:
        """A source of the registry, made once."""
        if (name, look) not in self._sources:
            self._sources[name, look] = make_source(name, self.seed, SPLIT, **options)
        return self._sources[name, look]

    def _scenes(self, index: int, rng: random.Random, look: str) -> Picture:
        px = self.sizes.picture
        source = self._of(
            "scenes",
            sizes=[(px, px)],
            shapes=8,
            colours=8,
            min_objects=3,
            max_objects=6,
            object_px=(24, 44),
            varied=True,
        )
        scene, world, _ = cast(Scenes, source).picture(index)
        return shapes.picture(scene, world, rng, index)

    def _words(self, index: int, rng: random.Random, look: str) -> Picture:
        px = self.sizes.picture
        options = {"sizes": [(px, px)], "line_share": 0.0, "word_px": (26, 36), "faces": "text", "number_share": 0.0}
        one = index % 2 == 0  # one word to read closely, or several to choose among
        source = cast(
            Words, self._of("words", f"{one}", words=(1, 1) if one else (2, 4), word_length=(2, 4), **options)
        )
        scene, world, _ = source.picture(index)
        return things.words(scene, world.scene.stock, rng, index)

    def _things(self, index: int, rng: random.Random, look: str) -> Picture:
        px = self.sizes.picture
        options = {
            "size": ((px, px),),
            "objects": (3, 6),
            "object_px": (px // 6, px // 3),
            "overlap": 0.05,
            "harm": 0.2,
            "repeat": 0.25,
        }
        source = cast(Things, self._of("things", shapes=0.0, **options))
        return things.picture(source, source.scene(rng), rng, index)

    def _documents(self, index: int, rng: random.Random, look: str) -> Picture:
        kinds = papers.HANDWRITTEN if look == "handwritten" else papers.DIGITAL
        long = self.sizes.page
        size = ((round(long * 0.75), long), (round(long * 0.85), long))
        text = (max(11, round(long / 34)), max(13, round(long / 28)))
        source = self._of("documents", look, kinds=kinds, size=size, text_px=text, korean=1.0, harm=0.3, watermark=0.1)
        return papers.picture(cast(Documents, source), document(rng, source.config), rng, index)

    def _tables(self, index: int, rng: random.Random, look: str) -> Picture:
        long = self.sizes.page
        text = (max(11, round(long / 36)), max(13, round(long / 30)))
        style = "hand" if look == "handwritten" else "digital"
        options = {"size": (long, long), "text_px": text, "rows": (4, 7), "columns": (1, 3), "styles": (style,)}
        source = cast(Tables, self._of("tables", look, korean=1.0, harm=0.3, **options))
        while True:
            made = table(rng, source.config)
            if len(made.names) >= 3:
                return figures.table_picture(source, made, rng, index)

    def _charts(self, index: int, rng: random.Random, look: str) -> Picture:
        long = self.sizes.page
        size = ((long, round(long * 0.75)), (long, round(long * 0.85)))
        text = (max(9, round(long / 42)), max(11, round(long / 34)))
        options = {
            "size": size,
            "text_px": text,
            "categories": (4, 6),
            "hand": float(look == "handwritten"),
            "labels": 0.8,
        }
        source = cast(Charts, self._of("charts", look, korean=1.0, harm=0.2, **options))
        return figures.chart_picture(source, chart(rng, source.config), rng, index)
