"""The review sheet of a translation: a table for a person to fill in, and a page that shows the same beside the pictures."""

from __future__ import annotations

import base64
import csv
import html
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from varco_vision.bench.translate import FLAGS, Translated
from varco_vision.errors import InputError

CSV, HTML = "review.csv", "review.html"
VERDICTS = ("", "ok", "fix", "drop")
COLUMNS = ("index", "part", "flags", "english", "korean", "back", "verdict", "corrected", "note")
THUMB_PX = 240


def write_csv(made: Sequence[Translated], path: Path) -> None:
    """One line for each part (question, options, ...); a byte order mark, so that spreadsheets read UTF-8.

    The person writes "ok", "fix" (with the text in `corrected`) or "drop" (the whole question) into `verdict`.
    """
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for one in made:
            flags = "; ".join(f"{flag}: {found}" for flag, found in one.flags.items())
            for number, (part, english) in enumerate(one.english.items()):
                korean = one.korean[part] if one.korean else ""
                back = one.back[part] if one.back else ""
                first = number == 0
                table.writerow(
                    map(_cell, (one.index, part, flags if first else "", english, korean, back, one.verdict if first else "", "", ""))
                )  # fmt: skip


def _cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in "=+@" and len(text) > 1 else text


def apply(made: Sequence[Translated], path: Path) -> int:
    """Take over what a person wrote into the sheet; how many questions have a verdict. `InputError` names faulty lines."""
    by_index = {one.index: one for one in made}
    written: dict[str, dict[str, str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a review sheet in UTF-8 ({error})") from error
    for number, row in enumerate(rows, start=2):
        where = f"{path}, line {number}"
        if missing := [c for c in ("index", "part", "verdict", "corrected") if row.get(c) is None]:
            raise InputError(f"{where} lacks the column {', '.join(missing)}; a review sheet has {', '.join(COLUMNS)}")
        verdict, corrected = row["verdict"].strip().lower(), row["corrected"].strip()
        if verdict not in VERDICTS:
            raise InputError(f"{where}: the verdict is {row['verdict']!r}; it is ok, fix, drop or nothing")
        one = by_index.get(row["index"].removeprefix("'"))
        if one is None or row["part"] not in one.english:
            raise InputError(f"{where}: there is no part {row['part']!r} of a question {row['index']!r} in this set")
        if verdict == "fix" and not corrected:
            raise InputError(f"{where}: the verdict is fix, but `corrected` is empty; write the text that is right")
        if corrected and verdict != "fix":
            raise InputError(f"{where}: `corrected` is filled but the verdict is {verdict or 'empty'}; write fix")
        if verdict == "fix":
            written.setdefault(one.index, {})[row["part"]] = corrected
        if verdict and one.verdict != "drop":
            one.verdict = "fix" if "fix" in (verdict, one.verdict) and verdict != "drop" else verdict
    for index, parts in written.items():
        one = by_index[index]
        if one.korean is None and (lacking := [part for part in one.english if part not in parts]):
            raise InputError(
                f"{path}: question {index} has no translation; it needs a corrected text for {', '.join(lacking)} too, or drop"
            )
        one.korean = {**(one.korean or {}), **parts}
    return sum(bool(one.verdict) for one in made)


def write_html(made: Sequence[Translated], path: Path, title: str) -> None:
    """A page with everything inside: flagged questions first."""
    ordered = sorted(made, key=lambda one: (one.korean is not None, not one.flags))
    body = "\n".join(_question(one) for one in ordered)
    meanings = "".join(f"<li><b>{flag}</b>: {html.escape(text)}</li>" for flag, text in FLAGS.items())
    path.write_text(
        f"""<!doctype html><html lang="ko"><meta charset="utf-8"><title>{html.escape(title)}</title>
<style>body{{font:15px/1.5 sans-serif;max-width:70rem;margin:1rem auto;padding:0 1rem}}section{{display:flex;gap:1rem;border-top:1px solid #bbb;padding:.7rem 0}}
img{{max-width:{THUMB_PX}px;align-self:flex-start}}td{{padding:.1rem .7rem .1rem 0;vertical-align:top}}.flag{{background:#ffe9b8;padding:0 .3rem}}.back{{color:#666}}</style>
<h1>{html.escape(title)}: {len(made)} questions</h1><p>Write verdicts into {CSV}.</p><ul>{meanings}</ul>
{body}</html>
""",
        encoding="utf-8",
    )


def _question(one: Translated) -> str:
    flags = " ".join(f'<span class="flag">{flag}: {html.escape(found)}</span>' for flag, found in one.flags.items())
    lines = []
    for part, english in one.english.items():
        korean = one.korean[part] if one.korean else "(no readable translation)"
        back = one.back[part] if one.back else ""
        cells = (part, english, korean, back)
        lines.append(
            "<tr>"
            + "".join(f"<td{' class=back' if k == 3 else ''}>{html.escape(c)}</td>" for k, c in enumerate(cells))
            + "</tr>"
        )
    likeness = "" if one.likeness is None else f" chrF {one.likeness}"
    return (
        f'<section id="q{html.escape(one.index)}"><img alt="" src="{_thumb(one.items[0].images[0])}"><div><b>{html.escape(one.index)}</b>'
        f"{likeness} {flags}<table>{''.join(lines)}</table></div></section>"
    )


def _thumb(content: bytes) -> str:
    image = Image.open(io.BytesIO(content)).convert("RGB")
    image.thumbnail((THUMB_PX, THUMB_PX))
    kept = io.BytesIO()
    image.save(kept, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(kept.getvalue()).decode()
