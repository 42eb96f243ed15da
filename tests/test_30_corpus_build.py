"""Rung 3: building a corpus: determinism, resumption, bad input."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pystac
import pytest
import rasterio
from rasterio.transform import Affine
from stac_geoparquet.arrow import stac_table_to_items

from data.geotiff.make import make_geotiff
from sarknowlip.core.errors import CorpusError
from sarknowlip.corpus.build import FRAGMENTS, BuildConfig, build
from sarknowlip.corpus.catalog import CATALOG, MANIFEST, Catalog, write_catalog
from sarknowlip.corpus.export import export
from sarknowlip.corpus.fragment import SCENES
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.corpus.stats import corpus_stats
from sarknowlip.corpus.validate import validate
from sarknowlip.geo.grid import GridConfig
from sarknowlip.geo.warp import aligned_window
from sarknowlip.sar.scaling import power_to_db
from sarknowlip.sar.sensors import open_product
from sarknowlip.sar.speckle import SpeckleConfig, despeckle

CONFIG = BuildConfig(grid=GridConfig(tile_px=64), split=SplitConfig(block_km=1.0))


def scenes(folder: Path, count: int, shape: tuple[int, int] = (200, 220)) -> Path:
    for index in range(count):
        place = Affine(10, 0, 500_000 + 5000 * index, 0, -10, 4_700_000)
        make_geotiff(folder / f"scene{index}.tif", seed=index, transform=place, shape=shape)
    return folder


def tree(root: Path) -> dict[str, str]:
    """Return the digest of every file below `root`, except the lock."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    build([scenes(folder / "in", 3)], folder / "out", CONFIG)
    return folder / "out"


def test_tiles_hold_the_scene_at_the_right_place(tmp_path: Path) -> None:
    aligned = Affine(10, 0, 500_480, 0, -10, 4_700_160)
    path = make_geotiff(tmp_path / "a.tif", transform=aligned)
    build([path], tmp_path / "out", CONFIG)
    catalog = Catalog(tmp_path / "out")
    product = open_product(path)
    whole = product.power(product.grid)
    compared = 0
    for record in catalog.records():
        image = catalog.image(record)
        column = round((record.projection.transform[2] - 500_480) / 10)
        row = round((4_700_160 - record.projection.transform[5]) / 10)
        rows = slice(max(0, row), min(200, row + 64))
        columns = slice(max(0, column), min(220, column + 64))
        cut = image.power[
            :, rows.start - row : rows.stop - row, columns.start - column : columns.stop - column
        ]
        assert np.allclose(10 * np.log10(cut / whole[:, rows, columns]), 0, atol=0.002)
        assert np.isfinite(image.db).all(axis=0).sum() == cut[0].size
        compared += cut[0].size
    assert compared > 0.8 * 200 * 220


def test_speckle_filter_knows_no_tile_edges(tmp_path: Path, monkeypatch) -> None:
    """Tiles of a build in small blocks hold the filtered whole; the record says what was done."""
    folder = scenes(tmp_path / "in", 1, shape=(192, 256))
    monkeypatch.setattr("sarknowlip.corpus.tiling.CHUNK_PX", 64)
    speckle = SpeckleConfig(method="refined-lee", looks=4, window=9)
    grid = GridConfig(tile_px=64, placement="native")
    build([folder], tmp_path / "out", CONFIG.model_copy(update={"speckle": speckle, "grid": grid}))
    product = open_product(next(folder.glob("*.tif")))
    whole = despeckle(product.power(product.grid), "refined-lee", 4.0, 9)
    catalog = Catalog(tmp_path / "out")
    for record in catalog.records():
        assert record.radiometry.speckle_filter == "refined-lee 9 × 9, 4 looks"
        row, column = aligned_window(product.grid, catalog.image(record).geobox)
        expected = power_to_db(whole[:, row : row + 64, column : column + 64])
        assert np.abs(catalog.image(record).db - expected).max() <= 0.0011
    assert len(catalog) == 12
    assert validate(tmp_path / "out").problems == ()
    without = CONFIG.model_copy(update={"speckle": SpeckleConfig(method="lee")})
    with pytest.raises(CorpusError, match=r"does not state its number of looks.*give --looks"):
        build([folder], tmp_path / "none", without)


def test_catalog_opens_elsewhere(corpus: Path) -> None:
    import duckdb
    import pyarrow.parquet as pq

    frame = geopandas.read_parquet(corpus / CATALOG)
    assert frame.crs.to_epsg() == 4326
    assert frame.geometry.is_valid.all()
    count, code = duckdb.sql(
        f"select count(*), any_value(\"proj:code\") from '{corpus / CATALOG}'"
    ).fetchall()[0]
    assert (count, code) == (len(frame), "EPSG:32633")
    items = [pystac.Item.from_dict(i) for i in stac_table_to_items(pq.read_table(corpus / CATALOG))]
    assert {item.id for item in items} == set(frame["id"])
    for item in items:
        with rasterio.open(corpus / item.assets["image"].href) as source:
            assert source.crs.to_epsg() == 32633
            assert list(source.transform)[:6] == item.properties["proj:transform"]
            west, south, east, north = rasterio.warp.transform_bounds(
                source.crs, 4326, *source.bounds
            )
            assert west - 1e-6 <= item.bbox[0] <= item.bbox[2] <= east + 1e-6
            assert south - 1e-6 <= item.bbox[1] <= item.bbox[3] <= north + 1e-6
            assert source.scales == (0.002, 0.002)


def test_repeating_changes_nothing(corpus: Path) -> None:
    before = tree(corpus)
    times = {path: path.stat().st_mtime_ns for path in corpus.rglob("*.*")}
    report = build([corpus.parent / "in"], corpus, CONFIG)
    assert report.built == 0
    assert tree(corpus) == before
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*.*")} == times


def test_what_others_are_writing_is_left_alone(tmp_path: Path) -> None:
    folder = scenes(tmp_path / "in", 1)
    root = tmp_path / "corpus"
    build([folder], root, CONFIG)
    theirs = root / "shards" / "v0001" / ".partial-x.arrow"
    ours = root / "tiles" / ".partial-y.tif"
    for path in (theirs, ours):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    build([folder], root, CONFIG)
    assert theirs.exists()
    assert not ours.exists()


def test_worker_count_and_order_do_not_matter(corpus: Path, tmp_path: Path) -> None:
    inputs = sorted((corpus.parent / "in").glob("*.tif"), reverse=True)
    build(inputs, tmp_path / "again", CONFIG, workers=2)
    assert tree(tmp_path / "again") == tree(corpus)


def test_adding_a_scene_equals_building_with_it(corpus: Path, tmp_path: Path) -> None:
    inputs = sorted((corpus.parent / "in").glob("*.tif"))
    build(inputs[:1], tmp_path / "grown", CONFIG)
    report = build(inputs, tmp_path / "grown", CONFIG)
    assert report.built == 2
    assert tree(tmp_path / "grown") == tree(corpus)


def test_changed_input_replaces_its_tiles(tmp_path: Path) -> None:
    folder = scenes(tmp_path / "in", 2)
    build([folder], tmp_path / "out", CONFIG)
    place = Affine(10, 0, 600_000, 0, -10, 4_700_000)
    make_geotiff(folder / "scene1.tif", seed=9, transform=place)
    report = build([folder], tmp_path / "out", CONFIG)
    build([folder], tmp_path / "fresh", CONFIG)
    assert report.built == 1
    assert tree(tmp_path / "out") == tree(tmp_path / "fresh")


def test_another_recipe_is_refused(corpus: Path) -> None:
    other = CONFIG.model_copy(update={"max_nodata": 0.1})
    with pytest.raises(CorpusError, match=r"another recipe \(max_nodata: 0\.5, now 0\.1\)"):
        build([corpus.parent / "in"], corpus, other)


def test_native_placement_keeps_pixels_and_a_crs_without_authority(tmp_path: Path) -> None:
    custom = "+proj=laea +lat_0=42 +lon_0=15 +datum=WGS84 +units=m"
    place = Affine(10, 0, 1000, 0, -10, 2000)
    path = make_geotiff(tmp_path / "a.tif", crs=custom, transform=place, shape=(128, 128))
    native = BuildConfig(grid=GridConfig(tile_px=64, placement="native"))
    build([path], tmp_path / "out", native)
    catalog = Catalog(tmp_path / "out")
    record = next(catalog.records())
    assert len(catalog) == 4
    assert record.projection.code is None
    assert record.projection.wkt2 is not None
    assert "Lambert Azimuthal" in record.projection.wkt2
    assert validate(tmp_path / "out").problems == ()
    build([path], tmp_path / "utm", CONFIG)
    assert next(Catalog(tmp_path / "utm").records()).projection.code == "EPSG:32633"


def test_bad_inputs_are_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = scenes(tmp_path / "in", 1)
    make_geotiff(folder / "all_nan_VV.tif", bands=("VV",), fill=float("nan"), units="db")
    cut = make_geotiff(folder / "truncated.tif", seed=4)
    cut.write_bytes(cut.read_bytes()[:200_000])
    make_geotiff(folder / "no_crs.tif", crs=None, transform=None)
    (folder / "zero.tif").write_bytes(b"")
    make_geotiff(folder / "photo.tif", bands=("r", "g", "b"), dtype="uint8", units="amplitude")
    make_geotiff(folder / "doubled.tif", bands=("VV", "VV"))
    (folder / "S1A_IW_GRDH_x.SAFE").mkdir()
    (folder / "readme.txt").write_text("not a product")
    build_report = build([folder], tmp_path / "out", CONFIG)
    reasons = {rejection.input: rejection.reason for rejection in build_report.rejected}
    assert set(reasons) == {
        "all_nan_VV.tif",
        "truncated.tif",
        "no_crs.tif",
        "zero.tif",
        "photo.tif",
        "doubled.tif",
        "S1A_IW_GRDH_x.SAFE",
    }
    for name, reason in reasons.items():
        assert "\n" not in reason
        assert "unexpected" not in reason
        assert name in reason
    assert build_report.scenes == 1
    assert not list((tmp_path / "out" / "tiles").rglob("*truncated*"))
    assert validate(tmp_path / "out").problems == ()


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(CorpusError, match="no SAR product in"):
        build([tmp_path / "in"], tmp_path / "out", CONFIG)
    (tmp_path / "in" / "zero.tif").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"no tile could be made.*zero\.tif is empty"):
        build([tmp_path / "in"], tmp_path / "out", CONFIG)
    assert not (tmp_path / "out" / CATALOG).exists()


def test_equal_names_in_different_folders_are_kept_apart(tmp_path: Path) -> None:
    make_geotiff(tmp_path / "in" / "a" / "same.tif", seed=1)
    place = Affine(10, 0, 520_000, 0, -10, 4_700_000)
    make_geotiff(tmp_path / "in" / "b" / "same.tif", seed=2, transform=place)
    make_geotiff(tmp_path / "in" / "c" / "same.tif", seed=2, transform=place)
    report = build([tmp_path / "in"], tmp_path / "out", CONFIG)
    assert report.scenes == 2
    assert report.rejected == ()
    assert validate(tmp_path / "out").problems == ()


def test_mixed_polarisations_live_in_one_corpus(tmp_path: Path) -> None:
    make_geotiff(tmp_path / "in" / "dual.tif")
    place = Affine(10, 0, 520_000, 0, -10, 4_700_000)
    make_geotiff(tmp_path / "in" / "single.tif", bands=("HH",), transform=place)
    build([tmp_path / "in"], tmp_path / "out", CONFIG)
    assert set(corpus_stats(tmp_path / "out").counts["polarizations"]) == {"VV+VH", "HH"}
    assert validate(tmp_path / "out").problems == ()


def test_exports(corpus: Path, tmp_path: Path) -> None:
    count = export(corpus, tmp_path / "stac", "stac")
    collection = pystac.Collection.from_file(str(tmp_path / "stac" / "collection.json"))
    items = list(collection.get_items())
    assert len(items) == count == len(Catalog(corpus))
    assert Path(items[0].assets["image"].get_absolute_href() or "").is_file()
    assert export(corpus, tmp_path / "tiles.geojson", "geojson") == count
    assert len(geopandas.read_file(tmp_path / "tiles.geojson")) == count


def test_antimeridian_and_polar_scenes(tmp_path: Path) -> None:
    west = Affine(10, 0, 819_000, 0, -10, 8_180_000)
    make_geotiff(tmp_path / "in" / "fiji.tif", crs="EPSG:32760", transform=west)
    pole = Affine(10, 0, 1_999_000, 0, -10, 2_001_000)
    make_geotiff(
        tmp_path / "in" / "pole.tif", crs="EPSG:3995", transform=Affine(10, 0, -1000, 0, -10, 1000)
    )
    make_geotiff(tmp_path / "in" / "ups.tif", crs="EPSG:32661", transform=pole)
    build([tmp_path / "in"], tmp_path / "out", CONFIG)
    records = list(Catalog(tmp_path / "out").records())
    assert {r.projection.code for r in records} == {"EPSG:32601", "EPSG:32661"} or {
        r.projection.code for r in records
    } == {"EPSG:32760", "EPSG:32661"}
    assert any(r.projection.bbox[0] > r.projection.bbox[2] for r in records)
    assert validate(tmp_path / "out").problems == ()


BUILD_CODE = (
    "import resource, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[3]);"
    "from test_30_corpus_build import CONFIG; from sarknowlip.corpus.build import build;"
    "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); limit = int(sys.argv[4]);"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit));"
    "build([Path(sys.argv[1])], Path(sys.argv[2]), CONFIG)"
)


def start(folder: Path, out: Path, max_file_bytes: int = -1) -> subprocess.Popen[str]:
    """Start a build in a process of its own; no limit by default."""
    arguments = [str(folder), str(out), str(Path(__file__).parent), str(max_file_bytes)]
    return subprocess.Popen(
        [sys.executable, "-c", BUILD_CODE, *arguments], stderr=subprocess.PIPE, text=True
    )


def finished_scenes(out: Path) -> int:
    """Count fragments that list tiles."""
    texts = (path.read_text() for path in (out / FRAGMENTS / SCENES).glob("[!.]*.json"))
    return sum('"records": []' not in text for text in texts)


def kill_when(process: subprocess.Popen[str], ready: Callable[[], bool]) -> bool:
    """Kill −9 as soon as `ready`; return whether that hit a running process."""
    while process.poll() is None and not ready():
        time.sleep(0.001)
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """Return inputs, two of them of one name, and the digests of the corpus made of them."""
    root = tmp_path_factory.mktemp("uninterrupted")
    folder = scenes(root / "in", 3, shape=(300, 300))
    make_geotiff(folder / "other" / "scene1.tif", seed=9, shape=(300, 300))
    report = build([folder], root / "whole", CONFIG)
    assert (report.scenes, report.rejected) == (4, ())
    assert validate(root / "whole").problems == ()
    return folder, tree(root / "whole")


@pytest.mark.slow
def test_kill_nine_then_rerun_gives_the_same_bytes(
    tmp_path: Path, uninterrupted: tuple[Path, dict[str, str]]
) -> None:
    folder, whole = uninterrupted
    tiles = sum(name.startswith("tiles/") for name in whole)
    chance = random.Random(20260923)
    interrupted = 0
    for attempt in range(5):
        out = tmp_path / f"killed{attempt}"
        goal = chance.randint(1, tiles - 1)

        def enough(out: Path = out, goal: int = goal) -> bool:
            return len(list(out.glob("tiles/*/*/[!.]*.tif"))) >= goal

        interrupted += kill_when(start(folder, out), enough)
        assert not (out / CATALOG).exists() or validate(out).problems == ()
        build([folder], out, CONFIG)
        assert tree(out) == whole
        assert not list(out.rglob(".partial-*"))
    print(f"{interrupted} of 5 builds were killed while running")
    assert interrupted >= 3


@pytest.mark.slow
def test_kill_nine_while_the_catalog_is_assembled(
    tmp_path: Path, uninterrupted: tuple[Path, dict[str, str]]
) -> None:
    folder, whole = uninterrupted
    for attempt in range(3):
        out = tmp_path / f"killed{attempt}"
        running = kill_when(start(folder, out), lambda out=out: finished_scenes(out) == 4)
        in_assembly = running and not (out / MANIFEST).exists()
        assert build([folder], out, CONFIG).built == 0
        assert tree(out) == whole
        if in_assembly:
            return
    pytest.fail("no build was killed between its last tile and its manifest")


def test_full_disk_stops_the_build_and_the_next_one_completes_it(tmp_path: Path) -> None:
    folder = scenes(tmp_path / "in", 2)
    out = tmp_path / "out"
    process = start(folder, out, max_file_bytes=9000)
    _, complaint = process.communicate()
    assert process.returncode == 1
    assert "StorageError: cannot write" in complaint
    assert not (out / CATALOG).exists()
    assert not list(out.rglob(".partial-*"))
    assert finished_scenes(out) == 0
    build([folder], out, CONFIG)
    build([folder], tmp_path / "fresh", CONFIG)
    assert tree(out) == tree(tmp_path / "fresh")


def test_a_span_of_the_catalog_is_those_rows(corpus: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("sarknowlip.corpus.catalog.ROW_GROUP", 4)
    records = list(Catalog(corpus).records())
    write_catalog(tmp_path / CATALOG, records)
    catalog = Catalog(tmp_path)
    assert catalog.identifiers() == [record.id for record in records]
    for start in range(len(records) + 2):
        for stop in (start, start + 1, start + 5, len(records) + 9):
            assert catalog.span(start, stop) == records[start:stop]
