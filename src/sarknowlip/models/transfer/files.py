"""Tensors and configuration of a checkpoint on local disk, without running anything in it."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sarknowlip.core.errors import ConfigError
from sarknowlip.core.files import read_json
from sarknowlip.core.hashing import file_sha256, tree_sha256

WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
)
"""Names of weights in a folder; the first that is there is read."""
CONFIGS = ("config.json", "open_clip_config.json")
"""Names of configurations, those of weights whose name starts with "open_clip" last."""
CONTAINERS = ("state_dict_ema", "model_ema", "teacher", "model", "state_dict", "module")
"""Keys under which training programs keep weights, averaged ones first."""
_NESTED_BLOCK = re.compile(r"\bblocks\.\d+\.(?=\d+\.)")


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        path: File with the weights, or the index of several.
        sha256: Of the weights.
        tensors: By name.
        part: Key under which they lay, empty if at the top.
        config: The configuration beside them, None if there is none.
    """

    path: Path
    sha256: str
    tensors: dict[str, Tensor]
    part: str
    config: dict[str, Any] | None


def read_checkpoint(path: Path) -> Checkpoint:
    """Return what a file or folder holds.

    A configuration counts if weights are named as on Hugging Face's hub and it lies beside them.

    Args:
        path: .safetensors, .pt, .pth or .bin; or a folder with weights named as in `WEIGHTS`.

    Raises:
        ConfigError: Nothing is there, it cannot be read, or it holds other than tensors.
    """
    weights = _weights(path)
    held: dict[str, Any]
    if weights.name.endswith(".index.json"):
        held, sha256 = _sharded(weights)
    else:
        held, sha256 = _tensors(weights), file_sha256(weights)
    part = next((key for key in CONTAINERS if isinstance(held.get(key), dict)), "")
    tensors = {
        _NESTED_BLOCK.sub("blocks.", str(key)): value  # training code of DINO groups its blocks
        for key, value in (held[part] if part else held).items()
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise ConfigError(f"{weights} holds no weights", "give a checkpoint; see docs/transfer.md")
    return Checkpoint(weights, sha256, tensors, part, _config(weights))


def known_checkpoints() -> list[dict[str, Any]]:
    """Return the rows of `known.json`: public checkpoints, their licences and sources."""
    text = (files("sarknowlip.models.transfer") / "known.json").read_text("utf-8")
    rows: list[dict[str, Any]] = json.loads(text)["checkpoints"]
    return rows


def _weights(path: Path) -> Path:
    if path.is_file():
        return path
    if path.is_dir():
        found = [path / name for name in WEIGHTS if (path / name).is_file()]
        if found:
            return found[0]
        raise ConfigError(f"{path} holds none of {', '.join(WEIGHTS)}", "name the file itself")
    for row in known_checkpoints():
        if str(path) == row["id"]:
            raise ConfigError(
                f"{path} is not on this machine",
                f"fetch it from {row['source']} (licence: {row['licence']}) and give its path",
            )
    raise ConfigError(f"cannot read {path}: it is absent", "give a file or folder on this machine")


def _tensors(path: Path) -> dict[str, Any]:
    remedy = "fetch the file again"
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if _is_torchscript(path):
            raise ConfigError(
                f"{path} is a TorchScript program, not weights",
                "take the same model in the format of transformers or open_clip",
            )
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConfigError(
            f"{path} is damaged or holds more than tensors, and is not run: {_first_line(error)}",
            "save its weights alone with torch.save(state_dict, ...)",
        ) from error
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise ConfigError(f"cannot read {path}: {_first_line(error)}", remedy) from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path} holds a {type(loaded).__name__}, not weights by name", remedy)
    return loaded


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _sharded(index: Path) -> tuple[dict[str, Any], str]:
    table = read_json(index, "fetch the folder again").get("weight_map", {})
    names = sorted({str(name) for name in table.values()})
    parts = [index.parent / name for name in names]
    for part in parts:
        if part.parent != index.parent or not part.is_file():
            raise ConfigError(f"cannot read {part}: it is absent", "fetch the folder again")
    tensors: dict[str, Any] = {}
    for part in parts:
        tensors |= _tensors(part)
    return tensors, tree_sha256(index.parent, parts)


def _config(weights: Path) -> dict[str, Any] | None:
    if weights.name not in WEIGHTS:
        return None
    names = CONFIGS[::-1] if weights.name.startswith("open_clip") else CONFIGS
    for name in names:
        if (weights.parent / name).is_file():
            value = read_json(weights.parent / name, "fetch the folder again")
            return value if isinstance(value, dict) else None
    return None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
