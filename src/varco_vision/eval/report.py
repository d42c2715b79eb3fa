"""results.json and the page that shows it: one HTML file that needs nothing else, no network and no script."""

from __future__ import annotations

import base64
import io
import math
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib import metadata
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from PIL import Image

from varco_vision import markup
from varco_vision.data.sample import LANGUAGES, Sample
from varco_vision.errors import InputError
from varco_vision.eval import figures, own, page, set_table
from varco_vision.geometry import Box

if TYPE_CHECKING:
    from varco_vision.infer.answer import Answer

BACKBONE = "backbones"  # what was measured before stage 1; scores of later stages are compared with it
PACKAGES = ("varco-vision-open", "torch", "transformers", "tokenizers", "numpy", "pillow")
LONGEST_SIDE = 640  # of pictures inside the page, pixels
COLOURS = ("#0072b2", "#b84c00", "#00795a", "#a8408a", "#3c3ca0", "#8a5700")  # of boxes; white text is readable on each
LANGUAGE_NAMES = {"ko": "한국어", "en": "English"}
TASK_NAMES = {  # English, Korean
    "grounding": ("Grounding", "위치 찾기"),
    "referring": ("Referring", "가리킨 것 알아보기"),
    "counting": ("Counting", "개수 세기"),
    "ocr": ("Reading (OCR)", "글자 읽기"),
    "reading": ("Reading as text", "글 읽기"),
    "vqa": ("Questions on pictures", "그림 질문"),
    "presence": ("Is it there?", "있는지 없는지"),
    "choice": ("Multiple choice", "객관식"),
    "caption": ("Description", "그림 설명"),
    "text": ("Text knowledge", "글로만 묻는 지식"),
    "chat": ("Conversation", "대화"),
    "language": ("Language of the reply", "답한 언어"),
}
Results = dict[str, Any]
Picture = Mapping[str, Any]


# --- results -------------------------------------------------------------------------------------------------------


def versions() -> dict[str, str]:
    """Versions of what decides numbers, and the kind of machine."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return {"python": platform.python_version(), **found, "system": system}


def results_dict(
    stage_results: Sequence[Mapping[str, Any]],
    scores: Mapping[str, own.Scores],
    total_seconds: float,
    command: str,
) -> Results:
    """Everything a run found, as results.json holds it.

    "stages": what each stage did. "scores", "intervals", "counts": {stage: {metric: {lang: number, [low, high], n}}}.
    "kept": {stage: {lang: paired comparison of text answers with `kept_from`}}. "counters": {stage: {name: answers}}.
    """
    tables = {name: found.to_dict() for name, found in scores.items()}

    def column(pick: Any) -> dict[str, dict[str, dict[str, Any]]]:
        return {
            name: {m: {lang: pick(cell) for lang, cell in table[m].items()} for m in own.METRICS if m in table}
            for name, table in tables.items()
        }

    base = BACKBONE if BACKBONE in scores else next(iter(scores), None)
    kept = {
        name: {lang: found.to_dict() for lang, found in own.kept(scores[base], score).items()}
        for name, score in scores.items()
        if base is not None and name != base
    }
    return {
        "stages": [dict(stage) for stage in stage_results],
        "scores": column(lambda cell: cell["value"]),
        "intervals": column(lambda cell: [cell["low"], cell["high"]]),
        "counts": column(lambda cell: cell["n"]),
        "counters": {name: table["counters"] for name, table in tables.items()},
        "kept": kept,
        "kept_from": base,
        "n_eval": max((table["n"] for table in tables.values()), default=0),
        "total_seconds": total_seconds,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "command": command,
    }


# --- the page ------------------------------------------------------------------------------------------------------


def write_report(
    results: Results, out_dir: str | Path, pictures: Sequence[Picture] = (), shipped: Sequence[Picture] = ()
) -> Path:
    """Write OUT/report.html and return its path.

    results: as `results_dict` makes them; only "stages" and "scores" must be there. pictures: the gallery, mappings with
    "picture" (PIL image or None), "question" (with markup), "answer" (`Answer`), "gold" (text with markup, or None:
    not judged), "task", "lang", and where wanted "name" and "sample" (judged instead of question and gold).
    shipped: the same of the model that comes with the package, whose results stand under results["shipped"].
    results["k_mini"], where it is there: `set_table.collect`.
    """
    for key in ("stages", "scores"):
        if key not in results:
            raise InputError(f"the results have no {key!r}, found {sorted(results)}; make them with results_dict")
    body = [
        _header(results),
        _shipped(results, shipped),
        _stages(results),
        _curves(results["stages"]),
        _charts(results),
        _kept(results),
        _gallery(pictures),
        set_table.html(results.get("k_mini"), Path(out_dir)),
        _table(results),
        _counters(results),
        _reproduce(results),
    ]
    template = Template(Path(__file__).with_name("template.html").read_text(encoding="utf-8"))
    text = template.substitute(title="VARCO-VISION training report", body="\n".join(filter(None, body)))
    path = Path(out_dir) / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def duration(seconds: float) -> str:
    """0.4 s, 42 s, 12 min 5 s, 3 h 20 min."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def shown(metric: str, value: float) -> str:
    """A score as the page writes it: per cent, means of IoU as 0.69."""
    if not math.isfinite(value):
        return "not a number"
    return f"{value:.2f}" if metric.endswith("miou") else f"{100 * value:.1f}\u00a0%"


def _header(results: Results) -> str:
    """What, when, how long, with what."""
    last = list(results["scores"])[-1] if results["scores"] else None
    facts = [("Measured on", f"{results['n_eval']:,} questions")] if results.get("n_eval") else []
    facts += [("Whole run", duration(results["total_seconds"]))] if "total_seconds" in results else []
    samples = sum(stage.get("samples", 0) for stage in results["stages"])
    facts += [("Trained on", f"{samples:,} samples"), ("Stages", str(len(results["stages"])))]
    for metric in ("grounding_acc50", "referring_acc", "ocr_word_acc", "text_acc"):
        for lang, value in (results["scores"].get(last, {}).get(metric, {}) if last else {}).items():
            facts.append((f"{_title(metric)[0]}, {LANGUAGE_NAMES.get(lang, lang)}", shown(metric, value)))
    when = results.get("written", "")[:16].replace("T", " ")
    line = f"{when} UTC. " if when else ""
    line += "Scores in this header are those after the last stage; all are on questions that training has not seen."
    listed = "".join(f"<div><dt>{escape(a)}</dt><dd>{escape(b)}</dd></div>" for a, b in facts)
    title = "A Korean-English vision-language model, trained and measured"
    return (
        f'<header><h1>{title}</h1><p lang="ko" class="quiet">한국어·영어 시각 언어 모델의 학습과 평가 보고서</p>'
        f'<p class="quiet">{escape(line)}</p><dl class="facts">{listed}</dl></header>'
    )


def _stages(results: Results) -> str:
    head = ("Stage", "Trained", "Frozen", "Samples", "Steps", "Time", "Loss, first → last", "Precision")
    rows = []
    for stage in results["stages"]:
        name = escape(str(stage["name"]))
        number = f"{stage['stage']}\u2002" if "stage" in stage else ""
        refused = f"<small>{stage['refused']:,} left out: too long</small>" if stage.get("refused") else ""
        rows.append(
            [
                f"<strong>{number}{name}</strong>",
                escape(", ".join(stage["trainable"]) or "nothing"),
                f'<span class="quiet">{escape(", ".join(stage["frozen"]) or "nothing")}</span>',
                f"{stage['samples']:,}{refused}",
                f"{stage['steps']:,}" if "steps" in stage else "",
                duration(stage["seconds"]),
                f"{stage['loss_first']:.3f} → {stage['loss_last']:.3f}",
                escape(str(stage.get("precision", ""))),
            ]
        )
    note = "Stages 0 and preference stages minimise other losses than the stages between; their numbers do not compare."
    return page.section("Stages", "학습 단계", page.table(head, rows, (3, 4, 5, 6)), f'<p class="quiet">{note}</p>')


def _curves(stages: Sequence[Mapping[str, Any]]) -> str:
    drawn = [
        f"<figure><figcaption>{escape(str(s['name']))}</figcaption>{figures.loss_curve(s['curve'], str(s['name']))}</figure>"
        for s in stages
        if s.get("curve")
    ]
    note = '<p class="quiet">Thin: as recorded; thick: running mean. Steps from left to right.</p>'
    grid = f'<div class="figures">{"".join(drawn)}</div>'
    return page.section("Loss", "손실", note, grid) if drawn else ""


def _title(metric: str) -> tuple[str, str]:
    """English and Korean name of a metric's task; a metric of another protocol keeps its own name."""
    return TASK_NAMES.get(metric.split("_", maxsplit=1)[0], (metric, ""))


def _charts(results: Results) -> str:
    scores, intervals = results["scores"], results.get("intervals", {})
    stages, drawn = list(scores), []
    for metric in figures.CHARTS:
        langs = [lang for lang in LANGUAGES if any(lang in scores[s].get(metric, {}) for s in stages)]
        if not langs:
            continue
        series: dict[str, list[figures.Dot | None]] = {}
        for lang in langs:
            series[lang] = [
                (scores[s][metric][lang], *intervals.get(s, {}).get(metric, {}).get(lang, (None, None)))
                if lang in scores[s].get(metric, {})
                else None
                for s in stages
            ]
        highest = max(max(v for v in dot if v is not None) for dots in series.values() for dot in dots if dot)
        chart = figures.stages_chart(stages, series, metric, 1.0 if highest <= 1 else math.ceil(highest))
        english, korean = _title(metric)
        rule = own.METRICS[metric]
        better = "" if rule.higher_is_better else " Lower is better."
        caption = f"{escape(english)}{page.korean(korean)}<br><small><code>{metric}</code> {escape(rule.meaning)}.{better}</small>"
        drawn.append(f"<figure><figcaption>{caption}</figcaption>{chart}</figure>")
    key = "".join(f'<span class="{lang}-text">● {LANGUAGE_NAMES[lang]}</span> ' for lang in LANGUAGES)
    note = f'<p class="quiet">{key} Bars are 95 % intervals.</p>'
    return (
        page.section("From stage to stage", "단계별 변화", note, f'<div class="figures wide">{"".join(drawn)}</div>')
        if drawn
        else ""
    )


def _table(results: Results) -> str:
    """Every metric, language and stage with n and the 95 % interval."""
    note = (
        '<p class="quiet">Each cell: score and 95 % interval. Answers are greedy; what cannot be read from an answer is '
        "wrong and counted. n is the number of samples: questions, or pictures where words or characters are counted. "
        "Shares have Wilson intervals; means and micro rates are bootstrapped over samples.</p>"
    )
    table = _score_table(results)
    return page.section("Scores", "점수", note, table) if table else ""


def _score_table(results: Results) -> str:
    scores = results["scores"]
    used = {metric for table in scores.values() for metric in table}
    metrics = [m for m in own.METRICS if m in used] + sorted(used - own.METRICS.keys())
    rows = []
    for metric in metrics:
        rule = own.METRICS.get(metric)
        lower = " Lower is better." if rule and not rule.higher_is_better else ""
        about = f"<small>{escape(rule.meaning)}.{lower}</small>" if rule else ""
        langs = [lang for lang in LANGUAGES if any(lang in table.get(metric, {}) for table in scores.values())]
        for place, lang in enumerate(langs):
            name = (
                f'<th class="metric" rowspan="{len(langs)}"><code>{escape(metric)}</code>{about}</th>'
                if place == 0
                else ""
            )
            cells = "".join(f'<td class="n">{_cell(results, stage, metric, lang)}</td>' for stage in scores)
            n = f'<td class="n">{_asked(results, metric, lang)}</td>'
            rows.append(f'<tr>{name}<td class="{lang}-text">{LANGUAGE_NAMES[lang]}</td>{n}{cells}</tr>')
    head = "".join(f'<th class="n">{escape(stage)}</th>' for stage in scores)
    table = f'<div class="scroll"><table><thead><tr><th>Metric</th><th>Language</th><th class="n">n</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    return table if rows else ""


def _cell(results: Results, stage: str, metric: str, lang: str) -> str:
    value = results["scores"][stage].get(metric, {}).get(lang)
    if value is None:
        return '<span class="quiet">–</span>'
    interval = results.get("intervals", {}).get(stage, {}).get(metric, {}).get(lang)
    plain = lambda v: shown(metric, v).removesuffix("\u00a0%")  # noqa: E731
    under = f"<small>{plain(interval[0])} – {plain(interval[1])}</small>" if interval else ""
    return shown(metric, value) + under


def _asked(results: Results, metric: str, lang: str) -> str:
    """Samples behind a row; a range where the stages differ (answers without letters have no language)."""
    found = [table[metric][lang] for table in results.get("counts", {}).values() if lang in table.get(metric, {})]
    if not found:
        return ""
    return f"{min(found):,}" if min(found) == max(found) else f"{min(found):,} – {max(found):,}"


def _kept(results: Results) -> str:
    """What each stage kept of the text answers that the backbone gave right."""
    base, rows = results.get("kept_from"), []
    for stage, by_lang in results.get("kept", {}).items():
        for lang, k in by_lang.items():
            sure = "up" if k["low"] > 0 else "down" if k["high"] < 0 else "quiet"
            change = f"{100 * k['difference']:+.1f} <small>{100 * k['low']:+.1f} to {100 * k['high']:+.1f}</small>"
            rows.append(
                [
                    f"<strong>{escape(stage)}</strong>",
                    f'<span class="{lang}-text">{LANGUAGE_NAMES.get(lang, lang)}</span>',
                    f"{100 * k['before']:.1f}\u00a0%",
                    f"{100 * k['after']:.1f}\u00a0%",
                    f'<span class="{sure}">{change}</span>',
                    "–" if k["kept"] is None else f"{100 * k['kept']:.1f}\u00a0%",
                    f"{k['lost']} / {k['gained']}",
                    f"{k['n']:,}",
                ]
            )
    if not rows:
        return ""
    head = ("After stage", "Language", "Before", "After", "Change, points", "Still right", "Lost / gained", "n")
    note = (
        f"<p>The same questions without pictures, asked before stage 1 (<code>{escape(str(base))}</code>) and after each stage. "
        "“Still right” is the share of what was answered right before that is right still; the interval of the change is a "
        "paired 95 % bootstrap.</p>"
    )
    return page.section("Text knowledge each stage kept", "글 지식의 유지", note, page.table(head, rows, range(2, 8)))


def _counters(results: Results) -> str:
    counted = results.get("counters") or {}
    if not counted:
        return ""
    rows = [
        [escape(text), *(f"{table.get(name, 0):,}" for table in counted.values())]
        for name, text in own.COUNTERS.items()
    ]
    head = ("Answers", *(escape(stage) for stage in counted))
    return page.section("What went wrong with answers", "문제가 있던 답", page.table(head, rows, range(1, len(head))))


def _reproduce(results: Results) -> str:
    used = "".join(
        f"<div><dt>{escape(str(name))}</dt><dd>{escape(str(version))}</dd></div>"
        for name, version in results.get("versions", {}).items()
    )
    command = f"<pre>{escape(results['command'])}</pre>" if results.get("command") else ""
    note = (
        "<p>The numbers of this page are in results.json beside it. The same command with the same versions on the same "
        "kind of machine gives the same questions; training in reduced precision may differ in the last digits.</p>"
    )
    return page.section("Reproduce", "다시 해 보기", command, note, f'<dl class="facts">{used}</dl>')


def _shipped(results: Results, pictures: Sequence[Picture]) -> str:
    """The model that comes with the package: its answers, and its scores on questions of its own world."""
    found = results.get("shipped")
    if not found:
        return ""
    note = (
        f"<p>{escape(found['name'])}, trained before and shipped; {found['n_eval']} questions on unseen pictures.</p>"
    )
    table = {**found, "scores": {found["name"]: found["scores"]}, "intervals": {found["name"]: found["intervals"]}}
    table["counts"] = {found["name"]: found["counts"]}
    return page.section("The shipped model at work", "함께 제공되는 모델", note, *_cards(pictures), _score_table(table))


# --- gallery -------------------------------------------------------------------------------------------------------


def _gallery(pictures: Sequence[Picture]) -> str:
    return (
        page.section("Answers of the model trained here", "여기서 학습한 모델의 답", *_cards(pictures))
        if pictures
        else ""
    )


def _cards(pictures: Sequence[Picture]) -> list[str]:
    cards = [_card(item) for item in pictures]
    right = sum('class="verdict right"' in card for card in cards)
    judged = right + sum('class="verdict wrong"' in card for card in cards)
    note = (
        f"<p>{right} of {judged} judged answers are right. Coloured boxes are the "
        "model's, dotted black-and-white ones are the right ones, dashed red ones were part of the question.</p>"
    )
    groups: dict[str, list[str]] = {}
    for item, card in zip(pictures, cards, strict=True):
        groups.setdefault(str(item["task"]) if item.get("gold") is not None else "yours", []).append(card)
    content = []
    for task, found in groups.items():
        english, korean = TASK_NAMES.get(task, ("Your pictures", "직접 준 그림"))
        content.append(f'<h3>{escape(english)}{page.korean(korean)}</h3><div class="gallery">{"".join(found)}</div>')
    return [note, *content]


def _card(item: Picture) -> str:
    """A picture with boxes, the question, the answer, and whether it is right."""
    answer, picture = item["answer"], item.get("picture")
    asked = markup.parse(str(item["question"]))
    rows = [
        ("Question", markup.plain(asked).strip() or str(item["question"]) or "(the picture alone)"),
        ("Answer", answer.text or "(nothing)"),
    ]
    if item.get("gold") is not None:
        rows.append(("Right answer", markup.plain(markup.parse(str(item["gold"]))).strip()))
    if item.get("name"):
        rows.append(("File", Path(str(item["name"])).name))
    lang = escape(str(item["lang"]))
    listed = "".join(f'<dt>{a}</dt><dd lang="{lang}">{escape(b)}</dd>' for a, b in rows)
    frame = "" if picture is None else _frame(picture, answer, _boxes(asked), _gold_boxes(item))
    raw = (
        f"<details><summary>as the model wrote it</summary><code>{escape(answer.raw)}</code></details>"
        if answer.raw != answer.text
        else ""
    )
    kind = "card" if picture is not None else "card textonly"
    return f'<article class="{kind}">{frame}{_verdict(item)}<dl>{listed}</dl>{raw}</article>'


def _verdict(item: Picture) -> str:
    if item.get("gold") is None and item.get("sample") is None:
        return '<div class="verdict open">not judged: no right answer is known</div>'
    judged = own.record(_as_sample(item), item["answer"])
    iou = f", IoU {judged['iou']:.2f}" if judged["iou"] is not None else ""
    cut = ", cut off" if item["answer"].truncated else ""
    kind, mark = ("right", "✓ right") if judged["correct"] else ("wrong", "✗ wrong")
    return f'<div class="verdict {kind}">{mark}{iou}{cut}</div>'


def _as_sample(item: Picture) -> Sample:
    if item.get("sample") is not None:
        return item["sample"]
    images = () if item.get("picture") is None else (item["picture"],)
    content = [*({"type": "image"} for _ in images), {"type": "text", "text": str(item["question"])}]
    turns = ({"role": "user", "content": content}, {"role": "assistant", "content": str(item["gold"])})
    return Sample("gallery", images, item["task"], item["lang"], turns)


def _boxes(items: Sequence[markup.Item]) -> list[Box]:
    return [box for item in items if not isinstance(item, markup.Text) for box in item.boxes]


def _gold_boxes(item: Picture) -> list[Box]:
    return _boxes(markup.parse(str(item["gold"]))) if item.get("gold") is not None else []


def _frame(picture: Image.Image, answer: Answer, asked: Sequence[Box], gold: Sequence[Box]) -> str:
    """The picture as a data URI with vector boxes over it; boxes scale with the page."""
    small = picture.convert("RGB")
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    told = [(thing.phrase, box) for thing in answer.objects for box in thing.boxes]
    told += [(word.text, word.box) for word in answer.words]
    shapes = [_rect(box, kind) for box in gold for kind in ("under", "gold")] + [_rect(box, "asked") for box in asked]
    shapes += [_rect(box, "told", COLOURS[k % len(COLOURS)]) for k, (_, box) in enumerate(told)]
    tags = "".join(_tag(name, box, COLOURS[k % len(COLOURS)]) for k, (name, box) in enumerate(told) if name.strip())
    size = f'width="{small.width}" height="{small.height}"'
    return (
        f'<div class="frame"><img {size} alt="picture of the question" src="data:image/png;base64,{data}">'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{"".join(shapes)}</svg>{tags}</div>'
    )


def _rect(box: Box, kind: str, colour: str = "") -> str:
    b = box.clipped()
    stroke = f' stroke="{colour}"' if colour else ""
    place = f'x="{100 * b.x1:.2f}" y="{100 * b.y1:.2f}" width="{100 * (b.x2 - b.x1):.2f}" height="{100 * (b.y2 - b.y1):.2f}"'
    return f'<rect class="{kind}" {place}{stroke}></rect>'


def _tag(name: str, box: Box, colour: str) -> str:
    """A label above its box, or below where there is no room; at the right edge it ends where the box ends."""
    across = f"left:{100 * box.x1:.1f}%" if box.x1 < 0.6 else f"right:{100 * (1 - min(box.x2, 1)):.1f}%"
    down = f"bottom:{100 * (1 - box.y1):.1f}%" if box.y1 > 0.1 else f"top:{100 * min(box.y2, 0.93):.1f}%"
    text = name if len(name) <= 24 else name[:23] + "…"
    return f'<span class="tag" style="{across};{down};background:{colour}">{escape(text)}</span>'
