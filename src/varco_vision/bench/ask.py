"""Asking a translator behind an OpenAI-compatible endpoint for JSON, and checking what comes back.

Requests go through `eval.judge.Judge`, which keeps every raw reply in a file: an interrupted run asks nothing twice, and a
recorded run needs no endpoint.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Mapping
from typing import Any

from PIL import Image

from varco_vision.eval.judge import Judge

SYSTEM = (
    "You translate evaluation questions about pictures from English into Korean. Write natural, polite Korean as in an exam "
    "(questions end in -까?). Keep numbers, units, proper nouns in use, letters of options and line breaks. Translate each option "
    "on its own so that options that differ in English differ in Korean. Do not answer the question. Reply with JSON only."
)
BACK = (
    "You translate Korean into English, literally and without corrections. Reply with JSON only: the same keys as in the "
    "request, every value in English."
)
SEES = "You look at pictures. Reply with JSON only."
SEE_ASK = (
    'Is there readable text in this picture that one must read to answer the question? Reply as {"text": true or false, '
    '"language": "en", "ko", "other" or "none"}.\nQuestion: '
)
PICTURE_PX = 512


def read_json(raw: str) -> dict[str, Any] | None:
    """The JSON object of a reply, bare or inside a fence; None when there is none."""
    text = raw.strip()
    if fenced := re.search(r"```(?:json)?\s*(\{.*\})\s*```", text, re.S):
        text = fenced[1]
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        found = json.loads(text[start : end + 1])
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _same_keys(wanted: Mapping[str, str]) -> Any:
    def parse(raw: str) -> dict[str, str] | None:
        found = read_json(raw)
        if found is None or set(found) != set(wanted):
            return None
        if not all(isinstance(value, str) and value.strip() for value in found.values()):
            return None
        return {key: found[key].strip() for key in wanted}

    return parse


def translate(judge: Judge, texts: Mapping[str, str], terms: Mapping[str, str]) -> dict[str, str] | None:
    """The texts in Korean under the same keys; None when no reply could be read. terms: English to the Korean to use."""
    ask = json.dumps(dict(texts), ensure_ascii=False, indent=1)
    if terms:
        ask = "Use these terms: " + "; ".join(f"{en} = {ko}" for en, ko in terms.items()) + "\n" + ask
    found, _ = judge.review_until(
        [{"role": "system", "content": SYSTEM}, {"role": "user", "content": ask}], _same_keys(texts)
    )
    return found


def back(judge: Judge, texts: Mapping[str, str]) -> dict[str, str] | None:
    """The Korean texts in English again."""
    ask = json.dumps(dict(texts), ensure_ascii=False, indent=1)
    found, _ = judge.review_until(
        [{"role": "system", "content": BACK}, {"role": "user", "content": ask}], _same_keys(texts)
    )
    return found


def picture_text(judge: Judge, content: bytes, question: str) -> bool | None:
    """Whether a model that sees says that text in the picture must be read; None when its reply cannot be read."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    image.thumbnail((PICTURE_PX, PICTURE_PX))
    kept = io.BytesIO()
    image.save(kept, "JPEG", quality=85)
    url = "data:image/jpeg;base64," + base64.b64encode(kept.getvalue()).decode()
    parts: Any = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": SEE_ASK + question}]

    def parse(raw: str) -> bool | None:
        found = read_json(raw)
        return found["text"] if found and isinstance(found.get("text"), bool) else None

    found, _ = judge.review_until([{"role": "system", "content": SEES}, {"role": "user", "content": parts}], parse)
    return found
