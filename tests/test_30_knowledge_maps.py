"""Rung 3: indexes of maps: rows sorted on disk, folders shared by processes, maps across 180°."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from sarknowlip.core.errors import ConfigError, StorageError
from sarknowlip.knowledge.evidence import Facts
from sarknowlip.knowledge.files import files_in
from sarknowlip.knowledge.maps import index as index_module
from sarknowlip.knowledge.maps.index import make_index
from sarknowlip.knowledge.maps.runs import SortedRows
from sarknowlip.knowledge.maps.shared import shared_folder
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.knowledge.sources.osm import OsmSource
from sarknowlip.sar.product import Acquisition, Radiometry
from sarknowlip.sar.tile import TileImage

SCHEMA = pa.schema([("n", pa.int64()), ("word", pa.string())])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.integers(-3, 5), max_size=40), max_size=6),
    st.integers(1, 50),
)
def test_rows_come_back_in_stable_order(
    tmp_path_factory: pytest.TempPathFactory, runs: list[list[int]], size: int
) -> None:
    rows, number = SortedRows(tmp_path_factory.mktemp("runs"), SCHEMA), 0
    for keys in runs:
        numbers = list(range(number, number + len(keys)))
        number += len(keys)
        rows.put(pa.table([numbers, [str(n) for n in numbers]], schema=SCHEMA), np.array(keys, int))
    tables = list(rows.tables(size))
    flat = [key for keys in runs for key in keys]
    found = [n for table in tables for n in table.column("n").to_pylist()]
    assert found == sorted(range(number), key=lambda n: flat[n])
    assert all(table.num_rows == size for table in tables[:-1])
    assert [w for t in tables for w in t.column("word").to_pylist()] == [str(n) for n in found]


def grid_of_buildings(path: Path, side: int = 40) -> Path:
    x, y = (part.ravel() * 0.01 for part in np.meshgrid(np.arange(side), np.arange(side)))
    shapes = shapely.box(x, y, x + 0.004, y + 0.004)
    names = [f"b{n}" for n in range(len(shapes))]
    frame = gpd.GeoDataFrame({"building": ["yes"] * len(x), "name": names}, geometry=shapes)
    frame.set_crs(4326).to_parquet(path)
    return path


def test_an_index_is_the_same_however_many_rows_fit_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = grid_of_buildings(tmp_path / "map.parquet")
    whole = make_index(source, tmp_path / "one").path
    monkeypatch.setattr(index_module, "RUN", 100)
    parts = make_index(source, tmp_path / "two").path
    assert parts.read_bytes() == whole.read_bytes()
    assert [path.name for path in (tmp_path / "two").iterdir()] == [parts.name]


ASK = """
import sys, time
from pathlib import Path
from sarknowlip.knowledge.maps import index
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.knowledge.sources.osm import OsmSource

write = index._write
def told(*arguments):
    print("made", flush=True)
    write(*arguments)
index._write = told
OsmSource(SourceOptions(osm=(Path(sys.argv[1]),)))
print("ready", flush=True)
sys.stdin.readline()
"""


def test_processes_without_cache_share_an_index_and_the_last_deletes_it(tmp_path: Path) -> None:
    source = grid_of_buildings(tmp_path / "map.parquet", 10)
    folder = tmp_path / "tmp"
    folder.mkdir()
    environment = os.environ | {"TMPDIR": str(folder)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ASK, str(source)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )
        for _ in range(3)
    ]  # fmt: skip
    lines = []
    for process in running:
        assert process.stdout is not None
        while (line := process.stdout.readline().strip()) != "ready":
            lines.append(line)
    assert lines == ["made"]
    assert len(list(folder.glob("*/map-*.parquet"))) == 1
    for process in running[:2]:
        process.communicate("\n")
    assert len(list(folder.glob("*/map-*.parquet"))) == 1
    running[2].kill()
    running[2].communicate()
    left = subprocess.run(
        [sys.executable, "-c", ASK, str(source)],
        input="\n", capture_output=True, text=True, env=environment, check=True,
    )  # fmt: skip
    assert left.stdout.split() == ["ready"]
    assert list(folder.iterdir()) == []


def test_a_shared_folder_of_others_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    open_to_all = tmp_path / f"maps-{os.getuid()}"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(StorageError, match="not ours"):
        shared_folder("maps")
    (tmp_path / "real").mkdir()
    (tmp_path / f"link-{os.getuid()}").symlink_to(tmp_path / "real")
    with pytest.raises(StorageError, match="link"):
        shared_folder("link")


def tile_on(geobox: GeoBox) -> TileImage:
    return TileImage(
        id="tile",
        db=np.zeros((1, *geobox.shape), np.float32),
        geobox=geobox,
        acquisition=Acquisition(polarizations=("VV",)),
        radiometry=Radiometry(quantity="sigma0", calibrated=True),
    )


def forest_map(path: Path, *boxes: tuple[float, float, float, float]) -> Path:
    shapes = [shapely.box(*box) for box in boxes]
    frame = gpd.GeoDataFrame({"landuse": ["forest"] * len(shapes)}, geometry=shapes, crs=4326)
    frame.to_parquet(path)
    return path


@pytest.mark.parametrize("said", [True, False])
def test_a_map_across_180_degrees(tmp_path: Path, said: bool) -> None:
    source = forest_map(
        tmp_path / "map.parquet", (179.9, -17.0, 180.0, -16.9), (-180.0, -17.0, -179.9, -16.9)
    )
    if not said:
        frame = gpd.read_parquet(source).to_crs(3832)
        frame.to_parquet(source)
    index = make_index(source, tmp_path)
    if not said:
        assert index.box == pytest.approx((179.9, -17.0, -179.9, -16.9))
        assert len(index.boxes) == 2
    reader = OsmSource(SourceOptions(osm=(source,)))
    across = GeoBox.from_bbox((179.97, -16.97, 180.03, -16.91), "EPSG:4326", shape=(64, 64))
    far = GeoBox.from_bbox((20.0, -16.97, 20.06, -16.91), "EPSG:4326", shape=(64, 64))
    zone = GeoBox.from_bbox((817000, 8122000, 822000, 8127000), "EPSG:32760", shape=(64, 64))
    for grid in (across, zone):
        facts = Facts(reader.evidence(tile_on(grid)))
        assert facts.value("function/forest", "share") == pytest.approx(1.0, abs=0.02), grid
    if not said:
        assert reader.evidence(tile_on(far)) == []


def test_maps_that_cover_a_tile_together(tmp_path: Path) -> None:
    west = forest_map(tmp_path / "a.parquet", (9.0, 53.0, 9.05, 53.1))
    east = forest_map(tmp_path / "b.parquet", (9.05, 53.0, 9.1, 53.1))
    grid = GeoBox.from_bbox((9.03, 53.03, 9.07, 53.07), "EPSG:4326", shape=(64, 64))
    for maps in ((west, east), (tmp_path,)):
        facts = Facts(OsmSource(SourceOptions(osm=maps)).evidence(tile_on(grid)))
        assert facts.value("function/forest", "share") == 1.0
        assert facts.value("function/port", "share") == 0.0
        assert facts.value("buildings", "count") == 0.0
    one = Facts(OsmSource(SourceOptions(osm=(west,))).evidence(tile_on(grid)))
    assert one.value("function/port", "share") is None
    assert one.value("buildings", "count") is None


def test_folders_stand_for_their_files(tmp_path: Path) -> None:
    for name in ("b.tif", "a.TIF", "note.txt"):
        (tmp_path / name).touch()
    lone = tmp_path / "note.txt"
    found = files_in([lone, tmp_path], (".tif",))
    assert [path.name for path in found] == ["note.txt", "a.TIF", "b.tif"]
    with pytest.raises(ConfigError, match="no file that ends in"):
        files_in([tmp_path], (".pbf",))
