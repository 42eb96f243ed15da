"""What a loop is: its configuration, and the contents of what it starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sarknowlip import __version__
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.files import read_json
from sarknowlip.core.hashing import file_sha256
from sarknowlip.train.folder import refuse_another
from sarknowlip.train.rounds.config import ScioConfig
from sarknowlip.train.task import data_identity, with_annotation

PATHS = ("config.trusted",)
"""Settings that tell where something lies; its content is part of the identity."""


def begun(asked: ScioConfig, data: Path, path: Path) -> tuple[ScioConfig, dict[str, Any]]:
    """Return the configuration of a loop, the version of its texts by name, and its identity.

    Where no version is asked for it is the newest when the loop began: the loop itself writes newer
    ones.

    Args:
        asked: Configuration.
        data: Corpus folder.
        path: File that holds the identity of the loop, once it is begun.

    Raises:
        ConfigError: The file holds that of another loop, or the trusted set cannot be read.
        CorpusError: No corpus, or no such annotations.
        SarKnowlipError: The file is damaged.
    """
    there = path.is_file()
    first = asked.train.data.annotation
    if there and first is None:
        known = read_json(path, "choose a new folder")
        first = known["config"]["train"]["data"]["annotation"]
    texts = asked.train.data.model_copy(update={"annotation": first})
    train_config = asked.train.model_copy(update={"data": texts})
    config = asked.model_copy(update={"train": with_annotation(train_config, data)})
    identity = {
        "config": config.model_dump(mode="json"),
        "data": data_identity(config.train, data),
        "trusted_sha256": None if config.trusted is None else _digest(Path(config.trusted)),
        "sarknowlip": __version__,
    }
    if there:
        refuse_another(path, identity, "loop", paths=PATHS)
    return config, identity


def _digest(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise ConfigError(
            f"cannot read the trusted set {path}: {error.strerror}", "check the path"
        ) from error
