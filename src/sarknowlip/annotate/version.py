"""How a version of the annotations comes to be: beside the others, under a lock, in place whole.

A version is a folder of tables and a manifest, `annotation.json`, that names the digests of the
tables and the key of the version: a digest of all that the tables depend on. Whoever writes one
(`annotate.pipeline`, `annotate.revise`, `annotate.history`, `annotate.corrupt`) does so here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sarknowlip.annotate.store import (
    CHANGE_SCHEMA,
    CHANGES,
    CLAIM_SCHEMA,
    CLAIMS,
    EVIDENCE,
    MANIFEST,
    TEXT_SCHEMA,
    TEXTS,
    WEIGHT_SCHEMA,
    WEIGHTS,
    versions,
)
from sarknowlip.core.errors import StorageError
from sarknowlip.core.files import TEMPORARY, exclusive, read_json, remove_partials, write_json
from sarknowlip.core.hashing import file_sha256
from sarknowlip.corpus.catalog import ANNOTATIONS
from sarknowlip.knowledge.evidence import SCHEMA as EVIDENCE_SCHEMA
from sarknowlip.knowledge.store import COMPRESSION

BUILD = ".build"
FORMAT = 2
SCHEMAS: dict[str, pa.Schema] = {
    EVIDENCE: EVIDENCE_SCHEMA,
    CLAIMS: CLAIM_SCHEMA,
    TEXTS: TEXT_SCHEMA,
    WEIGHTS: WEIGHT_SCHEMA,
    CHANGES: CHANGE_SCHEMA,
}
"""Arrow types of the tables of a version by file name; the first three are in every version."""

_LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def adding(root: Path) -> Iterator[Path]:
    """Hold the right to add a version to a corpus; yield the folder that the next one will be.

    What a writer that was killed left behind is removed.

    Raises:
        SarKnowlipError: Another process holds it.
        StorageError: The corpus is not writable.
    """
    folder = root / ANNOTATIONS
    with exclusive(folder / BUILD / "lock"):
        remove_partials(folder)
        number = 1 + max((int(path.name[1:]) for path in versions(root)), default=0)
        yield folder / f"v{number:04d}"


@contextlib.contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes the target, whole, when the block ends without error.

    Args:
        target: A folder that is not there; its parent is.

    Raises:
        StorageError: The disk is full or not writable; nothing is left.
    """
    partial = None
    try:
        partial = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=target.parent))
        yield partial
        for path in partial.iterdir():
            with path.open("rb") as written:
                os.fsync(written.fileno())
        partial.chmod(0o755)
        partial.replace(target)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error}", "free space, run again") from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)


def write_manifest(folder: Path, key: str, about: Mapping[str, Any]) -> None:
    """Write the manifest of the tables that lie in a folder.

    Args:
        folder: A version in the making.
        key: Digest of all that it depends on.
        about: What else it tells: recipe, versions, attributions, report, and of a version that
            was made of another one its `parent` and `made_by`.
    """
    files = {path.name: file_sha256(path) for path in folder.iterdir() if path.name in SCHEMAS}
    write_json(folder / MANIFEST, {"format": FORMAT, "key": key, **about, "files": files})


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a version.

    Raises:
        SarKnowlipError: It is damaged.
    """
    found: dict[str, Any] = read_json(
        folder / MANIFEST, "delete this version and annotate again"
    )  # fmt: skip
    return found


def is_undamaged(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Return whether a version's tables are as they were written; warn of the first that is not."""
    for name, digest_then in manifest["files"].items():
        path = folder / name
        if not path.is_file() or file_sha256(path) != digest_then:
            _LOG.warning("%s is damaged; a new version is made", path)
            return False
    return True


def version_of(root: Path, key: str) -> Path | None:
    """Return the oldest undamaged version that has a key, None if there is none.

    Going back (`annotate.history`) makes newer ones, which lack what the version changed.
    """
    for folder in versions(root):
        manifest = read_manifest(folder)
        if manifest["key"] == key and is_undamaged(folder, manifest):
            return folder
    return None


def join_tables(
    path: Path, parts: Sequence[Path], tally: Callable[[str, pa.Table], None] | None = None
) -> None:
    """Write one table of a version from many files, one in memory at a time.

    Args:
        path: File of the version.
        parts: Files of the same types, in order.
        tally: Called with the file's name and each part.
    """
    with pq.ParquetWriter(path, SCHEMAS[path.name], compression=COMPRESSION) as writer:
        for part in parts:
            table = pq.read_table(part)
            if tally is not None:
                tally(path.name, table)
            writer.write_table(table)
