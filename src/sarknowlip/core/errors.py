"""Errors a user can act on: what was sought, where, and the way out, on one line."""

from __future__ import annotations


class SarKnowlipError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        message: What went wrong, naming the file or the setting.
        remedy: What the user can do about it.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        self.message = " ".join(str(message).split())
        self.remedy = " ".join(remedy.split())
        super().__init__(f"{self.message}; {self.remedy}" if self.remedy else self.message)


class ProductError(SarKnowlipError):
    """A SAR product cannot be read: truncated, incomplete, or not a SAR product."""


class GeometryError(SarKnowlipError):
    """A coordinate reference system, transform or footprint is missing or unusable."""


class CorpusError(SarKnowlipError):
    """A corpus on disk is incomplete, inconsistent, or was made by another recipe."""


class StorageError(SarKnowlipError):
    """A file cannot be written: disk full, no permission. The whole job stops, not one item."""


class CheckpointError(SarKnowlipError):
    """A training checkpoint is corrupt or belongs to another run."""


class ConfigError(SarKnowlipError):
    """A setting given by the user is invalid."""
