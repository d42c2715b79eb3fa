"""What is asked about charts, and their source."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from varco_vision.markup import Chars, Object, write
from varco_vision.synth import strings
from varco_vision.synth.asking import QA, YES_NO, Asked, Asks, Made, as_list, both, readable, relative
from varco_vision.synth.charts import KIND_NAMES, Chart, ChartConfig, chart
from varco_vision.synth.korean import josa
from varco_vision.synth.phrasing import Speaker
from varco_vision.synth.questions import joined
from varco_vision.synth.templates import pages as t
from varco_vision.synth.templates import reading as t_reading
from varco_vision.synth.wild_source import settings

OPTIONS = tuple(f.name for f in fields(ChartConfig) if f.name != "split")


class ChartBook:
    """A chart with its questions."""

    def __init__(self, made: Chart, rng: random.Random, speaker: Speaker, digits: int) -> None:
        self.chart, self.rng, self.speaker, self.digits = made, rng, speaker, digits
        self.size = made.image.size

    def say(self, wording: Any, lang: str, **values: object) -> str:
        return self.speaker.say(self.rng, wording, lang, **values)

    def number(self, value: int, lang: str) -> str:
        return strings.measured(str(value), self.chart.unit(lang))

    def _of(self, lang: str, s: int, k: int) -> str:
        """A value in words: "3월", "본점의 3월"; "Mar", "Main store for Mar"."""
        return self._named(lang, self.chart.names[k], self.chart.series[s] if self.chart.series else "")

    def _named(self, lang: str, name: str, series: str) -> str:
        if not series:
            return name
        return f"{series}의 {name}" if lang == "ko" else f"{series} for {name}"

    def kind(self, lang: str) -> QA:
        i = 0 if lang == "ko" else 1
        answer = KIND_NAMES[self.chart.kind][i]
        wrong = tuple(
            n[i]
            for kind, n in KIND_NAMES.items()
            if kind != self.chart.kind and not {kind, self.chart.kind} <= {"bar", "barh", "grouped", "stacked"}
        )
        return QA(
            "vqa",
            "chart_kind",
            lang,
            self.say(t.CHART_KIND, lang),
            answer,
            {},
            wrong,
            KIND_NAMES[self.chart.kind][1 - i],
        )

    def title(self, lang: str) -> QA | None:
        found = next((x for x in self.chart.texts if x["role"] == "title"), None)
        if found is None:
            return None
        return QA("vqa", "chart_title", lang, self.say(t.CHART_TITLE, lang), found["text"], {})

    def value(self, lang: str, s: int, k: int) -> QA:
        ch = self.chart
        answer = self.number(ch.values[s][k], lang)
        wrong = tuple(self.number(v, lang) for row in ch.values for v in row if v != ch.values[s][k])
        text = self.say(t.CHART_VALUE, lang, of=self._of(lang, s, k))
        return QA(
            "vqa", "chart_value", lang, text, answer, {"value": ch.values[s][k], "of": self._of(lang, s, k)}, wrong
        )

    def most(self, lang: str, up: bool) -> QA:
        """Of charts with one series: the category with the highest or lowest value."""
        ch = self.chart
        ranked = sorted(range(len(ch.names)), key=lambda k: ch.values[0][k], reverse=up)
        high = {"ko": ("큰", "작은"), "en": ("highest", "lowest")}[lang][not up]
        among = ch.theme.among[0 if lang == "ko" else 1]
        wrong = tuple(ch.names[k] for k in ranked[1:])
        return QA(
            "vqa",
            "chart_most",
            lang,
            self.say(t.CHART_MOST, lang, high=high, among=among),
            ch.names[ranked[0]],
            {},
            wrong,
        )

    def count(self, lang: str, series: bool) -> QA:
        ch = self.chart
        n = len(ch.series) if series else len(ch.names)
        ko, en, ens = ("계열", "series", "series") if series else ch.theme.among
        answer = f"{n}개" if lang == "ko" else str(n)
        wrong = tuple(answer.replace(str(n), str(x)) for x in (n - 1, n + 1, n + 2))
        return QA(
            "counting",
            "chart_count",
            lang,
            self.say(t.CHART_COUNT, lang, among=ko if lang == "ko" else en, amongs=ens),
            answer,
            {"count": n},
            wrong,
        )

    def difference(self, lang: str, s: int, a: int, b: int) -> QA:
        ch = self.chart
        if ch.values[s][a] < ch.values[s][b]:
            a, b = b, a
        value = ch.values[s][a] - ch.values[s][b]
        value_word = {"ko": "값", "en": "value"}[lang]
        column = f"{ch.series[s]} {value_word}" if ch.series else value_word
        more = {"ko": "큰", "en": "larger"}[lang]
        text = self.say(t.DIFFERENCE, lang, a=ch.names[a], b=ch.names[b], column=column, more=more)
        wrong = tuple(self.number(v, lang) for v in (value + 1, value + 10, ch.values[s][a]))
        return QA("vqa", "chart_difference", lang, text, self.number(value, lang), {"value": value}, wrong)

    def trend(self, lang: str, s: int) -> QA:
        ch = self.chart
        row = ch.values[s]
        rose = row[-1] > row[0]
        series = ch.series[s] if ch.series else {"ko": "값", "en": "the value"}[lang]
        yes, no = YES_NO[lang]
        text = self.say(t.TREND, lang, series=series, first=ch.names[0], last=ch.names[-1])
        return QA("vqa", "chart_trend", lang, text, yes if rose else no, {"present": rose}, (no if rose else yes,))

    def bar_where(self, lang: str, mark: dict[str, Any]) -> QA:
        name = self._named(lang, mark["name"], mark["series"])
        phrase = f"{name} 막대" if lang == "ko" else f"bar of {name}"
        box = relative(mark["box"], self.size)
        text = "<gro>\n" + self.say(t.FIELD_WHERE, lang, field=phrase).replace("적힌", "그려진").replace("적혀", "그려져").replace("쓰여", "그려져").replace("문서", "그래프").replace("written", "drawn").replace("on the page", "in the chart")  # fmt: skip
        return QA(
            "grounding",
            "chart_bar",
            lang,
            text,
            write([Object(phrase, (box,))], self.digits),
            {"boxes": [as_list(box)], "phrase": phrase},
        )

    def read(self, lang: str, found: dict[str, Any]) -> QA:
        box = relative(found["box"], self.size)
        ref = write([Chars(self.rng.choice(t_reading.TEXT_REFERENT[lang]), (box,))], self.digits)
        gold = {"boxes": [as_list(box)], "words": [{"text": found["text"], "box": as_list(box)}]}
        wrong = tuple(x["text"] for x in self.chart.texts if x["text"] != found["text"])
        return QA("referring", "reading", lang, self.say(t_reading.READ_AT, lang, ref=ref), found["text"], gold, wrong)

    def caption(self, lang: str, long: bool) -> QA:
        ch = self.chart
        name = KIND_NAMES[ch.kind][0 if lang == "ko" else 1]
        title, row = ch.title, ch.values[0]
        best, least = row.index(max(row)), row.index(min(row))
        if lang == "ko":
            said = [f"'{title}'{josa(title, '을/를')} 나타낸 {name}입니다."]
            said += [f"{joined(ch.names, lang)}의 값을 보여 줍니다."] if long else []
            if long and not ch.series:
                said.append(f"값이 가장 큰 것은 {ch.names[best]}, 가장 작은 것은 {ch.names[least]}입니다.")
        else:
            said = [f"This is a {name} titled '{title}'."]
            said += [f"It shows {joined(ch.names, lang)}."] if long else []
            if long and not ch.series:
                said.append(f"The highest value is that of {ch.names[best]} and the lowest that of {ch.names[least]}.")
        kind = "chart_long" if long else "chart"
        return QA("caption", kind, lang, self.say(t.PAGE_LONG if long else t.PAGE_SHORT, lang), " ".join(said))

    def asks(self) -> Asks:
        """Everything that can be asked, by family. Values are asked for where they are written on the marks."""
        ch, rng = self.chart, self.rng
        asks: Asks = {
            "kind": both(self.kind),
            "title": both(self.title),
            "caption": [*both(lambda lang: self.caption(lang, False)), *both(lambda lang: self.caption(lang, True))],
            "counting": both(lambda lang: self.count(lang, False)),
            "referring": [
                m for x in ch.texts if readable(x["text"]) for m in both(lambda lang, x=x: self.read(lang, x))
            ],
            "grounding": [m for x in ch.marks for m in both(lambda lang, x=x: self.bar_where(lang, x))],
            "value": [],
            "reason": [],
        }
        if ch.series:
            asks["counting"] += both(lambda lang: self.count(lang, True))
        else:
            for up in (True, False):
                asks["reason"] += both(lambda lang, up=up: self.most(lang, up))
        for s in range(len(ch.values)):
            if ch.theme.names == "months" and ch.kind in ("bar", "line", "grouped"):
                asks["reason"] += both(lambda lang, s=s: self.trend(lang, s))
            if ch.labelled:
                asks["value"] += [
                    m for k in range(len(ch.names)) for m in both(lambda lang, s=s, k=k: self.value(lang, s, k))
                ]
                a, b = rng.sample(range(len(ch.names)), 2)
                asks["reason"] += both(lambda lang, s=s, a=a, b=b: self.difference(lang, s, a, b))
        return asks


def truth_of(ch: Chart) -> dict[str, Any]:
    """Every number, name and box of a chart."""
    size = ch.image.size

    def boxed(entry: dict[str, Any]) -> dict[str, Any]:
        return {**entry, "box": as_list(relative(entry["box"], size))}

    return {
        "chart": ch.kind, "title": ch.title, "layout": ch.layout, "hand": ch.hand, "labelled": ch.labelled, "names": ch.names, "series": ch.series,
        "values": ch.values, "unit": ch.unit(ch.lang), "marks": [boxed(m) for m in ch.marks], "texts": [boxed(x) for x in ch.texts],
    }  # fmt: skip


class Charts(Asked):
    """Charts. Options: those of `Asked` and of `ChartConfig`."""

    name = "charts"
    families = {
        "value": 4.0,
        "reason": 4.0,
        "kind": 0.7,
        "title": 0.7,
        "caption": 0.7,
        "counting": 1.0,
        "referring": 1.5,
        "grounding": 1.0,
    }
    option_names = OPTIONS

    def __init__(
        self,
        seed: int,
        split: str = "train",
        questions: int = 10,
        tasks: Mapping[str, float] | None = None,
        wordings: int | None = None,
        digits: int = 2,
        choices: float = 0.15,
        turns: float = 0.1,
        truth: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(seed, split, questions, tasks, wordings, digits, choices, turns, truth)
        self.config = ChartConfig(split=split, **settings(ChartConfig, options, OPTIONS))

    def make(self, rng: random.Random) -> Made:
        made = chart(rng, self.config)
        return Made((made.image,), ChartBook(made, rng, self.speaker, self.digits).asks(), truth_of(made))
