"""Weights of foreign models, without running anything in their files.

Training programs keep a model under "model" or "state_dict", beside an optimiser and the options of
the run, or several networks side by side; all of it comes back as tensors under dotted names.
"""

from __future__ import annotations

import argparse
import contextlib
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from sarknowlip.bench.metrics import BenchError

Tensors = dict[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)

CONTAINERS = ("model", "state_dict", "model_state")
"""Keys under which training programs keep the model, if they keep it under one."""
WRAPPER = "module."
"""Prefix that data-parallel training leaves before names."""
AGAIN = "fetch the file again, or give another path"


def read_tensors(path: Path) -> Tensors:
    """Return what a file holds, float32.

    Args:
        path: .safetensors, or what `torch.save` writes.

    Raises:
        BenchError: It cannot be read, or holds code, or no tensors.
    """
    with readable(path):
        if path.suffix == ".safetensors":
            held: Any = load_file(path)
        else:
            # the options of a training run; nothing else but tensors and plain values is let in
            with torch.serialization.safe_globals([argparse.Namespace]):
                held = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(held, dict):
        within = (held[key] for key in CONTAINERS if isinstance(held.get(key), dict))
        found = dict(_flat(next(within, held), ""))
        if found:
            return found
    raise BenchError(f"{path} holds no weights", AGAIN)


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what libraries raise at a damaged file or folder into an error of one line.

    Raises:
        BenchError: Something was raised.
    """
    try:
        yield
    except pickle.UnpicklingError as error:
        raise BenchError(
            f"{path} is damaged or holds more than tensors, and is not run: {_line(error)}", AGAIN
        ) from error
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise BenchError(f"cannot read {path}: {_line(error)}", AGAIN) from error


def width_of(found: Mapping[str, Tensor], name: str, axis: int, path: Path) -> int:
    """Return the length of one axis of a tensor.

    Raises:
        BenchError: There is no such tensor, or no such axis: another model's file.
    """
    tensor = found.get(name)
    if tensor is None or tensor.ndim <= axis:
        raise BenchError(f"{path} is of another model: {name} is not in it", AGAIN)
    return int(tensor.shape[axis])


def depth_of(found: Mapping[str, Tensor], prefix: str, path: Path) -> int:
    """Return how many numbered parts there are under a prefix ("blocks.").

    Raises:
        BenchError: None.
    """
    rest = (name.removeprefix(prefix) for name in found if name.startswith(prefix))
    numbers = {int(name.split(".")[0]) for name in rest if name.split(".")[0].isdigit()}
    if not numbers:
        raise BenchError(f"{path} is of another model: {prefix}0 is not in it", AGAIN)
    return max(numbers) + 1


def filled(network: Network, found: Mapping[str, Tensor], path: Path) -> Network:
    """Put tensors into a network, all that it has; what else is in the file is left.

    Returns:
        The network, in evaluation mode.

    Raises:
        BenchError: A tensor is not in the file, or has another shape.
    """
    own = network.state_dict()
    for name, value in own.items():
        if name not in found:
            raise BenchError(f"{path} is of another model: {name} is not in it", AGAIN)
        if found[name].shape != value.shape:
            shapes = f"{tuple(found[name].shape)} instead of {tuple(value.shape)}"
            raise BenchError(f"{path} is of another size: {name} is {shapes}", AGAIN)
    network.load_state_dict({name: found[name] for name in own})
    return network.eval()


def _flat(held: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Tensor]]:
    for key, value in held.items():
        name = f"{prefix}{str(key).removeprefix(WRAPPER)}"
        if isinstance(value, Tensor):
            yield name, value.float() if value.is_floating_point() else value
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
