"""Pictures per second on one core for every kind of picture, and for single words beside SynthTIGER and TRDG.

    python benchmarks/synth.py                                  every kind, one process
    python benchmarks/synth.py --peers VENV/bin/python --synthtiger DIR
    python benchmarks/synth.py --profile lines                  where its time goes

The peers run in an environment of their own, since they need old libraries:
    python -m venv VENV && VENV/bin/pip install synthtiger trdg "numpy<2" "pillow<10" "opencv-python<4.12"
DIR is a checkout of the SynthTIGER repository: its example template and configuration for horizontal words are run as
they are, with Korean words and the same fonts. TRDG runs with random skew and blur on its noise ground. All make one
word about 64 pixels high.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import platform
import pstats
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PLACES = 24  # rows of a profile
FULL = 5_000  # lines after which most faces are open in every size and most glyphs are known to be drawn
os.environ.setdefault("OMP_NUM_THREADS", "1")

TRDG = """
import json, sys, time
from trdg.generators import GeneratorFromStrings
words, fonts, count, warm = json.load(open(sys.argv[1]))
made = GeneratorFromStrings(words, count=count + warm, fonts=fonts, language="ko", size=64, skewing_angle=3,
                            random_skew=True, blur=1, random_blur=True, background_type=0)
start, pixels, n = None, 0, 0
for k, (image, label) in enumerate(made):
    if k == warm:
        start = time.process_time()
    if k >= warm and image is not None:
        pixels += image.width * image.height
        n += 1
spent = time.process_time() - start
print(json.dumps([n / spent, pixels / n]))
"""
TIGER = """
import json, os, random, sys, time
import numpy as np
settings = json.load(open(sys.argv[1]))
sys.path.insert(0, settings["root"])
os.chdir(settings["root"])
import synthtiger
config = synthtiger.read_config(settings["config"])
for path, value in settings["changes"].items():
    place, names = config, path.split("/")
    for name in names[:-1]:
        place = place.setdefault(name, {}) if isinstance(place, dict) else place[int(name)]
    place[int(names[-1]) if isinstance(place, list) else names[-1]] = value
template = synthtiger.read_template(settings["template"], "SynthTiger", config)
random.seed(0); np.random.seed(0)
start, pixels, n = None, 0, 0
for k in range(settings["count"] + settings["warm"]):
    if k == settings["warm"]:
        start = time.process_time()
    try:
        data = template.generate()
    except Exception:
        continue
    if k >= settings["warm"]:
        h, w = data["image"].shape[:2]
        pixels += h * w
        n += 1
spent = time.process_time() - start
print(json.dumps([n / spent, pixels / n]))
"""


def ours(kind: str, count: int, warm: int, asked: bool = True, **options: object) -> tuple[float, float]:
    """(pictures a second of processor time, pixels a picture) of a source. `asked`: with questions written out, as samples;
    else pictures with their words and boxes; the peers give pictures with their text."""
    from varco_vision.synth.sources import make_source

    source = make_source(kind, seed=1, **options)
    pixels = pictures = 0
    for index in range(warm):
        source.group(index)
    start = time.process_time()
    for index in range(warm, warm + count):
        samples = source.group(index) if asked else [source.made(index)[0]]
        if samples and samples[0].images:
            pictures += len(samples[0].images)
            pixels += sum(i.width * i.height for i in samples[0].images)
    spent = time.process_time() - start
    return (pictures or count) / spent, pixels / max(1, pictures)


def kinds(count: int, warm: int) -> None:
    """A table of all kinds, with the default options."""
    from varco_vision.synth.sources import SOURCES

    print("| source | pictures/s | mean pixels | questions included |\n| --- | --- | --- | --- |")
    for kind in SOURCES:
        speed, pixels = ours(kind, count, warm)
        size = f"{pixels:,.0f}" if pixels else "text only (groups/s)"
        print(f"| {kind} | {speed:,.1f} | {size} | yes |", flush=True)


def profile(kind: str, count: int, warm: int) -> None:
    """Shares of the time by place: own time of each built-in function, and of each file's Python.

    cProfile makes Python look dearer than it is beside what is written in C: shares, not times, are shown.
    """
    from varco_vision.synth.sources import make_source

    source = make_source(kind, seed=1)
    for index in range(warm):
        source.group(index)
    with cProfile.Profile() as watch:
        for index in range(warm, warm + count):
            source.group(index)
    spent: dict[str, float] = {}
    for (file, _, name), row in pstats.Stats(watch).stats.items():
        place = name.strip("<>").removeprefix("method ") if file == "~" else "/".join(Path(file).parts[-2:])
        spent[place] = spent.get(place, 0.0) + row[2]
    whole = sum(spent.values())
    print(f"{kind}, pictures {warm:,} to {warm + count:,}: shares of own time\n\n| place | share |\n| --- | --- |")
    for place, seconds in sorted(spent.items(), key=lambda pair: -pair[1])[:PLACES]:
        print(f"| {place} | {seconds / whole:.1%} |")


def korean_words(count: int) -> list[str]:
    """Words as `lines` writes them, without punctuation."""
    from varco_vision.synth.strings import TextStock

    stock = TextStock(marks=0.0, latin=0.0, numbers=0.0, rare=0.0)
    return [stock.word(random.Random(k)) for k in range(count)]


def run_peer(python: str, code: str, data: object) -> tuple[float, float] | None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "peer.py").write_text(code)
        (Path(folder) / "data.json").write_text(json.dumps(data))
        done = subprocess.run(
            [python, f"{folder}/peer.py", f"{folder}/data.json"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        if done.returncode:
            print(f"peer failed: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return None
        return tuple(json.loads(done.stdout.strip().splitlines()[-1]))


def peers(python: str, checkout: Path | None, count: int, warm: int) -> None:
    """Words 64 pixels high: this package, TRDG and SynthTIGER in one run."""
    from varco_vision.synth.typeset import drawable, faces

    words = korean_words(2000)
    fonts = [f for f in faces("train", "text") if f.endswith((".ttf", ".otf")) and drawable(f, "".join(words))]
    cold, full = "this package (lines, height 64), from the first", "this package, once its caches are full"
    options = {"height": 64, "truth": True}
    rows = {cold: ours("lines", count * 4, 0, asked=False, **options)}
    rows[full] = ours("lines", count * 4, FULL, asked=False, **options)
    rows["this package, with questions written out"] = ours("lines", count * 4, FULL, **options)
    rows["TRDG"] = run_peer(python, TRDG, [words, fonts, count, warm])
    if checkout:
        rows["SynthTIGER"] = run_peer(python, TIGER, tiger_settings(checkout, words, fonts, count, warm))
    best = max((r[0] for n, r in rows.items() if r and not n.startswith("this")), default=0.0)
    print("\n| words 64 px high | pictures/s | mean pixels |\n| --- | --- | --- |")
    for name, row in rows.items():
        print(f"| {name} | {row[0]:,.1f} | {row[1]:,.0f} |" if row else f"| {name} | failed | |")
    if best:
        print(
            f"\n{rows[full][0] / best:.1f} times the faster peer ({rows[cold][0] / best:.1f} times from the first picture)"
        )


def tiger_settings(checkout: Path, words: list[str], fonts: list[str], count: int, warm: int) -> dict[str, object]:
    """SynthTIGER's own example for horizontal words, with our words and fonts in place of its English ones."""
    folder = Path(tempfile.mkdtemp())
    (folder / "corpus.txt").write_text("\n".join(words))
    (folder / "charset.txt").write_text("".join(sorted({c for w in words for c in w})))
    faces = folder / "font"
    faces.mkdir()
    for font in fonts:
        (faces / Path(font).name).symlink_to(font)
        charset = faces / (Path(font).stem + ".txt")
        charset.write_text("\n".join(sorted({c for w in words for c in w})))
    text = {"paths": [str(folder / "corpus.txt")], "weights": [1], "min_length": 1, "max_length": 25, "textcase": None}
    return {
        "root": str(checkout.resolve()), "config": "examples/synthtiger/config_horizontal.yaml", "template": "examples/synthtiger/template.py",
        "count": count, "warm": warm,
        "changes": {
            "corpus/weights": [1, 0], "corpus/args/0": {**text, "charset": None, "augmentation": 0}, "font/paths": [str(faces)], "font/weights": [1],
        },
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60, help="pictures of each kind")
    parser.add_argument("--warm", type=int, default=60, help="pictures made before the clock starts (caches)")
    parser.add_argument("--peers", help="Python of an environment with synthtiger and trdg")
    parser.add_argument("--synthtiger", type=Path, help="checkout of the SynthTIGER repository")
    parser.add_argument("--only-peers", action="store_true")
    parser.add_argument("--profile", metavar="KIND", help="instead: where the time of one kind goes")
    asked = parser.parse_args()
    import PIL

    print(
        f"Python {platform.python_version()}, Pillow {PIL.__version__}, {platform.machine()}, one core, processor time\n"
    )
    if asked.profile:
        return profile(asked.profile, asked.count, asked.warm)
    if not asked.only_peers:
        kinds(asked.count, asked.warm)
    if asked.peers:
        peers(asked.peers, asked.synthtiger, asked.count * 4, asked.warm)


if __name__ == "__main__":
    main()
