"""Whatever comes in gives a clear error or the right picture: files as people have them, and texts made to confuse."""

from __future__ import annotations

import io
import random
import struct
import zlib

import fuzz
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny import SPECIAL, write_tiny

from varco_vision import chat
from varco_vision.errors import InputError
from varco_vision.infer.api import VarcoVision
from varco_vision.markup import MARKERS


@pytest.fixture(scope="module")
def vision(tmp_path_factory):
    return VarcoVision.from_pretrained(write_tiny(tmp_path_factory.mktemp("tiny") / "model"), device="cpu")


def shades(mode="RGB", size=(60, 40)):
    return Image.linear_gradient("L").resize(size).convert(mode)


def encoded(image, form, **settings):
    buffer = io.BytesIO()
    image.save(buffer, form, **settings)
    return buffer.getvalue()


def claimed_png(width, height):
    """A PNG of a few bytes whose header claims a size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


BAD = {
    "cut off": encoded(shades(size=(300, 200)), "JPEG")[:1500],
    "empty": b"",
    "50,000 x 50,000": claimed_png(50_000, 50_000),
    "text": b"this is no picture",
    "PDF": b"%PDF-1.7 ...",
    "damaged PNG": encoded(shades(), "PNG")[:60] + b"\x00" * 40,
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_bad_pictures_are_one_sentence(vision, data):
    for call in (vision.ocr, lambda d: vision.chat(d, "a", max_new_tokens=2), lambda d: vision.ground(d, "a", 2)):
        with pytest.raises(InputError):
            call(data)
    assert vision.chat(shades(), "a", max_new_tokens=2).new_tokens <= 2, "the engine goes on"


def test_unusual_pictures_are_what_people_see(vision):
    """Equal answers for the same picture in another form."""
    plain = shades("L")
    wanted = vision.chat(plain.convert("RGB"), "이 그림은?", max_new_tokens=8)
    sixteen = Image.fromarray(np.asarray(plain).astype(np.uint16) * 257)
    turned = plain.convert("RGB").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    second = Image.new("L", plain.size, 255)
    forms = {
        "16 bit": encoded(sixteen, "PNG"),
        "EXIF": encoded(turned, "PNG", exif=exif),
        "animated GIF": encoded(plain, "GIF", save_all=True, append_images=[second]),
        "palette": encoded(plain.convert("P"), "PNG"),
        "transparent": encoded(plain.convert("RGBA"), "PNG"),
        "TIFF": encoded(plain, "TIFF", save_all=True, append_images=[second]),
    }
    for name, data in forms.items():
        answer = vision.chat(data, "이 그림은?", max_new_tokens=8)
        assert answer.token_ids == wanted.token_ids, name
        assert answer.log_probs == pytest.approx(wanted.log_probs, abs=1e-5), name
    assert vision.ocr(encoded(shades("RGB").convert("CMYK"), "JPEG"), 4).width == 60


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"II*\x00", b"BM"]),
)
def test_random_bytes_never_crash(vision, data, head):
    try:
        page = vision.ocr(head + data, 1)
    except InputError:
        return
    assert page.width > 0


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from([*SPECIAL, "<|im_start|>system\n", "가", " a\n", "\u2060", "\x00", "\ud7ff"]), max_size=8
    ).map("".join)
)
def test_special_strings_in_texts_stay_text(vision, text):
    """A user cannot open a turn, end one, or bring in a picture by writing its token."""
    tokenizer = vision.loaded.tokenizer
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}]
    rendered = chat.render(messages, tokenizer, [7], add_generation_prompt=True)
    plain = chat.render(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "x"}]}], tokenizer, [7],
        add_generation_prompt=True,
    )  # fmt: skip
    for token in set(SPECIAL) - set(MARKERS):
        number = tokenizer.convert_tokens_to_ids(token)
        assert rendered.ids.count(number) == plain.ids.count(number), token
    answer = vision.chat(shades(), text, max_new_tokens=2)
    assert answer.image_tokens == vision.chat(shades(), "x", max_new_tokens=2).image_tokens


def test_huge_prompts_are_refused_at_once(vision, monkeypatch):
    """Cutting ten million letters into tokens takes minutes; that they cannot fit is known before."""
    with monkeypatch.context() as patch:
        patch.setattr(chat, "render", lambda *_: pytest.fail("the text was cut into tokens"))
        with pytest.raises(InputError, match="5,000,000 characters"):
            vision.chat(shades(), "가 나 다" * 1_000_000)
    with pytest.raises(InputError, match=r"\d{4} tokens"):
        vision.chat(shades(), "가 나 " * 600)


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_targets_of_the_fuzzer_hold_for_their_seeds_and_neighbours(name):
    """`python tests/fuzz.py` goes on from here with atheris; this keeps its targets alive and true."""
    if name == "requests":
        pytest.importorskip("fastapi", reason="the server needs the extra 'serve'")
    draw = random.Random(5)
    for seed in fuzz.seeds(name):
        fuzz.TARGETS[name](seed)
        for _ in range(30):
            data = bytearray(seed)
            for _ in range(draw.randrange(1, 6)):
                data[draw.randrange(len(data))] = draw.randrange(256)
            fuzz.TARGETS[name](bytes(data[: draw.choice([None, draw.randrange(len(data))])]))


def test_targets_of_the_fuzzer_see_faults(monkeypatch):
    monkeypatch.setattr("varco_vision.markup.escape", lambda text: text)
    with pytest.raises(AssertionError):
        fuzz.markup(b"<obj>a</obj>")
    monkeypatch.setattr("varco_vision.pictures.load", lambda *_, **__: Image.new("L", (3, 3)))
    with pytest.raises(AssertionError):
        fuzz.pictures(b"")
