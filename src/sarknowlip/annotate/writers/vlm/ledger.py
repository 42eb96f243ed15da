"""The ledger: every answer that was paid for, kept for good.

One SQLite file in write-ahead mode, flushed to disk at every answer; rows are added, never changed.
Several processes may share it on a local disk (write-ahead mode does not work on network disks).
"""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from sarknowlip.core.errors import StorageError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, time TEXT NOT NULL, tile_id TEXT NOT NULL, model TEXT NOT NULL,
    content TEXT NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL
) STRICT
"""


class Answer(NamedTuple):
    """What a model answered, and how many tokens that took."""

    content: str
    tokens_in: int
    tokens_out: int


class Ledger:
    """Answers by the digest of what was asked; a context manager, safe for threads.

    Args:
        path: File, made with its folder if absent; None keeps answers in memory.

    Raises:
        StorageError: The file cannot be written, or is no ledger.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path or ":memory:", timeout=60.0, check_same_thread=False)
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")
            with self._base:
                self._base.execute(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def get(self, key: str) -> Answer | None:
        """Return the answer to what was asked, None if there is none yet.

        Raises:
            StorageError: The file is damaged.
        """
        query = "SELECT content, tokens_in, tokens_out FROM answers WHERE key = ?"
        with self._lock:
            try:
                row = self._base.execute(query, (key,)).fetchone()
            except sqlite3.Error as error:
                raise self._unusable(error) from error
        return None if row is None else Answer(*row)

    def put(self, key: str, answer: Answer, tile_id: str, model: str) -> None:
        """Keep an answer; it is on disk when this returns.

        Raises:
            StorageError: It cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        row = (key, now, tile_id, model, *answer)
        with self._lock:
            try:
                with self._base:
                    self._base.execute(
                        "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", row
                    )
            except sqlite3.Error as error:
                raise self._unusable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._base.close()

    def _unusable(self, error: Exception) -> StorageError:
        return StorageError(
            f"cannot use the ledger {self._path}: {error}",
            "free space, or move it away (its answers would be paid for again)",
        )
