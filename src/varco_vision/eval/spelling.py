"""One spelling of an answer before anything is read from it: composed, half width, without emphasis or decoration. No torch."""

from __future__ import annotations

import re
import unicodedata

from varco_vision.eval.metrics import fold_width

_CIRCLED_LETTERS = (0x24B6, 0x24D0, 0x249C, 0x1F110, 0x1F130, 0x1F150, 0x1F170)  # each a run of 26
_CIRCLED_DIGITS = (0x2460, 0x2474, 0x2776, 0x2780, 0x278A, 0x24F5)  # each from 1
_OPENING, _CLOSING = "[{【〔「『〈《⟨", "]}】〕」』〉》⟩"
_ALIKE = (
    {start + k: f"({chr(65 + k)})" for start in _CIRCLED_LETTERS for k in range(26)}
    | {start + k: f"({k + 1})" for start in _CIRCLED_DIGITS for k in range(9)}
    | {0x2488 + k: f"{k + 1}. " for k in range(9)}
    | {ord(c): "(" for c in _OPENING}
    | {ord(c): ")" for c in _CLOSING}
    | {ord(c): "'" for c in "‘’´"}
    | {ord(c): None for c in "\u200b\u200c\u200d\u2060\ufeff\u00ad\ufe0e\ufe0f\u20e3"}
    | {ord(c): " " for c in "\u00a0\t\r"}
    | {ord("。"): ".", ord("、"): ",", ord("∶"): ":", ord("…"): "...", ord("·"): ",", ord("‑"): "-"}
)
_QUOTES = re.compile(r"[\"“”„*`$]|(?<![A-Za-z])'|'(?![A-Za-z])|\\[(),;:!\s\[\]]")
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff]")
_TAGS = re.compile(r"<(b|strong|em|i|u|p|span|mark|div)>(.*?)</\1>|<br\s*/?>", re.I | re.S)
_FINAL_TAGS = re.compile(r"<(answer|ans|final)>(.*?)</\1>|\\boxed\s*\(([^()]*(?:\([^()]*\))?[^()]*)\)", re.I | re.S)
_LATEX = re.compile(r"\\(?:text|textbf|mathrm|mathbf|textrm|rm|bf|mathsf)\s*\{([^{}]*)\}")
_MATHS = re.compile("[\U0001d400-\U0001d7ff]")
FINAL = "최종 정답:"


def plain(text: str) -> str:
    """NFC, half width, ASCII brackets, without emphasis, tags, quotes and thoughts; lines kept, blanks single."""
    text = unicodedata.normalize("NFC", text)
    if re.search(r"<think(?:ing)?>", text, re.I) or "</think" in text:
        text = re.split(r"</think(?:ing)?>", text)[-1] if re.search(r"</think(?:ing)?>", text) else ""
    text = fold_width(_MATHS.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text))
    text = re.sub(r"~~.*?~~", " ", text, flags=re.S)
    for _ in range(2):
        text = _LATEX.sub(r"\1", text)
    text = _EMOJI.sub("", text.translate(_ALIKE))
    text = _TAGS.sub(lambda m: m[2] or "\n", text)
    text = _FINAL_TAGS.sub(lambda m: f" {FINAL} {(m[2] or m[3] or '').strip()} ", text)
    text = re.sub(r"<([A-Za-z0-9]|[가-힣 ]{1,6})>", r"(\1)", text)
    text = _QUOTES.sub("", text)
    text = re.sub(r"(은|을|이|와)\((는|를|가|과)\)|\((?:으)\)(?=로)", lambda m: m[2] or "", text)  # B이(가), B(으)로
    text = re.sub(r"(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])", "", text)
    lines = [
        re.sub(r"^\s*(?:#+|>|[-•▶▪◦]|=>|->|→)\s+", "", re.sub(r"[^\S\n]+", " ", line)) for line in text.split("\n")
    ]
    joined = "\n".join(line.strip() for line in lines if line.strip())
    return re.sub(r"^(?:assistant|model|어시스턴트)\s*:\s*", "", joined, flags=re.I)


def bare(text: str) -> str:
    """A text as it is compared with an option: lower case, single blanks, without stop, bracket or copula at the end."""
    one = " ".join(text.lower().split()).strip(" .,!?")
    if one.startswith("(") and one.endswith(")") and one.count("(") == 1:
        one = one[1:-1].strip()
    return one


def without_copula(text: str) -> str:
    return re.sub(r"\s*(?:입니다|이에요|예요|이다)$", "", text)
