"""Rung 9: the command line. One thin file a verb: parse, call, print.

Verbs import what they need when they run, so that `--help` answers at once.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from sarknowlip.core.errors import SarKnowlipError


class Verbs(TyperGroup):
    """The verbs; Ctrl-C in any of them ends with a line that says how to go on, exit code 130."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb that the arguments name."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("interrupted; run the same command again to go on", file=sys.stderr)  # noqa: T201
            raise typer.Exit(130) from None


app = typer.Typer(
    name="sarknowlip",
    cls=Verbs,
    help="Corpus, evidence-based text, model and benchmark for synthetic aperture radar.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _register() -> None:
    from sarknowlip.cli import annotate, bench, corpus, info, quickstart, scio, simulate, train

    app.command()(quickstart.quickstart)
    app.command()(simulate.simulate)
    app.add_typer(corpus.app, name="corpus")
    app.command()(annotate.annotate)
    app.command()(annotate.verify)
    app.command()(annotate.describe)
    app.command()(train.train)
    app.add_typer(scio.app, name="scio")
    app.add_typer(bench.app, name="bench")
    app.command()(info.info)


_register()


def main() -> None:
    """Run the command line; errors a user can mend are one line on standard error, exit code 1."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # What GDAL says of a damaged file comes back as one error that names the file.
    logging.getLogger("rasterio").setLevel(logging.CRITICAL)
    try:
        app()
    except SarKnowlipError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the command line's voice
        sys.exit(1)
