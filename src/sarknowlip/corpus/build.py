"""Building a corpus: products in, tiles and catalog out.

Each product becomes a fragment, `.build/<key>.json`, written when all its tiles are on disk. The
catalog and the manifest are assembled from the fragments. A build killed at any moment continues
where it was: finished fragments are trusted if the product's content and the recipe are unchanged,
unfinished ones are made again, to the same bytes. Running again with further inputs adds them;
running again with the same inputs changes nothing.

A product that cannot be used is listed with its reason; the others go on.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rasterio
from pydantic import Field, ValidationError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from sarknowlip import __version__
from sarknowlip.core.config import Config
from sarknowlip.core.errors import CorpusError, SarKnowlipError, StorageError
from sarknowlip.core.files import exclusive, read_json, remove_partials, write_json
from sarknowlip.core.hashing import digest, file_sha256, tree_sha256
from sarknowlip.core.pool import run_jobs
from sarknowlip.corpus.catalog import CATALOG, MANIFEST, TILES, write_catalog
from sarknowlip.corpus.record import Split, TileRecord
from sarknowlip.corpus.split import SplitConfig, assign_splits
from sarknowlip.corpus.tiling import cut
from sarknowlip.geo.grid import GridConfig
from sarknowlip.sar.product import ReadOptions
from sarknowlip.sar.sensors import find_products, open_product
from sarknowlip.sar.speckle import SpeckleConfig

FRAGMENTS = ".build"
RECIPE = "recipe.json"
LOCK = "lock"

log = logging.getLogger(__name__)
Progress = Callable[[int, int, str], None]


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
        scenes: Products that gave tiles.
        built: Products processed now; the others were there already.
        rejected: Products that gave none.
        rejected_tiles: Refused tiles by reason.
        splits: Tiles by split.
    """

    tiles: int
    scenes: int
    built: int
    rejected: tuple[Rejection, ...]
    rejected_tiles: dict[str, int]
    splits: dict[str, int]


class Fragment(Config):
    """One product's contribution.

    Attributes:
        input: File or folder name of the product.
        sha256: Digest of the product's content; null if it could not be read.
        version: Release of this package that made it.
        scene: Name in the corpus; null if rejected.
        records: Tiles.
        rejected_tiles: Refused tiles by reason.
        reason: Why the product was rejected; null if it was not.
    """

    input: str
    sha256: str | None
    version: str = __version__
    scene: str | None = None
    records: tuple[TileRecord, ...] = ()
    rejected_tiles: dict[str, int] = Field(default_factory=dict)
    reason: str | None = None


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
        CorpusError: No input, no tile at all, or another recipe.
        SarKnowlipError: A worker process died.
        StorageError: The disk is full or not writable; what is done stays and is used next time.
    """
    products = _products(inputs)
    with exclusive(root / FRAGMENTS / LOCK):
        _keep_recipe(root, config)
        remove_partials(root)
        built = 0
        for done, (path, fresh) in enumerate(_run(products, root, config, workers), start=1):
            built += fresh
            if progress is not None:
                progress(done, len(products), path.name)
        return _assemble(root, config, built)


def _products(inputs: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in inputs:
        if not path.exists():
            raise CorpusError(f"no such input: {path}", "check the path")
        found.extend(find_products(path))
    unique = sorted({path.resolve() for path in found})
    if not unique:
        names = ", ".join(map(str, inputs))
        raise CorpusError(f"no SAR product in {names}", "give SAFE folders, GeoTIFF or NITF files")
    return unique


def _keep_recipe(root: Path, config: BuildConfig) -> None:
    path = root / FRAGMENTS / RECIPE
    recipe = config.model_dump(mode="json", by_alias=True)
    if path.is_file():
        old = read_json(path, "delete the corpus folder and build again")
        changed = sorted(key for key in recipe if recipe[key] != old.get(key))
        if changed:
            raise CorpusError(
                f"{root} was built with another recipe ({', '.join(changed)} differ)",
                "choose another folder or repeat the first options",
            )
    write_json(path, recipe)


def _run(
    products: Sequence[Path], root: Path, config: BuildConfig, workers: int
) -> Iterator[tuple[Path, bool]]:
    """Yield each product when its fragment is on disk, and whether it was made now."""
    stems = Counter(path.stem for path in products)
    work = functools.partial(_build, root=root, config=config)
    jobs = [(path, stems[path.stem] > 1) for path in products]
    for (path, _), fresh in run_jobs(work, jobs, workers):
        yield path, fresh


def _build(job: tuple[Path, bool], root: Path, config: BuildConfig) -> bool:
    path, ambiguous = job
    return build_fragment(path, root, config, ambiguous)


def build_fragment(path: Path, root: Path, config: BuildConfig, ambiguous: bool) -> bool:
    """Make sure that a product's tiles and fragment are on disk.

    Args:
        path: Product.
        root: Corpus folder.
        config: Recipe.
        ambiguous: Whether another product of this build has the same name.

    Returns:
        True if the product was processed now, False if its fragment was up to date.

    Raises:
        StorageError: A tile cannot be written.
    """
    target = root / FRAGMENTS / f"{path.stem}-{digest(str(path))[:8]}.json"
    content = _content_digest(path, config)
    old = _load_fragment(target)
    if old is not None and _up_to_date(root, old, content):
        return False
    fragment = _fragment(path, root, config, content, ambiguous)
    write_json(target, fragment.model_dump(mode="json", by_alias=True))
    return True


def _fragment(
    path: Path, root: Path, config: BuildConfig, content: str | None, ambiguous: bool
) -> Fragment:
    try:
        product = open_product(path, config.read)
        scene = f"{product.name}-{content[:8]}" if ambiguous and content else product.name
        tiles = cut(
            product,
            scene,
            root,
            config.grid,
            block_km=config.split.block_km,
            max_nodata=config.max_nodata,
            speckle=config.speckle,
        )
    except StorageError:
        raise
    except SarKnowlipError as error:
        return Fragment(input=path.name, sha256=content, reason=str(error))
    except Exception as error:  # one odd product is listed with its traceback; the batch goes on
        log.exception("unexpected error in %s", path)
        what = f"unexpected {type(error).__name__} while reading {path}: {error}"
        return Fragment(input=path.name, sha256=content, reason=" ".join(what.split()))
    reason: str | None = None
    if not tiles.records:
        causes = ", ".join(f"{count} × {cause}" for cause, count in tiles.rejected.items())
        reason = f"{path} gave no tile: {causes or 'it covers no tile'}"
    return Fragment(
        input=path.name,
        sha256=content,
        scene=scene if tiles.records else None,
        records=tuple(tiles.records),
        rejected_tiles=dict(sorted(tiles.rejected.items())),
        reason=reason,
    )


def _content_digest(path: Path, config: BuildConfig) -> str | None:
    """Return the digest of all files a product is made of, and of the elevation model used."""
    if path.is_dir():
        files = [child for child in path.rglob("*") if child.is_file()]
    else:
        files = [path, *path.parent.glob(f"{path.stem}.*.json")]
    try:
        parts = [tree_sha256(path.parent, files)]
        if config.read.dem is not None:
            parts.append(file_sha256(config.read.dem))
    except OSError:
        log.warning("cannot hash %s; it will be read again next time", path)
        return None
    return digest(parts)


def _load_fragment(path: Path) -> Fragment | None:
    if not path.is_file():
        return None
    try:
        return Fragment.model_validate_json(path.read_text("utf-8"))
    except ValidationError:
        log.warning("%s is not usable; its scene is built again", path)
        return None


def _up_to_date(root: Path, fragment: Fragment, content: str | None) -> bool:
    """Rejected products are tried again: the reason may have been mended elsewhere."""
    same = fragment.sha256 == content and fragment.version == __version__
    if not same or fragment.reason is not None:
        return False
    return all((root / record.storage.href).is_file() for record in fragment.records)


@dataclass(frozen=True)
class _Summary:
    """What a build keeps in memory of a fragment."""

    path: Path
    input: str
    sha256: str | None
    scene: str | None
    reason: str | None
    rejected_tiles: dict[str, int]
    hrefs: tuple[str, ...]
    blocks: tuple[str, ...]
    footprints: tuple[BaseGeometry, ...]

    @classmethod
    def of(cls, path: Path, fragment: Fragment) -> _Summary:
        records = _ordered(fragment)
        return cls(
            path=path,
            input=fragment.input,
            sha256=fragment.sha256,
            scene=fragment.scene,
            reason=fragment.reason,
            rejected_tiles=fragment.rejected_tiles,
            hrefs=tuple(record.storage.href for record in records),
            blocks=tuple(record.block for record in records),
            footprints=tuple(shape(record.projection.footprint) for record in records),
        )


def _ordered(fragment: Fragment) -> list[TileRecord]:
    return sorted(fragment.records, key=lambda record: record.id)


def _assemble(root: Path, config: BuildConfig, built: int) -> BuildReport:
    """Write catalog and manifest from all fragments; delete tiles that no fragment names.

    Rows are ordered by scene, then tile. Fragments are read twice, one at a time: of the first
    reading only what the split needs is kept.
    """
    paths = sorted(path for path in (root / FRAGMENTS).glob("*.json") if path.name != RECIPE)
    found = [_Summary.of(p, f) for p in paths if (f := _load_fragment(p)) is not None]
    kept: dict[str, _Summary] = {}
    rejections: list[Rejection] = []
    for summary in found:
        reason = summary.reason
        if summary.scene in kept:
            reason = f"{summary.input} repeats scene {summary.scene}, which is in the corpus"
        if reason is None:
            assert summary.scene is not None
            kept[summary.scene] = summary
        else:
            rejections.append(Rejection(input=summary.input, reason=reason))
    if not kept:
        reasons = "; ".join(rejection.reason for rejection in rejections)
        raise CorpusError(f"no tile could be made: {reasons}", "mend the inputs and run again")
    scenes = [kept[name] for name in sorted(kept)]
    splits = assign_splits(
        [block for scene in scenes for block in scene.blocks],
        [footprint for scene in scenes for footprint in scene.footprints],
        config.split,
    )
    _delete_orphans(root, {href for scene in scenes for href in scene.hrefs})
    write_catalog(root / CATALOG, _records(scenes, splits))
    rejected_tiles: Counter[str] = Counter()
    for summary in found:
        rejected_tiles.update(summary.rejected_tiles)
    report = BuildReport(
        tiles=len(splits),
        scenes=len(scenes),
        built=built,
        rejected=tuple(rejections),
        rejected_tiles=dict(sorted(rejected_tiles.items())),
        splits=dict(sorted(Counter(splits).items())),
    )
    write_json(root / MANIFEST, _manifest(root, config, found, report))
    return report


def _records(scenes: Sequence[_Summary], splits: Sequence[Split]) -> Iterator[TileRecord]:
    """Yield all records with their splits, one scene in memory at a time."""
    split = iter(splits)
    for scene in scenes:
        fragment = _load_fragment(scene.path)
        assert fragment is not None, "it was read a moment ago, under the same lock"
        for record in _ordered(fragment):
            yield record.model_copy(update={"split": next(split)})


def _manifest(
    root: Path, config: BuildConfig, found: Sequence[_Summary], report: BuildReport
) -> dict[str, Any]:
    return {
        "format": 1,
        "recipe": config.model_dump(mode="json", by_alias=True),
        "recipe_digest": config.digest(),
        "inputs": [
            {"name": f.input, "sha256": f.sha256, "scene": f.scene, "tiles": len(f.hrefs)}
            for f in found
        ],
        "report": report.model_dump(mode="json", exclude={"built"}),
        "catalog_sha256": file_sha256(root / CATALOG),
        "versions": {
            "sarknowlip": __version__,
            "gdal": rasterio.__gdal_version__,
            "proj": rasterio.__proj_version__,
        },
    }


def _delete_orphans(root: Path, wanted: set[str]) -> None:
    """Delete tiles left by a scene that changed or was not finished, and folders left empty."""
    tiles = root / TILES
    for path in sorted(tiles.rglob("*.tif")):
        if path.relative_to(root).as_posix() not in wanted:
            path.unlink()
    for folder in sorted((p for p in tiles.rglob("*") if p.is_dir()), reverse=True):
        with contextlib.suppress(OSError):  # a folder that still holds tiles stays
            folder.rmdir()
