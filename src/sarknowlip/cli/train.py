"""`sarknowlip train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sarknowlip.cli.output import bar, emit, tell, warn


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or module:function.")],
    data: Annotated[Path, typer.Option(help="Corpus folder with annotations.")],
    out: Annotated[Path, typer.Option(help="Run folder.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, for example optim.lr=0.0005.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train a model on a corpus; Ctrl-C leaves a checkpoint. torchrun starts several processes."""
    from sarknowlip.core.errors import ConfigError
    from sarknowlip.train.config import TrainConfig, with_settings
    from sarknowlip.train.distributed import own_rank
    from sarknowlip.train.loop import train as train_model
    from sarknowlip.train.recipes import RECIPES

    made = RECIPES[recipe]()
    if not isinstance(made, TrainConfig):
        raise ConfigError(f"{recipe} gives no TrainConfig", "name a recipe; see docs/train.md")
    config = with_settings(made, settings or [])
    try:
        with bar("steps", quiet=as_json or own_rank() > 0) as progress:
            report = train_model(config, data, out, resume=resume, progress=progress, tell=tell)
    except KeyboardInterrupt:
        if own_rank() > 0:
            raise typer.Exit(130) from None  # process 0 tells
        warn(f"a checkpoint is in {out}; add --resume to go on from it")
        raise
    if own_rank() == 0:
        emit({"model": str(out / "model"), **report.model_dump(mode="json")}, as_json, f"run {out}")
