"""`varco-vision eval calibrate`: are a model's confidences shares of right answers, and the curves that make them so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from varco_vision.cli import common
from varco_vision.errors import InputError

if TYPE_CHECKING:
    from varco_vision.eval.calibrate import Halves
    from varco_vision.model.checkpoint import Loaded


def attach(app: typer.Typer) -> None:
    """Put the verb into the group of `varco-vision eval`."""
    app.command()(calibrate)


def calibrate(
    model: common.ModelOption = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FILE.jsonl", help="Samples to use in place of made ones.")
    ] = None,
    count: Annotated[
        int, typer.Option("--own", metavar="N", min=2, help="Make N scenes and N words a language for each half.")
    ] = 60,
    check: Annotated[bool, typer.Option("--check", help="Write nothing.")] = False,
    tables: Annotated[bool, typer.Option("--tables", help="Print the table of each kind, too.")] = False,
    as_json: common.JsonOption = False,
    device: common.DeviceOption = "auto",
) -> None:
    """Fit a model's calibration on one half of a set, judge it on the other, and write calibration.json beside its weights.

    From then on every confidence of that checkpoint is a share of right answers as far as the table says; the halves share
    no picture, no string to read and no fact. ECE: expected calibration error, 0 is best; the last column is what chance alone
    gives to perfect confidences at that number of points.

    \b
    Example:
      varco-vision eval calibrate --model runs/nano/preference/model
      varco-vision eval calibrate --model runs/mine/model --data held-out.jsonl --tables
    """
    from varco_vision.model.checkpoint import default_path

    directory = Path(model) if model is not None else default_path()
    if not check and not directory.is_dir():
        raise InputError(f"{model} is no directory, so nothing can be written beside its weights; add --check")
    vision = common.open_model(model, device, calibrate=False)
    from varco_vision.eval import calibrate as work
    from varco_vision.eval import checking

    halves = _halves(data, count, vision.loaded)
    common.note(f"answering {len(halves.fit)} + {len(halves.judge)} questions ...")
    vision.engine.batch_size = 24
    calibration, result = work.calibrate(vision.engine, halves)
    calibration, result["check"] = checking.advised(calibration, vision, halves.fit, halves.judge)
    if as_json:
        common.print_json({**result, "calibration": calibration.to_dict()})
    else:
        show(result, tables)
    if not check:
        common.note(f"written: {work.write(calibration, directory)}")


def _halves(data: Path | None, count: int, loaded: Loaded) -> Halves:
    from varco_vision.eval import calibrate as work

    if data is None:
        return work.made_halves(count, loaded.record.get("recipe", {}).get("evaluation"))
    from varco_vision.data import jsonl

    return work.given_halves(list(jsonl.read(data)), str(data))


def show(result: Mapping[str, Any], tables: bool = False) -> None:
    """What the held-out half says, before and after."""
    from varco_vision.infer.calibration import KINDS

    typer.echo(f"set {result['set']}; {result['answers']['judge']} held-out answers, {result['seconds']} s")
    rows = []
    for kind, sides in result["kinds"].items():
        for side, r in sides.items():
            auc = "-" if r["auc"] is None else f"{r['auc']:.3f}"
            interval, chance = (
                f"{r['low']:.3f} - {r['high']:.3f}",
                f"{r['by_chance']:.3f} (95 %: {r['by_chance_high']:.3f})",
            )
            cells = [f"{r[name]:.3f}" for name in ("right", "confidence", "ece")]
            rows.append((kind, side, str(r["n"]), *cells, interval, f"{r['brier']:.3f}", auc, chance))
    head = ("kind", "", "n", "right", "confidence", "ECE", "95 % interval", "Brier", "AUC", "by chance")
    common.print_table(head, rows, 2)
    for kind in result["kinds"]:
        typer.echo(f"{kind}: {KINDS[kind]}")
    for lang, k in result.get("check", {}).items():
        typer.echo(
            f"boxes checked by asking back, {lang}: {k['before']:.3f} -> {k['after']:.3f} of {k['n']} right "
            f"(difference {k['low']:+.3f} to {k['high']:+.3f}, p {k['p']:.3g})"
        )
    for kind, n in result["without_curve"].items():
        typer.echo(f"no curve for {kind}: {n} points are too few")
    for kind, sides in result["kinds"].items() if tables else ():
        for side, r in sides.items():
            typer.echo(f"\n{kind}, {side}")
            common.print_table(
                ("confidence", "n", "mean", "right", "95 % interval"), [_bin(row) for row in r["table"]], 1
            )


def _bin(row: Mapping[str, Any]) -> tuple[str, ...]:
    interval = f"{row['low']:.3f} - {row['high']:.3f}"
    return (
        f"{row['from']:.1f} - {row['to']:.1f}",
        str(row["n"]),
        f"{row['confidence']:.3f}",
        f"{row['right']:.3f}",
        interval,
    )
