"""The report: complete, self-contained, well-formed HTML; its figures; results.json."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser

import pytest
from PIL import Image
from test_eval import Replay, answer, gold, sample

from varco_vision.errors import InputError
from varco_vision.eval import figures, own, report

VOID = {"meta", "img", "br", "link", "input", "hr"}
STAGES = [
    {"name": "tower", "stage": 0, "kind": "tower", "trainable": ["tower"], "frozen": [], "samples": 9600, "steps": 600,
     "seconds": 66.0, "loss_first": 6.3, "loss_last": 3.125, "refused": 0, "precision": "bfloat16",
     "curve": [[0, 6.3], [300, 4.0], [599, 3.125]]},
    {"name": "basic <2>", "stage": 2, "kind": "sft", "trainable": ["projector", "language"], "frozen": ["tower"],
     "samples": 35_200, "steps": 2200, "seconds": 3723.0, "loss_first": 2.5, "loss_last": 0.75, "refused": 7,
     "precision": "float32", "curve": [[k, 2.5 / (k + 1)] for k in range(40)]},
]  # fmt: skip
PIXELS = Image.radial_gradient("L").resize((120, 80)).convert("RGB")


class Page(HTMLParser):
    """Well-formedness: every element is closed, in order. Collects text, tags and what could load something."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.texts, self.sources = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"an attribute twice: {tag} {names}"
        self.tags.append((tag, dict(attrs)))
        self.sources += [
            v for k, v in attrs if k in ("src", "href", "srcset", "data", "action", "poster", "xlink:href")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))


@pytest.fixture(scope="module")
def scores():
    facts = [sample("text", f"수도 {k}?", "서울", images=(), name=f"t{k}") for k in range(8)]
    box = "<bbox>0.0, 0.0, 0.4, 0.4</bbox>"
    where = [sample("grounding", "<gro>\n?", f"<obj>원</obj>{box}", name=f"g{k}", lang="en") for k in range(4)]
    samples = facts + where
    right = gold(samples)
    before = own.score(Replay(["서울"] * 4 + ["부산"] * 4 + ["?"] * 4), samples)
    after = own.score(Replay(["부산", *right[1:5], "부산", "부산", "부산", *right[8:11], "?"]), samples)
    return {"backbones": before, "basic <2>": after}


@pytest.fixture(scope="module")
def results(scores):
    return report.results_dict(STAGES, scores, 754.0, "varco-vision demo --out 'a&b'")


def gallery():
    box = "<bbox>0.1, 0.2, 0.5, 0.6</bbox>"
    found = answer(f"<obj>빨간 <b>원</obj>{box}")
    asked = f"<obj>this</obj>{box} is what?"
    return [
        {"picture": PIXELS, "question": "<gro>\n원은 어디에 있어?", "answer": found, "gold": f"<obj>원</obj>{box}",
         "task": "grounding", "lang": "ko", "name": ""},
        {"picture": PIXELS, "question": asked, "answer": answer("blue star"), "gold": "red circle", "task": "referring",
         "lang": "en", "name": ""},
        {"picture": None, "question": "한국의 수도는?", "answer": answer("서울"), "gold": "서울", "task": "text", "lang": "ko"},
        {"picture": PIXELS, "question": "Describe <this>.", "answer": answer("", truncated=True, stop_reason="length"),
         "gold": None, "task": "vqa", "lang": "en", "name": "/home/me/my <photo>.jpg"},
    ]  # fmt: skip


@pytest.fixture(scope="module")
def html(results, tmp_path_factory):
    path = report.write_report(results, tmp_path_factory.mktemp("report") / "new" / "folder", gallery())
    assert path.name == "report.html"
    return path.read_text(encoding="utf-8")


def test_results_hold_what_is_promised(results):
    plain = json.loads(json.dumps(results, allow_nan=False))
    assert plain == results, "results.json says the same as the object"
    assert {"stages", "scores", "intervals", "n_eval", "total_seconds", "versions", "command"} <= results.keys()
    assert results["stages"][1]["trainable"] == ["projector", "language"] and results["n_eval"] == 12
    assert results["scores"]["backbones"]["text_acc"] == {"ko": 0.5}
    assert results["scores"]["basic <2>"]["grounding_acc50"] == {"en": 0.75}
    low, high = results["intervals"]["basic <2>"]["grounding_acc50"]["en"]
    assert low < 0.75 < high
    assert results["counts"]["basic <2>"]["grounding_acc50"] == {"en": 4}
    kept = results["kept"]["basic <2>"]["ko"]
    assert (kept["lost"], kept["gained"], kept["kept"], kept["n"]) == (1, 1, 0.75, 8)
    assert results["kept_from"] == "backbones" and "backbones" not in results["kept"]


def test_results_without_scores():
    empty = report.results_dict(STAGES, {}, 1.0, "x")
    assert empty["scores"] == {} and empty["n_eval"] == 0 and empty["kept"] == {}


def test_versions():
    found = report.versions()
    assert {"python", "torch", "transformers", "numpy", "pillow", "varco-vision-open"} <= found.keys()
    assert all(isinstance(value, str) and value for value in found.values())


def test_page_is_well_formed_and_complete(html, results):
    page = Page(html)
    assert html.startswith("<!doctype html>") and [tag for tag, _ in page.tags].count("h1") == 1
    for stage in STAGES:
        assert stage["name"] in page.text and f"{stage['samples']:,}" in page.text
        assert f"{stage['loss_first']:.3f} → {stage['loss_last']:.3f}" in page.text
    assert "7 left out" in page.text and "1 h 2 min" in page.text and "12 min 34 s" in page.text
    table = page.text.split("Scores")[-1]
    for stage, metrics in results["scores"].items():
        assert stage in table
        for metric, values in metrics.items():
            assert metric in table
            for lang, value in values.items():
                low, high = results["intervals"][stage][metric][lang]
                shown = report.shown(metric, value)
                bounds = (report.shown(metric, v).removesuffix("\u00a0%") for v in (low, high))
                assert f"{shown.replace(chr(160), ' ')} {' – '.join(bounds)}" in table, (stage, metric, lang)
    for name, version in results["versions"].items():
        assert name in page.text and version in page.text
    assert "varco-vision demo --out 'a&b'" in page.text
    assert len([1 for tag, attrs in page.tags if attrs.get("class") == "figure curve"]) == 2


def test_page_needs_nothing_else(html):
    page = Page(html)
    assert not re.search(r"(?:https?:)?//[a-z]", re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", html))
    assert page.sources and all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert "@import" not in html and "url(" not in html
    assert "default-src 'none'" in html, "the browser is told to load nothing"


def test_pictures_are_the_pictures(html):
    import base64
    import io

    first = Page(html).sources[0].removeprefix("data:image/png;base64,")
    with Image.open(io.BytesIO(base64.b64decode(first))) as shown:
        assert shown.format == "PNG" and shown.tobytes() == PIXELS.tobytes()


def test_large_pictures_are_made_smaller(results, tmp_path):
    large = Image.new("RGB", (3000, 1000))
    item = {**gallery()[3], "picture": large}
    page = Page(report.write_report(results, tmp_path, [item]).read_text(encoding="utf-8"))
    image = next(attrs for tag, attrs in page.tags if tag == "img")
    assert (image["width"], image["height"]) == ("640", "213") and large.size == (3000, 1000)


def test_gallery_judges_honestly(html):
    page = Page(html)
    assert "2 of 3 judged answers are right" in page.text
    assert "✓ right, IoU 1.00" in page.text and "✗ wrong" in page.text and "not judged" in page.text
    assert "빨간 <b>원" in page.text and "my <photo>.jpg" in page.text and "/home/me" not in page.text
    assert "Describe <this>." in page.text and "(nothing)" in page.text
    told = [attrs for tag, attrs in page.tags if tag == "rect" and attrs["class"] == "told"]
    assert [(r["x"], r["y"], r["width"], r["height"]) for r in told] == [("10.00", "20.00", "40.00", "40.00")]
    kinds = [attrs["class"] for tag, attrs in page.tags if tag == "rect"]
    assert kinds.count("gold") == 1 and kinds.count("asked") == 1
    assert {attrs.get("lang") for tag, attrs in page.tags if tag == "dd"} >= {"ko", "en"}


def test_questions_of_markers_or_nothing_are_shown(results, tmp_path):
    items = [{**gallery()[3], "question": question} for question in ("<ocr>", "")]
    page = Page(report.write_report(results, tmp_path, items).read_text(encoding="utf-8"))
    assert page.texts.count("<ocr>") == 1 and page.texts.count("(the picture alone)") == 1


def test_knowledge_kept(html, scores):
    page = Page(html).text
    kept = own.kept(scores["backbones"], scores["basic <2>"])["ko"]
    assert "Text knowledge each stage kept" in page
    assert f"{100 * kept.difference:+.1f}" in page and f"{kept.lost} / {kept.gained}" in page and "75.0 %" in page


def test_report_from_the_least_that_is_allowed(tmp_path):
    keys = ("name", "trainable", "frozen", "samples", "seconds", "loss_first", "loss_last")
    least = {
        "stages": [{k: stage[k] for k in keys} for stage in STAGES],
        "scores": {"basic <2>": {"grounding_acc50": {"ko": 0.25, "en": 0.5}, "somebody_elses": {"en": 0.125}}},
    }
    page = Page(report.write_report(least, tmp_path).read_text(encoding="utf-8"))
    assert "25.0 %" in page.text and "somebody_elses" in page.text and "12.5 %" in page.text
    assert Page(report.write_report({"stages": [], "scores": {}}, tmp_path).read_text(encoding="utf-8"))
    with pytest.raises(InputError, match="'scores'"):
        report.write_report({"stages": []}, tmp_path)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.44, "0.4 s"), (42.4, "42 s"), (725, "12 min 5 s"), (12_000, "3 h 20 min")]
)
def test_duration(seconds, said):
    assert report.duration(seconds) == said


# --- figures ---


def points(svg, kind):
    found = re.search(rf'class="line {kind}" points="([^"]*)"', svg)
    return [tuple(map(float, pair.split(","))) for pair in found[1].split()]


def test_loss_curve_shows_the_losses():
    svg = figures.loss_curve([[0, 4.0], [10, 3.0], [20, 2.0]], "a <stage>")
    Page(svg)
    raw = points(svg, "raw")
    assert [x for x, _ in raw] == sorted(x for x, _ in raw) and [y for _, y in raw] == sorted(y for _, y in raw)
    assert raw[1][0] == pytest.approx((raw[0][0] + raw[2][0]) / 2, abs=0.1)
    assert raw[1][1] == pytest.approx((raw[0][1] + raw[2][1]) / 2, abs=0.1), "linear where the loss falls little"
    assert "a &lt;stage&gt;" in svg and "logarithmic" not in svg


def test_loss_curve_is_logarithmic_where_the_loss_falls_far():
    svg = figures.loss_curve([[0, 10.0], [1, 1.0], [2, 0.1]], "x")
    raw = points(svg, "raw")
    assert raw[1][1] == pytest.approx((raw[0][1] + raw[2][1]) / 2, abs=0.1)
    assert "logarithmic axis" in svg


@pytest.mark.parametrize(
    "curve", [[], [[0, 1.0]], [[0, 2.0], [1, 2.0]], [[0, float("nan")], [1, 1.0], [2, 0.5]], [[0, 0.0], [1, -1.0]]]
)
def test_loss_curve_of_odd_losses(curve):
    svg = figures.loss_curve(curve, "x")
    Page(svg)
    assert not re.search(r'"[^"]*\b(?:nan|inf)\b', svg)
    assert ("1 points that are no finite number" in svg) == any(math.isnan(loss) for _, loss in curve)


def test_smoothing():
    assert figures.smooth([1.0, 2.0, 6.0], 3) == [1.5, 3.0, 4.0]
    assert figures.smooth([1.0, 2.0], 1) == [1.0, 2.0]


def test_ticks():
    assert figures.nice_ticks(0, 1) == [0, 0.25, 0.5, 0.75, 1.0]
    assert figures.nice_ticks(0, 2200) == [0, 1000, 2000]
    assert figures.log_ticks(0.4, 8) == [0.5, 1, 2, 5]
    assert len(figures.log_ticks(1e-6, 1e3)) <= 6
    assert [figures.number(v) for v in (0, 0.25, 1200, 15_000)] == ["0", "0.25", "1,200", "15k"]


def test_stages_chart_places_values_and_intervals():
    svg = figures.stages_chart(
        ["a", "b"], {"ko": [(0.0, 0.0, 0.5), (1.0, 0.5, 1.0)], "en": [None, (0.5, None, None)]}, "m"
    )
    Page(svg)
    heights = [float(y) for y in re.findall(r'<circle class="dot (?:ko|en)"[^>]* cy="([^"]*)"', svg)]
    assert heights[0] > heights[2] > heights[1] and heights[2] == pytest.approx((heights[0] + heights[1]) / 2)
    bars = re.findall(r'<line class="bar ko"[^>]*y1="([^"]*)" [^>]*y2="([^"]*)"', svg)
    assert len(bars) == 2 and float(bars[0][0]) == heights[0] and 'class="bar en"' not in svg
