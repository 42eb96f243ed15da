"""`sarknowlip bench list|run|report|corpus`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from sarknowlip.cli.output import bar, emit, tell, warn

if TYPE_CHECKING:
    from sarknowlip.bench.builtin.plan import Size
    from sarknowlip.bench.report import BenchReport
    from sarknowlip.bench.suite import Outcome

app = typer.Typer(help="Score models beside baselines and chance.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def run(
    out: Annotated[Path, typer.Option(help="Folder of the results.")],
    suite: Annotated[
        str | None, typer.Option(help="Built-in sets, simulated if absent: mini or full.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder with data sets; OUT for the built-in ones.")
    ] = None,
    tasks: Annotated[
        str | None, typer.Option(help="a,b; all that the sets serve, but fine-tuning.")
    ] = None,
    sets: Annotated[
        str | None, typer.Option(help="a,each@b; the built-in ones, or with --data all there.")
    ] = None,
    models: Annotated[
        str | None, typer.Option(help="a,b=WEIGHTS,name@ours=RUN; random,pixels,texture.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Of heads and draws.")] = "0,1,2",
    batch_size: Annotated[int, typer.Option(help="Pictures encoded together.", min=1)] = 32,
    workers: Annotated[int, typer.Option(help="Processes that simulate.", min=1)] = 1,
    as_json: Json = False,
) -> None:
    """Score models on tasks and sets; what is there is kept, so run it again to go on."""
    from sarknowlip.bench.request import chosen_models, chosen_tasks, open_sets, wanted_sets
    from sarknowlip.bench.suite import run_suite
    from sarknowlip.bench.task import Asking

    size = _size(suite)
    asked = chosen_tasks(_names(tasks), _names(sets))
    whom, draws = chosen_models(_names(models)), _seeds(seeds)
    wanted = wanted_sets(_names(sets), asked, data, size)
    with bar("built-in sets", quiet=as_json) as progress:
        opened = open_sets(wanted, data or out, size, workers=workers, progress=progress)
    with bar("cells", quiet=as_json) as progress:
        found = run_suite(
            asked,
            opened,
            whom,
            out,
            seeds=draws,
            asking=Asking(batch_size=batch_size),
            progress=progress,
            tell=tell,
        )
    emit(_told(found, out), as_json, f"benchmark {out}")
    lost = sum(failure.cells for failure in found.failures)
    if lost:
        warn(f"{lost} cell(s) failed; run the same command again to try them")
        raise typer.Exit(1)
    if not as_json:
        tell(f"now: sarknowlip bench report {out}")


@app.command()
def report(
    out: Annotated[Path, typer.Argument(help="Folder of the results.")], as_json: Json = False
) -> None:
    """Write board.csv, board.md and leaderboard.html of the cells that are there."""
    from sarknowlip.pipeline.leaderboard import write_leaderboard

    emit(write_leaderboard(out).model_dump(mode="json"), as_json, f"benchmark {out}")


@app.command(name="list")
def list_(
    data: Annotated[Path | None, typer.Option(help="Folder to look for data sets in.")] = None,
    as_json: Json = False,
) -> None:
    """Show tasks, data sets and models, and which of them are on this disk."""
    from sarknowlip.bench.datasets import DATASETS
    from sarknowlip.bench.request import is_builtin, known_models, opened
    from sarknowlip.bench.tasks.suite import SUITE

    tasks = {name: task.spec.model_dump(mode="json") for name, task in SUITE.items()}
    sets = {
        name: {
            "title": kind.card.title,
            "tasks": list(kind.tasks),
            "licence": kind.card.licence,
            "source": "made by `bench run`" if is_builtin(name) else kind.card.source,
            "folder": kind.card.folder,
            "found": None if data is None else opened(kind, data) is not None,
        }
        for name, kind in DATASETS.items()
    }
    models = {
        name: {
            "title": known.card.title,
            "parameters": known.card.parameters,
            "licence": known.card.licence,
            "abilities": sorted(known.card.abilities),
            "weights": known.weights,
            "found": known.found,
        }
        for name, known in known_models().items()
    }
    if as_json:
        _print_json({"tasks": tasks, "sets": sets, "models": models})
    else:
        _show_list(tasks, sets, models)


@app.command()
def corpus(
    corpus: Annotated[Path, typer.Argument(help="Corpus folder, annotated.")],
    out: Annotated[Path, typer.Option(help="Folder of the results.")],
    task: Annotated[str, typer.Option(help="Task on a corpus.")] = "retrieval",
    model: Annotated[Path | None, typer.Option(help="Run or model folder.")] = None,
    annotations: Annotated[str | None, typer.Option(help="Text version, v0001.")] = None,
    baseline: Annotated[list[str] | None, typer.Option(help="Instead of the usual ones.")] = None,
    batch_size: Annotated[int, typer.Option(help="Tiles encoded together.")] = 32,
    as_json: Json = False,
) -> None:
    """Score a model on the held-out ground of a corpus: retrieval between tiles and their texts."""
    from sarknowlip.bench.runner import DEFAULT_BASELINES
    from sarknowlip.bench.runner import run as run_task

    with bar("tiles", quiet=as_json) as progress:
        found = run_task(
            task,
            corpus,
            model,
            out,
            baselines=baseline or DEFAULT_BASELINES,
            annotations=annotations,
            batch_size=batch_size,
            progress=progress,
        )
    if as_json:
        _print_json(found.model_dump(mode="json"))
    else:
        _show(found)


def _names(told: str | None) -> list[str]:
    return [name.strip() for name in (told or "").split(",") if name.strip()]


def _size(suite: str | None) -> Size | None:
    from sarknowlip.bench.builtin.plan import Size
    from sarknowlip.core.errors import ConfigError

    for size in get_args(Size):
        if size == suite:
            return cast(Size, size)
    if suite is None:
        return None
    raise ConfigError(f"no suite {suite!r}", f"choose one of: {', '.join(get_args(Size))}")


def _seeds(told: str) -> list[int]:
    from sarknowlip.core.errors import ConfigError

    names = _names(told)
    if not names or not all(name.isdecimal() for name in names):
        raise ConfigError(f"no seeds: {told!r}", "give whole numbers, for example 0,1,2")
    return [int(name) for name in names]


def _told(found: Outcome, out: Path) -> dict[str, Any]:
    return {
        "out": str(out),
        "cells": len(found.cells),
        "seconds": round(sum(cell.seconds for cell in found.cells), 1),
        "empty": [f"{task}: {model} cannot" for model, task in found.empty],
        "failures": [
            {
                "task": one.task, "dataset": one.dataset, "model": one.model, "seed": one.seed,
                "cells": one.cells, "why": one.why,
            }
            for one in found.failures
        ],
    }  # fmt: skip


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def _show_list(
    tasks: dict[str, dict[str, Any]],
    sets: dict[str, dict[str, Any]],
    models: dict[str, dict[str, Any]],
) -> None:
    from rich.console import Console

    console = Console()
    console.print(
        _table(
            "tasks",
            ("name", "version", "main score", "needs", "what"),
            [
                (
                    name,
                    str(one["version"]),
                    one["main"],
                    ", ".join(one["needs"]),
                    one["what"] + (" Runs when named in --tasks." if one["by_name"] else ""),
                )
                for name, one in tasks.items()
            ],
        )
    )
    here = {True: "here", False: "absent", None: "give --data"}
    console.print(
        _table(
            "data sets",
            ("name", "found", "tasks", "licence", "from"),
            [
                (name, here[one["found"]], ", ".join(one["tasks"]), one["licence"], one["source"])
                for name, one in sets.items()
            ],
        )
    )
    console.print(
        _table(
            "models",
            ("name", "what", "parameters", "gives", "licence", "weights"),
            [
                (
                    name, one["title"],
                    f"{one['parameters'] / 1e6:.0f} M" if one["parameters"] else "–",
                    ", ".join(one["abilities"]), one["licence"], one["weights"] or "none needed",
                )
                for name, one in models.items()
            ],
        )
    )  # fmt: skip


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    for place, name in enumerate(columns):
        table.add_column(name, no_wrap=place == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _show(report: BenchReport) -> None:
    from rich.console import Console
    from rich.table import Table

    rows = report.as_table()
    table = Table(title=f"{report.task} v{report.version}: {report.what}", title_justify="left")
    for name in ("direction", "model"):
        table.add_column(name)
    for k in rows[0]["scores"]:
        table.add_column(f"R@{k}", justify="right")
    for row in rows:
        shown = [
            f"{value:.3f}" if low is None else f"{value:.3f} ({low:.2f}–{high:.2f})"
            for value, low, high in row["scores"].values()
        ]
        table.add_row(row["direction"], row["model"], *shown, end_section=row["model"] == "chance")
    console = Console()
    console.print(table)
    for note in report.notes:
        console.print(note, style="dim", markup=False)
