"""The table of sensors; to add one, write its module and a line here (docs/add-a-sensor.md)."""

from __future__ import annotations

from pathlib import Path

from sarknowlip.core.errors import ProductError
from sarknowlip.core.lazy import LazyTable
from sarknowlip.sar.product import ReadOptions, SarProduct

SENSORS = LazyTable(
    "sensor",
    {
        "sentinel1-safe": "sarknowlip.sar.sensors.sentinel1:Sentinel1Safe",
        "sicd": "sarknowlip.sar.sensors.sicd:SicdProduct",
        "sidd": "sarknowlip.sar.sensors.sidd:SiddProduct",
        "geotiff": "sarknowlip.sar.sensors.geotiff:GeoTiffProduct",
    },
)
"""Sensors in the order in which they are asked whether they recognise a path."""


def recognise(path: Path) -> str | None:
    """Return the name of the first sensor that recognises `path`, or None."""
    return next((name for name, sensor in SENSORS.items() if sensor.recognises(path)), None)


def open_product(path: Path, options: ReadOptions | None = None) -> SarProduct:
    """Open a SAR product of any registered sensor.

    Raises:
        ProductError: Nothing is at `path`, or no sensor recognises it.
    """
    if not path.exists():
        raise ProductError(f"no such file or folder: {path}", "check the path")
    if path.is_file() and path.stat().st_size == 0:
        raise ProductError(f"{path} is empty (0 bytes)", "fetch it again")
    sensor = recognise(path)
    if sensor is None:
        known = ", ".join(SENSORS)
        raise ProductError(f"{path} is no SAR product this package knows", f"it reads: {known}")
    product: SarProduct = SENSORS[sensor].open(path, options or ReadOptions())
    return product


def find_products(root: Path) -> list[Path]:
    """Return candidate products at or below `root`, sorted, without looking inside products.

    A SAFE folder, a TIFF, a NITF is a candidate; whether it opens is for `open_product` to say.
    """
    if root.is_file() or root.suffix == ".SAFE":
        return [root]
    found: list[Path] = []
    for child in sorted(root.iterdir()):
        if child.name.startswith("."):
            continue
        if child.is_dir():
            found.extend(find_products(child))
        elif child.suffix.lower() in {".tif", ".tiff", ".ntf", ".nitf"}:
            found.append(child)
    return found
