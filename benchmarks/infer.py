"""Answering, side by side in one run: this engine against transformers' `generate`; OCR against Tesseract 5.

    python benchmarks/infer.py [--model M] [--tokens 40] [--repeats 7] [--pages 24] [--parts generate,many,weights,ocr]

generate: time to the first token and tokens a second, alone and eight at a time, from pictures and text to token ids,
without anything kept from one round to the next; then what the kept pictures and prompt prefixes save. Both sides read
the same prompts, and the tokens must be the same. Answers are as long as --tokens on both sides (ends are ignored).
many: answers a second on 64 questions about 16 pictures, answers as long as they turn out.
weights: float32, bfloat16 and int8 weights: speed, and on how many questions the answer stays the same.
ocr: pages a second and word accuracy on signs with two words, this model and Tesseract (when it is installed), one thread.
The last line of the output is one JSON document. Ratios matter, not seconds: the variants take turns.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

from varco_vision.geometry import plan
from varco_vision.infer.engine import Engine, Request
from varco_vision.infer.quantize import quantize
from varco_vision.model import checkpoint
from varco_vision.synth.rng import stream
from varco_vision.synth.scenes import SceneConfig, make_scene

QUESTIONS = ("<gro>\nFind the objects.", "물체가 몇 개 있나요?", "Where is the red circle?", "<ocr>")


def scenes(count: int, **settings: Any) -> list[Any]:
    """Scenes of the evaluation side, none of which a model was trained on."""
    return [make_scene(stream("benchmark", "eval", k), SceneConfig(**settings)) for k in range(count)]


def ask(image: Any, text: str, tokens: int) -> Request:
    return Request([{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}], [image], tokens)


class Reference:
    """transformers: its own picture processor, left padding and `generate` with its cache."""

    def __init__(self, loaded: checkpoint.Loaded) -> None:
        self.loaded = loaded
        tile = loaded.anyres.tile
        self.processor = LlavaOnevisionImageProcessorPil(
            image_grid_pinpoints=[list(pair) for pair in loaded.anyres.pinpoints],
            image_mean=list(loaded.mean),
            image_std=list(loaded.std),
            size={"height": tile, "width": tile},
        )

    def __call__(self, requests: Sequence[Request], stop: set[int] | None = None) -> list[list[int]]:
        model, tokenizer = self.loaded.model, self.loaded.tokenizer
        pictures = self.processor([[*request.images] for request in requests], return_tensors="pt")
        ids = []
        for request in requests:
            count = plan(*request.images[0].size, self.loaded.anyres).token_count
            prompt = tokenizer.apply_chat_template(
                request.messages, add_generation_prompt=True, tokenize=True, return_dict=False
            )
            at = prompt.index(model.config.image_token_id)
            ids.append(prompt[:at] + [prompt[at]] * count + prompt[at + 1 :])
        longest = max(map(len, ids))
        padded = torch.tensor([[tokenizer.pad_token_id] * (longest - len(row)) + row for row in ids])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in ids])
        tokens = requests[0].max_new_tokens
        out = model.generate(
            input_ids=padded,
            attention_mask=mask,
            **pictures,
            max_new_tokens=tokens,
            do_sample=False,
            eos_token_id=sorted(stop) if stop else None,
        )
        return out[:, longest:].tolist()


class Ours:
    """This engine; `keep` False forgets pictures and prefixes, so that every round does all the work."""

    def __init__(self, loaded: checkpoint.Loaded, keep: bool = False) -> None:
        kept = {} if keep else {"feature_bytes": 0, "prefix_bytes": 0}
        self.engine = Engine(loaded, batch_size=8, stop_loops=False, **kept)
        self.engine._batch._stop_ids = frozenset()  # answers go on to their full length, as they do on the other side

    def __call__(self, requests: Sequence[Request]) -> list[list[int]]:
        return [answer.token_ids for answer in self.engine.generate(requests)]


def turns(variants: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each variant; they take turns, and the first turn warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(repeats + 1):
        for name, variant in variants.items():
            began = time.perf_counter()
            variant()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def generate(loaded: checkpoint.Loaded, tokens: int, repeats: int) -> dict[str, Any]:
    """Time to the first token and tokens a second of both sides, alone and eight at a time."""
    reference, ours, kept = Reference(loaded), Ours(loaded), Ours(loaded, keep=True)
    images = [scene.image for scene in scenes(8)]
    result: dict[str, Any] = {}
    for count in (1, 8):
        asked = [ask(image, QUESTIONS[k % len(QUESTIONS)], tokens) for k, image in enumerate(images[:count])]
        first = [ask(r.images[0], QUESTIONS[k % len(QUESTIONS)], 1) for k, r in enumerate(asked)]
        expected, found = reference(asked), ours(asked)
        same = sum(a == b for x, y in zip(expected, found, strict=True) for a, b in zip(x, y, strict=True))
        whole = turns(
            {
                "transformers": lambda asked=asked: reference(asked),
                "engine": lambda asked=asked: ours(asked),
                "engine, picture known": lambda asked=asked: kept(asked),
            },
            repeats,
        )
        start = turns(
            {
                "transformers": lambda first=first: reference(first),
                "engine": lambda first=first: ours(first),
                "engine, picture known": lambda first=first: kept(first),
            },
            repeats,
        )
        steps = {name: (whole[name] - start[name]) for name in whole}
        result[f"batch {count}"] = {
            "same tokens": same / (count * tokens),
            "seconds": whole,
            "seconds to first token": start,
            "tokens per second": {name: count * tokens / value for name, value in whole.items()},
            "decode tokens per second": {name: count * (tokens - 1) / value for name, value in steps.items()},
            "ratio": {name: whole["transformers"] / value for name, value in whole.items()},
            "ratio to first token": {name: start["transformers"] / value for name, value in start.items()},
            "ratio decode": {name: steps["transformers"] / value for name, value in steps.items()},
        }
    return result


def many(loaded: checkpoint.Loaded, repeats: int) -> dict[str, Any]:
    """Work as it comes: 64 questions, four about each of 16 pictures, answers as long as they turn out (at most 64).

    transformers takes eight at a time in the given order; the engine lets rows join and leave and reads each picture
    once. Nothing is kept from round to round.
    """
    reference = Reference(loaded)
    engine = Engine(loaded, batch_size=8, stop_loops=False)
    requests = [ask(s.image, text, 64) for s in scenes(16, min_objects=2) for text in QUESTIONS]
    stop = set(loaded.stop_ids)

    def theirs() -> list[list[int]]:
        rows = []
        for first in range(0, len(requests), 8):
            rows += reference(requests[first : first + 8], stop)
        return [row[: next((k for k, t in enumerate(row) if t in stop), len(row))] for row in rows]

    def ours() -> list[list[int]]:
        engine.features.clear()
        engine.prefixes.clear()
        return [answer.token_ids for answer in engine.generate(requests)]

    expected, found = theirs(), ours()
    seconds = turns({"transformers": theirs, "engine": ours}, max(3, repeats // 2))
    return {
        "same answers": sum(a == b for a, b in zip(expected, found, strict=True)) / len(requests),
        "tokens": sum(map(len, found)),
        "seconds": seconds,
        "answers per second": {name: len(requests) / value for name, value in seconds.items()},
        "ratio": seconds["transformers"] / seconds["engine"],
    }


def weights(source: str | Path, repeats: int) -> dict[str, Any]:
    """Speed of other weights, and how many answers to 64 questions stay as they are in float32."""
    variants = {
        "float32": checkpoint.load(source, device="cpu", dtype="float32"),
        "bfloat16": checkpoint.load(source, device="cpu", dtype="bfloat16"),
        "int8": quantize(checkpoint.load(source, device="cpu", dtype="float32")),
    }
    requests = [ask(s.image, text, 48) for s in scenes(16, min_objects=2) for text in QUESTIONS]
    engines = {name: Engine(loaded, feature_bytes=0, prefix_bytes=0) for name, loaded in variants.items()}
    answers = {name: engine.generate(requests) for name, engine in engines.items()}
    seconds = turns({n: (lambda e=e: e.generate(requests[:16])) for n, e in engines.items()}, repeats)
    exact = answers["float32"]
    return {
        name: {
            "seconds": seconds[name],
            "same answers": sum(a.raw == b.raw for a, b in zip(found, exact, strict=True)) / len(exact),
            "weight bytes": _held_bytes(variants[name].model),
        }
        for name, found in answers.items()
    }


def _held_bytes(model: torch.nn.Module) -> int:
    """Bytes of all weights, tied ones counted once."""
    held = {t.untyped_storage().data_ptr(): t.nbytes for t in [*model.parameters(), *model.buffers()]}
    return sum(held.values())


def ocr(loaded: checkpoint.Loaded, pages: int, repeats: int) -> dict[str, Any]:
    """Pages a second and the share of words that are read exactly, anywhere on their page."""
    from varco_vision.infer.api import VarcoVision

    signs = scenes(pages, words=(0, 0), lines=(2, 2), min_objects=0, max_objects=0)
    wanted = [[word.text for word in scene.words] for scene in signs]
    vision = VarcoVision(loaded, batch_size=8)
    images = [scene.image for scene in signs]
    read: dict[str, Callable[[], list[list[str]]]] = {
        "engine": lambda: [[word.text for word in page.words] for page in vision.ocr_batch(images)]
    }
    with tempfile.TemporaryDirectory() as folder:
        if shutil.which("tesseract"):
            # Tesseract wants letters of about 30 pixels and a margin; three times the size is what suits it best here.
            paths = []
            for k, image in enumerate(images):
                paths.append(Path(folder) / f"{k}.png")
                image.resize((3 * image.width, 3 * image.height)).save(paths[-1])
            read["tesseract"] = lambda: [_tesseract(path) for path in paths]
        found = {name: call() for name, call in read.items()}
        seconds = turns(read, max(1, repeats // 2))
    total = sum(map(len, wanted))
    return {
        name: {
            "pages per second": pages / seconds[name],
            "words read": sum(_hits(w, f) for w, f in zip(wanted, words, strict=True)) / total,
        }
        for name, words in found.items()
    }


def _tesseract(path: Path) -> list[str]:
    command = ["tesseract", str(path), "stdout", "-l", "kor+eng", "--psm", "11"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"OMP_THREAD_LIMIT": "1"})
    return done.stdout.split()


def _hits(wanted: Sequence[str], found: Sequence[str]) -> int:
    left = [unicodedata.normalize("NFC", word) for word in found]
    count = 0
    for word in wanted:
        if word in left:
            left.remove(word)
            count += 1
    return count


def versions() -> dict[str, str]:
    found = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }
    if shutil.which("tesseract"):
        done = subprocess.run(["tesseract", "--version"], capture_output=True, text=True, check=True)
        found["tesseract"] = (done.stdout or done.stderr).split()[1]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None)
    parser.add_argument("--tokens", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--pages", type=int, default=24)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--parts", default="generate,many,weights,ocr")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    source = options.model or checkpoint.default_path()
    loaded = checkpoint.load(source, device="cpu", dtype="float32")
    result: dict[str, Any] = {"model": loaded.name.rsplit("/", 1)[-1], "threads": options.threads}
    parts = {
        "generate": lambda: generate(loaded, options.tokens, options.repeats),
        "many": lambda: many(loaded, options.repeats),
        "weights": lambda: weights(source, options.repeats),
        "ocr": lambda: ocr(loaded, options.pages, options.repeats),
    }
    for name in options.parts.split(","):
        result[name] = parts[name]()
        print(json.dumps({name: result[name]}, ensure_ascii=False, indent=1))
    print(json.dumps({**result, "versions": versions()}, ensure_ascii=False))


if __name__ == "__main__":
    main()
