"""The forms that can be converted, by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from varco_vision.convert import chats, drawings, objects, pages, tables
from varco_vision.convert.base import Groups, Settings
from varco_vision.errors import InputError


@dataclass(frozen=True)
class Form:
    """A converter, and in a line what it reads."""

    read: Callable[[Path, Settings], Groups]
    about: str


FORMS = {
    "llava": Form(chats.llava, "LLaVA conversations: a .json list or .jsonl with image and conversations"),
    "coco": Form(objects.coco, "COCO instances.json: grounding, referring, counting, presence"),
    "voc": Form(objects.voc, "Pascal VOC: the set's folder or its Annotations"),
    "refcoco": Form(objects.refcoco, "RefCOCO/+/g rows (.json, .jsonl, .parquet), or refs with --extra instances.json"),
    "icdar2013": Form(partial(pages.icdar, "icdar2013"), "ICDAR 2013 ground truth: a folder or zip of gt_*.txt"),
    "icdar2015": Form(partial(pages.icdar, "icdar2015"), "ICDAR 2015 ground truth: a folder or zip of gt_*.txt"),
    "ufo": Form(pages.ufo, "UFO json: images with words, points and transcriptions"),
    "cord": Form(pages.cord, "CORD receipts: a folder of json beside image, or its parquet"),
    "funsd": Form(pages.funsd, "FUNSD forms: the folder with annotations and images"),
    "sroie": Form(pages.sroie, "SROIE receipts: the folder with img, box and entities"),
    "donut": Form(chats.donut, "Donut and SynthDoG metadata.jsonl with ground_truth"),
    "wtq": Form(tables.wtq, "WikiTableQuestions: a .tsv of questions beside its csv tables, which are drawn"),
    "hf": Form(chats.hf, "a Hugging Face data set with image columns, as parquet or arrow files"),
    "folder": Form(chats.folder, "a folder with one folder of pictures for each label"),
    "nlvr": Form(drawings.nlvr, "NLVR drawings: train.json, dev.json beside the folder images"),
}


def form(name: str) -> Form:
    """A form by name; `InputError` names the nearest."""
    if name not in FORMS:
        near = difflib.get_close_matches(name, FORMS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(f"unknown form {name!r}; {hint}known are {', '.join(FORMS)}")
    return FORMS[name]
