"""`sarknowlip quickstart`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from sarknowlip.cli.output import bar, console, emit


def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.")],
    source: Annotated[
        Path | None, typer.Option("--input", help="Folder of SAR products, or one product.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Products to corpus, evidence and text, tiny model, retrieval score and report."""
    from sarknowlip.pipeline.quickstart import quickstart as run

    report = run(
        source,
        out,
        bar=functools.partial(bar, quiet=as_json),
        say=lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True),
    )
    emit(report.model_dump(mode="json"), as_json, "quickstart")
    if report.problems:
        raise typer.Exit(1)
