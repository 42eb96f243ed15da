"""Rung 3: OpenStreetMap as a knowledge source."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio.features
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from data.osm.make import CORNER, FRAME, town
from data.world import port
from sarknowlip.core.errors import ConfigError, SarKnowlipError
from sarknowlip.geo.grid import apply_affine, lonlat_of_pixels, utm_tile_grid
from sarknowlip.geo.osm import MapError, extract_box, iter_features
from sarknowlip.geo.osm_tags import tag_rules
from sarknowlip.knowledge.evidence import Facts
from sarknowlip.knowledge.maps.index import SCHEMA, MapIndex, make_index
from sarknowlip.knowledge.maps.join import overlaps
from sarknowlip.knowledge.masks import decode_mask
from sarknowlip.knowledge.sources import SOURCES, SourceOptions
from sarknowlip.knowledge.sources.osm import OsmSource
from sarknowlip.knowledge.vocabulary import FUNCTIONS, OBJECTS
from sarknowlip.sar.product import Acquisition, Radiometry
from sarknowlip.sar.tile import TileImage
from sarknowlip.simulate.layers import World
from sarknowlip.simulate.world.config import WorldConfig
from sarknowlip.simulate.world.osm_map import middle_line, write_map
from sarknowlip.simulate.world.procedural import ProceduralWorld

ON_THE_MAP = {
    "dense_residential": "residential", "sparse_residential": "residential",
    "rail_track": "rail", "bridge": "road",
}  # fmt: skip
"""Functions of a world that maps call by another name."""


def tile_on(geobox: GeoBox, shown: shapely.Polygon | None = None) -> TileImage:
    """A tile that shows ground within a polygon (degrees), or everywhere."""
    db = np.zeros((1, *geobox.shape), np.float32)
    if shown is not None:
        row, column = np.indices(geobox.shape) + 0.5
        lon, lat = lonlat_of_pixels(geobox, column, row)
        db[0][~shapely.contains_xy(shown, lon, lat)] = np.nan
    return TileImage(
        id="tile",
        db=db,
        geobox=geobox,
        acquisition=Acquisition(polarizations=("VV",)),
        radiometry=Radiometry(quantity="sigma0", calibrated=True),
    )


def tile_at(west: float, north: float, epsg: int, gsd: float = 10.0, size: int = 256) -> TileImage:
    return tile_on(GeoBox((size, size), Affine(gsd, 0, west, 0, -gsd, north), f"EPSG:{epsg}"))


def town_tile(x: float = 0.0, y: float = 2800.0, size: int = 256) -> TileImage:
    """A tile whose upper left corner lies at metres from the corner of the town."""
    return tile_at(CORNER[0] + x, CORNER[1] + y, FRAME.epsg, size=size)


@pytest.fixture(scope="module")
def extract(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("osm") / "town.osm.pbf"
    town().write(path)
    return path


@pytest.fixture(scope="module")
def source(extract: Path) -> OsmSource:
    return OsmSource(SourceOptions(osm=(extract,), cache=extract.parent / "cache"))


def test_facts_of_a_drawn_town(source: OsmSource) -> None:
    tile = town_tile(100.0, 2700.0)
    evidence = source.evidence(tile)
    facts = Facts(evidence)
    assert all(fact.intact for fact in evidence)
    # 100…2660 m east, 140…2700 m north of the corner; the sea is east of 2400 m with one island.
    sea = facts.find("function/sea", "share")
    assert sea is not None
    island, pier = np.pi * 60**2, 300 * 30
    expected = (2660 - 2400) * 2560 - island / 2 - pier
    assert sea.value == pytest.approx(expected / 2560**2, abs=0.004)
    assert sea.mask_rle is not None
    assert decode_mask(sea.mask_rle, (256, 256))[:, -10:].mean() > 0.8
    assert facts.value("function/farmland", "share") == pytest.approx(
        (800 * 800 - 0) / 2560**2, abs=0.006
    )
    assert facts.value("function/military", "share") == 0.0
    assert facts.value("function/dense_residential", "share") is None
    assert facts.value("objects/storage_tank", "count") == 2
    assert facts.value("objects/wind_turbine", "count") == 1
    assert facts.value("objects/crane", "count") == 1
    assert facts.value("objects/bridge", "count") == 1
    assert facts.value("objects/terminal", "count") == 1
    assert facts.value("railways", "length") == pytest.approx(660, abs=2)
    # Primary 140…1750 with its bridge, residential 1100 m, a loop of 200 m is a square's outline.
    assert facts.value("roads", "length") == pytest.approx(1610 + 1100, abs=5)
    tank = next(s for s in facts.subjects("object/") if facts.label(s, "kind") == "crane")
    assert facts.value(tank, "column") == pytest.approx((2390 - 100) / 10, abs=0.1)
    assert facts.value(tank, "row") == pytest.approx((2700 - 1400) / 10, abs=0.1)
    runway = next(s for s in facts.subjects("region/") if facts.label(s, "function") == "runway")
    assert facts.value(runway, "area") == pytest.approx(800 * 45, rel=0.15)
    axis = facts.value(runway, "orientation")
    assert axis is not None
    grid_north = FRAME.convergence_deg(np.array([CORNER[0]]), np.array([CORNER[1]]))[0]
    assert abs((axis - grid_north + 90) % 180 - 90) < 1.0


def test_words_are_those_of_the_vocabulary(source: OsmSource) -> None:
    rules = tag_rules()
    painted = {ON_THE_MAP.get(r.function, r.function) for r in (*rules.areas, *rules.lines)}
    assert painted <= set(FUNCTIONS)
    assert {rule.kind for rule in rules.objects} <= set(OBJECTS)
    assert SOURCES["osm"] is OsmSource
    for fact in source.evidence(town_tile()):
        assert fact.subject.partition("/")[0] in {
            "function", "region", "place", "buildings", "roads", "railways", "objects", "object",
        }  # fmt: skip


def test_where_the_map_ends_things_are_told_but_no_shares_and_counts(source: OsmSource) -> None:
    whole = source.evidence(town_tile(100.0, 2700.0))
    across = source.evidence(town_tile(-1000.0))
    kinds = {fact.subject.partition("/")[0] for fact in across}
    assert kinds == {"region", "object"}
    assert {"function", "buildings", "roads", "railways", "objects"} <= {
        fact.subject.partition("/")[0] for fact in whole
    }
    # What the map's edge may cut is left out: the forest in its corner.
    facts = Facts(across)
    for subject in facts.subjects("region/"):
        fact = facts.find(subject, "function")
        assert fact is not None
        assert fact.mask_rle is not None
        assert not decode_mask(fact.mask_rle, (256, 256))[:, :100].any(), fact.label
    assert source.evidence(town_tile(90_000.0)) == []


def test_what_a_tile_shows_decides_whether_the_map_reaches(
    source: OsmSource, extract: Path
) -> None:
    shown = shapely.box(*extract_box(extract))
    tile = town_tile(-1000.0)
    facts = Facts(source.evidence(tile_on(tile.geobox, shown)))
    assert facts.value("function/military", "share") == 0.0
    assert facts.value("objects/storage_tank", "count") is not None


def test_equal_tiles_give_equal_facts_with_and_without_cache(
    source: OsmSource, extract: Path
) -> None:
    fresh = OsmSource(SourceOptions(osm=(extract,)))
    assert fresh.evidence(town_tile()) == source.evidence(town_tile())
    assert fresh.version == source.version


def test_a_map_given_twice_counts_once(source: OsmSource, extract: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.osm.pbf"
    shutil.copy(extract, copy)
    twice = OsmSource(SourceOptions(osm=(extract, copy)))

    def said(facts: list) -> list:
        return [(f.subject, f.predicate, f.value, f.label, f.mask_rle) for f in facts]

    assert said(twice.evidence(town_tile())) == said(source.evidence(town_tile()))


def test_tile_in_degrees_tells_the_same(source: OsmSource) -> None:
    lon, lat = FRAME.lonlat(CORNER[0] + np.array([300, 2300]), CORNER[1] + np.array([2500, 500]))
    step_x, step_y = (lon[1] - lon[0]) / 200, (lat[1] - lat[0]) / 200
    degrees = Affine(step_x, 0, lon[0], 0, step_y, lat[0])
    flat = tile_at(CORNER[0] + 300, CORNER[1] + 2500, FRAME.epsg, size=200)
    one = Facts(source.evidence(tile_on(GeoBox((200, 200), degrees, "EPSG:4326"))))
    other = Facts(source.evidence(flat))
    for function in ("forest", "farmland", "road", "river", "airport"):
        share = other.value(f"function/{function}", "share")
        assert share is not None
        assert one.value(f"function/{function}", "share") == pytest.approx(share, abs=0.02)


def geoparquet(extract: Path, folder: Path, *, flat: bool, epsg: int | None = 4326) -> Path:
    """The town as GeoParquet: tags in one column, or a column a key."""
    keys = [*tag_rules().keys, "place"]
    features = list(iter_features(extract, keys))
    shapes = [feature.geometry for feature in features]
    tags = [feature.tags for feature in features]
    if flat:
        columns = {key: [t.get(key) for t in tags] for key in sorted({k for t in tags for k in t})}
        frame = gpd.GeoDataFrame(columns, geometry=shapes, crs=4326)
    else:
        frame = gpd.GeoDataFrame({"n": range(len(tags))}, geometry=shapes, crs=4326)
    frame = frame.to_crs(epsg) if epsg else frame.set_crs(None, allow_override=True)
    path = folder / f"town-{flat}-{epsg}.parquet"
    frame.to_parquet(path)
    if not flat:
        table = pq.read_table(path)
        column = pa.array([list(t.items()) for t in tags], pa.map_(pa.string(), pa.string()))
        pq.write_table(table.append_column("tags", column), path)
    return path


@pytest.mark.parametrize(("flat", "epsg"), [(True, 4326), (False, 4326), (True, 32632)])
def test_geoparquet_tells_what_the_extract_tells(
    source: OsmSource, extract: Path, tmp_path: Path, flat: bool, epsg: int
) -> None:
    path = geoparquet(extract, tmp_path, flat=flat, epsg=epsg)
    other = Facts(OsmSource(SourceOptions(osm=(path,))).evidence(town_tile(100.0, 2700.0)))
    facts = Facts(source.evidence(town_tile(100.0, 2700.0)))
    for function in ("sea", "forest", "farmland", "road", "port", "runway"):
        share = facts.value(f"function/{function}", "share")
        assert share is not None
        assert share > 0
        assert other.value(f"function/{function}", "share") == pytest.approx(share, abs=2e-3)
    for subject in ("buildings", "objects/storage_tank", "objects/bridge"):
        assert other.value(subject, "count") == facts.value(subject, "count")


def test_unusable_maps_are_one_line(extract: Path, tmp_path: Path) -> None:
    whole = extract.read_bytes()
    cut, foreign = tmp_path / "cut.osm.pbf", tmp_path / "foreign.osm.pbf"
    cut.write_bytes(whole[: len(whole) // 2])
    foreign.write_bytes(b"no map")
    bare = tmp_path / "bare.parquet"
    pq.write_table(pa.table({"a": [1]}), bare)
    short = tmp_path / "short.parquet"
    good = geoparquet(extract, tmp_path, flat=True).read_bytes()
    short.write_bytes(good[: len(good) // 2])
    nowhere = geoparquet(extract, tmp_path, flat=True, epsg=None)
    untagged = tmp_path / "untagged.parquet"
    gpd.GeoDataFrame(
        {"name": ["1"], "height": [2.0]}, geometry=[shapely.Point(0, 0)], crs=4326
    ).to_parquet(untagged)
    paths = [cut, foreign, bare, short, nowhere, untagged, tmp_path / "nothing.osm.pbf"]
    for path in paths:
        with pytest.raises(SarKnowlipError, match=path.name.replace(".", r"\.")) as caught:
            OsmSource(SourceOptions(osm=(path,), cache=tmp_path / "cache"))
        assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").glob("*"))
    with pytest.raises(MapError, match="no coordinate reference system"):
        make_index(nowhere, tmp_path)
    with pytest.raises(MapError, match="no column `tags` and none of a key such as building"):
        make_index(untagged, tmp_path)
    with pytest.raises(ConfigError, match="--osm"):
        OsmSource(SourceOptions())


def test_damaged_index_is_one_line(extract: Path, tmp_path: Path) -> None:
    path = make_index(extract, tmp_path).path
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(MapError, match="delete it") as caught:
        make_index(extract, tmp_path)
    assert "\n" not in str(caught.value)


def _index_bytes(arguments: tuple[Path, Path]) -> bytes:
    return make_index(*arguments).path.read_bytes()


def test_processes_may_make_an_index_at_once(extract: Path, tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        found = pool.map(_index_bytes, [(extract, tmp_path)] * 3)
    assert len(set(found)) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_only_row_groups_that_touch_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = 120
    x, y = (part.ravel() for part in np.meshgrid(np.arange(side), np.arange(side)))
    boxes = shapely.box(x * 0.01, y * 0.01, x * 0.01 + 0.004, y * 0.01 + 0.004)
    gpd.GeoDataFrame({"building": ["yes"] * len(boxes)}, geometry=boxes, crs=4326).to_parquet(
        tmp_path / "many.parquet"
    )
    index = make_index(tmp_path / "many.parquet", tmp_path)
    groups = pq.read_metadata(index.path).num_row_groups
    read: list[int] = []
    original = MapIndex._read_group
    monkeypatch.setattr(
        MapIndex, "_read_group", lambda self, n: (read.append(n), original(self, n))[1]
    )
    fresh = MapIndex(index.path)
    for box in [(0.101, 0.101, 0.141, 0.141), (0.102, 0.102, 0.139, 0.139)]:
        found = shapely.from_wkb(fresh.near(box).column("geometry").to_numpy(zero_copy_only=False))
        expected = boxes[shapely.intersects(boxes, shapely.box(*box))]
        assert {g.wkb for g in found} == {g.wkb for g in expected}
    assert groups >= 7
    assert 1 <= len(read) <= 2  # the second time from memory
    assert fresh.near((50.0, 50.0, 51.0, 51.0)).num_rows == 0
    assert set(fresh.near((0, 0, 1, 1)).column_names) == set(SCHEMA.names) - {"bbox"}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31))
def test_overlaps_are_those_of_every_pair(seed: int) -> None:
    random = np.random.default_rng(seed)

    def some(count: int, size: float) -> np.ndarray:
        x, y = random.uniform(0, 10, (2, count))
        return shapely.buffer(shapely.points(x, y), random.uniform(0.1, size, count), quad_segs=2)

    footprints = some(6, 4.0)
    shapes = np.concatenate([some(25, 2.0), shapely.points(random.uniform(0, 10, (5, 2)))])
    area = shapely.area(shapely.intersection(footprints[:, None], shapes[None, :]))
    meets = shapely.intersects(footprints[:, None], shapes[None, :])
    row, number, shared = overlaps(footprints, shapes)
    np.testing.assert_array_equal(np.argwhere(meets), np.column_stack([row, number]))
    np.testing.assert_allclose(shared, area[row, number], atol=1e-9)


def test_middle_line_of_a_bent_street() -> None:
    line = shapely.LineString([(0, 0), (100, 10), (200, 80), (230, 200)])
    found = middle_line(line.buffer(5, cap_style="flat"))
    assert found.length == pytest.approx(line.length, rel=0.05)
    assert shapely.hausdorff_distance(found, line) < 8


WORLDS: dict[str, Callable[[], World]] = {
    "port": port.scene,
    "city": lambda: ProceduralWorld(
        WorldConfig(city="Genoa", seed=4, size_km=3.0, coast=True, river=True, lakes=True)
    ),
}


@pytest.mark.parametrize("name", WORLDS)
def test_map_of_a_world_has_its_shares(name: str, tmp_path: Path) -> None:
    world = WORLDS[name]()
    path = tmp_path / "map.parquet"
    write_map(world, path)
    reader = OsmSource(SourceOptions(osm=(path,)))
    regions = world.layers(world.bounds).regions
    regions = regions.take(~np.isin(regions.function, ("wake", "flood")))
    size = 96
    for x in np.arange(world.bounds.west, world.bounds.east - 960, 960):
        for y in np.arange(world.bounds.south + 960, world.bounds.north, 960):
            tile = tile_at(float(x), float(y), world.frame.epsg, size=size)
            top = rasterio.features.rasterize(
                [(shape, row + 1) for row, shape in enumerate(regions.geometry)],
                (size, size), transform=tile.geobox.affine, dtype="int32",
            )  # fmt: skip
            names = np.array(["", *(ON_THE_MAP.get(f, f) for f in regions.function)])[top]
            facts = Facts(reader.evidence(tile))
            told = {s for s in facts.subjects("function/") if facts.value(s, "share")}
            for function in {*np.unique(names), *(s.removeprefix("function/") for s in told)}:
                share = float((names == function).mean())
                found = facts.value(f"function/{function}", "share") or 0.0
                assert found == pytest.approx(share, abs=0.01), function


def test_map_of_a_world_holds_no_traffic(tmp_path: Path) -> None:
    world = port.scene()
    write_map(world, tmp_path / "map.parquet")
    table = gpd.read_parquet(tmp_path / "map.parquet")
    tags = [dict(row) for row in table.tags]
    assert not [t for t in tags if {"ship", "aircraft", "vehicle"} & {*t.values()}]
    assert sum("building" in t for t in tags) == 5
    assert sum(t.get("man_made") == "storage_tank" for t in tags) == 4
    facts = Facts(
        OsmSource(SourceOptions(osm=(tmp_path / "map.parquet",))).evidence(
            tile_at(world.bounds.west, world.bounds.north, world.frame.epsg, size=200)
        )
    )
    assert facts.value("objects/crane", "count") == 4
    assert facts.value("objects/bridge", "count") == 1
    assert facts.value("roads", "length") == pytest.approx(2000, rel=0.01)


# Read from the extract with osmium's own handlers, without this package: positions of nodes,
# boxes (west, south, east, north) of areas.
PLACES = [
    ("Helsinki", "city", 24.94258, 60.16741),
    ("Kluuvi", "suburb", 24.94733, 60.17078),
    ("Kaisaniemi", "suburb", 24.94640, 60.17318),
    ("Hakaniemi", "suburb", 24.95149, 60.17870),
    ("Siltasaari", "suburb", 24.94974, 60.17816),
    ("Kaartinkaupunki", "suburb", 24.94722, 60.16521),
    ("Keskusta", "neighbourhood", 24.94089, 60.16874),
]
REGIONS = [
    ("Esplanadinpuisto", "park", (24.94424, 60.16714, 24.95090, 60.16778)),
    ("Vanha kirkkopuisto", "park", (24.93815, 60.16528, 24.94142, 60.16687)),
    ("Rautatientori", "square", (24.94340, 60.17058, 24.94484, 60.17192)),
    ("Senaatintori", "square", (24.95120, 60.16922, 24.95335, 60.16980)),
]
THINGS = [
    ("Helsingin päärautatieasema", "station", (24.94031, 60.17071, 24.94252, 60.17236), None),
    ("Pitkäsilta", "bridge", (24.94996, 60.17611, 24.95041, 60.17663), None),
    # Tagged as 13 m high, but parts of it as 41 m (it is 62 m high).
    ("Helsingin tuomiokirkko", "church", (24.95165, 60.17011, 24.95271, 60.17064), None),
    ("Kampin kappeli", "church", (24.93574, 60.16939, 24.93610, 60.16950), 12.13),
    ("Vanha kirkko", "church", (24.93888, 60.16625, 24.93969, 60.16658), None),
]
GROUND = [
    ("sea", 24.9430, 60.1778),  # Kaisaniemenlahti
    ("square", 24.9441, 60.1712),  # Rautatientori
    ("park", 24.9475, 60.1674),  # Esplanadi
]


def test_hand_checked_facts_of_helsinki(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("osm-helsinki") / "Helsinki.osm.pbf"
    reader = OsmSource(SourceOptions(osm=(path,)))
    shown = shapely.box(*extract_box(path))
    grid = utm_tile_grid(shown, 10.0, 256)
    to_xy = Transformer.from_crs(4326, str(grid.geobox.crs), always_xy=True)
    tiles = [grid.tile(r, c) for r in range(grid.shape[0]) for c in range(grid.shape[1])]
    read = [(tile.geobox, Facts(reader.evidence(tile_on(tile.geobox, shown)))) for tile in tiles]

    def pixel(geobox: GeoBox, lon: float, lat: float) -> tuple[float, float]:
        x, y = to_xy.transform(np.array([lon]), np.array([lat]))
        column, row = apply_affine(~geobox.affine, x, y)
        return float(column[0]), float(row[0])

    def found(prefix: str, predicate: str, name: str, word: str) -> list[tuple[GeoBox, Facts, str]]:
        return [
            (geobox, facts, subject)
            for geobox, facts in read
            for subject in facts.subjects(prefix)
            if (facts.label(subject, "name"), facts.label(subject, predicate)) == (name, word)
        ]

    for name, kind, lon, lat in PLACES:
        ((geobox, facts, subject),) = found("place/", "kind", name, kind)
        place = (facts.value(subject, "column"), facts.value(subject, "row"))
        assert place == pytest.approx(pixel(geobox, lon, lat), abs=0.2), name
    things = [(*thing, "object/", "kind") for thing in THINGS]
    things += [(*region, None, "region/", "function") for region in REGIONS]
    for name, word, box, height, prefix, predicate in things:
        hits = found(prefix, predicate, name, word)
        assert hits, name
        for geobox, facts, subject in hits:
            column, row = facts.value(subject, "column"), facts.value(subject, "row")
            west, north = pixel(geobox, box[0], box[3])
            east, south = pixel(geobox, box[2], box[1])
            assert west - 2 <= column <= east + 2, name
            assert north - 2 <= row <= south + 2, name
            if height is not None:
                assert facts.value(subject, "height") == height
    for function, lon, lat in GROUND:
        hit = False
        for geobox, facts in read:
            fact = facts.find(f"function/{function}", "share")
            column, row = pixel(geobox, lon, lat)
            if fact is None or fact.mask_rle is None or not (0 <= column < 256 and 0 <= row < 256):
                continue
            hit |= bool(decode_mask(fact.mask_rle, (256, 256))[int(row), int(column)])
        assert hit, function
    # 446 areas with the key building: counted with osmium's own area handler.
    assert sum(facts.value("buildings", "count") or 0 for _, facts in read) == 446
