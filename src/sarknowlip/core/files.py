"""Files that are either whole or absent.

A name appears only after its content is complete and flushed: bytes go to a sibling whose name
starts with `TEMPORARY`, then `os.replace` moves it. A file whose content would not change is not
touched, so that repeating a job leaves modification times as they were.
"""

from __future__ import annotations

import contextlib
import fcntl
import filecmp
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sarknowlip.core.errors import SarKnowlipError, StorageError

TEMPORARY = ".partial-"


def write_bytes(path: Path, content: bytes) -> bool:
    """Write `content` to `path` atomically.

    Returns:
        True if the file was written, False if it already held exactly these bytes.

    Raises:
        StorageError: The file cannot be written (disk full, no permission). Nothing is left.
    """
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return False
    with replacing(path) as partial:
        partial.write_bytes(content)
    return True


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` that takes its place when the block ends without error.

    If it holds the same bytes as `path`, that stays as it is.

    Raises:
        StorageError: Writing failed; the old file, if any, is as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=TEMPORARY, suffix=path.suffix, dir=path.parent)
        os.close(handle)
        Path(name).chmod(0o644)
    except OSError as error:
        raise _unwritable(path, error) from error
    partial = Path(name)
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        if not (path.is_file() and filecmp.cmp(partial, path, shallow=False)):
            partial.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> bool:
    """Write `value` as indented, key-sorted JSON, atomically; see `write_bytes`."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    return write_bytes(path, text.encode())


def read_json(path: Path, remedy: str) -> Any:
    """Read a JSON file.

    Raises:
        SarKnowlipError: The file is absent or not JSON; the message names it and `remedy`.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SarKnowlipError(f"cannot read {path}: {error}", remedy) from error


def read_json_lines(path: Path) -> list[Any]:
    """Read a file of one JSON value a line; a last line cut off by a kill is left out.

    Raises:
        SarKnowlipError: The file is absent, or another line is not JSON.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]
    except (OSError, ValueError) as error:
        raise SarKnowlipError(f"cannot read {path}: {error}", "delete it and run again") from error


def remove_partials(root: Path, *, deep: bool = True) -> int:
    """Delete what an interrupted writer left below `root`; return how many names went.

    Args:
        root: Folder.
        deep: In its subfolders, too; False where others may be writing into these.
    """
    pattern = f"{TEMPORARY}*"
    leftovers = list(root.rglob(pattern) if deep else root.glob(pattern))
    for path in leftovers:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(leftovers)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold an advisory lock on `path`; the kernel frees it however the process ends.

    Raises:
        SarKnowlipError: Another process holds it.
        StorageError: The folder cannot be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("w")
    except OSError as error:
        raise _unwritable(path, error) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SarKnowlipError(
                f"another process is writing to {path.parent}", "wait for it or stop it"
            ) from error
        yield


def _unwritable(path: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    return StorageError(
        f"cannot write {path}: {reason}", "free space or choose another folder, then run again"
    )
