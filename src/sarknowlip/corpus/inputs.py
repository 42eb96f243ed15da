"""What the inputs of a build are, and which scenes of the corpus they become.

A product is its content: the digest of the names and bytes of the files it is made of, and of the
elevation model if its sensor uses one. The same content under another path is the same product.
Of products with one name and different content, the one that is in the corpus, else the first by
path, has the plain name; the others get a suffix that follows from their content. Neither the order
in which products are given nor the number of processes matters.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import rasterio

from sarknowlip.core.errors import ConfigError, CorpusError, SarKnowlipError
from sarknowlip.core.hashing import bytes_sha256, file_sha256, tree_sha256
from sarknowlip.corpus.fragment import Known, place_of
from sarknowlip.geo.raster import guarded
from sarknowlip.sar.product import ReadOptions
from sarknowlip.sar.sensors import SENSORS, find_products, open_product

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Product:
    """An input before its pixels are read.

    Attributes:
        path: Resolved file or folder.
        sha256: Digest of its content; None if files cannot be read.
        name: Product identifier; empty if it does not open.
        sensor: Name in the sensor table; None if it does not open.
        reason: Why it does not open; None if it does.
    """

    path: Path
    sha256: str | None
    name: str = ""
    sensor: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Job:
    """A scene that a build must have.

    Attributes:
        path: Product.
        scene: Name in the corpus.
        sha256: Digest of the product's content.
        place: Digest of its path.
    """

    path: Path
    scene: str
    sha256: str
    place: str


def products_in(inputs: Sequence[Path]) -> list[Path]:
    """Return all candidate products at or below `inputs`, resolved, sorted, each once.

    Raises:
        CorpusError: An input does not exist, or there is no product.
    """
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


def elevation_sha256(options: ReadOptions) -> str | None:
    """Return the digest of the elevation model's file; None if there is no such option.

    Raises:
        ConfigError: It is absent, not a raster, or has no coordinate reference system.
    """
    if options.dem is None:
        return None
    if not options.dem.is_file():
        raise ConfigError(f"no such elevation model: {options.dem}", "check option dem")
    try:
        with guarded(options.dem), rasterio.open(options.dem) as source:
            crs = source.crs
        if crs is None:
            raise ConfigError(f"{options.dem} has no coordinate reference system", "assign one")
        return file_sha256(options.dem)
    except (OSError, SarKnowlipError) as error:
        raise ConfigError(f"unusable elevation model: {error}", "check option dem") from error


def identify(path: Path, options: ReadOptions, elevation: str | None) -> Product:
    """Open a product and digest its content; what cannot be opened is returned with its reason.

    Args:
        path: Resolved file or folder.
        options: What is asked of, or told about, products.
        elevation: Digest of the elevation model.
    """
    try:
        product = open_product(path, options)
        content = tree_sha256(path.parent, product.files())
    except SarKnowlipError as error:
        return Product(path, _plain_sha256(path), reason=str(error))
    except Exception as error:  # noqa: BLE001 - one odd product is listed; the batch goes on
        return Product(path, _plain_sha256(path), reason=unexpected(path, error))
    if elevation is not None and "dem" in product.options_used:
        content = bytes_sha256(f"{content} {elevation}".encode())
    return Product(path, content, product.name, product.sensor)


def unexpected(path: Path, error: Exception) -> str:
    """Log the traceback of an error that should not occur; return one line about it."""
    if isinstance(error, OSError):
        return f"cannot read {error.filename or path}: {error.strerror or error}; fetch it again"
    log.exception("unexpected error in %s", path)
    what = f"unexpected {type(error).__name__} while reading {path}: {error}"
    return " ".join(what.split())


def warn_of_ignored(products: Sequence[Product], options: ReadOptions) -> None:
    """Log, one line a sensor, which of the given options its products do not look at."""
    idle = {"dem_geoid_m"} if options.dem is None else set()
    for sensor in sorted({product.sensor for product in products if product.sensor}):
        ignored = sorted(options.given() - (SENSORS[sensor].options_used - idle))
        if ignored:
            log.warning("%s products ignore option %s", sensor, ", ".join(ignored))


def plan(products: Sequence[Product], known: Sequence[Known]) -> tuple[list[Job], list[Known]]:
    """Name the scenes of all products that open.

    Args:
        products: Inputs, ordered by path; of those with equal content the first is used.
        known: Fragments of the corpus.

    Returns:
        Jobs, ordered by path, and the fragments whose product has changed or is no longer usable.
    """
    distinct: dict[str, Product] = {}
    for product in products:
        if product.reason is None and product.sha256 is not None:
            first = distinct.setdefault(product.sha256, product)
            if first is not product:
                log.info("%s is the same product as %s", product.path, first.path)
    places = {place_of(product.path) for product in products}
    replaced = [k for k in known if k.place in places and k.sha256 not in distinct]
    scenes = {k.sha256: k.scene for k in known if k not in replaced}
    taken = set(scenes.values())
    for sha256, product in distinct.items():
        if sha256 not in scenes:
            suffixed = (f"{product.name}-{sha256[:digits]}" for digits in (8, 16, 64))
            free = (scene for scene in (product.name, *suffixed) if scene not in taken)
            scenes[sha256] = next(free)
            taken.add(scenes[sha256])
    jobs = [Job(p.path, scenes[sha256], sha256, place_of(p.path)) for sha256, p in distinct.items()]
    return jobs, replaced


def _plain_sha256(path: Path) -> str | None:
    """Return the digest of all files of a product that does not open; None if unreadable."""
    files = [child for child in path.rglob("*") if child.is_file()] if path.is_dir() else [path]
    try:
        return tree_sha256(path.parent, files)
    except OSError:
        log.warning("cannot hash %s", path)
        return None
