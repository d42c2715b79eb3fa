"""A small set in each form that is converted, and what tests ask of the samples."""

from __future__ import annotations

from pathlib import Path

from varco_vision.convert.base import Settings
from varco_vision.convert.formats import form
from varco_vision.data.sample import Sample, text_of

HERE = Path(__file__).parent / "data" / "convert"
INPUTS = {
    "llava": HERE / "llava" / "data.json",
    "coco": HERE / "coco" / "instances.json",
    "voc": HERE / "voc",
    "refcoco": HERE / "refcoco" / "rows.jsonl",
    "icdar2013": HERE / "icdar2013",
    "icdar2015": HERE / "icdar2015",
    "ufo": HERE / "ufo" / "train.json",
    "cord": HERE / "cord",
    "funsd": HERE / "funsd",
    "sroie": HERE / "sroie",
    "donut": HERE / "donut",
    "wtq": HERE / "wtq" / "questions.tsv",
    "folder": HERE / "folder",
    "nlvr": HERE / "nlvr" / "dev.json",
}


def converted(name: str, path: Path | None = None, **settings) -> tuple[list[Sample], Settings]:
    used = Settings(**{"questions": 50, **settings})
    return [s for group in form(name).read(path or INPUTS[name], used) for s in group], used


def by_kind(samples: list[Sample], lang: str, kind: str) -> list[Sample]:
    return [s for s in samples if s.lang == lang and s.meta.get("kind") == kind]


def answers(samples: list[Sample]) -> list[str]:
    return [text_of(s.messages[-1]) for s in samples]


def question(sample: Sample) -> str:
    return text_of(sample.messages[0])
