"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Progress = Callable[[int, int, str], None]
"""Called with what is done, how much there is in all, and the item in hand."""
Bar = Callable[[str], AbstractContextManager[Progress]]
"""Makes a `Progress` for the stage of a name, while the stage lasts."""


def silent(_: str) -> AbstractContextManager[Progress]:
    """Return a `Progress` that shows nothing; a `Bar`."""
    return nullcontext(lambda _done, _total, _item: None)
