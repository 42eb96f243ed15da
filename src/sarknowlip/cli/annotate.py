"""`sarknowlip annotate` and `sarknowlip verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sarknowlip.cli.output import bar, emit

Corpus = Annotated[Path, typer.Argument(help="Corpus folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def annotate(
    corpus: Corpus,
    language: Annotated[str, typer.Option(help="Language of the texts.")] = "en",
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    as_json: Json = False,
) -> None:
    """Write evidence, claims and texts about every tile, as a new version."""
    from sarknowlip.annotate.compose import TextConfig
    from sarknowlip.annotate.pipeline import annotate as annotate_corpus
    from sarknowlip.annotate.tile import AnnotateConfig

    config = AnnotateConfig(texts=TextConfig(language=language))
    with bar("tiles", quiet=as_json) as progress:
        report = annotate_corpus(corpus, config, workers=workers, progress=progress)
    emit(report.model_dump(mode="json"), as_json, f"annotations of {corpus}")


def verify(
    corpus: Corpus,
    version: Annotated[str | None, typer.Option(help="Such as v0001; default newest.")] = None,
    as_json: Json = False,
) -> None:
    """Derive every stored fact, claim and text again; exit code 1 if any does not hold."""
    from sarknowlip.annotate.verify import verify as verify_corpus

    with bar("tiles", quiet=as_json) as progress:
        report = verify_corpus(corpus, version, progress)
    values = report.model_dump(mode="json") | {"claim_precision": report.claim_precision}
    problems = values.pop("problems")
    if as_json:
        emit(values | {"problems": problems}, True, "")
    else:
        for problem in problems:
            typer.echo(problem, err=True)
        emit(values, False, f"annotations of {corpus}")
    if not report.sound:
        raise typer.Exit(1)
