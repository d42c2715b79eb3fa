"""Training side by side with the usual trainers, in one run: the same model, samples and machine.

    python benchmarks/train.py [--pictures 12] [--questions 4] [--repeats 3] [--out benchmarks/results]
                               [--peers-python PYTHON] [--nanovlm CHECKOUT]
    python benchmarks/train.py --device cuda --size 0.5b --batches 4 8 16 --pictures 64 --out benchmarks/results [...]

Contenders, each in a process of its own, in turn, one thread:
  ours          packed rows, pictures shared by their questions, loss at supervised positions only
  ours-apart    the same with every question as a document of its own, picture included: what packing alone gives
  trainer       transformers' Trainer, padded batches; the batch size of --batches that suits it best is taken
  grouped       the same, batches of like length
  ours-dpo      preference pairs, both answers behind one picture, reference computed before
  trl-dpo       TRL's DPOTrainer on the same pairs
  ours-bf16     as ours, under bfloat16 autocast, which nanoVLM's loop fixes
  nanovlm       nanoVLM's own loop on a model of the same sizes (train_nanovlm.py)

Peers run under --peers-python, the python of an environment outside this repository:
    python -m venv /tmp/peers && /tmp/peers/bin/pip install -c constraints.txt -e . trl datasets
    git clone https://github.com/huggingface/nanoVLM /tmp/nanoVLM
What cannot run is left out, and the result says why.

The model is random: small tower and language model, and a head over --vocabulary words as large as Qwen's. Samples a CPU second
are compared: on a busy machine they are steadier than seconds. Memory is the process' peak over what it held before its
first step. The last line of the output is one JSON document.

With --device cuda everything runs under bfloat16 on the first GPU, all contenders in this one process (TRL must be installed beside
this package then), seconds in place of CPU seconds are compared, memory is what the allocator held at most, and ours tells the part of
the GPU's peak that it reached. Loader workers prepare the pictures of all of them. --size 0.5b and 1.5b are a SigLIP so400m tower
before language models of Qwen2.5's shapes, random as well, on pictures of 1024 x 768. After --budget seconds no contender begins.
  ours-compiled  as ours, every block compiled
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

SFT, DPO = (
    ("ours", "ours-apart", "ours-compiled", "trainer", "grouped", "ours-bf16", "nanovlm"),
    ("ours-dpo", "trl-dpo"),
)
OWN = ("ours", "ours-apart", "ours-compiled", "ours-dpo")
WORKERS = 8  # that prepare pictures, before a GPU
PEERS = ("trainer", "grouped", "trl-dpo", "nanovlm")
SIZES = {  # tower, language model, most tiles, size of the pictures, tokens that a picture takes with a question, about
    "small": (dict(width=192, layers=4, heads=3, mlp=576, tile=128, patch=8),
              dict(width=256, layers=4, heads=4, kv_heads=2, mlp=768), 4, (256, 192), 1100),
    "0.5b": (dict(width=1152, layers=26, heads=16, mlp=4304, tile=378, patch=14),
             dict(width=896, layers=24, heads=14, kv_heads=2, mlp=4864, context=32768), 9, (1024, 768), 6000),
    "1.5b": (dict(width=1152, layers=26, heads=16, mlp=4304, tile=378, patch=14),
             dict(width=1536, layers=28, heads=12, kv_heads=2, mlp=8960, context=32768), 9, (1024, 768), 6000),
}  # fmt: skip


def build(directory: Path, vocabulary: int, name: str) -> None:
    """Write the random model."""
    from varco_vision.geometry import AnyResConfig
    from varco_vision.model import checkpoint
    from varco_vision.model.compose import LanguageSize, TowerSize, compose, new_language_model, new_tower, pinpoints

    shipped = checkpoint.load(checkpoint.default_path(), device="cpu")
    vision, text, tiles, *_ = SIZES[name]
    tower = new_tower(TowerSize(**vision), 0)
    language = new_language_model(LanguageSize(**text), shipped.tokenizer, 0)
    language.resize_token_embeddings(vocabulary, mean_resizing=False)
    tile = vision["tile"]
    anyres = AnyResConfig(tile=tile, patch=vision["patch"], max_tiles=tiles, pinpoints=pinpoints(tile, tiles, 4))
    model = compose(tower, language, shipped.tokenizer, anyres, 0)
    loaded = checkpoint.Loaded(model, shipped.tokenizer, anyres, shipped.mean, shipped.std)
    checkpoint.save(loaded, directory, {})


def groups(pictures: int, questions: int, pairs: bool, size: tuple[int, int]) -> list[list[Any]]:
    """The samples: questions of one picture together; of a pair, the rejected answer is that of the next question."""
    from dataclasses import replace

    from varco_vision.synth.sources import make_source

    source = make_source("scenes", seed=5, questions=questions + 1, sizes=[size], wordings=2)
    made = []
    for index in range(pictures):
        group = source.group(index)[: questions + 1]
        if pairs:
            turns = [replace(a, messages=a.messages[:-1], chosen=a.messages[-1:], rejected=b.messages[-1:])
                     for a, b in zip(group, group[1:], strict=False)]  # fmt: skip
            made.append(turns[:questions])
        else:
            made.append(group[:questions])
    return made


class Measured:
    """CPU and wall seconds of what lies between `start` and `stop`, and memory above that of the first start."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.before = current_memory()

    def start(self) -> None:
        self.wait()
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def wait(self) -> None:
        """Until the GPU has done what it was given."""
        import torch

        if self.device == "cuda":
            torch.cuda.synchronize()

    def stop(self, samples: int) -> dict[str, float]:
        self.wait()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if self.device == "cuda":
            import torch

            peak, self.before = torch.cuda.max_memory_allocated(), 0
        return {
            "cpu": (time.process_time() - self.cpu) / samples,
            "wall": (time.perf_counter() - self.wall) / samples,
            "memory": (peak - self.before) / 2**20,
        }


def current_memory() -> int:
    """Bytes that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def run_ours(
    model: Path, made: list[list[Any]], batch: int, apart: bool = False, pairs: bool = False, precision: str = "float32",
    device: str = "cpu", tokens: int = 1100, compiled: bool = False,
) -> dict[str, float]:  # fmt: skip
    """One round over the samples after a first step; as many samples a step as the peers take."""
    import torch

    from varco_vision.model import checkpoint
    from varco_vision.train import feed
    from varco_vision.train.flops import peak
    from varco_vision.train.optimizer import make_optimizer
    from varco_vision.train.parallel import World
    from varco_vision.train.recipe import SourceRecipe, StageRecipe
    from varco_vision.train.setup import prepare
    from varco_vision.train.step import run_step

    class Given:
        def __init__(self) -> None:
            self.groups = [[s] for group in made for s in group] if apart else made

        def group(self, index: int) -> list[Any]:
            return self.groups[index % len(self.groups)]

    feed.open_mixture = lambda stage, seed: Given()
    world, total = World(0, 1, torch.device(device)), sum(map(len, made))
    precision = "bfloat16" if device == "cuda" else precision
    stage = StageRecipe(
        name="s", stage=4 if pairs else 2, kind="preference" if pairs else "sft", steps=2 * total, rows=1, micro_rows=1,
        max_tokens=batch * tokens if apart else (tokens + 400) * max(1, batch // len(made[0])), learning_rate=1e-5, warmup=1,
        lookahead=8, mixture={"a": SourceRecipe(source="synth:scenes")}, precision=precision,
        trainable=("language",) if pairs else ("tower", "projector", "newline", "language"),
        compile=compiled, workers=WORKERS if device == "cuda" else 0,
    )  # fmt: skip
    loaded = checkpoint.load(model, device=device)
    with tempfile.TemporaryDirectory() as folder:
        clock = Measured(device)
        if pairs:  # a pass of the reference over the round that is measured, paid for below
            from dataclasses import replace

            stage = replace(stage, steps=max(1, total // max(batch, len(made[0]))) if device == "cuda" else 1)
            clock.start()
        setup = prepare(stage, loaded, 0, world, Path(folder))
        optimizer = make_optimizer(setup.task.named_parameters(), stage, setup.task.part_of)
        if not pairs:
            for step in range(4 if device == "cuda" else 1):
                run_step(setup.task, stage, step, optimizer, world, getattr(torch, precision))
            clock.start()
        first, step, work, waited = setup.task.samples, 0, 0.0, 0.0
        while (step < stage.steps) if pairs else setup.task.samples - first < total:
            done = run_step(setup.task, stage, step, optimizer, world, getattr(torch, precision))
            work, waited, step = work + done.load["flops"], waited + done.waited, step + 1
        told = clock.stop(setup.task.samples - first)
        most = peak(torch.cuda.get_device_name()) if device == "cuda" else None
        reached = work / (told["wall"] * (setup.task.samples - first))
        told["waited"] = waited / (told["wall"] * (setup.task.samples - first))
        return {**told, "teraflops": reached / 1e12, **({"utilisation": reached / most} if most else {})}


def run_trainer(model: Path, made: list[list[Any]], grouped: bool, batch: int, device: str) -> dict[str, float]:
    """transformers' Trainer with its own picture processor and padded batches."""
    import torch
    from transformers import LlavaOnevisionForConditionalGeneration, Trainer, TrainerCallback, TrainingArguments
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

    from varco_vision.chat import render
    from varco_vision.geometry import plan_sample
    from varco_vision.model import checkpoint

    loaded = checkpoint.load(model, device="cpu")
    processor = LlavaOnevisionImageProcessorPil.from_pretrained(model)
    net = LlavaOnevisionForConditionalGeneration.from_pretrained(model, dtype=torch.float32)
    samples = [s for group in made for s in group]

    class Rows(torch.utils.data.Dataset):
        column_names = ("sample", "length")

        def __len__(self) -> int:
            return len(samples)

        def __getitem__(self, index: int) -> dict[str, Any]:
            sample = samples[index]
            counts = [p.token_count for p in plan_sample([i.size for i in sample.images], loaded.anyres)]
            drawn = render(sample.messages, loaded.tokenizer, counts)
            return {"sample": sample, "ids": drawn.ids, "supervised": drawn.supervised, "input_ids": drawn.ids}

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        longest = max(len(r["ids"]) for r in rows)
        ids = torch.full((len(rows), longest), loaded.tokenizer.pad_token_id)
        labels, mask = torch.full_like(ids, -100), torch.zeros_like(ids)
        for n, row in enumerate(rows):
            size = len(row["ids"])
            ids[n, :size], mask[n, :size] = torch.tensor(row["ids"]), 1
            labels[n, :size] = torch.where(torch.tensor(row["supervised"]), ids[n, :size], -100)
        pixels = processor(images=[list(r["sample"].images) for r in rows], return_tensors="pt")
        return {"input_ids": ids, "labels": labels, "attention_mask": mask, **pixels}

    clock, found = Measured(device), []

    class Timer(TrainerCallback):
        def on_epoch_begin(self, *arguments: Any, **named: Any) -> None:
            clock.start()

        def on_epoch_end(self, *arguments: Any, **named: Any) -> None:
            found.append(clock.stop(len(samples)))

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=batch, num_train_epochs=2, learning_rate=1e-5, use_cpu=device == "cpu", report_to=[],
            save_strategy="no", logging_strategy="no", remove_unused_columns=False, disable_tqdm=True, bf16=device == "cuda",
            dataloader_num_workers=WORKERS if device == "cuda" else 0, optim="adamw_torch_fused",
            train_sampling_strategy="group_by_length" if grouped else "random",
        )  # fmt: skip
        Trainer(net, arguments, train_dataset=Rows(), data_collator=collate, callbacks=[Timer()]).train()
    return found[-1]


def run_trl(model: Path, made: list[list[Any]], batch: int, device: str) -> dict[str, float]:
    """TRL's DPOTrainer, the language model trained, tower and projector frozen."""
    import torch
    from datasets import Dataset
    from transformers import LlavaOnevisionForConditionalGeneration, LlavaOnevisionProcessor, TrainerCallback
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil
    from trl import DPOConfig, DPOTrainer

    from varco_vision.model import checkpoint

    class PicturesOnly(LlavaOnevisionProcessor):
        """Without the video part, which would need torchvision."""

        @classmethod
        def get_attributes(cls) -> list[str]:
            return ["image_processor", "tokenizer"]

        def __init__(self, image_processor: Any = None, tokenizer: Any = None, **options: Any) -> None:
            super().__init__(image_processor, tokenizer, None, **options)

        def check_argument_for_proper_class(self, name: str, value: Any) -> Any:
            return None

    loaded = checkpoint.load(model, device="cpu")
    processor = PicturesOnly(
        LlavaOnevisionImageProcessorPil.from_pretrained(model), loaded.tokenizer, num_image_tokens=loaded.anyres.side**2,
        vision_feature_select_strategy="full", chat_template=loaded.tokenizer.chat_template, vision_aspect_ratio=f"anyres_max_{loaded.anyres.max_tiles}",
    )  # fmt: skip
    processor.video_processor = None
    net = LlavaOnevisionForConditionalGeneration.from_pretrained(model, dtype=torch.float32)
    for name, parameter in net.named_parameters():
        parameter.requires_grad_("language_model" in name or "lm_head" in name)
    said = lambda turns: turns[0]["content"] if isinstance(turns[0]["content"], str) else turns[0]["content"][0]["text"]  # noqa: E731
    rows = [
        {
            "images": list(s.images),
            "prompt": [{"role": "user", "content": s.messages[0]["content"][-1]["text"]}],
            "chosen": [{"role": "assistant", "content": said(s.chosen)}],
            "rejected": [{"role": "assistant", "content": said(s.rejected)}],
        }
        for group in made
        for s in group
    ]
    clock, found = Measured(device), []

    class Timer(TrainerCallback):
        def on_epoch_begin(self, *arguments: Any, **named: Any) -> None:
            clock.start()

        def on_epoch_end(self, *arguments: Any, **named: Any) -> None:
            found.append(clock.stop(len(rows)))

    with tempfile.TemporaryDirectory() as folder:
        arguments = DPOConfig(
            folder, per_device_train_batch_size=batch, num_train_epochs=2, learning_rate=1e-5, use_cpu=device == "cpu", report_to=[],
            save_strategy="no", logging_strategy="no", disable_tqdm=True, max_length=None, bf16=device == "cuda",
            dataloader_num_workers=WORKERS if device == "cuda" else 0, optim="adamw_torch_fused", gradient_checkpointing=False,
        )  # fmt: skip
        DPOTrainer(
            net, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=processor, callbacks=[Timer()]
        ).train()
    return found[-1]


def contend(options: argparse.Namespace, name: str, model: Path, batch: int) -> dict[str, float]:
    """The measurement of one contender, in this process."""
    import torch
    from train_nanovlm import run_nanovlm

    torch.set_num_threads(1)
    device = options.device
    *_, size, tokens = SIZES[options.size]
    made = groups(options.pictures, options.questions, name in DPO, size)
    where: dict[str, Any] = {"device": device, "tokens": tokens}
    ways: dict[str, Callable[[], dict[str, float]]] = {
        "ours": lambda: run_ours(model, made, batch, **where),
        "ours-apart": lambda: run_ours(model, made, batch, apart=True, **where),
        "ours-compiled": lambda: run_ours(model, made, batch, compiled=True, **where),
        "trainer": lambda: run_trainer(model, made, False, batch, device),
        "grouped": lambda: run_trainer(model, made, True, batch, device),
        "ours-dpo": lambda: run_ours(model, made, batch, pairs=True, **where),
        "trl-dpo": lambda: run_trl(model, made, batch, device),
        "ours-bf16": lambda: run_ours(model, made, batch, precision="bfloat16", **where),
        "nanovlm": lambda: run_nanovlm(options.nanovlm, model, made, batch, Measured(device)),
    }
    return ways[name]()


def measure_here(options: argparse.Namespace, model: Path, name: str, batch: int) -> dict[str, float] | str:
    """As `measure`, on the GPU and in this process: starting one anew would cost more than measuring."""
    import gc
    import traceback

    import torch

    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    try:
        return contend(options, name, model, batch)
    except Exception as error:
        traceback.print_exc()
        return f"{type(error).__name__}: {str(error)[:300]}"


def measure(options: argparse.Namespace, model: Path, name: str, batch: int) -> dict[str, float] | str:
    """A contender in a process of its own: its measurement, or why there is none."""
    if name == "nanovlm" and not options.nanovlm:
        return "no checkout of nanoVLM given (--nanovlm)"
    if options.device == "cuda":
        return measure_here(options, model, name, batch)
    python = options.peers_python if name in PEERS and options.peers_python else sys.executable
    command = [
        python, __file__, "--contender", name, "--model", str(model), "--batch", str(batch),
        "--pictures", str(options.pictures), "--questions", str(options.questions), "--nanovlm", str(options.nanovlm),
        "--device", options.device, "--size", options.size,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent / "src")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no message"])[-1]
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """All contenders in turn, `repeats` times; medians, and what stood in the way of the others."""
    found: dict[str, list[dict[str, float]]] = {}
    missing: dict[str, str] = {}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        model = options.weights or Path(folder) / "model"
        if not model.exists():
            build(model, options.vocabulary, options.size)
        wanted = [n for n in (*SFT, *DPO) if not options.only or n in options.only]
        for turn in range(options.repeats):
            for name in wanted:
                batches = options.batches[:1] if name in DPO or name == "nanovlm" else options.batches[-1:]
                batches = options.batches if name in ("trainer", "grouped") else batches
                batches = options.own_batches if options.own_batches and name in OWN else batches
                for batch in batches:
                    if time.monotonic() - began > options.budget:
                        missing[name] = f"{options.budget:.0f} seconds were over"
                        continue
                    result = measure(options, model, name, batch)
                    key = f"{name} batch {batch}"
                    print(f"round {turn + 1} {key}: {result}", file=sys.stderr, flush=True)
                    if isinstance(result, str):
                        missing[name] = result
                    else:
                        found.setdefault(key, []).append(result)
    medians = {key: {what: statistics.median(r[what] for r in rows) for what in rows[0]} for key, rows in found.items()}
    best, compared = {}, "wall" if options.device == "cuda" else "cpu"
    for key, row in medians.items():
        name = key.split(" batch ")[0]
        if name not in best or row[compared] < best[name][compared]:
            best[name] = {**row, "batch": int(key.split()[-1]), "samples_a_second": 1 / row[compared]}
    ratio = lambda a, b, what: best[b][what] / best[a][what] if a in best and b in best else None  # noqa: E731
    pairs = (
        ("ours", "trainer"),
        ("ours", "grouped"),
        ("ours-apart", "trainer"),
        ("ours-apart", "grouped"),
        ("ours-dpo", "trl-dpo"),
        ("ours-bf16", "nanovlm"),
    )
    return {
        "settings": {
            k: getattr(options, k)
            for k in ("pictures", "questions", "repeats", "batches", "vocabulary", "device", "size")
        },
        "best": best,
        "speed": {f"{a} / {b}": ratio(a, b, compared) for a, b in pairs},
        "memory": {f"{a} / {b}": r and 1 / r for a, b in pairs for r in [ratio(a, b, "memory")]},
        "missing": missing,
        "all": found,
        "versions": versions(options),
    }


def versions(options: argparse.Namespace) -> dict[str, str]:
    from importlib import metadata

    told = {"python": platform.python_version(), "machine": platform.machine()}
    for name in ("torch", "transformers", "accelerate"):
        told[name] = metadata.version(name) if any(d.name == name for d in metadata.distributions()) else "missing"
    peers = options.peers_python or sys.executable
    for name in ("trl", "transformers", "torch"):
        code = f"from importlib import metadata; print(metadata.version('{name}'))"
        asked = subprocess.run([peers, "-c", code], capture_output=True, text=True, check=False)
        told[f"peers' {name}"] = asked.stdout.strip() or "missing"
    if options.nanovlm:
        command = ["git", "-C", str(options.nanovlm), "rev-parse", "--short", "HEAD"]
        told["nanoVLM"] = (
            subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
        )
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--questions", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[2, 4])
    parser.add_argument(
        "--own-batches", type=int, nargs="+", help="samples a step of ours; that of --batches otherwise"
    )
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--size", choices=[*SIZES], default="small", help="of the model")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds after which no contender begins")
    parser.add_argument(
        "--weights", type=Path, help="folder of the random model: used if it exists, made there otherwise"
    )
    parser.add_argument("--only", nargs="+", choices=[*SFT, *DPO])
    parser.add_argument("--peers-python", help="python of an environment that has TRL, datasets and this package")
    parser.add_argument("--nanovlm", type=Path, help="a checkout of nanoVLM")
    parser.add_argument("--out", type=Path, help="folder for a dated file of results")
    parser.add_argument("--contender", choices=[*SFT, *DPO], help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(contend(options, options.contender, Path(options.model), options.batch)))
        return
    result = compare(options)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / f"{date.today().isoformat()}-train-{options.device}.json"
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
