"""`sarknowlip bench run|list`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sarknowlip.cli.output import bar, emit

if TYPE_CHECKING:
    from sarknowlip.bench.report import BenchReport

app = typer.Typer(help="Score models beside baselines and chance.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def run(
    task: Annotated[str, typer.Argument(help="Task, see `sarknowlip bench list`.")],
    data: Annotated[Path, typer.Option(help="Corpus folder, annotated.")],
    out: Annotated[Path, typer.Option(help="Folder of the results.")],
    model: Annotated[Path | None, typer.Option(help="Run or model folder.")] = None,
    annotations: Annotated[str | None, typer.Option(help="Text version, v0001.")] = None,
    baseline: Annotated[list[str] | None, typer.Option(help="Instead of the usual ones.")] = None,
    batch_size: Annotated[int, typer.Option(help="Tiles encoded together.")] = 32,
    as_json: Json = False,
) -> None:
    """Score a model and the baselines on held-out ground."""
    from sarknowlip.bench.runner import DEFAULT_BASELINES
    from sarknowlip.bench.runner import run as run_task

    with bar("tiles", quiet=as_json) as progress:
        report = run_task(
            task,
            data,
            model,
            out,
            baselines=baseline or DEFAULT_BASELINES,
            annotations=annotations,
            batch_size=batch_size,
            progress=progress,
        )
    if as_json:
        content = report.model_dump(mode="json")
        sys.stdout.write(json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    else:
        _show(report)


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """Show tasks and baselines."""
    from sarknowlip.bench.baselines import BASELINES
    from sarknowlip.bench.tasks import TASKS

    values = {
        "tasks": {name: task.spec.model_dump(mode="json") for name, task in TASKS.items()},
        "baselines": list(BASELINES),
    }
    emit(values, as_json, "benchmark")


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
