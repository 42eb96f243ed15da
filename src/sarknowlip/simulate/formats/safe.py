"""Writes simulated images as Sentinel-1 IW GRDH products: a SAFE folder, whole or absent.

Names, structure and digital numbers follow the Sentinel-1 Product Specification (S1-RS-MDA-52-7441,
release 3.9); the folder's last four digits are the CRC-16 of its manifest. That the product is
simulated is said in the manifest (processing, facility), in each measurement's description, and in
SIMULATED.txt. Equal images give equal bytes. There is no quick-look and no copy of ESA's schemas.
"""

from __future__ import annotations

import binascii
import errno
import hashlib
import logging
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.errors import RasterioError

import sarknowlip
from sarknowlip.core.errors import ConfigError, GeometryError, ProductError, StorageError
from sarknowlip.core.files import TEMPORARY
from sarknowlip.core.hashing import tree_sha256
from sarknowlip.geo.raster import iter_strips
from sarknowlip.sar.product import Polarization
from sarknowlip.simulate.formats.safe_annotation import Product, mission, template
from sarknowlip.simulate.image.radar_grid import GroundRangeGrid
from sarknowlip.simulate.keyed import stream_id
from sarknowlip.simulate.layers import World
from sarknowlip.simulate.sensors.profile import SensorProfile

BLOCK_LINES = 256
"""Lines that are in memory at once."""
HIGHEST = 65_535

_CODES = {
    ("VV", "VH"): "DV", ("HH", "HV"): "DH", ("VV",): "SV", ("HH",): "SH",
    ("VH",): "VH", ("HV",): "HV",
}  # fmt: skip
_KINDS = (
    ("products", "s1Level1ProductSchema", "annotation/{stem}.xml"),
    ("calibrations", "s1Level1CalibrationSchema", "annotation/calibration/calibration-{stem}.xml"),
    ("noises", "s1Level1NoiseSchema", "annotation/calibration/noise-{stem}.xml"),
    ("", "s1Level1MeasurementSchema", "measurement/{stem}.tiff"),
)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _File:
    """An entry of the manifest; the measurement's identifier has no prefix."""

    identifier: str
    schema: str
    path: str


@dataclass(frozen=True)
class _Names:
    """Names of the parts of one product.

    Attributes:
        product: Data shared by the files.
        polarizations: In file order.
    """

    product: Product
    polarizations: tuple[Polarization, ...]

    @property
    def code(self) -> str:
        """Two letters for the polarisations."""
        return _CODES[self.polarizations]

    @property
    def times(self) -> tuple[str, str]:
        """First and last line, without punctuation or fractions of seconds."""
        lines = (0, self.product.geometry.shape[0] - 1)
        first, last = (
            self.product.time(line)[:19].replace("-", "").replace(":", "") for line in lines
        )
        return first, last

    def files(self, index: int) -> list[_File]:
        """Return the files of one polarisation: annotation, calibration, noise, measurement."""
        numbers, take = self.product.numbers, self.product.data_take
        platform = mission(self.product.profile.platform)
        first, last = self.times
        stem = (
            f"{platform}-iw-grd-{self.polarizations[index]}-{first}-{last}"
            f"-{numbers.absolute:06d}-{take:06x}-{index + 1:03d}"
        ).lower()
        name = stem.replace("-", "")
        return [_File(kind + name, schema, path.format(stem=stem)) for kind, schema, path in _KINDS]

    def folder(self, manifest: bytes) -> str:
        """Return the product's name."""
        numbers, take = self.product.numbers, self.product.data_take
        platform = mission(self.product.profile.platform)
        first, last = self.times
        unique = binascii.crc_hqx(manifest, 0xFFFF)
        return (
            f"{platform}_IW_GRDH_1S{self.code}_{first}_{last}_{numbers.absolute:06d}"
            f"_{take:06X}_{unique:04X}.SAFE"
        )


def write_safe(
    raster: npt.NDArray[np.floating],
    folder: Path,
    *,
    geometry: GroundRangeGrid,
    profile: SensorProfile,
    world: World,
    world_name: str,
    polarizations: tuple[Polarization, ...] | None = None,
) -> Path:
    """Write an image as a SAFE folder and return its path.

    Digital numbers are √σ⁰ times the calibration table (about 500 to 700), rounded: σ⁰ of +35 dB
    still fits, and what would not is cut with a warning. Pixels that hold anything are at least 1.

    Args:
        raster: Linear σ⁰ with thermal noise of the profile's NESZ in it, shape (polarisations,
            lines, samples), NaN where there is nothing; may be mapped from a file.
        folder: Where the SAFE folder will lie.
        geometry: Of the raster.
        profile: Of the sensor.
        world: Gives terrain heights to the tie points.
        world_name: For the product's statement of its origin.
        polarizations: Of the raster's bands; the profile's by default.

    Raises:
        ConfigError: The profile isn't of Sentinel-1 IW GRD, or its polarisations aren't.
        GeometryError: Left-looking, or the raster's shape isn't the geometry's.
        StorageError: Disk full or not writable. Nothing is left but perhaps a hidden folder.
    """
    bands = polarizations or profile.polarizations
    _check(raster, geometry, profile, bands)
    product = Product.of(geometry, profile, world, _data_take(world_name, geometry))
    names = _Names(product, bands)
    with _storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder))
        try:
            partial.chmod(0o755)
            for index in range(len(bands)):
                _write_band(raster[index], partial, names, index)
            origin = template("readme.txt").substitute(
                version=sarknowlip.__version__, world=world_name
            )
            (partial / "SIMULATED.txt").write_text(origin, encoding="utf-8")
            manifest = _manifest(partial, names, world_name).encode()
            (partial / "manifest.safe").write_bytes(manifest)
            return _settle(partial, folder / names.folder(manifest))
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _check(
    raster: npt.NDArray[np.floating],
    geometry: GroundRangeGrid,
    profile: SensorProfile,
    bands: tuple[Polarization, ...],
) -> None:
    kind = (profile.constellation, profile.instrument_mode, profile.product_type)
    if kind != ("sentinel-1", "IW", "GRD"):
        raise ConfigError(
            f"{profile.name} has no SAFE products", f"write it as {profile.output} instead"
        )
    if bands not in _CODES:
        raise ConfigError(
            f"Sentinel-1 has no products of {' and '.join(bands)}",
            "choose VV and VH, HH and HV, or one of them",
        )
    if not geometry.orbit.right:
        raise GeometryError("Sentinel-1 does not look left", "look right")
    if raster.shape != (len(bands), *geometry.shape):
        raise GeometryError(
            f"the image has shape {raster.shape}, its geometry {(len(bands), *geometry.shape)}",
            "render it with the same geometry",
        )


def _data_take(world_name: str, geometry: GroundRangeGrid) -> int:
    """Return a number of 1…999,999 that tells acquisitions of different worlds apart."""
    name = f"{world_name}/{geometry.orbit.start}/{geometry.near_m:.3f}"
    return stream_id(name) % 999_999 + 1


def _write_band(raster: npt.NDArray[np.floating], root: Path, names: _Names, index: int) -> None:
    """Write the four files of one polarisation."""
    polarization = names.polarizations[index]
    annotation, calibration, noise, measurement = (root / f.path for f in names.files(index))
    for path in (calibration, measurement):
        path.parent.mkdir(parents=True, exist_ok=True)
    mean, deviation = _measure(raster, measurement, names.product)
    header = names.product.header(polarization, index + 1).rstrip("\n")
    texts = {
        annotation: names.product.annotation(header, mean, deviation),
        calibration: names.product.calibration(header),
        noise: names.product.noise(header),
    }
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")


def _measure(raster: npt.NDArray[np.floating], path: Path, product: Product) -> tuple[float, float]:
    """Write digital numbers block by block; return their mean and standard deviation."""
    lines, samples = product.geometry.shape
    count, total, squares, cut, digest = 0, 0.0, 0.0, 0, 0
    with rasterio.open(
        path, "w", driver="GTiff", width=samples, height=lines, count=1, dtype="uint16",
        gcps=_control_points(product), crs="EPSG:4326", bigtiff="IF_SAFER",
    ) as target:  # fmt: skip
        target.update_tags(
            TIFFTAG_IMAGEDESCRIPTION="Sentinel-1 IW GRD HR L1 (simulated by sarknowlip)",
            TIFFTAG_SOFTWARE=f"sarknowlip {sarknowlip.__version__}",
            TIFFTAG_DATETIME=product.time(0)[:19].replace("-", ":").replace("T", " "),
        )
        for first in range(0, lines, BLOCK_LINES):
            rows = slice(first, min(first + BLOCK_LINES, lines))
            sigma = np.asarray(raster[rows], dtype=np.float32)
            table = product.sigma.window(rows, slice(0, samples))
            number = np.rint(np.sqrt(np.maximum(sigma, 0)) * table)
            cut += int((number > HIGHEST).sum())
            number = np.where(np.isnan(sigma), 0, np.clip(number, 1, HIGHEST)).astype(np.uint16)
            target.write(number, 1, window=(rows.indices(lines)[:2], (0, samples)))
            digest = zlib.crc32(number.tobytes(), digest)
            seen = number[number > 0].astype(np.float64)
            count, total = count + seen.size, total + seen.sum()
            squares += (seen * seen).sum()
    _check_complete(path, digest)
    if cut:
        _LOG.warning("%s: %d pixels are brighter than a digital number can say", path.name, cut)
    mean = total / max(count, 1)
    return mean, float(np.sqrt(max(squares / max(count, 1) - mean**2, 0.0)))


def _check_complete(path: Path, digest: int) -> None:
    """Raise OSError if pixels are missing: on a full disk GDAL may close a file in silence."""
    found = 0
    for _, strip in iter_strips(path, BLOCK_LINES, threads=1):
        found = zlib.crc32(strip.tobytes(), found)
    if found != digest:
        raise OSError(errno.EIO, "what was written does not read back")


def _control_points(product: Product) -> list[GroundControlPoint]:
    ties = product.ties
    return [
        GroundControlPoint(
            row=float(line), col=float(pixel), x=float(ties.lon[i, j]), y=float(ties.lat[i, j]),
            z=float(ties.height[i, j]), id=str(i * ties.pixel.size + j),
        )
        for i, line in enumerate(ties.line)
        for j, pixel in enumerate(ties.pixel)
    ]  # fmt: skip


def _manifest(root: Path, names: _Names, world_name: str) -> str:
    """Return the manifest of the files that lie in a folder."""
    product, orbit = names.product, names.product.geometry.orbit
    groups = [names.files(index) for index in range(len(names.polarizations))]
    described = [file for files in groups for file in files[:-1]]
    units = [_unit("Metadata Unit", file) for file in described]
    units += [
        _unit(
            "Measurement Data Unit",
            files[-1],
            " ".join(f"{file.identifier}Annotation" for file in files[:-1]),
        )
        for files in groups
    ]
    ends = (0, product.geometry.shape[0] - 1)
    node = orbit.ascending_node[0]
    anx = [1e3 * (float(product.geometry.time_s(np.asarray(line))) - node) for line in ends]
    tag = "s1sarl1:transmitterReceiverPolarisation"
    ties = product.ties
    corners = [(-1, 0), (-1, -1), (0, -1), (0, 0)]
    return template("manifest.xml").substitute(
        polarization_code_lower=names.code.lower(),
        content_units="\n".join(units),
        annotation_objects="\n".join(
            f'    <metadataObject ID="{file.identifier}Annotation" classification="DESCRIPTION" '
            f'category="DMD">\n      <dataObjectPointer dataObjectID="{file.identifier}"/>\n'
            "    </metadataObject>"
            for file in described
        ),
        start=product.time(ends[0]),
        stop=product.time(ends[1]),
        version=sarknowlip.__version__,
        world_quoted=quoteattr(world_name),
        letter=mission(product.profile.platform)[-1],
        absolute_orbit=product.numbers.absolute,
        relative_orbit=product.numbers.relative,
        cycle=product.numbers.cycle,
        pass_upper="ASCENDING" if orbit.ascending else "DESCENDING",
        node_time=product.stamp(node),
        data_take=product.data_take,
        polarization_tags="\n".join(f"            <{tag}>{p}</{tag}>" for p in names.polarizations),
        start_anx=f"{anx[0]:.6e}",
        stop_anx=f"{anx[1]:.6e}",
        footprint=" ".join(f"{ties.lat[at]:.6f},{ties.lon[at]:.6f}" for at in corners),
        data_objects="\n".join(_entry(root, file) for files in groups for file in files),
    )


def _unit(kind: str, file: _File, described_by: str = "") -> str:
    described = f' dmdID="{described_by}"' if described_by else ""
    return (
        f'      <xfdu:contentUnit unitType="{kind}" repID="{file.schema}"{described}>\n'
        f'        <dataObjectPointer dataObjectID="{file.identifier}"/>\n'
        "      </xfdu:contentUnit>"
    )


def _entry(root: Path, file: _File) -> str:
    path = root / file.path
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    kind = "text/xml" if path.suffix == ".xml" else "application/octet-stream"
    return (
        f'    <dataObject ID="{file.identifier}" repID="{file.schema}">\n'
        f'      <byteStream mimeType="{kind}" size="{path.stat().st_size}">\n'
        f'        <fileLocation locatorType="URL" href="./{file.path}"/>\n'
        f'        <checksum checksumName="MD5">{digest}</checksum>\n'
        "      </byteStream>\n"
        "    </dataObject>"
    )


def _settle(partial: Path, target: Path) -> Path:
    """Give a complete folder its name; one with equal files stays as it is."""
    for path in _files(partial):
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
    if target.is_dir():
        if _tree(target) == _tree(partial):
            return target
        shutil.rmtree(target)
    partial.rename(target)
    return target


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def _tree(root: Path) -> str:
    return tree_sha256(root, _files(root))


@contextmanager
def _storing(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RasterioError, ProductError) as error:
        reason = getattr(error, "strerror", None) or str(error.__cause__ or error)
        raise StorageError(
            f"cannot write a SAFE product to {folder}: {reason}",
            "free space or choose another folder, then run again",
        ) from error
