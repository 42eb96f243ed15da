"""The catalog in other forms: a static STAC collection, or GeoJSON."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Literal

import pystac

from sarknowlip.core.errors import StorageError
from sarknowlip.core.files import replacing, write_json
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.record import COLLECTION, STAC_EXTENSIONS

Format = Literal["stac", "geojson"]


def export(root: Path, out: Path, form: Format) -> int:
    """Write the catalog to `out`: a folder for "stac", one file for "geojson".

    Tiles are not copied; items link to them with paths relative to the item.

    Returns:
        Number of tiles exported.

    Raises:
        CorpusError: There is no catalog, or it cannot be read.
        StorageError: The target cannot be written.
    """
    return _geojson(root, out) if form == "geojson" else _stac(root, out)


def _geojson(root: Path, out: Path) -> int:
    """Write a GeoJSON text sequence joined into one FeatureCollection, one feature in memory."""
    count = 0
    with replacing(out) as partial, partial.open("w", encoding="utf-8") as handle:
        handle.write('{"type": "FeatureCollection", "features": [\n')
        for record in Catalog(root).records():
            feature = record.item()
            properties = feature["properties"] | {"href": record.storage.href}
            slim = {
                "type": "Feature",
                "id": record.id,
                "bbox": feature["bbox"],
                "geometry": feature["geometry"],
                "properties": properties,
            }
            handle.write(("," if count else "") + json.dumps(slim, ensure_ascii=False) + "\n")
            count += 1
        handle.write("]}\n")
    return count


def _stac(root: Path, out: Path) -> int:
    if out.exists() and not out.is_dir():
        raise StorageError(f"{out} is not a folder", "give a folder for a STAC collection")
    boxes: list[list[float]] = []
    times: list[str] = []
    links: list[dict[str, str]] = [
        {"rel": "root", "href": "./collection.json", "type": "application/json"}
    ]
    for record in Catalog(root).records():
        item = record.item()
        target = out / "items" / f"{record.id}.json"
        asset = item["assets"]["image"]
        asset["href"] = os.path.relpath(root.resolve() / asset["href"], target.parent.resolve())
        item["links"] = [
            {"rel": rel, "href": "../collection.json", "type": "application/json"}
            for rel in ("root", "parent", "collection")
        ]
        pystac.Item.from_dict(item)
        write_json(target, item)
        boxes.append(item["bbox"])
        times += [item["properties"]["start_datetime"], item["properties"]["end_datetime"]]
        links.append({"rel": "item", "href": f"./items/{target.name}", "type": "application/json"})
    collection = _collection(boxes, times).to_dict()
    collection["links"] = links
    write_json(out / "collection.json", collection)
    return len(boxes)


def _collection(boxes: list[list[float]], times: list[str]) -> pystac.Collection:
    crossing = any(west > east for west, _, east, _ in boxes)
    west = -180.0 if crossing else min(box[0] for box in boxes)
    east = 180.0 if crossing else max(box[2] for box in boxes)
    whole = [west, min(box[1] for box in boxes), east, max(box[3] for box in boxes)]
    begin, end = (datetime.fromisoformat(pick(times).replace("Z", "+00:00")) for pick in (min, max))
    return pystac.Collection(
        id=COLLECTION,
        description="SAR tiles with complete geographic projection properties, made by sarknowlip.",
        extent=pystac.Extent(pystac.SpatialExtent([whole]), pystac.TemporalExtent([[begin, end]])),
        license="other",
        stac_extensions=list(STAC_EXTENSIONS),
    )
