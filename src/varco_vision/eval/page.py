"""Pieces of the reports' pages: sections and tables, in HTML (cells are ready-made) and in Markdown (cells are plain text)."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def korean(text: str) -> str:
    """A Korean name beside an English one."""
    return f'<span class="label" lang="ko">{escape(text)}</span>' if text else ""


def section(title: str, korean_title: str, *content: str) -> str:
    """A section of a page; empty pieces are left out."""
    return "\n".join([f"<section><h2>{escape(title)}{korean(korean_title)}</h2>", *filter(None, content), "</section>"])


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[int] = ()) -> str:
    """A table of ready-made cells (HTML) that scrolls by itself on a narrow screen. numeric: columns set to the right."""
    kind = lambda k: ' class="n"' if k in numeric else ""  # noqa: E731
    top = "".join(f"<th{kind(k)}>{cell}</th>" for k, cell in enumerate(head))
    body = "".join(
        "<tr>" + "".join(f"<td{kind(k)}>{cell}</td>" for k, cell in enumerate(row)) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    clean = lambda cell: cell.replace("|", "\\|").replace("\n", " ")  # noqa: E731
    return [
        f"| {' | '.join(head)} |",
        "| " + " | ".join("---" for _ in head) + " |",
        *(f"| {' | '.join(map(clean, row))} |" for row in rows),
    ]
