"""`varco-vision doctor`: what is installed, what is missing, what each optional part would add."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import typer

from varco_vision.cli import common
from varco_vision.errors import InputError

app = common.new_app()

CORE = {  # distribution -> oldest version that works, "" for any
    "torch": "2.11",
    "transformers": "5.17",
    "tokenizers": "",
    "safetensors": "",
    "pillow": "10",
    "numpy": "",
    "pyyaml": "",
    "typer": "",
    "rich": "",
}
EXTRAS = {  # distribution -> what it adds, how to install it
    "tensorboard": ("training curves in a browser", "pip install 'varco-vision-open[train]'"),
    "peft": ("training of adapters (LoRA)", "pip install 'varco-vision-open[train]'"),
    "pyarrow": ("data in parquet files", "pip install 'varco-vision-open[data]'"),
    "matplotlib": ("charts in made data", "pip install 'varco-vision-open[synth]'"),
    "babel": ("names of places, currencies and languages in made texts", "pip install 'varco-vision-open[synth]'"),
    "emoji": ("names of emoji in made pictures", "pip install 'varco-vision-open[synth]'"),
    "fastapi": ("the server and the page", "pip install 'varco-vision-open[serve]'"),
    "uvicorn": ("the server and the page", "pip install 'varco-vision-open[serve]'"),
    "httpcore2": ("pictures by address in the server", "pip install 'varco-vision-open[serve]'"),
    "prometheus-client": ("numbers of the server for monitoring", "pip install 'varco-vision-open[serve]'"),
    "llguidance": ("answers after a JSON schema", "pip install 'varco-vision-open[serve]'"),
    "pypdfium2": ("OCR of PDF files", "pip install 'varco-vision-open[ocr]'"),
    "pikepdf": ("searchable PDF from OCR", "pip install 'varco-vision-open[ocr]'"),
    "fonttools": ("searchable PDF from OCR", "pip install 'varco-vision-open[ocr]'"),
    "shapely": ("PopEval", "pip install 'varco-vision-open[eval]'"),
    "sacrebleu": ("chrF of named regions", "pip install 'varco-vision-open[eval]'"),
    "cleval": ("CLEval (a C compiler is needed)", "pip install 'varco-vision-open[cleval]'"),
    "lm-eval": ("text tasks of lm-evaluation-harness", "pip install 'varco-vision-open[kept]'"),
    "ray": ("OCR over a cluster", "pip install 'varco-vision-open[ray]'"),
    "openai": ("the official client, to talk to the server and to test it", "pip install 'varco-vision-open[dev]'"),
    "schemathesis": ("a test of the server by its own description", "pip install 'varco-vision-open[checks]'"),
    "playwright": ("tests of the page in a browser", "pip install 'varco-vision-open[checks]'"),
    "atheris": ("coverage-guided fuzzing, tests/fuzz.py", "pip install atheris"),
    "koreanize-matplotlib": ("a Korean font where the system has none", "pip install koreanize-matplotlib"),
}
PROGRAMS = {  # program -> what it adds, how to install it
    "tesseract": ("an OCR program to compare with", "apt install tesseract-ocr tesseract-ocr-kor"),
    "chromium": ("tests of the page in a browser", "apt install chromium"),
}


@dataclass(frozen=True)
class Check:
    """One part. `status`: "ok", "missing" (a core part; the exit code tells) or "optional" (not there, not needed)."""

    part: str
    status: str
    found: str
    adds: str = ""
    install: str = ""


@app.command()
def doctor(as_json: common.JsonOption = False) -> None:
    """Show what is installed, what is missing and what each extra adds.

    The exit code is 1 when a part is missing without which nothing works.

    \b
    Example:
      varco-vision doctor
      varco-vision doctor --json
    """
    checks = list(all_checks())
    broken = [check for check in checks if check.status == "missing"]
    if as_json:
        common.print_json({"ok": not broken, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            typer.echo(f"{check.status:9} {check.part:22} {check.found}")
            if check.status != "ok":
                typer.echo(f"{'':9} {'':22} adds {check.adds}; {check.install}")
        typer.echo(f"\n{len(broken)} core parts missing" if broken else "\neverything that is needed is there")
    if broken:
        raise typer.Exit(1)


def all_checks() -> Iterator[Check]:
    """Every part in the order in which it is shown."""
    supported = sys.version_info >= (3, 11)
    yield Check(
        "python", "ok" if supported else "missing", platform.python_version(), "", "Python 3.11 or newer is needed"
    )
    for name, oldest in CORE.items():
        yield _core(name, oldest)
    yield _devices()
    yield _default_model()
    yield from _fonts()
    for name, (adds, install) in EXTRAS.items():
        version = _version(name)
        yield Check(name, "ok" if version else "optional", version or "not installed", adds, install)
    for name, (adds, install) in PROGRAMS.items():
        path = shutil.which(name)
        yield Check(name, "ok" if path else "optional", path or "not installed", adds, install)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def numbers(version: str) -> tuple[int, ...]:
    """Leading whole numbers of a version: "2.13.0+cpu" gives (2, 13, 0)."""
    parts: list[int] = []
    for piece in version.split("+", maxsplit=1)[0].split("."):
        digits = "".join(c for c in piece if c.isdigit())
        if not digits or digits != piece:
            break
        parts.append(int(digits))
    return tuple(parts)


def _core(name: str, oldest: str) -> Check:
    version = _version(name)
    install = f"pip install '{name}>={oldest}'" if oldest else f"pip install {name}"
    if version is None:
        return Check(name, "missing", "not installed", "a part that everything uses", install)
    old = bool(oldest) and numbers(version) < numbers(oldest)
    found = f"{version}, older than {oldest}" if old else version
    return Check(name, "missing" if old else "ok", found, "a part that everything uses", install)


def _devices() -> Check:
    adds, install = "speed; everything also runs on the CPU", "a CUDA build of torch and a GPU are needed"
    try:
        import torch
    except ImportError as error:
        return Check(
            "device", "missing", f"torch cannot be imported ({error})", "computing at all", "pip install torch"
        )
    if not torch.cuda.is_available():
        return Check("device", "ok", f"CPU, {torch.get_num_threads()} threads; no GPU", adds, install)
    names = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return Check("device", "ok", ", ".join(names), adds, install)


def _default_model() -> Check:
    adds, install = "answers without --model", "train one with 'varco-vision demo'"
    try:
        from varco_vision.model.checkpoint import default_path

        return Check("default model", "ok", str(default_path()), adds, install)
    except InputError as error:
        return Check("default model", "optional", str(error), adds, install)
    except ImportError as error:
        return Check("default model", "missing", f"cannot look: {error}", adds, "install the core parts first")


def _fonts() -> Iterator[Check]:
    from varco_vision.synth import fonts

    adds, install = "pictures with Korean text to train on, and Korean labels on boxes", "apt install fonts-nanum"
    try:
        yield Check("Korean fonts", "ok", f"{len(fonts.korean_fonts())} files", adds, install)
        emoji = fonts.emoji_font()
    except InputError as error:
        yield Check("Korean fonts", "optional", str(error), adds, install)
        emoji = None
    adds, install = "emoji in pictures", "apt install fonts-noto-color-emoji"
    yield Check("emoji font", "ok" if emoji else "optional", str(emoji or "none"), adds, install)
