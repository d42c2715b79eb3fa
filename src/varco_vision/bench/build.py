"""`bench build`: from a name and a seed to a folder of sets with data card and checksums, the same bytes every time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varco_vision import __version__
from varco_vision.bench import card, schema
from varco_vision.bench.bank import SPLIT, Bank, Sizes
from varco_vision.bench.sets import TASKS, Made, build
from varco_vision.errors import InputError
from varco_vision.eval import benchmarks

if TYPE_CHECKING:
    from varco_vision.infer.api import VarcoVision

K_MINI = "k-mini"
COUNT = 100
PARTS = ".making"


@dataclass(frozen=True)
class Plan:
    """What to build. name: "k-mini" for all five, or names of sets with commas. count: questions in each set.

    without: sources of pictures to leave out. blind: name of the model that also answers without pictures, for the card.
    """

    name: str = K_MINI
    seed: int = 0
    count: int = COUNT
    sizes: Sizes = Sizes()
    without: frozenset[str] = frozenset()
    tsv: bool = False
    blind: str | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        if self.name == K_MINI:
            return TASKS
        names = [benchmarks.ALIASES.get(name.strip(), name.strip()) for name in self.name.split(",") if name.strip()]
        for name in names:
            if name not in TASKS:
                raise InputError(f"{name!r} is no set that can be built; give {K_MINI} or some of {', '.join(TASKS)}")
        if not names:
            raise InputError(f"no set was named; give {K_MINI} or some of {', '.join(TASKS)}")
        return tuple(dict.fromkeys(names))

    @property
    def command(self) -> str:
        """The command that makes the same again."""
        parts = [f"varco-vision bench build {self.name} --out . --seed {self.seed} --count {self.count}"]
        parts.append(f"--picture-px {self.sizes.picture} --page-px {self.sizes.page}")
        parts += [f"--without {','.join(sorted(self.without))}"] if self.without else []
        parts += [f"--blind-model {self.blind}"] if self.blind else []
        parts += ["--tsv"] if self.tsv else []
        return " ".join(parts)


def run(
    plan: Plan, out: Path, model: VarcoVision | None = None, tell: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Build into the new or empty folder `out`; what was made, by set.

    Everything is made in a folder inside and moved when it is complete, so that a build that was stopped leaves no half set.
    """
    tasks = plan.tasks
    making = _prepare(out)
    bank = Bank(plan.seed, plan.sizes, plan.without)
    told: list[tuple[Made, str, int]] = []
    for task in tasks:
        made = build(task, bank, plan.count, model)
        digest, rows = _write(made, making, plan.tsv)
        told.append((made, digest, rows))
        tell(f"{task}: {len(made.items)} questions, {rows} rows")
    text = card.card(plan.name, plan.command, _facts(plan), told)
    (making / "README.md").write_text(text, encoding="utf-8")
    card.write_checksums(making, [p for p in making.rglob("*") if p.is_file()])
    for path in sorted(making.iterdir()):
        path.replace(out / path.name)
    making.rmdir()
    return {
        made.task: {"questions": len(made.items), "rows": rows, "digest": digest, "counters": dict(made.counters), "notes": made.notes}
        for made, digest, rows in told
    }  # fmt: skip


def _prepare(out: Path) -> Path:
    """The empty folder that everything is made in; what an earlier, stopped build left there goes."""
    making = out / PARTS
    try:
        out.mkdir(parents=True, exist_ok=True)
        if making.exists():
            shutil.rmtree(making)
        if any(out.iterdir()):
            raise InputError(
                f"the folder {out} is not empty; give a new one, since sets of two builds must not be mixed"
            )
        making.mkdir()
    except OSError as error:
        raise InputError(f"cannot make the folder {out}: {error.strerror or error}") from error
    return making


def _write(made: Made, folder: Path, tsv: bool) -> tuple[str, int]:
    """Write a set and read it back as `eval run` does; its digest and the number of its rows."""
    rows = schema.rows_of(made.task, made.items)
    schema.write_parquet(rows, folder / f"{made.task}.parquet")
    if tsv:
        schema.write_tsv(rows, folder / f"{made.task}.tsv", schema.key_of(rows[0]))
    if made.opens:
        lines = [json.dumps({"question_id": o.name, "points": list(o.points)}, ensure_ascii=False) for o in made.opens]
        (folder / f"{made.task}.rubrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    loaded = benchmarks.load(benchmarks.find(made.task), folder)
    assert len(loaded.items) == len(rows)
    return loaded.digest, len(rows)


def _facts(plan: Plan) -> dict[str, Any]:
    import PIL

    from varco_vision.synth.fonts import split_fonts

    fonts: Sequence[str] = [path.name for path in split_fonts(SPLIT)]
    return {
        "program": f"varco-vision {__version__}, `varco_vision.bench` on pictures of `varco_vision.synth`",
        "seed": plan.seed,
        "resources": f"those of the split `{SPLIT}` only: strings, names, layouts, designs of things and grounds, and fonts that training does not use",
        "fonts": ", ".join(fonts),
        "pictures": f"{plan.sizes.picture} pixels (shapes, things, words), up to {plan.sizes.page} (documents, tables, charts); Pillow {PIL.__version__}",
        "left out": ", ".join(sorted(plan.without)) or "nothing",
        "text-only run": plan.blind or "none",
        "order of options": "the right letter is A, B, C and D equally often; wrong options come from the same picture where it has enough of the kind",
    }  # fmt: skip
