"""Annotating a corpus: tiles in, a new version of evidence, claims and texts out.

Tiles are worked in chunks on local processes; a chunk's three tables are written when it is done,
so that a job killed at any moment goes on where it was. The version is assembled from the chunks
and appears whole. The same corpus and recipe give the same bytes, whatever the number of processes;
if the newest version is of this corpus and recipe already, nothing is done.

Tiles that could not be read are left out and tried again next time; until then the chunks are kept
beside the version, so that no other tile is annotated twice.
"""

from __future__ import annotations

import functools
import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from sarknowlip import __version__
from sarknowlip.annotate.distinct import DistinctCount
from sarknowlip.annotate.store import (
    CLAIMS,
    EVIDENCE,
    TEXTS,
    claims_table,
    texts_table,
    versions,
)
from sarknowlip.annotate.tile import AnnotateConfig, TileAnnotator
from sarknowlip.annotate.version import (
    BUILD,
    adding,
    appearing,
    is_undamaged,
    join_tables,
    read_manifest,
    write_manifest,
)
from sarknowlip.core.config import Config
from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.core.files import read_json, replacing, write_json
from sarknowlip.core.hashing import digest, file_sha256
from sarknowlip.core.pool import Chunk, chunks_of, run_jobs
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.catalog import ANNOTATIONS, Catalog
from sarknowlip.corpus.record import TileRecord
from sarknowlip.knowledge.store import COMPRESSION, evidence_table
from sarknowlip.sar.tile import TileImage

CHUNK = 32
"""Tiles a process works on before it writes."""
DONE = "done.json"

_LOG = logging.getLogger(__name__)
_TABLES = (EVIDENCE, CLAIMS, TEXTS)


class AnnotateReport(Config):
    """What an annotation left on disk.

    Attributes:
        version: Name of the version, "v0001".
        tiles: Tiles annotated.
        evidence: Facts.
        claims: Claims by dimension.
        texts: Texts.
        distinct_texts: Texts that differ from each other.
        failed: Tiles that could not be read, with the reason.
        writer: What the writer reports: claims dropped by reason, tokens, requests.
        fresh: False if the version was there already.
    """

    version: str
    tiles: int
    evidence: int
    claims: dict[str, int]
    texts: int
    distinct_texts: int
    failed: dict[str, str]
    writer: dict[str, float] = Field(default_factory=dict)
    fresh: bool = True


def annotate(
    root: Path,
    config: AnnotateConfig,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> AnnotateReport:
    """Annotate all tiles of a corpus as a new version.

    Args:
        root: Corpus folder.
        config: Recipe.
        workers: Processes.
        progress: Called with tiles done, tiles in all, and the last one's name.

    Raises:
        CorpusError: There is no corpus, or its catalog is damaged.
        ConfigError: A source, stage or language is unknown.
        StorageError: The disk is full or not writable; finished chunks are used next time.
        SarKnowlipError: No tile at all could be read, or a worker died.
    """
    catalog, annotator = Catalog(root), TileAnnotator(config)
    key = _key(catalog, config, annotator)
    with adding(root) as target:
        known = versions(root)
        report = _present(known[-1], key) if known else None
        if report is not None and not report.failed:
            return report
        build = root / ANNOTATIONS / BUILD / key
        names = catalog.identifiers()
        jobs = chunks_of(len(names), CHUNK)
        work = functools.partial(annotate_chunk, root=root, build=build, config=config)
        done = 0
        try:
            for (_, start, stop), _ in run_jobs(work, jobs, workers):
                done += stop - start
                if progress is not None:
                    progress(done, len(names), names[stop - 1])
        finally:
            _worker.cache_clear()
        if report is not None and _failed(build, len(jobs)).keys() == report.failed.keys():
            return report
        report = _assemble(target, build, len(jobs), key, _about(config, annotator))
        if not report.failed:
            shutil.rmtree(build)
        return report


def _present(folder: Path, key: str) -> AnnotateReport | None:
    """Return the report of a version if it is of this key and its files are as written."""
    manifest = read_manifest(folder)
    if manifest["key"] != key or not is_undamaged(folder, manifest):
        return None
    return AnnotateReport(**manifest["report"] | {"fresh": False})


@functools.lru_cache(maxsize=1)
def _worker(root: Path, build: Path, config: AnnotateConfig) -> tuple[Catalog, TileAnnotator]:
    """Return what a process needs for all its chunks; `build` names all that they depend on."""
    return Catalog(root), TileAnnotator(config)


def annotate_chunk(job: Chunk, root: Path, build: Path, config: AnnotateConfig) -> None:
    """Annotate some tiles and write their tables; of a chunk done before only what failed then.

    Raises:
        StorageError: A table cannot be written.
    """
    number, start, stop = job
    folder = build / f"{number:06d}"
    done = _done(folder) if (folder / DONE).is_file() else None
    if done is not None and not done["failed"]:
        return
    catalog, annotator = _worker(root, build, config)
    records = catalog.span(start, stop)
    names = [record.id for record in records]
    wanted = records if done is None else [r for r in records if r.id in done["failed"]]
    images, failed = _images(catalog, wanted)
    if done is not None and not images:
        return
    found = annotator.annotate(images)
    evidence = [fact for part in found for fact in part.evidence]
    claims = [claim for part in found for claim in part.claims]
    texts = [text for part in found for text in part.texts]
    counts: Counter[str] = Counter(done["counts"] if done else {})
    for part in found:
        counts.update(part.draft.counts)
    tables = {
        EVIDENCE: evidence_table(evidence),
        CLAIMS: claims_table(claims),
        TEXTS: texts_table(texts),
    }
    for name, table in tables.items():
        fresh = [image.id for image in images]
        whole = table if done is None else _added(folder / name, table, names, fresh)
        with replacing(folder / name) as partial:
            pq.write_table(whole, partial, compression=COMPRESSION)
    tiles = len(images) + (done["tiles"] if done else 0)
    write_json(folder / DONE, {"tiles": tiles, "failed": failed, "counts": counts})


def _added(path: Path, table: pa.Table, names: Sequence[str], fresh: Sequence[str]) -> pa.Table:
    """Return the rows of a chunk's file with those of fresh tiles, in the order of its tiles.

    Rows that the file has of fresh tiles are of a job that was killed here.
    """
    old = pq.read_table(path)
    old = old.filter(pc.invert(pc.is_in(old["tile_id"], pa.array(fresh, pa.string()))))
    whole = pa.concat_tables([old, table])
    place = pc.index_in(whole["tile_id"], pa.array(names, pa.string()))
    return whole.take(np.argsort(place.to_numpy(), kind="stable"))


def _done(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(folder / DONE, "annotate again")
    return found


def _failed(build: Path, chunks: int) -> dict[str, str]:
    """Return the tiles of all chunks that could not be read, with the reason."""
    folders = (build / f"{number:06d}" for number in range(chunks))
    return {name: why for folder in folders for name, why in _done(folder)["failed"].items()}


def _images(
    catalog: Catalog, records: Sequence[TileRecord]
) -> tuple[list[TileImage], dict[str, str]]:
    """Return the tiles that can be read, and why others can't."""
    images, failed = [], {}
    for record in records:
        try:
            images.append(catalog.image(record))
        except SarKnowlipError as error:
            _LOG.warning("%s is left out: %s", record.id, error)
            failed[record.id] = str(error)
    return images, failed


def _key(catalog: Catalog, config: AnnotateConfig, annotator: TileAnnotator) -> str:
    """Return a digest of all that the result depends on.

    Where the sources' files lie is none of it: what they hold is in the sources' versions.
    """
    parts = [
        file_sha256(catalog.path),
        config.model_dump(mode="json", exclude={"options"}),
        config.asked,
        annotator.versions,
        __version__,
    ]
    return digest(parts)


def _assemble(
    target: Path, build: Path, chunks: int, key: str, about: dict[str, Any]
) -> AnnotateReport:
    """Join the chunks' tables into one folder and move it into place.

    Args:
        target: Folder of the version.
        build: Folder of the chunks.
        chunks: Their number.
        key: Digest of all that the result depends on.
        about: What the manifest tells of the recipe.
    """
    folders = [build / f"{number:06d}" for number in range(chunks)]
    done = [_done(folder) for folder in folders]
    tiles = sum(part["tiles"] for part in done)
    written: Counter[str] = Counter()
    for part in done:
        written.update(part["counts"])
    failed = _failed(build, chunks)
    if not tiles:
        raise SarKnowlipError(
            f"no tile could be annotated: {next(iter(failed.values()), 'the corpus is empty')}",
            "run `sarknowlip corpus validate`",
        )
    counts: Counter[str] = Counter()
    dimensions: Counter[str] = Counter()
    distinct = DistinctCount()

    def tally(name: str, table: pa.Table) -> None:
        counts[name] += table.num_rows
        if name == CLAIMS:
            dimensions.update(table["dimension"].to_pylist())
        if name == TEXTS:
            distinct.add(table["text"].to_pylist())

    with appearing(target) as partial:
        for name in _TABLES:
            join_tables(partial / name, [folder / name for folder in folders], tally)
        report = AnnotateReport(
            version=target.name,
            tiles=tiles,
            evidence=counts[EVIDENCE],
            claims=dict(sorted(dimensions.items())),
            texts=counts[TEXTS],
            distinct_texts=distinct.total(),
            failed=failed,
            writer=dict(sorted(written.items())),
        )
        told = report.model_dump(mode="json", exclude={"fresh"})
        write_manifest(partial, key, about | {"report": told})
    return report


def _about(config: AnnotateConfig, annotator: TileAnnotator) -> dict[str, Any]:
    """Return what a manifest tells of the recipe."""
    notes = {source.name: source.attribution for source in annotator.sources if source.attribution}
    return {
        "recipe": config.model_dump(mode="json"),
        "versions": {"sarknowlip": __version__, **annotator.versions},
        "attributions": notes,
    }
