"""Stable digests of values and files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def unit_interval(*parts: str) -> float:
    """Map strings to a number in [0, 1) that looks uniform and never changes between machines."""
    raw = hashlib.sha256("\x1f".join(parts).encode()).digest()[:8]
    return int.from_bytes(raw, "big") / 2.0**64


def file_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of one file's content."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def tree_sha256(root: Path, files: Iterable[Path]) -> str:
    """Return one SHA-256 over the names (relative to `root`) and contents of `files`."""
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(path.relative_to(root).as_posix().encode() + b"\0")
        total.update(file_sha256(path).encode() + b"\n")
    return total.hexdigest()


def bytes_sha256(content: bytes) -> str:
    """Return the hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()
