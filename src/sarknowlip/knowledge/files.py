"""Versions of the files that sources read."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from sarknowlip.core.errors import ConfigError
from sarknowlip.core.hashing import digest, file_sha256

_SHAPEFILE = (".shp", ".shx", ".dbf", ".prj", ".cpg")


def files_version(paths: Sequence[Path]) -> str:
    """Return a digest of the content of files, in order; names and places do not matter.

    The parts of a shapefile belong to it. Within a process a file is read once as long as its
    size and time of change stay.

    Raises:
        ConfigError: A file is not there or cannot be read.
    """
    found = []
    for path in paths:
        for part in _parts(path):
            try:
                status = part.stat()
                found.append(_content(part, status.st_size, status.st_mtime_ns))
            except OSError as error:
                raise ConfigError(
                    f"cannot read {part}: {error.strerror or error}", "give the path of the file"
                ) from error
    return digest(found)


def files_in(paths: Sequence[Path], endings: tuple[str, ...]) -> list[Path]:
    """Return files, those of folders in the order of their names.

    Args:
        paths: Files, whatever they are called, and folders.
        endings: How the names of files that count in a folder end, lower case.

    Raises:
        ConfigError: A folder has no such file.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(part for part in path.iterdir() if part.name.lower().endswith(endings))
        if not inside:
            raise ConfigError(
                f"folder {path} holds no file that ends in {' or '.join(endings)}", "name a file"
            )
        found.extend(inside)
    return found


def _parts(path: Path) -> list[Path]:
    if path.suffix.lower() != ".shp":
        return [path]
    others = (path.with_suffix(suffix) for suffix in _SHAPEFILE[1:])
    return [path, *(other for other in others if other.is_file())]


@functools.lru_cache(maxsize=256)
def _content(path: Path, size: int, changed_ns: int) -> str:
    return file_sha256(path)
