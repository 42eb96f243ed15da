"""Which library wrote a checkpoint, and where each weight of its image encoder lies.

A layout is told by keys that a file has and lacks (`layouts.json`), under any prefix: the encoder
of a larger model is found by the same keys as one that was saved alone.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files

from torch import Tensor

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.models.transfer.files import Checkpoint

STEM = "patch_embed."
"""Where timm keeps what lies before blocks; hybrids have a convolutional network there."""


class LayoutStyle(Config):
    """What code that goes with a layout computes.

    Attributes:
        activation: Nonlinearity; null where several are in use and weights do not tell.
        norm_eps: Added to variances.
        rotary_base: Base of rotary positions; null for positions that are added.
    """

    activation: str | None
    norm_eps: float
    rotary_base: float | None = None


class Layout(Config):
    """How one library names the weights of an image encoder.

    Attributes:
        title: For people.
        has: Keys that tell it.
        lacks: Keys that another layout has beside these.
        blocks: Before the number of a block.
        style: Of the code that goes with it.
        top: Our names to theirs, outside blocks; those of modules end in "." or "_", before
            "weight" and "bias".
        block: The same inside a block.
    """

    title: str
    has: list[str]
    lacks: list[str]
    blocks: str
    style: LayoutStyle
    top: dict[str, str | list[str]]
    block: dict[str, str]


@cache
def layouts() -> dict[str, Layout]:
    """Return the known layouts by name."""
    text = (files("sarknowlip.models.transfer") / "layouts.json").read_text("utf-8")
    return {name: Layout.model_validate(row) for name, row in json.loads(text).items()}


class Found:
    """The image encoder in a checkpoint, by our names.

    Args:
        name: Name of the layout.
        prefix: Before each of its keys.
        checkpoint: What the file holds.

    Attributes:
        depth: Blocks.

    Raises:
        ConfigError: Blocks hold what ours have no place for, or lack what they need.
    """

    def __init__(self, name: str, prefix: str, checkpoint: Checkpoint) -> None:
        self.name, self.layout = name, layouts()[name]
        self.checkpoint = checkpoint
        self._own = {
            key.removeprefix(prefix): value
            for key, value in checkpoint.tensors.items()
            if key.startswith(prefix)
        }
        self._used: set[str] = set()
        self._others = [key for key in checkpoint.tensors if not key.startswith(prefix)]
        pattern = re.compile(re.escape(self.layout.blocks) + r"(\d+)\.")
        numbers = {int(m[1]) for m in map(pattern.match, self._own) if m}
        self.depth = max(numbers) + 1
        if len(numbers) != self.depth:
            raise ConfigError(f"{checkpoint.path} lacks blocks", "fetch the file again")

    def top(self, name: str, kind: str = "") -> Tensor | None:
        """Return a tensor outside blocks in float32, None if the encoder has none.

        Args:
            name: Our name.
            kind: "weight" or "bias" of a module, empty for a tensor.
        """
        theirs = self.layout.top.get(name, [])
        for option in [theirs] if isinstance(theirs, str) else theirs:
            value = self._take(option + kind)
            if value is not None:
                return value
        return None

    def block(self, number: int, name: str, kind: str = "") -> Tensor | None:
        """Return a tensor of a block; arguments as in `top`."""
        if name not in self.layout.block:
            return None
        return self._take(f"{self.layout.blocks}{number}.{self.layout.block[name]}{kind}")

    def required(self, value: Tensor | None, what: str) -> Tensor:
        """Return a tensor that must be there.

        Raises:
            ConfigError: It is absent.
        """
        if value is None:
            raise ConfigError(
                f"{self.checkpoint.path} ({self.layout.title}) has no {what}",
                "its blocks are of another kind; see docs/transfer.md",
            )
        return value

    def numbers(self) -> tuple[int, int]:
        """Return how many numbers were taken, and how many the file holds."""
        whole = sum(value.numel() for value in self.checkpoint.tensors.values())
        return sum(self._own[key].numel() for key in self._used), whole

    def unused(self) -> dict[str, int]:
        """Return what was not taken, as first parts of keys and how many tensors they have.

        Raises:
            ConfigError: It lies in blocks or before them, and ours would compute something else.
        """
        count: dict[str, int] = {}
        left = [key for key in self._own if key not in self._used]
        for key in left:
            if key.startswith((self.layout.blocks, STEM)):
                raise ConfigError(
                    f"{self.checkpoint.path} ({self.layout.title}) has {key}, for which our encoder"
                    " has no place",
                    "take a model with plain patches, attention and MLP; see docs/transfer.md",
                )
        for key in [*left, *self._others]:
            group = key.split(".")[0]
            count[group] = count.get(group, 0) + 1
        return dict(sorted(count.items()))

    def _take(self, key: str) -> Tensor | None:
        value = self._own.get(key)
        if value is None:
            return None
        self._used.add(key)
        return value.float()


def find_encoder(checkpoint: Checkpoint) -> Found:
    """Return the image encoder of a checkpoint.

    Raises:
        ConfigError: There is none of a known layout, or more than one.
    """
    found = [
        (name, prefix)
        for name, layout in layouts().items()
        for prefix in _prefixes(layout, checkpoint.tensors)
    ]
    if not found:
        some = ", ".join(list(checkpoint.tensors)[:3])
        raise ConfigError(
            f"{checkpoint.path} holds no image encoder of a known format (it has {some}, …)",
            "see docs/transfer.md for the formats",
        )
    if len(found) > 1:
        told = ", ".join(f"{prefix or 'the top'} ({name})" for name, prefix in found)
        raise ConfigError(
            f"{checkpoint.path} holds {len(found)} image encoders: {told}", "save one of them alone"
        )
    return Found(*found[0], checkpoint)


def _prefixes(layout: Layout, tensors: dict[str, Tensor]) -> list[str]:
    first = layout.has[0]
    prefixes = [
        key.removesuffix(first) for key in tensors if key == first or key.endswith(f".{first}")
    ]
    return [
        prefix
        for prefix in prefixes
        if all(prefix + key in tensors for key in layout.has)
        and not any(prefix + key in tensors for key in layout.lacks)
    ]
