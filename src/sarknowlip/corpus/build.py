"""Building a corpus: products in, tiles and catalog out.

Each product becomes a fragment (`corpus.fragment`), finished when all its tiles are on disk. The
catalog and the manifest are assembled from the fragments. A build killed at any moment continues
where it was: finished fragments are trusted if the product's content and the recipe are unchanged,
unfinished ones are made again, to the same bytes. Running again with further inputs adds them;
running again with the same inputs changes nothing.

A product that cannot be used is listed with its reason; the others go on. It leaves nothing behind
and is tried again whenever it is among the inputs.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rasterio
from pydantic import Field
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from sarknowlip import __version__
from sarknowlip.core.config import Config, changed_keys, leaves
from sarknowlip.core.errors import CorpusError, SarKnowlipError, StorageError
from sarknowlip.core.files import exclusive, read_json, remove_partials, write_json
from sarknowlip.core.hashing import canonical_json, file_sha256
from sarknowlip.core.pool import run_jobs
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.catalog import CATALOG, MANIFEST, TILES, write_catalog
from sarknowlip.corpus.fragment import (
    FRAGMENTS,
    Fragment,
    fragment_path,
    fragments,
    known_fragments,
    load_fragment,
)
from sarknowlip.corpus.inputs import (
    Job,
    Product,
    elevation_sha256,
    identify,
    plan,
    products_in,
    unexpected,
    warn_of_ignored,
)
from sarknowlip.corpus.record import Split, TileRecord
from sarknowlip.corpus.split import SplitConfig, assign_splits
from sarknowlip.corpus.tiling import SceneTiles, cut
from sarknowlip.geo.grid import GridConfig
from sarknowlip.sar.product import ReadOptions
from sarknowlip.sar.sensors import open_product
from sarknowlip.sar.speckle import SpeckleConfig

RECIPE = "recipe.json"
LOCK = "lock"


class BuildConfig(Config):
    """The recipe of a corpus.

    Attributes:
        grid: How tiles are cut.
        split: How ground is shared between train, validation and test.
        read: What is asked of, or told about, products.
        max_nodata: Largest share of no-data pixels a tile may have, 0…1.
        speckle: Filter applied before pixels are stored; null for none.
    """

    grid: GridConfig = GridConfig()
    split: SplitConfig = SplitConfig()
    read: ReadOptions = ReadOptions()
    max_nodata: float = Field(0.5, ge=0.0, lt=1.0)
    speckle: SpeckleConfig | None = None


class Rejection(Config):
    """A product that gave no tile, and why."""

    input: str
    reason: str


class BuildReport(Config):
    """What a build left on disk.

    Attributes:
        tiles: Tiles in the catalog.
        scenes: Scenes in the catalog.
        built: Scenes made now; the others were there already.
        rejected: Products among the inputs that gave none.
        rejected_tiles: Refused tiles by reason.
        splits: Tiles by split.
    """

    tiles: int
    scenes: int
    built: int
    rejected: tuple[Rejection, ...]
    rejected_tiles: dict[str, int]
    splits: dict[str, int]


@dataclass(frozen=True)
class Refusal:
    """A product that gave no tile.

    Attributes:
        input: File or folder name.
        sha256: Digest of its content; None if unreadable.
        reason: Why.
        rejected_tiles: Refused tiles by reason.
    """

    input: str
    sha256: str | None
    reason: str
    rejected_tiles: dict[str, int] = field(default_factory=dict)


def build(
    inputs: Sequence[Path],
    root: Path,
    config: BuildConfig,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> BuildReport:
    """Build or continue a corpus.

    Args:
        inputs: Products, or folders searched for products.
        root: Corpus folder.
        config: Recipe; a corpus keeps the recipe it was started with.
        workers: Processes; the result does not depend on it.
        progress: Called with products done, products in all, and the last one's name.

    Raises:
        ConfigError: The elevation model is absent or unusable.
        CorpusError: No input, no tile at all, or another recipe.
        SarKnowlipError: A worker process died.
        StorageError: The disk is full or not writable; what is done stays and is used next time.
    """
    paths = products_in(inputs)
    elevation = elevation_sha256(config.read)
    with exclusive(root / FRAGMENTS / LOCK):
        known = known_fragments(root)
        _keep_recipe(root, config, bound=any(fragment.finished for fragment in known))
        remove_partials(root, deep=False)  # annotations and shards have writers of their own
        for folder in (root / TILES, root / FRAGMENTS):
            remove_partials(folder)
        products = _identify(paths, config, elevation, workers, progress)
        warn_of_ignored(products, config.read)
        jobs, replaced = plan(products, known)
        for fragment in replaced:
            fragment_path(root, fragment.scene).unlink()
        places = {k.scene: k.place for k in known if k.complete and k not in replaced}
        for job in jobs:
            if places.get(job.scene, job.place) != job.place:
                _move(root, job)
        todo = [job for job in jobs if job.scene not in places]
        refused = [Refusal(p.path.name, p.sha256, p.reason) for p in products if p.reason]
        built, make = 0, functools.partial(_make, root=root, config=config)
        there = len(paths) - len(todo)
        for done, (job, refusal) in enumerate(run_jobs(make, todo, workers), start=there + 1):
            if refusal is None:
                built += 1
            else:
                refused.append(refusal)
            if progress is not None:
                progress(done, len(paths), job.path.name)
        return _assemble(root, config, built, refused)


def _keep_recipe(root: Path, config: BuildConfig, bound: bool) -> None:
    """Write the recipe; if the corpus is bound to one, make sure that it is the same."""
    path = root / FRAGMENTS / RECIPE
    recipe = config.model_dump(mode="json", by_alias=True)
    if bound and path.is_file():
        stored = read_json(path, "delete the corpus folder and build again")
        names = changed_keys(stored, recipe)
        if names:
            old, new = leaves(stored), leaves(recipe)
            changes = ", ".join(f"{n}: {_shown(old, n)}, now {_shown(new, n)}" for n in names)
            raise CorpusError(
                f"{root} was built with another recipe ({changes})",
                "choose another folder or repeat the first options",
            )
    write_json(path, recipe)


def _shown(leaves: dict[str, Any], name: str) -> str:
    return canonical_json(leaves[name]) if name in leaves else "absent"


def _identify(
    paths: Sequence[Path],
    config: BuildConfig,
    elevation: str | None,
    workers: int,
    progress: Progress | None,
) -> list[Product]:
    """Return what the products are, ordered by path."""
    products: list[Product] = []
    work = functools.partial(identify, options=config.read, elevation=elevation)
    for path, product in run_jobs(work, paths, workers):
        products.append(product)
        if progress is not None:
            progress(0, len(paths), path.name)
    return sorted(products, key=lambda product: product.path)


def _move(root: Path, job: Job) -> None:
    """Note where the product of a complete scene lies now."""
    fragment = load_fragment(fragment_path(root, job.scene))
    assert fragment is not None, "it was read a moment ago, under the same lock"
    fragment.model_copy(update={"place": job.place}).write(root)


def _make(job: Job, root: Path, config: BuildConfig) -> Refusal | None:
    """Write a scene's tiles and its fragment; return why if there is no tile.

    The name is reserved before the first tile is written, so that no finished fragment names tiles
    that are being overwritten.

    Raises:
        StorageError: A file cannot be written.
    """
    reserved = Fragment(input=job.path.name, scene=job.scene, sha256=job.sha256, place=job.place)
    reserved.write(root)
    result = _cut(job, root, config)
    if isinstance(result, Refusal):
        fragment_path(root, job.scene).unlink()
        return result
    made = {
        "records": tuple(result.records),
        "rejected_tiles": dict(sorted(result.rejected.items())),
    }
    reserved.model_copy(update=made).write(root)
    return None


def _cut(job: Job, root: Path, config: BuildConfig) -> SceneTiles | Refusal:
    """Write the tiles of a product; StorageError passes through."""
    try:
        with _said_already():
            product = open_product(job.path, config.read)
        tiles = cut(
            product,
            job.scene,
            root,
            config.grid,
            block_km=config.split.block_km,
            max_nodata=config.max_nodata,
            speckle=config.speckle,
        )
    except StorageError:
        raise
    except SarKnowlipError as error:
        return Refusal(job.path.name, job.sha256, str(error))
    except Exception as error:  # noqa: BLE001 - one odd product is listed; the batch goes on
        return Refusal(job.path.name, job.sha256, unexpected(job.path, error))
    if tiles.records:
        return tiles
    causes = ", ".join(f"{count} × {cause}" for cause, count in tiles.rejected.items())
    reason = f"{job.path} gave no tile: {causes or 'it covers no tile'}"
    return Refusal(job.path.name, job.sha256, reason, dict(tiles.rejected))


@contextlib.contextmanager
def _said_already() -> Iterator[None]:
    """Silence the warnings of opening a product: they came when it was identified."""
    logger = logging.getLogger("sarknowlip.sar")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@dataclass(frozen=True)
class _Summary:
    """What a build keeps in memory of a fragment."""

    input: str
    sha256: str
    scene: str
    rejected_tiles: dict[str, int]
    hrefs: tuple[str, ...]
    blocks: tuple[str, ...]
    footprints: tuple[BaseGeometry, ...]

    @classmethod
    def of(cls, fragment: Fragment) -> _Summary:
        records = _ordered(fragment)
        return cls(
            input=fragment.input,
            sha256=fragment.sha256,
            scene=fragment.scene,
            rejected_tiles=fragment.rejected_tiles,
            hrefs=tuple(record.storage.href for record in records),
            blocks=tuple(record.block for record in records),
            footprints=tuple(shape(record.projection.footprint) for record in records),
        )


def _ordered(fragment: Fragment) -> list[TileRecord]:
    return sorted(fragment.records, key=lambda record: record.id)


def _finished(root: Path) -> Iterator[_Summary]:
    """Yield finished scenes by name; delete names reserved by a build that was interrupted."""
    for fragment in fragments(root):
        if fragment.records:
            yield _Summary.of(fragment)
        else:
            fragment_path(root, fragment.scene).unlink()


def _assemble(
    root: Path, config: BuildConfig, built: int, refused: Sequence[Refusal]
) -> BuildReport:
    """Write catalog and manifest from all fragments; delete tiles that no fragment names.

    Rows are ordered by scene, then tile. Fragments are read twice, one at a time: of the first
    reading only what the split needs is kept.
    """
    scenes = sorted(_finished(root), key=lambda scene: scene.scene)
    refused = sorted(refused, key=lambda refusal: (refusal.input, refusal.reason))
    if not scenes:
        reasons = "; ".join(refusal.reason for refusal in refused)
        raise CorpusError(f"no tile could be made: {reasons}", "mend the inputs and run again")
    splits = assign_splits(
        [block for scene in scenes for block in scene.blocks],
        [footprint for scene in scenes for footprint in scene.footprints],
        config.split,
    )
    _delete_orphans(root, {href for scene in scenes for href in scene.hrefs})
    write_catalog(root / CATALOG, _records(root, scenes, splits))
    rejected_tiles: Counter[str] = Counter()
    for counts in [*(s.rejected_tiles for s in scenes), *(r.rejected_tiles for r in refused)]:
        rejected_tiles.update(counts)
    report = BuildReport(
        tiles=len(splits),
        scenes=len(scenes),
        built=built,
        rejected=tuple(Rejection(input=r.input, reason=r.reason) for r in refused),
        rejected_tiles=dict(sorted(rejected_tiles.items())),
        splits=dict(sorted(Counter(splits).items())),
    )
    write_json(root / MANIFEST, _manifest(root, config, [*scenes, *refused], report))
    return report


def _records(
    root: Path, scenes: Sequence[_Summary], splits: Sequence[Split]
) -> Iterator[TileRecord]:
    """Yield all records with their splits, one scene in memory at a time."""
    split = iter(splits)
    for scene in scenes:
        fragment = load_fragment(fragment_path(root, scene.scene))
        assert fragment is not None, "it was read a moment ago, under the same lock"
        for record in _ordered(fragment):
            yield record.model_copy(update={"split": next(split)})


def _manifest(
    root: Path, config: BuildConfig, found: Sequence[_Summary | Refusal], report: BuildReport
) -> dict[str, Any]:
    return {
        "format": 1,
        "recipe": config.model_dump(mode="json", by_alias=True),
        "recipe_digest": config.digest(),
        "inputs": sorted(map(_input, found), key=lambda row: (row["name"], row["sha256"] or "")),
        "report": report.model_dump(mode="json", exclude={"built"}),
        "catalog_sha256": file_sha256(root / CATALOG),
        "versions": {
            "sarknowlip": __version__,
            "gdal": rasterio.__gdal_version__,
            "proj": rasterio.__proj_version__,
        },
    }


def _input(found: _Summary | Refusal) -> dict[str, Any]:
    scene, tiles = (found.scene, len(found.hrefs)) if isinstance(found, _Summary) else (None, 0)
    return {"name": found.input, "sha256": found.sha256, "scene": scene, "tiles": tiles}


def _delete_orphans(root: Path, wanted: set[str]) -> None:
    """Delete tiles left by a scene that changed or was not finished, and folders left empty."""
    tiles = root / TILES
    for path in sorted(tiles.rglob("*.tif")):
        if path.relative_to(root).as_posix() not in wanted:
            path.unlink()
    for folder in sorted((p for p in tiles.rglob("*") if p.is_dir()), reverse=True):
        with contextlib.suppress(OSError):  # a folder that still holds tiles stays
            folder.rmdir()
