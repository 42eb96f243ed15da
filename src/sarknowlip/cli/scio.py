"""`sarknowlip scio RECIPE|report|diff|rollback|corrupt`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sarknowlip.cli.output import bar, emit, tell, warn


class Loop(TyperGroup):
    """What names none of the verbs is a recipe: `scio tiny` is `scio run tiny`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the verb that the arguments name."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["run", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Loop,
    help="The closed loop: find and repair bad text. `scio RECIPE` runs one.",
    no_args_is_help=True,
)

Corpus = Annotated[Path, typer.Argument(help="Corpus folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or module:function.")],
    data: Annotated[Path, typer.Option(help="Corpus folder with annotations.")],
    out: Annotated[Path, typer.Option(help="Folder of the loop.")],
    trusted: Annotated[
        Path | None, typer.Option(help="CSV or Parquet: text_id, bad. Texts a person looked at.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it stopped.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, for example decide.change=0.7.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train, score, revise, round after round; then train a model on the texts of the last."""
    from sarknowlip.core.errors import ConfigError
    from sarknowlip.pipeline.scio_report import write_scio_report
    from sarknowlip.train.rounds.config import ScioConfig, with_settings
    from sarknowlip.train.rounds.loop import scio
    from sarknowlip.train.rounds.recipes import SCIO_RECIPES

    made = SCIO_RECIPES[recipe]()
    if not isinstance(made, ScioConfig):
        raise ConfigError(f"{recipe} gives no ScioConfig", "name a recipe; see docs/scio.md")
    config = with_settings(made, settings or [])
    if trusted is not None:
        config = config.model_copy(update={"trusted": str(trusted)})
    try:
        with bar("loop", quiet=as_json) as progress:
            report = scio(config, data, out, resume=resume, progress=progress, tell=tell)
    except KeyboardInterrupt:
        warn(f"what is finished is in {out}; add --resume to go on")
        raise
    page = write_scio_report(out, data)
    emit({"report": str(page), **report.model_dump(mode="json")}, as_json, f"loop {out}")


@app.command()
def report(
    out: Annotated[Path, typer.Argument(help="Folder of the loop.")],
    data: Annotated[Path, typer.Option(help="Corpus folder it was about.")],
    as_json: Json = False,
) -> None:
    """Write report.html of the rounds that are finished."""
    from sarknowlip.pipeline.scio_report import write_scio_report

    emit({"report": str(write_scio_report(out, data))}, as_json, f"loop {out}")


@app.command()
def diff(
    corpus: Corpus,
    before: Annotated[str, typer.Argument(help="Version, for example v0001.")],
    after: Annotated[str, typer.Argument(help="Version, for example v0002.")],
    shown: Annotated[int, typer.Option(help="Texts to list.", min=0)] = 20,
    as_json: Json = False,
) -> None:
    """Tell what differs between two versions of the texts, and why."""
    from sarknowlip.annotate.history import diff as differences

    found = differences(corpus, before, after, most=shown)
    emit(found.model_dump(mode="json"), as_json, f"{before} → {after}")


@app.command()
def rollback(
    corpus: Corpus,
    version: Annotated[str, typer.Argument(help="Version to go back to.")],
    as_json: Json = False,
) -> None:
    """Write a new version with the content of an old one; nothing is deleted."""
    from sarknowlip.annotate.history import rollback as back

    emit({"version": back(corpus, version)}, as_json, f"corpus {corpus}")


@app.command()
def corrupt(
    corpus: Corpus,
    ledger: Annotated[Path, typer.Option(help="Parquet file to tell what was planted where.")],
    version: Annotated[str | None, typer.Option(help="Version to spoil; the newest.")] = None,
    share: Annotated[float, typer.Option(help="Share of texts.", min=0.0, max=1.0)] = 0.3,
    kind: Annotated[list[str] | None, typer.Option(help="Errors; all kinds.")] = None,
    level: Annotated[list[str] | None, typer.Option(help="Forms of text; all.")] = None,
    split: Annotated[list[str] | None, typer.Option(help="Parts of the corpus; train.")] = None,
    seed: Annotated[int, typer.Option(help="Seed.", min=0)] = 0,
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    as_json: Json = False,
) -> None:
    """Plant errors in a new version of the texts, to see whether a loop finds them."""
    from sarknowlip.annotate.corrupt.config import CorruptConfig
    from sarknowlip.annotate.corrupt.run import corrupt as plant
    from sarknowlip.core.settings import checked

    values: dict[str, Any] = {"share": share, "seed": seed}
    values |= {"kinds": kind} if kind else {}
    values |= {"levels": level} if level else {}
    values |= {"splits": split} if split else {}
    config = checked(CorruptConfig, values, "option", "see `sarknowlip scio corrupt --help`")
    with bar("tiles", quiet=as_json) as progress:
        found = plant(corpus, config, ledger, version=version, workers=workers, progress=progress)
    emit(found.model_dump(mode="json"), as_json, f"corpus {corpus}")
