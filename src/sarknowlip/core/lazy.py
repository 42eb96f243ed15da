"""Tables of plug-ins: a name and a "module:Class" string, resolved on first use."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from sarknowlip.core.errors import ConfigError


class LazyTable(Mapping[str, Any]):
    """Read-only mapping from a name to an object that is imported when first asked for.

    Args:
        kind: What the entries are, for error messages ("sensor", "loss").
        entries: Name to "module:attribute".
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Any:
        """Return the object called `name`, or the one a "module:attribute" string points at.

        Raises:
            ConfigError: No such entry, or the module lacks the attribute.
        """
        target = name if ":" in name else self._entries.get(name)
        if target is None:
            known = ", ".join(sorted(self._entries))
            raise ConfigError(f"unknown {self.kind} {name!r}", f"choose one of: {known}")
        module_name, _, attribute = target.partition(":")
        try:
            return getattr(importlib.import_module(module_name), attribute)
        except (ModuleNotFoundError, AttributeError) as error:
            raise ConfigError(
                f"cannot load {self.kind} {name!r} from {target!r}: {error}",
                "install the extra that provides it",
            ) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
