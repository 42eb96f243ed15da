"""Evidence that was found before, kept in one SQLite file.

An entry's key is the SHA-256 of all that its facts may depend on: name and version of the source,
the map grid, and by the source's `looks_at` (each step takes in the ones before it):

- "nothing": no more;
- "acquisition": acquisition and radiometry, too;
- "pixels": the tile's decibels, too;
- "known": the facts of the sources asked before, too.

Facts are kept without tile and identifier, which are given to them as they are read: two tiles of
the same ground share them. Each entry has a checksum of its own, since SQLite has none.

Any number of processes may use the file at once (write-ahead log: not on network file systems); a
process may be killed at any moment. A file that is damaged, locked for long, or cannot grow is
told once in a warning that names it, and evidence is found anew: the cache never stops a job and
never changes its result. Nothing is deleted; delete the file to make room.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sarknowlip.core.errors import ConfigError
from sarknowlip.core.hashing import bytes_sha256, canonical_json
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.sources import KnowledgeSource
from sarknowlip.sar.tile import TileImage

FILE = "evidence.sqlite"
FORMAT = 1
"""Changes with what an entry holds or what its key takes in."""
LOCKED_S = 30.0
"""How long to wait for another process that writes, seconds."""

_LEVELS = ("nothing", "acquisition", "pixels", "known")
_LOG = logging.getLogger(__name__)


class EvidenceCache:
    """Looks up evidence, and asks the source for what is not there.

    Args:
        folder: Where `evidence.sqlite` lies; made when first needed.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._usable = True

    def evidence(
        self, source: KnowledgeSource, tile: TileImage, known: Sequence[Evidence] = ()
    ) -> list[Evidence]:
        """Return what `source.evidence(tile, known)` returns.

        Raises:
            ConfigError: The source looks at something that this module does not know of.
            SarKnowlipError: What the source raises.
        """
        key = entry_key(source, tile, known)
        kept = self._read(key)
        if kept is not None:
            return [Evidence.of(tile.id, **fields) for fields in kept]
        found = source.evidence(tile, known)
        self._write(key, [_content(fact) for fact in found])
        return found

    def close(self) -> None:
        """Close the file; it is opened again when needed."""
        if self._connection is not None and self._process == os.getpid():
            self._connection.close()
        self._connection = None

    def _read(self, key: str) -> list[dict[str, Any]] | None:
        """Return the facts of an entry; None if it is not there or damaged."""
        row = self._run("SELECT facts, checksum FROM evidence WHERE key = ?", (key,))
        if row is None:
            return None
        packed, checksum = row
        if not isinstance(packed, bytes) or bytes_sha256(key.encode() + packed) != checksum:
            _LOG.warning("%s: a damaged entry is found anew", self.path)
            return None
        facts: list[dict[str, Any]] = json.loads(zlib.decompress(packed))
        return facts

    def _write(self, key: str, facts: list[dict[str, Any]]) -> None:
        packed = zlib.compress(canonical_json(facts).encode())
        checksum = bytes_sha256(key.encode() + packed)
        self._run("INSERT OR REPLACE INTO evidence VALUES (?, ?, ?)", (key, packed, checksum))

    def _run(self, statement: str, values: tuple[Any, ...]) -> Any:
        """Run a statement and return its first row, None where there is none or on trouble."""
        if not self._usable:
            return None
        try:
            with self._open() as connection:
                return connection.execute(statement, values).fetchone()
        except (sqlite3.Error, OSError) as error:
            _LOG.warning(
                "%s is not used: %s; if it is damaged, delete it", self.path, _reason(error)
            )
            self._usable = False
            self.close()
            return None

    def _open(self) -> sqlite3.Connection:
        """Return this process's connection: SQLite's must not be carried over a fork."""
        if self._connection is None or self._process != os.getpid():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=LOCKED_S)
            self._connection, self._process = connection, os.getpid()
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS evidence "
                "(key TEXT PRIMARY KEY, facts BLOB NOT NULL, checksum TEXT NOT NULL) WITHOUT ROWID"
            )
        return self._connection


def entry_key(source: KnowledgeSource, tile: TileImage, known: Sequence[Evidence] = ()) -> str:
    """Return the SHA-256 of all that a source's facts about a tile may depend on; see the module.

    Raises:
        ConfigError: The source looks at something else.
    """
    if source.looks_at not in _LEVELS:
        raise ConfigError(
            f"source {source.name} looks at {source.looks_at!r}",
            f"choose one of {', '.join(_LEVELS)}",
        )
    level = _LEVELS.index(source.looks_at)
    grid = tile.geobox
    parts: list[Any] = [FORMAT, source.name, source.version]
    parts += [list(grid.shape), list(grid.affine)[:6], str(grid.crs)]
    if level >= _LEVELS.index("acquisition"):
        parts += [tile.acquisition.model_dump(mode="json"), tile.radiometry.model_dump(mode="json")]
    if level >= _LEVELS.index("pixels"):
        pixels = np.ascontiguousarray(tile.db)
        parts += [str(pixels.dtype), list(pixels.shape), bytes_sha256(pixels.tobytes())]
    if level >= _LEVELS.index("known"):
        parts.append([_content(fact) for fact in known])
    return bytes_sha256(canonical_json(parts).encode())


def _content(fact: Evidence) -> dict[str, Any]:
    return fact.model_dump(mode="json", exclude={"id", "tile_id"})


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
