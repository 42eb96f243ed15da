"""The log as TensorBoard event files, for those who watch runs there.

`tensorboard` is an optional extra; it is imported only if a run asks for it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sarknowlip.core.errors import ConfigError


class Board:
    """Writer of event files.

    Args:
        folder: Where they go.
        step: Steps done; what an earlier process wrote beyond is hidden.

    Raises:
        ConfigError: `tensorboard` is not installed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        require_board()
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), purge_step=step + 1)

    def add(self, *, step: int, **values: float | None) -> None:
        """Write the values of a step; null ones are left out."""
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush what is written."""
        self._writer.close()


def require_board() -> None:
    """Check that `tensorboard` is there.

    Raises:
        ConfigError: It is not.
    """
    if find_spec("tensorboard") is None:
        raise ConfigError(
            "tensorboard=true, but tensorboard is not installed",
            "pip install 'sarknowlip[tensorboard]', or set tensorboard=false",
        )
