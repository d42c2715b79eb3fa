"""What five ways of training learn and keep, from the same backbones, data and compute.

    python benchmarks/preservation.py --out runs/preservation --seeds 2 --scale 0.4

Compute is counted in packed tokens of the language model (steps x rows x max_tokens), which every variant spends alike.
Variants: "four" (the recipe), "no_text" (the recipe without text-only data), "joint" (everything in one stage, all parts from the
start), "no_alignment" (stage 1 left out), "two" (projector first, then projector and language model on everything, the
tower frozen throughout, as LLaVA-1.5 does). A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from varco_vision.eval import own
from varco_vision.eval.report import versions
from varco_vision.infer.engine import Engine
from varco_vision.model import checkpoint
from varco_vision.synth.sources import evaluation_set
from varco_vision.train import parallel
from varco_vision.train.recipe import Recipe, SourceRecipe, StageRecipe, find, read
from varco_vision.train.run import Run
from varco_vision.train.state import write_json

SKILLS = ("grounding_acc50", "referring_acc", "counting_acc")
NAMES = ("four", "no_text", "joint", "no_alignment", "two")
BACKBONES = ("tower", "language", "tokenizer")


def tokens(stages: Sequence[StageRecipe]) -> int:
    """Packed tokens that the language model reads in these stages."""
    return sum(s.steps * s.rows * s.max_tokens for s in stages)


def without_text(stage: StageRecipe) -> StageRecipe:
    """The stage without text-only data, in a mixture or in the pairs."""
    kept = {name: s for name, s in stage.mixture.items() if s.source != "synth:text"}
    if stage.kind == "preference":
        kept = {name: replace(s, options={**s.options, "text_share": 0.0}) for name, s in kept.items()}
    return replace(stage, mixture=kept)


def merged(stages: Sequence[StageRecipe]) -> dict[str, SourceRecipe]:
    """One mixture of several stages' sources, each weighted by its share of the groups that the stages see."""
    mixture = {}
    for stage in stages:
        total = sum(s.weight for s in stage.mixture.values())
        for name, source in stage.mixture.items():
            mixture[f"{stage.name}_{name}"] = replace(source, weight=source.weight / total * tokens([stage]))
    return mixture


def spend(stage: StageRecipe, budget: int) -> StageRecipe:
    """The stage with as many steps as `budget` tokens allow."""
    return replace(stage, steps=max(1, round(budget / (stage.rows * stage.max_tokens))))


def variants(recipe: Recipe) -> dict[str, Recipe]:
    """The five recipes; stage 0 is the same in all of them."""
    first = [s for s in recipe.stages if s.stage == 0]
    alignment, basic, advanced, preference = (s for s in recipe.stages if s.stage > 0)
    whole = tokens([alignment, basic, advanced, preference])
    everything = replace(advanced, name="joint", stage=2, mixture=merged([basic, advanced]), seed=basic.seed)
    everything = replace(everything, learning_rate=basic.learning_rate, learning_rates=basic.learning_rates)
    joint = spend(replace(everything, mixture=merged([alignment, basic, advanced])), whole)
    parts = tuple(p for p in everything.trainable if p != "tower")
    second = spend(replace(everything, name="instruct", trainable=parts), whole - tokens([alignment]))
    made = {
        "four": [alignment, basic, advanced, preference],
        "no_text": [without_text(s) for s in (alignment, basic, advanced, preference)],
        "joint": [joint],
        "no_alignment": [spend(basic, tokens([alignment, basic])), advanced, preference],
        "two": [alignment, second],
    }
    return {name: replace(recipe, stages=(*first, *stages)) for name, stages in made.items()}


def scaled(recipe: Recipe, scale: float, seed: int) -> Recipe:
    """Stages from 1 on with `scale` times their steps; another seed for everything but the evaluation."""
    stages = [s if s.stage == 0 else replace(s, steps=max(2, round(s.steps * scale))) for s in recipe.stages]
    return replace(recipe, stages=tuple(stages), seed=seed)


def measure(directory: Path, samples: list[Any], cache: Path) -> own.Scores:
    """Scores of a checkpoint, kept in a file."""
    if cache.exists():
        return own.Scores(json.loads(cache.read_text(encoding="utf-8")))
    scores = own.score(Engine(checkpoint.load(directory), batch_size=24), samples)
    write_json(cache, scores.records)
    return scores


def run_seed(recipe: Recipe, out: Path, names: Sequence[str], samples: list[Any]) -> dict[str, Any]:
    """All variants of one seed, from the same backbones."""
    world, found = parallel.start(), {}
    base = out / "backbones"
    Run(recipe, base, world, resume=True).stages(0, 0)
    for name in names:
        directory = out / name
        for part in BACKBONES:
            if not (directory / part).exists():
                shutil.copytree(base / part, directory / part)
        chosen = variants(recipe)[name]
        results = Run(chosen, directory, world, resume=True).stages(0, 4)
        before = measure(directory / "backbones" / "model", samples, out / "before.json")
        after = measure(directory / results[-1].name / "model", samples, directory / "scores.json")
        kept = {lang: k.to_dict() for lang, k in own.kept(before, after).items()}
        spent = sum(r.seconds for r in results if r.stage > 0)
        found[name] = {"scores": after.to_dict(), "kept": kept, "seconds": spent, "tokens": tokens(chosen.stages[2:])}
        print(f"{out.name} {name}: {line(found[name])}", flush=True)
    return found


def line(result: dict[str, Any]) -> str:
    """Skills and kept text of one variant, Korean / English."""
    values = {name: [f"{cell['value']:.2f}" for cell in result["scores"][name].values()] for name in SKILLS}
    skills = "  ".join(f"{name} {' / '.join(cells)}" for name, cells in values.items())
    text = " / ".join(f"{k['before']:.2f} -> {k['after']:.2f}" for k in result["kept"].values())
    return f"{skills}  text {text}"


def table(runs: dict[str, dict[str, Any]]) -> str:
    """Means over seeds and languages with the lowest and highest seed, as Markdown."""
    rows = [
        "| variant | grounding | referring | counting | text before | text after | change |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in NAMES:
        found = [seed[name] for seed in runs.values() if name in seed]
        if not found:
            continue
        cells = [_spread([_mean(r["scores"][skill], "value") for r in found]) for skill in SKILLS]
        before, after = ([_mean(r["kept"], key) for r in found] for key in ("before", "after"))
        change = [b - a for a, b in zip(before, after, strict=True)]
        rows.append(f"| {name} | {' | '.join([*cells, _spread(before), _spread(after), _spread(change)])} |")
    return "\n".join(rows)


def _mean(languages: dict[str, Any], key: str) -> float:
    return statistics.mean(cell[key] for cell in languages.values())


def _spread(values: Sequence[float]) -> str:
    return f"{100 * statistics.mean(values):.1f} ({100 * min(values):.1f} to {100 * max(values):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/preservation"))
    parser.add_argument("--recipe", default="nano")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--scale", type=float, default=0.4, help="steps of stages 1 to 4, relative to the recipe")
    parser.add_argument("--variants", default=",".join(NAMES))
    options = parser.parse_args()
    recipe = read(find(options.recipe))
    samples = evaluation_set(**recipe.evaluation)
    runs = {}
    for seed in range(1, options.seeds + 1):
        scaled_recipe = scaled(recipe, options.scale, seed)
        runs[f"seed{seed}"] = run_seed(scaled_recipe, options.out / f"seed{seed}", options.variants.split(","), samples)
        write_json(options.out / "results.json", {"runs": runs, "scale": options.scale, "versions": versions()})
    print(table(runs))


if __name__ == "__main__":
    main()
