"""Rung 3: validation finds any one broken property and names tile and property."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shapely import to_wkb
from shapely.geometry import box

from data.geotiff.make import make_geotiff
from sarknowlip.core.errors import CorpusError
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.catalog import CATALOG, Catalog
from sarknowlip.corpus.record import SCHEMA
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.corpus.validate import FREE, NULLABLE, check_tile, validate
from sarknowlip.geo.grid import GridConfig


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("validate")
    make_geotiff(folder / "in" / "scene.tif", shape=(300, 300))
    config = BuildConfig(grid=GridConfig(tile_px=64), split=SplitConfig(block_km=1.0))
    build([folder / "in"], folder / "out", config)
    return folder / "out"


@pytest.fixture
def row(corpus: Path) -> dict[str, Any]:
    return next(r for r in Catalog(corpus).rows() if r["sarknowlip:nodata_fraction"] == 0)


def found(corpus: Path, row: dict[str, Any]) -> set[str]:
    return {name for name, _ in check_tile(corpus, row)}


def test_a_sound_corpus_has_no_problem(corpus: Path) -> None:
    result = validate(corpus)
    assert result.tiles > 10
    assert result.problems == ()


MANDATORY = [name for name in SCHEMA.names if name not in NULLABLE | FREE]


@pytest.mark.parametrize("name", MANDATORY)
def test_every_mandatory_property_is_missed_when_null(corpus: Path, row, name: str) -> None:
    assert name in found(corpus, row | {name: None})


@pytest.mark.parametrize("name", sorted(NULLABLE))
def test_unknown_properties_must_be_listed_and_listed_ones_unknown(corpus, row, name: str) -> None:
    missing = row["sarknowlip:missing"]
    if name in missing:
        dishonest = row | {"sarknowlip:missing": [m for m in missing if m != name]}
    else:
        dishonest = row | {"sarknowlip:missing": [*missing, name]}
    assert name in found(corpus, dishonest)


WRONG: dict[str, Any] = {
    "proj:code": "EPSG:32634",
    "proj:transform": [10.0, 0.0, 500_001.0, 0.0, -10.0, 4_700_000.0],
    "proj:shape": [64, 63],
    "proj:bbox": [0.0, 0.0, 1.0, 1.0],
    "geometry": to_wkb(box(20, 10, 20.01, 10.01)),
    "bbox": {"xmin": 0.0, "ymin": 0.0, "xmax": 1.0, "ymax": 1.0},
    "gsd": 30.0,
    "sarknowlip:gsd_x": 20.0,
    "sarknowlip:gsd_y": 20.0,
    "sarknowlip:nodata_fraction": 0.25,
    "sarknowlip:round_trip_px": 0.5,
    "sarknowlip:geocoding_method": "magic",
    "sarknowlip:quantity": "gamma0",
    "sarknowlip:calibrated": False,
    "sarknowlip:scale": 0.001,
    "sarknowlip:offset": 0.0,
    "sarknowlip:sha256": "0" * 64,
    "sarknowlip:split": "holdout",
    "sarknowlip:city_id": 1,
    "sarknowlip:city": "Atlantis",
    "sarknowlip:country": "XX",
    "sarknowlip:population": 12,
    "sarknowlip:city_distance_km": 9999.0,
    "sarknowlip:clipped_fraction": -1.0,
    "sar:polarizations": ["VV"],
    "sar:frequency_band": "Z",
    "view:incidence_angle": 120.0,
    "assets": {"image": {"href": "tiles/none.tif", "type": "image/tiff", "roles": ["data"]}},
    "type": "Table",
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_every_wrong_value_is_found(corpus: Path, row, name: str) -> None:
    changed = row | {name: WRONG[name]}
    changed["sarknowlip:missing"] = [m for m in row["sarknowlip:missing"] if m != name]
    assert name in found(corpus, changed)


def test_angles_out_of_order_are_found(corpus: Path, row) -> None:
    angles = {
        "sarknowlip:incidence_near": 40.0,
        "view:incidence_angle": 35.0,
        "sarknowlip:incidence_far": 45.0,
    }
    listed = [m for m in row["sarknowlip:missing"] if m not in angles]
    assert "view:incidence_angle" in found(corpus, row | angles | {"sarknowlip:missing": listed})


def rewrite(corpus: Path, target: Path, change) -> Path:
    """Copy a corpus and change its catalog rows."""
    import shutil

    shutil.copytree(corpus, target)
    table = pq.read_table(target / CATALOG)
    rows = table.to_pylist()
    change(rows)
    changed = pa.Table.from_pylist(rows, schema=table.schema)
    pq.write_table(changed, target / CATALOG)
    return target


def test_shared_ground_and_foreign_catalog_are_found(corpus: Path, tmp_path: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        train = next(r for r in rows if r["sarknowlip:split"] == "train")
        test = next(r for r in rows if r["sarknowlip:split"] == "test")
        test["geometry"] = train["geometry"]

    problems = validate(rewrite(corpus, tmp_path / "c", change)).problems
    assert any("shares ground" in p.message for p in problems)
    assert any(p.tile == CATALOG and "manifest" in p.message for p in problems)


def test_a_block_in_two_splits_is_found(corpus: Path, tmp_path: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["sarknowlip:block"] = "everywhere"

    problems = validate(rewrite(corpus, tmp_path / "c", change)).problems
    assert any(p.tile == "everywhere" for p in problems)


def test_changed_pixels_are_found(corpus: Path, tmp_path: Path) -> None:
    target = rewrite(corpus, tmp_path / "c", lambda rows: None)
    victim = sorted(target.rglob("*.tif"))[0]
    content = bytearray(victim.read_bytes())
    content[-50] ^= 1
    victim.write_bytes(content)
    problems = [p for p in validate(target).problems if p.tile == victim.stem]
    assert "sarknowlip:sha256" in {p.property for p in problems}


def test_unreadable_catalog_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no corpus at"):
        validate(tmp_path)
    (tmp_path / CATALOG).write_bytes(b"PAR1 nonsense")
    with pytest.raises(CorpusError, match=r"cannot read .*catalog\.parquet") as caught:
        validate(tmp_path)
    assert "\n" not in str(caught.value)


def test_real_chips_validate(shared_data, tmp_path: Path) -> None:
    config = BuildConfig(grid=GridConfig(tile_px=128))
    for name in ("sen1floods11-sample/S1Hand", "sentinel1-geotiff"):
        out = tmp_path / name.replace("/", "-")
        build([shared_data(name)], out, config)
        result = validate(out)
        worst = max(r["sarknowlip:round_trip_px"] for r in Catalog(out).rows())
        print(f"{name}: {result.tiles} tiles, worst pixel round trip {worst:.1e} px")
        assert result.problems == ()
        assert json.loads((out / "manifest.json").read_text())["report"]["tiles"] == result.tiles
