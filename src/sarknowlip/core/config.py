"""Base of all configuration and record types: frozen, strict, hashable as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from sarknowlip.core.hashing import digest


class Config(BaseModel):
    """A frozen value that refuses unknown fields, NaN and infinities (JSON has neither).

    Subclasses sit beside the class or function they configure. Names that STAC spells with a colon
    are given as field aliases; both spellings are accepted on input.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False
    )

    def digest(self) -> str:
        """Return a 16-digit hexadecimal digest of all values, independent of field order."""
        return digest(self.model_dump(mode="json", by_alias=True))


def leaves(values: Any, prefix: str = "") -> dict[str, Any]:
    """Return the values of nested mappings under dotted names."""
    if not isinstance(values, Mapping):
        return {prefix: values}
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= leaves(value, f"{prefix}.{key}" if prefix else key)
    return found


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the dotted names of values that differ between two nested mappings, sorted.

    A value that is absent on one side equals None.
    """
    before, after = leaves(old), leaves(new)
    return sorted(key for key in before | after if before.get(key) != after.get(key))
