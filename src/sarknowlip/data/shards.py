"""Shards: a corpus in the form that training reads, `shards/`; derived, rebuildable.

`shards/images/NNNNN.arrow` hold what a `TileImage` holds, `shards/vNNNN/NNNNN.arrow` what is said
in one version of the annotations; `shards.json` beside each lists the files with their size and
CRC-32, and the digests of what they were made from. All are Arrow IPC files, a row a tile, in the
order of the catalog, `TILES` rows a file; pixels are uncompressed, so that a memory map gives them
without decoding. Another version of the texts leaves the images as they are.

A file is written beside its place and moved there whole. A build that was killed goes on with the
files that are not yet listed; a damaged or outdated file is written again. Bytes depend on the
corpus alone, not on the number of processes. Readers are in `shard_reader`, figures in
docs/shards.md.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.lookup import Stored, stored
from sarknowlip.annotate.store import (
    CLAIMS,
    EVIDENCE,
    TEXTS,
    WEIGHTS,
    annotation_folder,
    read_weights,
)
from sarknowlip.core.config import Config
from sarknowlip.core.errors import CorpusError, SarKnowlipError
from sarknowlip.core.files import exclusive, read_json, remove_partials, replacing, write_json
from sarknowlip.core.hashing import canonical_json, digest, file_sha256
from sarknowlip.core.pool import chunks_of, run_jobs
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.record import TileRecord
from sarknowlip.data.captions import LEVELS, claim_scopes, text_scope
from sarknowlip.data.scope import UNKNOWN, Scope
from sarknowlip.geo.raster import decode_tile

SHARDS, IMAGES, MANIFEST, LOCK = "shards", "images", "shards.json", ".lock"
IMAGE_FORMAT, TEXT_FORMAT = 1, 2
"""Versions of the layouts; 2 has weights of texts."""
TILES = 512
"""Tiles of a file."""
BATCH = 32
"""Tiles in memory at once, and of a record batch."""

_BOX = pa.list_(pa.int32(), 4)
_SCOPE = [
    ("whole", pa.bool_()),
    ("box", _BOX),
    ("turns", pa.bool_()),
    ("speckles", pa.bool_()),
    ("polarizations", pa.list_(pa.string())),
]
_TEXT = [
    ("id", pa.string()),
    ("level", pa.string()),
    ("dimension", pa.string()),
    ("language", pa.string()),
    ("text", pa.string()),
    ("claim_ids", pa.list_(pa.string())),
    ("weight", pa.float64()),
    *_SCOPE,
]
_TASK = [
    ("question", pa.string()),
    ("topic", pa.string()),
    ("choices", pa.list_(pa.string())),
    ("boxes_px", pa.list_(_BOX)),
]
_CLAIM = [
    ("id", pa.string()),
    ("dimension", pa.string()),
    ("predicate", pa.string()),
    ("arguments", pa.string()),
    ("confidence", pa.float64()),
    *_SCOPE,
]

IMAGE_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("split", pa.string()),
        ("polarizations", pa.list_(pa.string())),
        ("frequency_band", pa.string()),
        ("gsd_x", pa.float64()),
        ("gsd_y", pa.float64()),
        ("crs", pa.string()),
        ("transform", pa.list_(pa.float64(), 6)),
        ("rows", pa.int32()),
        ("columns", pa.int32()),
        ("scale", pa.float64()),
        ("offset", pa.float64()),
        ("acquisition", pa.string()),
        ("radiometry", pa.string()),
        ("record_crc32", pa.uint32()),
        ("pixels_crc32", pa.uint32()),
        ("pixels", pa.large_list(pa.uint16())),
    ],
    metadata={"sarknowlip.shards": str(IMAGE_FORMAT)},
)
"""Of an image: dB = offset + scale · pixel, 0 = no data; pixels by polarisation, row, column.

`transform` is a, b, c, d, e, f: (column, row) → map coordinates; `acquisition` and `radiometry` are
JSON under STAC names. `record_crc32` is of the canonical JSON of the columns before it.
"""

TEXT_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("sentences", pa.int32()),
        ("captions", pa.list_(pa.struct(_TEXT))),
        ("tasks", pa.list_(pa.struct([*_TEXT, *_TASK]))),
        ("claims", pa.list_(pa.struct(_CLAIM))),
    ],
    metadata={"sarknowlip.shards": str(TEXT_FORMAT)},
)
"""Of what is said: captions of `captions.LEVELS`, questions and groundings, and the claims.

Each has its `scope.Scope`: `whole`, `box`, `turns`, `speckles`, `polarizations`. `weight` is how
much a text counts beside others, above 0 to 1.
"""
RECORD = IMAGE_SCHEMA.names[: IMAGE_SCHEMA.get_field_index("record_crc32")]


class ShardEntry(Config):
    """One file.

    Attributes:
        rows: Tiles.
        bytes: Size.
        crc32: Of the file.
        source: Digest of what it was made from.
        told: Tiles with a sentence; of files of images 0.
    """

    rows: int
    bytes: int
    crc32: int
    source: str
    told: int = 0


class ShardManifest(Config):
    """The files of a folder, in order.

    Attributes:
        format: Version of the layout.
        sources: SHA-256 of the corpus's tables by name.
        shards: Files by name; those written so far.
        complete: Whether these are all.
    """

    format: int
    sources: dict[str, str]
    shards: dict[str, ShardEntry]
    complete: bool


class ShardReport(Config):
    """Outcome of a build.

    Attributes:
        version: Of the annotations.
        tiles: Tiles.
        untold: Tiles without a sentence.
        files: Files.
        written: Files that were not there, damaged or outdated.
        bytes: Size of all.
    """

    version: str
    tiles: int
    untold: int
    files: int
    written: int
    bytes: int


@dataclass(frozen=True)
class _Job:
    """One file to be made."""

    root: Path
    folder: Path | None
    path: Path
    start: int
    stop: int
    basis: str
    known: ShardEntry | None


def build_shards(
    root: Path, version: str | None = None, *, workers: int = 1, progress: Progress | None = None
) -> ShardReport:
    """Write what is missing of a corpus's shards.

    Args:
        root: Corpus folder.
        version: Of the annotations, "v0001"; None for the newest.
        workers: Processes.
        progress: Called with files done, files in all, and the last one's name.

    Raises:
        CorpusError: The corpus or its annotations are absent or damaged.
        ProductError: A tile's file is absent or damaged.
        StorageError: The disk is full or not writable.
        SarKnowlipError: Another process builds, or a worker died.
    """
    catalog = Catalog(root)
    annotation = annotation_folder(root, version)
    out = root / SHARDS
    with exclusive(out / LOCK):
        remove_partials(out)
        count = len(catalog)
        total = 2 * len(chunks_of(count, TILES))
        parts: list[ShardManifest] = []
        written = 0
        for folder in (None, annotation):
            before = total // 2 * len(parts)

            def advance(done: int, name: str, before: int = before) -> None:
                if progress is not None:
                    progress(before + done, total, name)

            target = out / (IMAGES if folder is None else folder.name)
            part, fresh = _build_part(root, folder, target, (count, workers), advance)
            parts.append(part)
            written += fresh
    entries = [entry for part in parts for entry in part.shards.values()]
    return ShardReport(
        version=annotation.name,
        tiles=count,
        untold=count - sum(entry.told for entry in parts[1].shards.values()),
        files=len(entries),
        written=written,
        bytes=sum(entry.bytes for entry in entries),
    )


def sources_of(root: Path, folder: Path | None) -> dict[str, str]:
    """Return the SHA-256 of the tables that images (`folder` None) or texts are made from.

    Raises:
        CorpusError: A table is absent.
    """
    paths = [Catalog(root).path]
    paths += [] if folder is None else [folder / name for name in (TEXTS, CLAIMS, EVIDENCE)]
    for path in paths:
        if not path.is_file():
            raise CorpusError(f"cannot read {path}: it is absent", "annotate the corpus again")
    if folder is not None and (folder / WEIGHTS).is_file():
        paths.append(folder / WEIGHTS)
    return {path.name: file_sha256(path) for path in paths}


def read_manifest(folder: Path) -> ShardManifest:
    """Return the manifest of a folder of shards.

    Raises:
        CorpusError: It is absent or damaged, or of another format.
    """
    path = folder / MANIFEST
    remedy = "run `sarknowlip corpus shards`, or delete the folder"
    values = read_json(path, remedy)
    wanted = _format(folder)
    if not isinstance(values, dict) or values.get("format") != wanted:
        raise CorpusError(f"{path} is not of format {wanted}", remedy)
    try:
        return ShardManifest.model_validate(values)
    except ValueError as error:
        raise CorpusError(f"cannot read {path}: {error}", remedy) from error


def _format(folder: Path) -> int:
    return IMAGE_FORMAT if folder.name == IMAGES else TEXT_FORMAT


def file_crc32(path: Path) -> int:
    """Return the CRC-32 of a file."""
    total = 0
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            total = zlib.crc32(block, total)
    return total


def record_crc32(row: dict[str, Any]) -> int:
    """Return the CRC-32 of what a row of `IMAGE_SCHEMA` says of its pixels."""
    return zlib.crc32(canonical_json({name: row[name] for name in RECORD}).encode())


def _build_part(
    root: Path,
    folder: Path | None,
    target: Path,
    size: tuple[int, int],
    advance: Callable[[int, str], None],
) -> tuple[ShardManifest, int]:
    """Write what is missing of one folder; return its manifest and how many files are new."""
    sources = sources_of(root, folder)
    known = _known(target)
    count, workers = size
    names = [f"{number:05d}.arrow" for number, *_ in chunks_of(count, TILES)]
    basis = "" if folder is None else digest(sources)
    jobs = [
        _Job(root, folder, target / name, start, stop, basis, known.get(name))
        for name, (_, start, stop) in zip(names, chunks_of(count, TILES), strict=True)
    ]
    done: dict[str, ShardEntry] = {}
    written = 0

    def note(complete: bool) -> ShardManifest:
        listed = known if not complete else {}
        shards = {n: e for n in names if (e := done.get(n) or listed.get(n)) is not None}
        layout = _format(target)
        manifest = ShardManifest(format=layout, sources=sources, shards=shards, complete=complete)
        write_json(target / MANIFEST, manifest.model_dump(mode="json"))
        return manifest

    if known or jobs:
        note(False)
    try:
        for job, (entry, fresh) in run_jobs(_made, jobs, workers):
            done[job.path.name] = entry
            written += fresh
            advance(len(done), job.path.name)
            if fresh:
                note(False)
    finally:
        _catalog.cache_clear()
        _weights.cache_clear()
    for path in target.glob("*.arrow"):
        if path.name not in done:
            path.unlink()
    return note(True), written


def _known(target: Path) -> dict[str, ShardEntry]:
    """Return the files that a manifest lists; none where it cannot be read."""
    try:
        return dict(read_manifest(target).shards) if (target / MANIFEST).is_file() else {}
    except SarKnowlipError:
        return {}


@functools.lru_cache(maxsize=1)
def _catalog(root: Path) -> Catalog:
    return Catalog(root)


@functools.lru_cache(maxsize=1)
def _weights(folder: Path) -> dict[str, float]:
    return read_weights(folder)


def _made(job: _Job) -> tuple[ShardEntry, bool]:
    """Return the entry of a file, and whether it had to be written."""
    records = _catalog(job.root).span(job.start, job.stop)
    contents = [record.model_dump(mode="json", by_alias=True) for record in records]
    about: Any = contents if job.folder is None else [record.id for record in records]
    source = digest([_format(job.path.parent), job.basis, about])
    known = job.known
    if known is not None and known.source == source and _is_whole(job.path, known):
        return known, False
    schema = IMAGE_SCHEMA if job.folder is None else TEXT_SCHEMA
    told = 0
    with replacing(job.path) as partial:
        with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for batch in _batches(job, records):
                writer.write_batch(batch)
                if job.folder is not None:
                    told += sum(map(bool, batch.column("sentences").to_pylist()))
        size, crc = partial.stat().st_size, file_crc32(partial)
    entry = ShardEntry(rows=len(records), bytes=size, crc32=crc, source=source, told=told)
    return entry, True


def _is_whole(path: Path, entry: ShardEntry) -> bool:
    same = path.is_file() and path.stat().st_size == entry.bytes
    return same and file_crc32(path) == entry.crc32


def _batches(job: _Job, records: Sequence[TileRecord]) -> Iterator[pa.RecordBatch]:
    for first in range(0, len(records), BATCH):
        some = records[first : first + BATCH]
        if job.folder is None:
            yield _images(job.root, some)
        else:
            held = stored(job.folder, [record.id for record in some])
            weights = _weights(job.folder)
            rows = [_told(record.id, held[record.id], weights) for record in some]
            yield pa.RecordBatch.from_pylist(rows, schema=TEXT_SCHEMA)


def _images(root: Path, records: Sequence[TileRecord]) -> pa.RecordBatch:
    rows, pixels = [], []
    for record in records:
        path = root / record.storage.href
        tile = decode_tile(path)
        if file_sha256(path) != record.storage.sha256:
            raise CorpusError(f"{path} is not the file of the catalog", "rebuild the corpus")
        values = np.ascontiguousarray(tile.pixels)
        row = {
            "id": record.id,
            "split": record.split,
            "polarizations": list(record.acquisition.polarizations),
            "frequency_band": record.acquisition.frequency_band,
            "gsd_x": record.projection.gsd_x,
            "gsd_y": record.projection.gsd_y,
            "crs": record.projection.code or record.projection.wkt2,
            "transform": list(tile.geobox.affine)[:6],
            "rows": values.shape[1],
            "columns": values.shape[2],
            "scale": tile.scale,
            "offset": tile.offset,
            "acquisition": canonical_json(_json(record.acquisition)),
            "radiometry": canonical_json(_json(record.radiometry)),
        }
        crcs = {"record_crc32": record_crc32(row), "pixels_crc32": zlib.crc32(values.data)}
        rows.append(row | crcs | {"pixels": None})
        pixels.append(values.ravel())
    batch = pa.RecordBatch.from_pylist(rows, schema=IMAGE_SCHEMA)
    ends = np.cumsum([0, *(len(values) for values in pixels)], dtype=np.int64)
    column = pa.LargeListArray.from_arrays(pa.array(ends), pa.array(np.concatenate(pixels)))
    place = IMAGE_SCHEMA.get_field_index("pixels")
    return batch.set_column(place, IMAGE_SCHEMA.field("pixels"), column)


def _told(tile_id: str, held: Stored, weights: dict[str, float]) -> dict[str, Any]:
    scopes = claim_scopes(held)

    def row(text: Text) -> dict[str, Any]:
        own = {"weight": weights.get(text.id, 1.0)} | vars(text_scope(text, scopes))
        return text.model_dump(exclude={"tile_id", "masks_rle"}) | own

    return {
        "id": tile_id,
        "sentences": sum(text.level == "sentence" for text in held.texts),
        "captions": [row(text) for text in held.texts if text.level in LEVELS],
        "tasks": [row(text) for text in held.texts if text.level not in LEVELS],
        "claims": [_claim_row(claim, scopes.get(claim.id, UNKNOWN)) for claim in held.claims],
    }


def _claim_row(claim: Claim, scope: Scope) -> dict[str, Any]:
    names = {"id", "dimension", "predicate", "confidence"}
    arguments = canonical_json(claim.arguments)
    return claim.model_dump(include=names) | {"arguments": arguments} | vars(scope)


def _json(record: Config) -> dict[str, Any]:
    return record.model_dump(mode="json", by_alias=True)
