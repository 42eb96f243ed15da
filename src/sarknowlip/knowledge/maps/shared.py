"""A temporary folder that all processes of a user share, deleted when the last of them ends.

Each process holds a shared lock on the folder as long as it lives; whoever ends and gets the lock
for itself alone is the last. A process that is killed leaves the folder behind for the next.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sarknowlip.core.errors import StorageError


def shared_folder(name: str) -> Path:
    """Return the folder of a name, below that for temporary files; it stays as long as we do.

    Raises:
        StorageError: It cannot be made, or is someone else's.
    """
    return _held(Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}", os.getpid())


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Wait until no other process works under this lock, a file that is deleted afterwards.

    Who waits while it is deleted may run beside who comes later: work that is done twice must do no
    harm.

    Raises:
        OSError: The file cannot be made.
    """
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@functools.cache
def _held(folder: Path, process: int) -> Path:
    while True:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:  # the last process before us deletes it right now
            continue
        except OSError as error:
            raise StorageError(f"cannot use {folder}: {error.strerror}", "set TMPDIR") from error
        fcntl.flock(lock, fcntl.LOCK_SH)
        about = os.fstat(lock)
        if about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) & 0o022:
            os.close(lock)
            raise StorageError(f"{folder} is not ours alone", "delete it or set TMPDIR")
        if folder.exists() and folder.stat().st_ino == about.st_ino:
            atexit.register(_release, folder, lock, process)
            return folder
        os.close(lock)


def _release(folder: Path, lock: int, process: int) -> None:
    if process == os.getpid():
        with contextlib.suppress(BlockingIOError):  # others go on
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)
