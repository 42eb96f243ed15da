"""A version of the annotations of which a known share of texts is wrong.

Tiles are worked in chunks, as by `annotate.pipeline`: each chunk's tables are written when it is
done, a job that was killed goes on with the others, and the version appears whole. Which texts are
wrong, in the place of which ones, and in what way is told by a ledger outside the corpus, which is
written before the version appears. The same version and configuration give the same texts, whatever
the number of processes, and no second version.
"""

from __future__ import annotations

import functools
import itertools
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.corrupt.config import CorruptConfig, CorruptReport, Kind
from sarknowlip.annotate.corrupt.plant import Ground, Planted, Planter
from sarknowlip.annotate.corrupt.pool import Pool
from sarknowlip.annotate.lookup import Stored, stored
from sarknowlip.annotate.stages import STAGES
from sarknowlip.annotate.store import (
    CLAIMS,
    EVIDENCE,
    TEXTS,
    WEIGHTS,
    annotation_folder,
    claims_table,
    read_weights,
    texts_table,
    weights_table,
)
from sarknowlip.annotate.support import Following
from sarknowlip.annotate.tile import recipe_of
from sarknowlip.annotate.version import (
    BUILD,
    adding,
    appearing,
    join_tables,
    read_manifest,
    version_of,
    write_manifest,
)
from sarknowlip.core.errors import CorpusError
from sarknowlip.core.files import replacing
from sarknowlip.core.hashing import digest, file_sha256, unit_interval
from sarknowlip.core.pool import Chunk, chunks_of, run_jobs
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.catalog import ANNOTATIONS, Catalog
from sarknowlip.corpus.record import TileRecord
from sarknowlip.knowledge.store import COMPRESSION

CHUNK = 32
"""Tiles a process works on before it writes."""
LEDGER = "ledger.parquet"
LEDGER_SCHEMA = pa.schema(
    [
        ("text_id", pa.string()),
        ("original_text_id", pa.string()),
        ("tile_id", pa.string()),
        ("kind", pa.string()),
    ]
)
"""Arrow types of a ledger: the wrong text, the one whose place it took, the tile, the error."""
METHOD = "1"
"""Version of the errors; changes with them."""
SCARCE: tuple[Kind, ...] = ("direction", "function", "count", "hallucinated", "shuffled")
"""Errors in the order in which they are planted: what few texts have room for comes first."""


class Part(NamedTuple):
    """A chunk of tiles, and which of the errors, counted through the corpus, belong to it."""

    chunk: Chunk
    first: int
    stop: int


def corrupt(
    root: Path,
    config: CorruptConfig,
    ledger: Path,
    *,
    version: str | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> CorruptReport:
    """Plant errors in a version of a corpus's annotations, as a new version.

    Args:
        root: Corpus folder.
        config: Which errors.
        ledger: File that tells which texts are wrong, outside the corpus.
        version: Version that is spoilt, "v0001"; None for the newest.
        workers: Processes.
        progress: Called with tiles done, tiles in all, and the last one's name.

    Raises:
        CorpusError: Corpus or annotations are absent or damaged, or the ledger would lie inside.
        StorageError: The disk is full or not writable; finished chunks are used next time.
    """
    if ledger.resolve().is_relative_to(root.resolve()):
        raise CorpusError(
            f"{ledger} lies in the corpus, where a model could find the answers",
            "name a file outside it",
        )
    catalog, parent = Catalog(root), annotation_folder(root, version)
    manifest = read_manifest(parent)
    key = digest([manifest["key"], _digests(parent), config.model_dump(mode="json"), METHOD])
    with adding(root) as target:
        build = root / ANNOTATIONS / BUILD / key
        done = version_of(root, key)
        if done is not None and ledger.is_file():
            return CorruptReport(**read_manifest(done)["report"] | {"fresh": False})
        names = catalog.identifiers()
        texts, parts = _plan(catalog, parent, config)
        work = functools.partial(
            corrupt_chunk, root=root, folder=parent, build=build, config=config
        )  # fmt: skip
        finished = 0
        try:
            for part, _ in run_jobs(work, parts, workers):
                finished += part.chunk[2] - part.chunk[1]
                if progress is not None:
                    progress(finished, len(names), names[part.chunk[2] - 1])
        finally:
            _worker.cache_clear()
        folders = [build / f"{part.chunk[0]:06d}" for part in parts]
        rows = _write_ledger(ledger, [folder / LEDGER for folder in folders])
        kinds = Counter(rows["kind"].to_pylist())
        report = CorruptReport(
            version=target.name if done is None else done.name,
            parent=parent.name,
            texts=texts,
            planted={kind: kinds[kind] for kind in config.kinds},
            unplaced=(parts[-1].stop if parts else 0) - rows.num_rows,
            fresh=done is None,
        )
        if done is None:
            gone = set(rows["original_text_id"].to_pylist())
            _write_version(target, (parent, manifest), folders, (key, gone, report))
        shutil.rmtree(build, ignore_errors=True)
        return report


def _plan(
    catalog: Catalog, folder: Path, config: CorruptConfig
) -> tuple[int, list[Part]]:  # fmt: skip
    """Return how many texts may be wrong, and the chunks with their shares of those that shall.

    Raises:
        CorpusError: The version has texts about tiles that the catalog does not have.
    """
    names = catalog.identifiers()
    splits = (record.split in config.splits for record in catalog.records())
    chunk_of = {name: k // CHUNK for k, name in enumerate(names)}
    open_to = {name for name, chosen in zip(names, splits, strict=True) if chosen}
    counts: Counter[int] = Counter()
    levels = pa.array(list(config.levels), pa.string())
    for batch in pq.ParquetFile(folder / TEXTS).iter_batches(columns=["tile_id", "level"]):
        wanted = pc.is_in(batch["level"], levels).to_pylist()
        for tile_id, chosen in zip(batch["tile_id"].to_pylist(), wanted, strict=True):
            if tile_id not in chunk_of:
                raise CorpusError(
                    f"{folder / TEXTS} has texts about {tile_id}, which the catalog does not have",
                    "run `sarknowlip verify`",
                )
            counts[chunk_of[tile_id]] += chosen and tile_id in open_to
    parts, before, total = list[Part](), 0, 0
    for chunk in chunks_of(len(names), CHUNK):
        total += counts[chunk[0]]
        stop = round(config.share * total)
        parts.append(Part(chunk, before, stop))
        before = stop
    return total, parts


@functools.lru_cache(maxsize=1)
def _worker(root: Path, folder: Path, build: Path, config: CorruptConfig) -> _Spoiler:
    """Return what a process needs for all its chunks; `build` names all that they depend on."""
    return _Spoiler(Catalog(root), folder, config)


def corrupt_chunk(
    part: Part, root: Path, folder: Path, build: Path, config: CorruptConfig
) -> None:  # fmt: skip
    """Plant the errors of some tiles and write their tables, unless that was done before.

    Raises:
        StorageError: A table cannot be written.
    """
    place = build / f"{part.chunk[0]:06d}"
    if (place / LEDGER).is_file():
        return
    held, planted = _worker(root, folder, build, config).spoil(part)
    claims, texts = list[Claim](), list[Text]()
    instead = {one.original.id: one for one in planted}
    for tile in held.values():
        claims += _claims_of(tile, instead)
        texts += [instead[t.id].text if t.id in instead else t for t in tile.texts]
    rows = [
        {"text_id": one.text.id, "original_text_id": one.original.id,
         "tile_id": one.text.tile_id, "kind": one.kind}
        for tile in held.values() for text in tile.texts
        if (one := instead.get(text.id)) is not None
    ]  # fmt: skip
    ledger = pa.Table.from_pylist(rows, schema=LEDGER_SCHEMA)
    tables = {CLAIMS: claims_table(claims), TEXTS: texts_table(texts), LEDGER: ledger}
    for name, table in tables.items():
        with replacing(place / name) as partial:
            pq.write_table(table, partial, compression=COMPRESSION)


def _claims_of(tile: Stored, instead: dict[str, Planted]) -> list[Claim]:
    """Return a tile's claims and, after them, those of texts planted in it."""
    known = {claim.id for claim in tile.claims}
    fresh = {
        claim.id: claim
        for text in tile.texts if text.id in instead
        for claim in instead[text.id].claims if claim.id not in known
    }  # fmt: skip
    return [*tile.claims, *fresh.values()]


class _Spoiler:
    """Plants the errors of chunks of tiles.

    Args:
        catalog: The corpus.
        folder: Version that is spoilt.
        config: Which errors.
    """

    def __init__(self, catalog: Catalog, folder: Path, config: CorruptConfig) -> None:
        self.catalog, self.folder, self.config = catalog, folder, config
        recipe = recipe_of(folder)
        self.stages = [STAGES[name]() for name in recipe.stages]
        giving = [r.id for r in catalog.records() if r.split in config.splits]
        pool = Pool(folder, giving, config)
        self.planter = Planter(recipe.texts, pool, config.seed)

    def spoil(self, part: Part) -> tuple[dict[str, Stored], list[Planted]]:
        """Return what the version holds about the tiles of a chunk, and what is planted there."""
        records = self.catalog.span(*part.chunk[1:])
        held = stored(self.folder, [record.id for record in records])
        grounds = self._grounds(records, held) if part.stop > part.first else {}
        kinds = self.config.kinds
        quota = Counter(kinds[n % len(kinds)] for n in range(part.first, part.stop))
        used = set[str]()
        streams = {kind: self._stream(kind, grounds, used) for kind in SCARCE if kind in kinds}
        planted = list[Planted]()
        for kind, stream in streams.items():
            for _ in range(quota[kind]):
                one = next(stream, None)
                planted += [] if one is None else [one]
        turns = itertools.cycle([kind for kind in kinds if kind in streams])
        while len(planted) < part.stop - part.first and streams:  # where a kind found no room
            kind = next(turns)
            one = next(streams[kind], None) if kind in streams else None
            if one is None:
                streams.pop(kind, None)
            else:
                planted.append(one)
        return held, planted

    def _grounds(
        self, records: Sequence[TileRecord], held: dict[str, Stored]
    ) -> dict[str, Ground]:  # fmt: skip
        found = {}
        for record in records:
            tile = held[record.id]
            if record.split in self.config.splits and tile.texts:
                facts = [fact for fact in tile.evidence if fact.intact]
                found[record.id] = Ground(tile, facts, Following(self.stages, record.id, facts))
        return found

    def _stream(
        self, kind: Kind, grounds: dict[str, Ground], used: set[str]
    ) -> Iterator[Planted]:  # fmt: skip
        """Yield errors of one kind, in texts that have none, in a drawn order."""
        seed = str(self.config.seed)
        texts = [
            text for ground in grounds.values() for text in ground.held.texts
            if text.level in self.config.levels
        ]  # fmt: skip
        for text in sorted(texts, key=lambda text: unit_interval(seed, kind, text.id)):
            if text.id in used:
                continue
            planted = self.planter.plant(kind, grounds[text.tile_id], text)
            if planted is not None:
                used.add(text.id)
                yield planted


def _digests(folder: Path) -> list[str]:
    return [file_sha256(folder / name) for name in (EVIDENCE, CLAIMS, TEXTS)]


def _write_ledger(path: Path, parts: Sequence[Path]) -> pa.Table:
    """Write the ledger of all chunks; return it."""
    tables = [pq.read_table(part) for part in parts]
    whole = pa.concat_tables(tables) if tables else LEDGER_SCHEMA.empty_table()
    with replacing(path) as partial:
        pq.write_table(whole, partial, compression=COMPRESSION)
    return whole


def _write_version(
    target: Path,
    parent: tuple[Path, dict[str, Any]],
    folders: Sequence[Path],
    told: tuple[str, set[str], CorruptReport],
) -> None:
    """Join the chunks' tables into a version.

    Args:
        target: Folder of the version.
        parent: Folder of the version that was spoilt, and its manifest.
        folders: Of the chunks.
        told: Key of the version, texts that are gone, and the report.
    """
    folder, manifest = parent
    key, gone, report = told
    with appearing(target) as partial:
        shutil.copyfile(folder / EVIDENCE, partial / EVIDENCE)
        for name in (CLAIMS, TEXTS):
            join_tables(partial / name, [chunk / name for chunk in folders])
        weights = {key: weight for key, weight in read_weights(folder).items() if key not in gone}
        if weights:
            pq.write_table(weights_table(weights), partial / WEIGHTS, compression=COMPRESSION)
        about = {name: manifest[name] for name in ("recipe", "versions", "attributions")}
        made = {"parent": folder.name, "made_by": "corrupt"}
        outcome = report.model_dump(mode="json", exclude={"fresh"})
        write_manifest(partial, key, about | made | {"report": outcome})
