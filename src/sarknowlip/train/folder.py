"""The run folder: what it holds, whose it is, and what may be written to it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from sarknowlip.core.config import Config, changed_keys
from sarknowlip.core.errors import ConfigError, StorageError
from sarknowlip.core.files import TEMPORARY, read_json, remove_partials, write_json
from sarknowlip.train.checkpoint import remove_unfinished

CONFIG, LOG, REPORT = "config.json", "log.jsonl", "report.json"
MODEL, CHECKPOINTS, LOCK, BOARD = "model", "checkpoints", ".lock", "tensorboard"
PATHS = ("config.start",)
"""Settings of a run that tell where something lies; `task.data_identity` has its content."""


class TrainReport(Config):
    """What a finished run says of itself.

    Attributes:
        recipe: Name of the recipe.
        steps: Steps of the run.
        epochs: Passes over the training split.
        pairs: Training pairs.
        parameters: Weights of the model.
        loss: Mean training loss over the last tenth of the steps, as logged.
        val_loss: Validation loss after the last step; null without validation data.
        images_per_s: Mean over what this process and those beside it trained.
        seconds: Time this process took.
        device: Where it ran.
        threads: Threads of torch.
        processes: Processes that trained together.
        origin: Where first weights came from; null where they were random.
    """

    recipe: str
    steps: int
    epochs: float
    pairs: int
    parameters: int
    loss: float
    val_loss: float | None
    images_per_s: float
    seconds: float
    device: str
    threads: int
    processes: int = 1
    origin: str | None = None


def refuse_other_content(out: Path, about: str = CONFIG, what: str = "run") -> None:
    """Keep a run from being mixed with files that are not its own.

    Args:
        out: Its folder.
        about: Name of the file that tells whose folder it is.
        what: What it holds, for people.

    Raises:
        ConfigError: The folder holds files and no run.
    """
    if (out / about).is_file() or not out.is_dir():
        return
    others = [path.name for path in out.iterdir() if not path.name.startswith((LOCK, TEMPORARY))]
    if others:
        raise ConfigError(
            f"{out} holds {sorted(others)[0]} and no {what}", "choose a new or an empty folder"
        )


def refuse_another(
    path: Path, identity: Mapping[str, Any], what: str = "run", *, paths: Collection[str] = PATHS
) -> None:
    """Keep a run from going on with other settings or data.

    Args:
        path: File that tells whose folder it is.
        identity: Of the run that is asked for.
        what: What the folder holds, for people.
        paths: Dotted names of settings that tell where something lies; its content is part of the
            identity under another name, so that a folder may be moved.

    Raises:
        ConfigError: It is another run.
    """
    changed = changed_keys(read_json(path, "choose a new folder"), identity)
    changed = [name for name in changed if name not in paths]
    if changed:
        raise ConfigError(
            f"{path.parent} holds a {what} that differs in {', '.join(changed)}",
            f"choose a new folder or repeat that {what}'s settings and data",
        )


def known_run(identity: dict[str, Any], out: Path, resume: bool) -> TrainReport | None:
    """Return the report of a finished run, None if there is something to do.

    Args:
        identity: Of the run: its configuration and data.
        out: Run folder.
        resume: Whether an unfinished run may go on.

    Raises:
        ConfigError: It is another run, or an unfinished one and `resume` is false.
    """
    if not (out / CONFIG).is_file():
        return None
    refuse_another(out / CONFIG, identity)
    if (out / REPORT).is_file():
        return TrainReport.model_validate(read_json(out / REPORT, "choose a new folder"))
    if not resume:
        raise ConfigError(f"{out} holds an unfinished run", "add --resume or choose a new folder")
    return None


def begin(identity: dict[str, Any], out: Path) -> None:
    """Delete what an interrupted process left and write whose folder it is.

    Raises:
        StorageError: It cannot be written.
    """
    for folder in (out, out / CHECKPOINTS):
        remove_unfinished(folder)
    remove_partials(out)
    write_json(out / CONFIG, identity)


def write_model(out: Path, save: Callable[[Path], None]) -> None:
    """Write the finished model, whole or not at all.

    Args:
        out: Run folder.
        save: Writes it to a folder.

    Raises:
        StorageError: It cannot be written.
    """
    final, partial = out / MODEL, out / f"{TEMPORARY}{MODEL}"
    try:
        save(partial)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StorageError(
            f"cannot write {final}: {error}", "free space, then run again with --resume"
        ) from error
