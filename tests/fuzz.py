"""Coverage-guided fuzzing of everything that reads what strangers send: `pip install atheris`, then

    python tests/fuzz.py markup|pictures|requests [-max_total_time=60] [FOLDER_OF_INPUTS]

Options and folder are libFuzzer's. An input that breaks a promise is written to the working directory and ends the run:
only `InputError` (a request: `ApiError` below 500) may be raised, pictures come out upright and RGB, and markup that was
read can be written and read again. `tests/test_infer_inputs.py` holds every target against its seeds without atheris.
"""

from __future__ import annotations

import copy
import io
import json
import sys
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

MOST_PIXELS = 1_000_000


def markup(data: bytes) -> None:
    """What is read has boxes inside the picture; legal text comes back as it was; escaping leaves no marker."""
    from varco_vision.markup import MARKERS, Text, escape, legal, parse, unescape, write

    text = data.decode("utf-8", errors="replace")
    items = parse(text)
    for item in items:
        for box in () if isinstance(item, Text) else item.boxes:
            assert 0 <= box.x1 <= box.x2 <= 1 and 0 <= box.y1 <= box.y2 <= 1, box
    composed = unicodedata.normalize("NFC", text)
    if not legal(text):  # the list of what is wrong with it
        assert write(items) == composed, (text, items)
    escaped = escape(text)
    assert not any(marker in escaped for marker in MARKERS) and unescape(escaped) == composed, text


def pictures(data: bytes) -> None:
    """An upright RGB picture within the limit, or one sentence."""
    from varco_vision.errors import InputError
    from varco_vision.pictures import load

    try:
        image = load(data, max_pixels=MOST_PIXELS)
    except InputError as error:
        assert str(error) and "\n" not in str(error)
        return
    assert image.mode == "RGB" and 0 < image.width * image.height <= MOST_PIXELS


ODD = (
    None, True, 0, 1, -1, 3, 0.5, 1e308, 10**19, "", "a", "user", "assistant", "system", "m", "<gro>\n가", "text", "ocr",
    "ground", "image_url", "json_schema", "json_object", [], [1, 2], [0.1, 0.2, 0.3, 0.4], {}, {"type": "text"},
    {"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    {"name": "n", "schema": {"type": "object"}},
)  # fmt: skip
PLACES = (
    "model", "messages", "stream", "stream_options", "n", "seed", "stop", "temperature", "top_p", "top_k", "max_tokens",
    "max_completion_tokens", "logprobs", "top_logprobs", "response_format", "repetition_penalty", "tools", "user", "varco",
    "messages.0", "messages.0.role", "messages.0.content", "messages.0.content.0", "messages.0.content.0.text",
    "messages.0.varco", "messages.1", "varco.task", "varco.box", "varco.phrase", "varco.markup", "response_format.type",
    "response_format.json_schema", "stream_options.include_usage",
)  # fmt: skip


def body(data: bytes) -> bytes:
    """JSON as it is; anything else says, two bytes a time, which place of a sound request gets which odd value."""
    if data[:1] in (b"{", b"["):
        return data
    made: Any = {"model": "m", "messages": [{"role": "user", "content": "a"}]}
    for place, value in zip(data[::2], data[1::2], strict=False):
        *way, last = PLACES[place % len(PLACES)].split(".")
        at = made
        for step in way:
            if isinstance(at, list):
                at = at[int(step)] if step.isdigit() and int(step) < len(at) else None
            else:
                at = at.setdefault(step, {}) if isinstance(at, dict) else None
        odd = copy.deepcopy(ODD[value % len(ODD)])
        if isinstance(at, dict):
            at[last] = odd
        elif isinstance(at, list) and last.isdigit():
            at[int(last) : int(last) + 1] = [odd]
    return json.dumps(made).encode()


def requests(data: bytes) -> None:
    """A body is a request that can be checked, or an error of the client's."""
    from varco_vision.serve.conversation import Reader
    from varco_vision.serve.faults import ApiError
    from varco_vision.serve.schema import read
    from varco_vision.serve.settings import Limits

    try:
        chat = read(body(data))
        checker = Reader(None, Limits(), None, None, True)  # type: ignore[arg-type] - nothing is decoded by `check`
        checker.check(chat)
        assert checker.most_bytes(chat) >= 0
    except ApiError as error:
        assert 400 <= error.status < 500, error


TARGETS: dict[str, Callable[[bytes], None]] = {"markup": markup, "pictures": pictures, "requests": requests}


def seeds(target: str) -> list[bytes]:
    """Inputs to start from, so that the fuzzer need not find the forms by itself."""
    if target == "markup":
        return [
            "<gro>\n<obj>빨간 원</obj><bbox>0.1, 0.25, 0.5, 1<delim>0, 0, 0.125, 0.5</bbox>이 있다.".encode(),
            "<ocr><char>글자</char><bbox>0.123, 0.2, 0.9, 0.95</bbox>\n<char>a</char><bbox>0, 0, 1, 1</bbox>".encode(),
            b"<obj>a<bbox>0.9, 0.1, 0.2, 3</obj></bbox><delim>",
            "<\u2060obj>".encode(),
        ]
    if target == "requests":
        head, tail = b'{"model": "m", "messages": [{"role": "user", "content": ', b"}]}"
        shown = b'[{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}]'
        more = (
            b'"n": 2, "seed": 1, "logprobs": true, "response_format": {"type": "json_object"}, "varco": {"task": "ocr"}'
        )
        places = bytes(k for place in range(len(PLACES)) for k in (place, place))
        return [
            places,
            b"\x15\x1a\x1a\x0f",
            head + b'"a"' + tail,
            head + shown + tail,
            head + b'"a"}], ' + more + b"}",
            b"[]",
            b"\xff",
        ]
    made = []
    image = Image.linear_gradient("L").resize((24, 16))
    for form, mode, options in (
        ("PNG", "RGBA", {}),
        ("PNG", "I;16", {}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "RGB", {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"}),
        ("GIF", "P", {"save_all": True, "append_images": [image.rotate(90).convert("P")]}),
        ("WEBP", "RGB", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("BMP", "L", {}),
    ):
        buffer = io.BytesIO()
        image.convert(mode).save(buffer, form, **options)
        made.append(buffer.getvalue())
    return made


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        raise SystemExit(f"usage: python tests/fuzz.py {'|'.join(TARGETS)} [libFuzzer's options] [FOLDER]")
    import atheris

    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["varco_vision", "PIL"]):
        import varco_vision.markup
        import varco_vision.pictures

        if name == "requests":
            import varco_vision.serve.conversation  # noqa: F401
        Image.init()  # the decoders of all forms, which would be imported uninstrumented later
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds(name)):
            (Path(folder) / str(number)).write_bytes(seed)
        atheris.Setup([*sys.argv, folder], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
