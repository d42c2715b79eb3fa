"""The web page in a real browser: headless Chromium, driven by Playwright.

With SCREENSHOTS=DIR in the environment pictures of the page are written there, in both languages and widths.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the page needs the extra 'serve'")
playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested with Playwright for Python")
pytest.importorskip("openai", reason="tests/serving.py needs the openai client")

from serving import eventually, png, running, shown  # noqa: E402

from varco_vision.infer.api import VarcoVision  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EXAMPLES = Path(__file__).parent.parent / "examples"
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the page is tested in Chromium, which is not installed")


@pytest.fixture(scope="module")
def vision():
    return VarcoVision.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def server(vision):
    with running(vision, page=True) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as drive:
        started = drive.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser, server):
    """Open the page; afterwards nothing may have gone wrong or gone elsewhere."""
    contexts, faults = [], []

    def call(language="en", width=1280, height=850, address="", allowed=(), url=None):
        base = url or server.url
        locale = {"ko": "ko-KR", "en": "en-US"}[language]
        context = browser.new_context(viewport={"width": width, "height": height}, locale=locale)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        page.on("request", lambda r: faults.append(r.url) if not r.url.startswith((base, "data:", "blob:")) else None)
        page.goto(f"{base}/{address}")
        page.wait_for_selector(".example")
        page.wait_for_function(
            "document.querySelector('#model').textContent || !document.querySelector('#error').hidden"
        )
        page.set_default_timeout(20_000)
        return page

    yield call
    for context in contexts:
        context.close()
    expected = [f for f in faults if "401 (Unauthorized)" in f or "429 (Too Many" in f]
    assert faults == expected


def canned(page, found, pieces=("",)):
    """Answer the page's questions with `found` (the field `varco`); returns the list that will hold the requests."""
    asked = []
    base = {"text": "", "raw": "", "objects": [], "words": [], "items": [], "stop_reason": "end", "confidence": 0.5}

    def respond(route):
        asked.append(json.loads(route.request.post_data))
        chunks = [{"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]} for piece in pieces]
        chunks.append({"choices": [{"index": 0, "delta": {"varco": {**base, **found}}, "finish_reason": "stop"}]})
        chunks.append({"choices": [], "usage": {"completion_tokens": 7}})
        body = "".join(f"data: {json.dumps(c)}\n\n" for c in chunks) + "data: [DONE]\n\n"
        route.fulfill(status=200, headers={"content-type": "text/event-stream"}, body=body)

    page.route("**/v1/chat/completions", respond)
    return asked


def give_picture(page, width=400, height=200):
    page.set_input_files("#file", {"name": "그림.png", "mimeType": "image/png", "buffer": png(width, height)})
    page.wait_for_selector("#frame:not([hidden])")


def box_of(page, selector):
    """Relative corners of an element within the picture."""
    frame, found = page.locator("#picture").bounding_box(), page.locator(selector).first.bounding_box()
    x, y = (found["x"] - frame["x"]) / frame["width"], (found["y"] - frame["y"]) / frame["height"]
    return [x, y, x + found["width"] / frame["width"], y + found["height"] / frame["height"]]


TWO = {
    "text": "red circle and <b>blue</b> square",
    "items": [
        {"type": "object", "text": "red circle", "boxes": [{"box": [0.1, 0.2, 0.4, 0.9]}]},
        {"type": "text", "text": " and <b>blue</b> "},
        {"type": "object", "text": "square", "boxes": [{"box": [0.5, 0.1, 0.7, 0.3]}, {"box": [0.8, 0.5, 0.95, 0.9]}]},
    ],
}
WORDS = {
    "text": "가나 다라\n마바",
    "words": [
        {"text": "가나", "box": [0.1, 0.1, 0.3, 0.3], "confidence": 0.9, "line": 0},
        {"text": "다라", "box": [0.4, 0.1, 0.6, 0.3], "confidence": 0.8, "line": 0},
        {"text": "마바", "box": [0.1, 0.5, 0.5, 0.8], "confidence": 0.7, "line": 1},
    ],
}


def test_an_example_is_answered_with_boxes_by_the_model(open_page, server):
    page = open_page("ko")
    page.locator(".example").first.click()
    page.wait_for_selector(".entry .facts")
    assert page.locator(".phrase").first.text_content() in page.locator(".said").first.text_content()
    name = server.client().models.list().data[0].id
    answer = server.client().chat.completions.create(
        model=name,
        messages=shown("빨간색 원은 어디에 있나요?", (EXAMPLES / "scene.png").read_bytes()),
        extra_body={"varco": {"task": "ground"}},
    )
    thing = answer.choices[0].message.varco["objects"][0]
    assert page.locator(".phrase").first.text_content() == thing["phrase"]
    assert box_of(page, ".found") == pytest.approx(thing["boxes"][0]["box"], abs=0.01)


def test_words_and_boxes_light_up_together(open_page):
    page = open_page()
    canned(page, TWO, ("red ", "circle and"))
    give_picture(page)
    page.check("input[value=ground]", force=True)
    page.fill("#text", "Where?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".facts")
    assert page.locator(".said").text_content() == TWO["text"], "answers are text, never markup of the page"
    assert page.locator(".said b").count() == 0
    assert page.locator(".found").count() == 3
    page.locator(".phrase").nth(1).hover()
    assert page.locator(".found.lit").count() == 2 and page.locator(".found.dim").count() == 1
    page.locator(".phrase").nth(0).hover()
    assert box_of(page, ".found.lit") == pytest.approx([0.1, 0.2, 0.4, 0.9], abs=0.01)
    page.locator(".found").filter(has_text="red circle").hover()
    assert page.locator(".phrase.lit").all_text_contents() == ["red circle"]
    page.locator("h1").hover()
    assert page.locator(".lit").count() == 0
    colours = [
        p.evaluate("n => getComputedStyle(n).getPropertyValue('--colour')") for p in page.locator(".phrase").all()
    ]
    assert len(set(colours)) == 2


def test_a_drawn_box_is_what_is_asked_about(open_page):
    page = open_page("ko")
    asked = canned(page, {"text": "별", "items": [{"type": "text", "text": "별"}]})
    give_picture(page)
    frame = page.locator("#picture").bounding_box()

    def at(x, y):
        return frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]

    page.mouse.move(*at(0.8, 0.7))
    page.mouse.down()
    page.mouse.move(*at(0.5, 0.5))
    page.mouse.move(*at(0.2, 0.3))
    page.mouse.up()
    assert page.is_checked("input[value=refer]")
    assert box_of(page, ".drawn") == pytest.approx([0.2, 0.3, 0.8, 0.7], abs=0.02)
    page.fill("#text", "이것은 무엇인가요?")
    page.click("#send")
    page.wait_for_selector(".facts")
    assert asked[0]["varco"]["task"] == "refer"
    assert asked[0]["varco"]["box"] == pytest.approx([0.2, 0.3, 0.8, 0.7], abs=0.01)
    page.click("#box-away")
    assert page.locator(".drawn").count() == 0
    page.click("#send")
    assert "상자" in page.locator("#error").text_content() and len(asked) == 1


def test_recognised_text_lies_on_the_picture_and_can_be_copied(open_page):
    page = open_page()
    asked = canned(page, WORDS)
    give_picture(page)
    page.check("input[value=ocr]", force=True)
    page.click("#send")
    page.wait_for_selector(".word")
    assert asked[0]["varco"] == {"task": "ocr"} and len(asked[0]["messages"][0]["content"]) == 1
    for number, word in enumerate(WORDS["words"]):
        node = page.locator(".word").nth(number)
        outer, inner = node.bounding_box(), node.locator("span").bounding_box()
        assert inner["width"] == pytest.approx(outer["width"], rel=0.05), word["text"]
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#overlay'))")
    page.keyboard.press("Control+c")
    assert page.evaluate("navigator.clipboard.readText()").strip().split() == ["가나", "다라", "마바"]
    page.click(".copy")
    assert page.evaluate("navigator.clipboard.readText()") == WORDS["text"]


def test_both_languages_say_everything(open_page):
    page = open_page("ko")
    assert page.evaluate("document.documentElement.lang") == "ko"
    assert page.evaluate(
        "import('./static/words.js').then(m => Object.keys(m.WORDS.ko).join() === Object.keys(m.WORDS.en).join())"
    )
    korean = page.locator("main").inner_text()
    page.click("[data-language=en]")
    english = page.locator("main").inner_text()
    assert "그림" in korean and not any("가" <= c <= "힣" for c in english)
    assert page.evaluate("document.documentElement.lang") == "en"
    empty = "[...document.querySelectorAll('[data-text]')].filter(n => !n.textContent).length"
    assert page.evaluate(empty) == 0
    page.reload()
    page.wait_for_selector(".example")
    assert page.evaluate("document.documentElement.lang") == "en", "the choice is kept"


def test_nothing_overflows_on_small_screens(open_page):
    page = open_page("ko", 390, 800)
    canned(page, TWO)
    give_picture(page, 300, 900)
    page.fill("#text", "어디에 있나요? " * 5)
    page.click("#send")
    page.wait_for_selector(".facts")
    for language in ("ko", "en"):
        page.click(f"[data-language={language}]")
        for width in (320, 390, 768):
            page.set_viewport_size({"width": width, "height": 800})
            wide = page.evaluate("""[...document.querySelectorAll('body *')].filter(n => !n.closest('.overlay, .hidden')
                && n.getBoundingClientRect().right > innerWidth + 1).map(n => n.id || n.className || n.tagName)""")
            assert not wide and page.evaluate("document.documentElement.scrollWidth") <= width, (language, width, wide)


def test_mistakes_are_told_in_the_language_of_the_page(open_page):
    page = open_page("ko")
    page.click("#send")
    assert page.locator("#error").text_content() == "먼저 질문을 써 주세요."
    page.check("input[value=ocr]", force=True)
    page.click("#send")
    assert page.locator("#error").text_content() == "먼저 그림을 골라 주세요."
    page.set_input_files("#file", {"name": "a.tif", "mimeType": "image/tiff", "buffer": b"II*\0"})
    eventually(lambda: "JPEG" in page.locator("#error").text_content())
    give_picture(page)
    page.route("**/v1/chat/completions", lambda r: r.fulfill(status=429, headers={"retry-after": "9"}, body="{}"))
    page.click("#send")
    eventually(lambda: "9초" in page.locator("#error").text_content())
    assert page.locator(".entry").count() == 0


def test_dropped_and_pasted_pictures(open_page):
    page = open_page()
    give = """(kind) => {
      const bytes = Uint8Array.from(atob(window.picture), c => c.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], 'a.png', {type: 'image/png'}));
      const event = kind === 'drop' ? new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})
        : new ClipboardEvent('paste', {clipboardData: data, bubbles: true});
      document.body.dispatchEvent(event);
    }"""
    for kind, width in (("drop", 120), ("paste", 90)):
        page.evaluate("(content) => { window.picture = content; }", base64.b64encode(png(width, 60)).decode())
        page.evaluate(give, kind)
        eventually(lambda wide=width: page.evaluate("document.querySelector('#picture').naturalWidth") == wide)


def test_a_key_is_asked_for_where_the_server_wants_one(open_page, vision):
    with running(vision, page=True, keys=("key-of-the-house",)) as locked:
        page = open_page(url=locked.url)
        page.wait_for_selector("#key-line:not([hidden])")
        page.fill("#key", "key-of-the-house")
        page.fill("#text", "3 + 4 = ?")
        page.click("#send")
        page.wait_for_selector(".facts")
        assert page.locator("#model").text_content() and page.locator("#key-line").is_hidden()


def test_an_answer_can_be_stopped(open_page, server):
    page = open_page()
    page.route("**/v1/chat/completions", lambda route: None)  # never answered
    page.fill("#text", "x")
    page.click("#send")
    page.click("#stop")
    page.wait_for_selector("#send:visible")
    assert page.locator(".entry").count() == 0 and page.locator("#error").is_hidden()


def test_doors_of_the_page(server):
    import httpx2

    page = httpx2.get(server.url)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    for path in ("..%2fapp.py", "../app.py", "%2e%2e/settings.py"):
        assert httpx2.get(f"{server.url}/static/{path}").status_code == 404
    script = httpx2.get(f"{server.url}/static/app.js")
    assert script.headers["content-type"].startswith("text/javascript")
    text = "".join(p.read_text() for p in (Path(__file__).parent.parent / "src/varco_vision/serve/static").glob("*.*s"))
    assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text


@pytest.mark.skipif("SCREENSHOTS" not in os.environ, reason="SCREENSHOTS=DIR writes pictures of the page")
def test_screenshots(open_page):
    folder = Path(os.environ["SCREENSHOTS"])
    folder.mkdir(parents=True, exist_ok=True)
    for language in ("ko", "en"):
        for width, height in ((1280, 850), (390, 844)):
            page = open_page(language, width, height)
            page.screenshot(path=folder / f"start-{language}-{width}.png", full_page=True)
            for number, name in ((0, "find"), (2, "box"), (3, "read")):
                page.locator(".example").nth(number).click()
                page.wait_for_selector(".entry:first-child .facts")
                page.screenshot(path=folder / f"{name}-{language}-{width}.png", full_page=True)
