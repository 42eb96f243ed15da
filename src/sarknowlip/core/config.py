"""Base of all configuration and record types: frozen, strict, hashable as JSON."""

from __future__ import annotations

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
