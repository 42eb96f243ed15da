"""Rung 3: validation finds any one broken property, names tile and property, and never raises."""

from __future__ import annotations

import json
import math
import shutil
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from shapely import from_wkb, to_wkb
from shapely.affinity import translate
from shapely.geometry import Point, Polygon, box

from data.geotiff.make import make_geotiff
from sarknowlip.core.errors import CorpusError
from sarknowlip.core.hashing import file_sha256
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.catalog import CATALOG, MANIFEST, Catalog
from sarknowlip.corpus.record import SCHEMA
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.corpus.validate import Problem, validate
from sarknowlip.corpus.validate_file import Recipe, check_tile
from sarknowlip.corpus.validate_row import FREE, NULLABLE
from sarknowlip.geo.footprint import extent_footprint
from sarknowlip.geo.grid import GridConfig
from sarknowlip.geo.raster import decode_tile

ON_THE_GRID = Affine(10, 0, 500_480, 0, -10, 4_700_160)
CONFIG = BuildConfig(grid=GridConfig(tile_px=64), split=SplitConfig(block_km=0.5))
MANDATORY = [name for name in SCHEMA.names if name not in NULLABLE | FREE]
Row = dict[str, Any]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Four whole tiles, each in its own block."""
    folder = tmp_path_factory.mktemp("validate")
    make_geotiff(folder / "in" / "scene.tif", shape=(128, 128), transform=ON_THE_GRID)
    build([folder / "in"], folder / "out", CONFIG)
    return folder / "out"


@pytest.fixture(scope="module")
def native(tmp_path_factory) -> Path:
    """Tiles of a native grid whose CRS has no code."""
    folder = tmp_path_factory.mktemp("native")
    crs = "+proj=laea +lat_0=42 +lon_0=15 +datum=WGS84 +units=m"
    place = Affine(10, 0, 1000, 0, -10, 2000)
    make_geotiff(folder / "in" / "scene.tif", shape=(64, 128), crs=crs, transform=place)
    config = CONFIG.model_copy(update={"grid": GridConfig(tile_px=64, placement="native")})
    build([folder / "in"], folder / "out", config)
    return folder / "out"


@pytest.fixture(scope="module")
def recipe(corpus: Path) -> Recipe:
    return Recipe.of(json.loads((corpus / MANIFEST).read_text()))


@pytest.fixture
def rows(corpus: Path) -> list[Row]:
    return list(Catalog(corpus).rows())


@pytest.fixture
def row(rows: list[Row]) -> Row:
    return rows[1]


@pytest.fixture(scope="module")
def stage(corpus: Path, tmp_path_factory) -> Callable[[list[Row]], Path]:
    """Return a function that puts other rows into a copy of the corpus, digest adapted."""
    target = tmp_path_factory.mktemp("stage") / "copy"
    shutil.copytree(corpus, target)

    def put(rows: list[Row]) -> Path:
        schema = pq.read_schema(corpus / CATALOG)
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), target / CATALOG)
        manifest = json.loads((corpus / MANIFEST).read_text())
        manifest["catalog_sha256"] = file_sha256(target / CATALOG)
        (target / MANIFEST).write_text(json.dumps(manifest))
        return target

    return put


def of_the_second(stage, rows: list[Row], change: Row) -> list[Problem]:
    """Return the problems of a corpus whose second row is changed; no other may have any."""
    name = str(change.get("id", rows[1]["id"]) or "row 2")
    problems = validate(stage([rows[0], rows[1] | change, *rows[2:]])).problems
    assert {p.tile for p in problems} <= {name}
    return list(problems)


def test_a_sound_corpus_has_no_problem(corpus: Path, native: Path) -> None:
    for folder, tiles in ((corpus, 4), (native, 2)):
        result = validate(folder)
        assert result.tiles == tiles
        assert result.problems == ()
    blocks = [row["sarknowlip:block"] for row in Catalog(corpus).rows()]
    assert len(set(blocks)) == 4


@pytest.mark.parametrize("name", [*MANDATORY, "proj:code"])
def test_a_null_is_found(stage, rows: list[Row], name: str) -> None:
    problems = of_the_second(stage, rows, {name: None})
    assert [p.property for p in problems] == [name]


@pytest.mark.parametrize("name", MANDATORY)
def test_an_absent_column_is_found(stage, rows: list[Row], name: str) -> None:
    folder = stage(rows)
    pq.write_table(pq.read_table(folder / CATALOG).drop_columns([name]), folder / CATALOG)
    assert name in {p.property for p in validate(folder).problems}


def other_types(kind: pa.DataType) -> list[Any]:
    values = [
        "seven",
        "",
        7,
        7.5,
        True,
        b"7",
        [],
        [7],
        ["7"],
        {},
        {"xmin": 7},
        datetime(2020, 1, 1),
    ]
    if pa.types.is_floating(kind):
        return [v for v in values if not isinstance(v, int | float) or isinstance(v, bool)]
    python: type = (
        bool if pa.types.is_boolean(kind) else int if pa.types.is_integer(kind) else type(None)
    )
    fits = {pa.types.is_string: "seven", pa.types.is_binary: b"7"}
    proper = [value for test, value in fits.items() if test(kind)]
    return [v for v in values if type(v) is not python and v not in proper]


@pytest.mark.parametrize("name", [*MANDATORY, "proj:code"])
def test_another_type_is_found(corpus: Path, recipe: Recipe, row: Row, name: str) -> None:
    for value in other_types(SCHEMA.field(name).type):
        if name == "sarknowlip:missing" and value in ([], ["7"]):
            continue  # of the right type
        found = {name for name, _ in check_tile(corpus, row | {name: value}, recipe)}
        assert found == {name}, value


@pytest.mark.parametrize("name", ["proj:transform", "proj:shape", "proj:bbox"])
def test_another_length_is_found(stage, rows: list[Row], name: str) -> None:
    for value in ([], rows[1][name][:-1], [*rows[1][name], 1]):
        assert [p.property for p in of_the_second(stage, rows, {name: value})] == [name]


STRUCTURES = [
    ("bbox", {"xmin": None, "ymin": 0.0, "xmax": 1.0, "ymax": 1.0}),
    ("assets", {"image": None}),
    ("assets", {"image": {"href": None, "type": "image/tiff", "roles": ["data"]}}),
    ("assets", {"image": {"href": "", "type": "image/tiff", "roles": ["data"]}}),
    ("assets", {"image": {"href": "tiles/x.tif", "type": "image/tiff", "roles": None}}),
    ("assets", {"image": {"href": "tiles/x.tif", "type": "image/tiff", "roles": [None]}}),
    ("processing:software", {"sarknowlip": None}),
    ("stac_extensions", [None]),
    ("sar:polarizations", [None]),
    ("sarknowlip:missing", [None]),
    ("proj:transform", [None] * 6),
    ("proj:shape", [64, None]),
]


@pytest.mark.parametrize(("name", "value"), STRUCTURES)
def test_a_null_inside_is_found(stage, rows: list[Row], name: str, value: Any) -> None:
    assert [p.property for p in of_the_second(stage, rows, {name: value})] == [name]


def with_number(value: Any, number: float) -> list[Any]:
    """Return `value` with each of its numbers in turn replaced."""
    if isinstance(value, float):
        return [number]
    if isinstance(value, list):
        return [[*value[:i], number, *value[i + 1 :]] for i in range(len(value))]
    return [{**value, key: number} for key in value]


FLOATS = [
    field.name
    for field in SCHEMA
    if field.name in MANDATORY
    and (
        pa.types.is_floating(field.type)
        or field.name == "bbox"
        or (pa.types.is_list(field.type) and pa.types.is_floating(field.type.value_type))
    )
]


@pytest.mark.parametrize("name", FLOATS)
def test_a_number_that_is_none_is_found(stage, rows: list[Row], name: str) -> None:
    for number in (math.nan, math.inf, -math.inf):
        for value in with_number(rows[1][name], number):
            assert [p.property for p in of_the_second(stage, rows, {name: value})] == [name]


def another(rows: list[Row], name: str) -> list[Any]:
    """Return well-formed wrong values of a property of `rows[1]`."""
    row, other = rows[1], rows[0]
    outline = from_wkb(row["geometry"])
    a, b, c, d, e, f = row["proj:transform"]
    image = row["assets"]["image"]
    table: dict[str, list[Any]] = {
        "type": ["Table"],
        "stac_version": ["1.0.0"],
        "stac_extensions": [row["stac_extensions"][:-1]],
        "id": ["other", other["id"] + "x", row["id"].upper()],
        "collection": ["other"],
        "geometry": [
            to_wkb(box(20, 10, 20.01, 10.01)),
            to_wkb(translate(outline, 0.0001)),
            to_wkb(Polygon([(15, 42), (16, 43), (16, 42), (15, 43)])),
            to_wkb(Point(15, 42)),
            to_wkb(Polygon()),
            to_wkb(translate(outline, 1e300)),
            row["geometry"].replace(row["geometry"][22:30], struct.pack("<d", math.nan)),
            b"no well-known binary",
            row["geometry"][:20],
        ],
        "bbox": [{**row["bbox"], "xmin": row["bbox"]["xmin"] - 1e-5}],
        "assets": [
            {"image": {**image, "href": "tiles/none.tif"}},
            {"image": {**image, "href": "x" * 5000}},
            {"image": {**image, "href": "a\0b"}},
            {"image": {**image, "href": "/etc/hostname"}},
            {"image": {**image, "href": f"tiles/../{image['href']}"}},
            {"image": {**image, "href": CATALOG}},
            {"image": {**image, "href": other["assets"]["image"]["href"]}},
            {"image": {**image, "type": "image/png"}},
            {"image": {**image, "roles": ["thumbnail"]}},
        ],
        "gsd": [row["gsd"] * 1.001],
        "sar:polarizations": [["VV"], ["VH", "VV"], ["VV", "VX"]],
        "proj:code": ["EPSG:32634", "EPSG:1", "EPSG:4979", "EPSG:5773", "IAU_2015:30100", "WGS 84"],
        "proj:transform": [
            [a, b, c + 1, d, e, f],
            [0.0] * 6,
            [a, b, 1e30, d, e, 1e30],
            [1e300] * 6,
        ],
        "proj:shape": [[64, 63], [0, 64], [-64, 64], [2**62, 2**62]],
        "proj:bbox": [[0.0, 0.0, 1.0, 1.0], row["proj:bbox"][::-1]],
        "sarknowlip:gsd_x": [20.0, -10.0],
        "sarknowlip:gsd_y": [20.0, 1e300],
        "sarknowlip:nodata_fraction": [0.25, -1e300],
        "sarknowlip:round_trip_px": [0.5, 0.005, -1e-9],
        "sarknowlip:geocoding_method": ["magic"],
        "sarknowlip:quantity": ["gamma0", "magic"],
        "sarknowlip:calibrated": [not row["sarknowlip:calibrated"]],
        "sarknowlip:scale": [0.001],
        "sarknowlip:offset": [0.0],
        "sarknowlip:clipped_fraction": [-1.0, -1e308, 1e308, 0.5, 1e-9],
        "sarknowlip:sha256": ["0" * 64],
        "sarknowlip:city_id": [1],
        "sarknowlip:city": ["Atlantis"],
        "sarknowlip:country": ["XX"],
        "sarknowlip:population": [12],
        "sarknowlip:city_distance_km": [row["sarknowlip:city_distance_km"] + 0.01, 9999.0],
        "sarknowlip:scene": ["other", "scen"],
        "sarknowlip:sensor": ["box camera"],
        "sarknowlip:tile_key": [other["sarknowlip:tile_key"], "other"],
        "sarknowlip:block": [other["sarknowlip:block"], "other"],
        "sarknowlip:split": ["holdout", *({"train", "val", "test"} - {row["sarknowlip:split"]})],
        "sarknowlip:missing": [[*row["sarknowlip:missing"], "gsd"]],
        "processing:software": [{"sarknowlip": "0.0.0"}],
    }
    return table[name]


@pytest.mark.parametrize("name", [*MANDATORY, "proj:code"])
def test_a_wrong_value_is_found(stage, rows: list[Row], name: str) -> None:
    for value in another(rows, name):
        problems = of_the_second(stage, rows, {name: value})
        assert name in {p.property for p in problems}, value
        assert len(problems) <= 2, problems


ELSEWHERE: dict[str, tuple[Any, str]] = {
    "sarknowlip:missing": ([], "platform"),
    "proj:wkt2": (CRS.from_epsg(32633).to_wkt(), "proj:wkt2"),
    "sar:frequency_band": ("Z", "sar:frequency_band"),
    "view:incidence_angle": (120.0, "view:incidence_angle"),
    "sat:relative_orbit": (-4, "sat:relative_orbit"),
    "datetime": (datetime(1900, 1, 1, tzinfo=UTC), "datetime"),
    "end_datetime": (datetime(1900, 1, 1, tzinfo=UTC), "end_datetime"),
    "platform": ("", "platform"),
    "sarknowlip:heading": (math.nan, "sarknowlip:heading"),
}
"""Wrong values of further properties, and the property under which they show. Without another
witness than the row, two stay unseen: another sensor of the table, another geocoding method."""


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_wrong_values_of_further_properties(stage, rows: list[Row], name: str) -> None:
    value, where = ELSEWHERE[name]
    change = {name: value}
    if name != "sarknowlip:missing":
        change["sarknowlip:missing"] = [m for m in rows[1]["sarknowlip:missing"] if m != name]
    assert where in {p.property for p in of_the_second(stage, rows, change)}


@pytest.mark.parametrize("name", sorted(NULLABLE))
def test_unknown_properties_must_be_listed_and_listed_ones_unknown(
    corpus, recipe, row: Row, name: str
) -> None:
    listed = row["sarknowlip:missing"]
    other = [m for m in listed if m != name] if name in listed else [*listed, name]
    found = check_tile(corpus, row | {"sarknowlip:missing": other}, recipe)
    assert [found_name for found_name, _ in found] == [name]


def test_angles_out_of_order_are_found(corpus: Path, recipe: Recipe, row: Row) -> None:
    angles = {
        "sarknowlip:incidence_near": 40.0,
        "view:incidence_angle": 35.0,
        "sarknowlip:incidence_far": 45.0,
    }
    listed = [m for m in row["sarknowlip:missing"] if m not in angles]
    found = check_tile(corpus, row | angles | {"sarknowlip:missing": listed}, recipe)
    assert [name for name, _ in found] == ["view:incidence_angle"]


def test_native_tiles_and_systems_without_a_code(native: Path) -> None:
    first, second = Catalog(native).rows()
    recipe = Recipe.of(json.loads((native / MANIFEST).read_text()))
    for name, value in (
        ("sarknowlip:tile_key", second["sarknowlip:tile_key"]),
        ("sarknowlip:scene", "other"),
        ("id", second["id"]),
        ("sarknowlip:block", "other"),
        ("proj:wkt2", CRS.from_epsg(32633).to_wkt()),
        ("proj:wkt2", "PROJCRS["),
        ("proj:wkt2", "é\0"),
    ):
        found = {name for name, _ in check_tile(native, first | {name: value}, recipe)}
        assert found == {name}
    found = {name for name, _ in check_tile(native, first | {"proj:wkt2": None}, recipe)}
    assert found == {"proj:code"}


def values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Return anything that an Arrow column of that type can hold, nulls inside included."""
    if pa.types.is_list(kind):
        return st.lists(st.none() | values(kind.value_type), max_size=7)
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return st.fixed_dictionaries({f.name: st.none() | values(f.type) for f in fields})
    numbers = st.integers(-(2**63), 2**63 - 1)
    text = st.text(st.characters(codec="utf-8"), max_size=300)
    codes = st.builds("{}:{}".format, st.sampled_from(["EPSG", "ESRI", "OGC", "IAU_2015"]), numbers)
    corners = st.tuples(*[st.floats(-181, 181)] * 4).map(lambda c: to_wkb(box(*c)))
    rings = st.lists(st.tuples(st.floats(-200, 200), st.floats(-100, 100)), min_size=3, max_size=9)
    for test, strategy in (
        (pa.types.is_boolean, st.booleans()),
        (pa.types.is_integer, numbers | st.integers(0, 100)),
        (pa.types.is_floating, st.floats() | st.floats(0, 1)),
        (pa.types.is_timestamp, st.datetimes(timezones=st.just(UTC))),
        (pa.types.is_string, text | codes | st.sampled_from(["EPSG:4978", "tiles", ".", "a/../b"])),
        (pa.types.is_binary, st.binary() | corners | rings.map(lambda r: to_wkb(Polygon(r)))),
    ):
        if test(kind):
            return strategy
    raise AssertionError(kind)


@st.composite
def changes(draw) -> tuple[str, Any]:
    field = draw(st.sampled_from(list(SCHEMA)))
    return field.name, draw(st.none() | values(field.type))


TOLERANT = {"sarknowlip:round_trip_px"}
"""Numbers that are compared with a tolerance which a random value may meet."""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NaN coordinates
@settings(max_examples=400, deadline=None)
@given(change=changes())
def test_no_value_makes_validation_raise_or_look_away(corpus, recipe, change) -> None:
    row = next(Catalog(corpus).rows())
    name, value = change
    problems = list(check_tile(corpus, row | {name: value}, recipe))
    for found, message in problems:
        assert found in SCHEMA.names
        assert message
    if name in MANDATORY and name not in TOLERANT and value != row[name]:
        assert problems


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NaN coordinates
@settings(max_examples=60, deadline=None)
@given(change=changes(), other=changes())
def test_no_catalog_makes_validation_raise(stage, corpus, change, other) -> None:
    first, second, *rest = Catalog(corpus).rows()
    changed = [first | dict([change]), second | dict([change, other]), *rest]
    assert validate(stage(changed)).tiles == 4


def test_shared_ground_is_found(stage, rows: list[Row]) -> None:
    splits = {row["sarknowlip:split"]: row for row in rows}
    first, second = splits["train"], splits["test"]
    second["geometry"] = first["geometry"]
    problems = validate(stage(rows)).problems
    assert any("shares ground" in p.message for p in problems)
    assert any(p.tile == second["id"] and p.property == "geometry" for p in problems)


def test_a_block_in_two_splits_is_found(stage, rows: list[Row]) -> None:
    for row in rows:
        row["sarknowlip:block"] = "everywhere"
    problems = validate(stage(rows)).problems
    found = {p.tile for p in problems if p.property == "sarknowlip:split"}
    counted = [row["sarknowlip:split"] for row in rows]
    most = max(counted, key=counted.count)
    assert found == {row["id"] for row in rows if row["sarknowlip:split"] != most}
    assert len(found) >= 1


def test_repeated_tiles_are_found_wherever_they_stand(stage, rows: list[Row]) -> None:
    problems = validate(stage([*rows, rows[0]])).problems
    assert [(p.tile, p.property) for p in problems] == [(rows[0]["id"], "id")]
    assert "2 times" in problems[0].message


def test_changed_pixels_are_found(stage, rows: list[Row]) -> None:
    target = stage(rows)
    victim = target / rows[2]["assets"]["image"]["href"]
    sound = victim.read_bytes()
    content = bytearray(sound)
    content[-50] ^= 1
    victim.write_bytes(content)
    found = validate(target).problems
    victim.write_bytes(sound)
    assert {p.tile for p in found} == {rows[2]["id"]}
    assert "sarknowlip:sha256" in {p.property for p in found}


FOREIGN = {
    "no CRS": {"crs": None},
    "off the globe": {"crs": "EPSG:4326", "transform": Affine(1e-4, 0, 1e30, 0, -1e-4, 40)},
    "beyond the pole": {"crs": "EPSG:4326", "transform": Affine(1e-4, 0, 5, 0, -1e-4, 500)},
    "not a map": {"crs": "EPSG:4978"},
    "another world": {"crs": "IAU_2015:30100"},
    "not finite": {"transform": Affine(math.nan, 0, 0, 0, 1, 0)},
    "not integers": {"dtype": "float32"},
}


@pytest.mark.parametrize("what", sorted(FOREIGN))
def test_a_foreign_file_is_found(stage, rows: list[Row], what: str) -> None:
    """Even when the catalog carries the foreign file's digest."""
    target = stage(rows)
    victim = target / rows[1]["assets"]["image"]["href"]
    sound = victim.read_bytes()
    profile = {"dtype": "uint16", "crs": "EPSG:32633", "transform": ON_THE_GRID} | FOREIGN[what]
    victim.unlink()
    with rasterio.open(
        victim, "w", driver="GTiff", height=64, width=64, count=2, nodata=0, **profile
    ) as file:
        file.write(np.ones((2, 64, 64), profile["dtype"]))
        file.update_tags(TILE_ID=rows[1]["id"])
    digest = file_sha256(victim)
    try:
        problems = of_the_second(stage, rows, {"sarknowlip:sha256": digest})
    finally:
        victim.write_bytes(sound)
    assert [p.property for p in problems] == ["assets"]


@pytest.mark.parametrize(
    "content", [None, "", "[]", "{}", '{"recipe": {"grid": {"tile_px": 1}, "split": {}}}']
)
def test_an_unusable_manifest_is_one_problem(stage, rows: list[Row], content: str | None) -> None:
    folder = stage(rows)
    (folder / MANIFEST).unlink()
    if content is not None:
        (folder / MANIFEST).write_text(content)
    problems = validate(folder).problems
    assert [(p.tile, p.property) for p in problems] == [(MANIFEST, "file")]
    assert "\n" not in str(problems[0])


def test_a_foreign_catalog_is_found(stage, rows: list[Row]) -> None:
    folder = stage(rows)
    pq.write_table(pq.read_table(folder / CATALOG), folder / CATALOG, compression="none")
    problems = validate(folder).problems
    assert [(p.tile, p.property) for p in problems] == [(CATALOG, "file")]


def test_unreadable_catalog_is_one_line(stage, rows: list[Row], tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no corpus at"):
        validate(tmp_path)
    (tmp_path / CATALOG).write_bytes(b"PAR1 nonsense")
    with pytest.raises(CorpusError, match=r"cannot read .*catalog\.parquet") as caught:
        validate(tmp_path)
    assert "\n" not in str(caught.value)
    table = pq.read_table(stage(rows) / CATALOG)
    column = table.schema.get_field_index("start_datetime")
    never = pa.array([2**62] * 4, table.schema.field(column).type)
    pq.write_table(table.set_column(column, "start_datetime", never), tmp_path / CATALOG)
    with pytest.raises(CorpusError, match=r"cannot read .*catalog\.parquet.*out of range"):
        validate(tmp_path)


@pytest.mark.parametrize("share", [0.01, 0.12, 0.2])
def test_scattered_no_data_validates(tmp_path: Path, share: float) -> None:
    """Footprints fill small holes; validation must do as the build does."""
    path = make_geotiff(tmp_path / "a.tif", shape=(128, 128), transform=ON_THE_GRID)
    rng = np.random.default_rng(1)
    with rasterio.open(path, "r+") as source:
        pixels = source.read()
        pixels[rng.random(pixels.shape) < share] = np.nan
        pixels[:, 70:, 118:] = np.nan
        source.write(pixels)
    build([path], tmp_path / "out", CONFIG)
    assert validate(tmp_path / "out").problems == ()
    rows = list(Catalog(tmp_path / "out").rows())
    worst = max(rows, key=lambda row: row["sarknowlip:nodata_fraction"])
    image = tmp_path / "out" / worst["assets"]["image"]["href"]
    whole = to_wkb(extent_footprint(decode_tile(image).geobox))
    found = check_tile(tmp_path / "out", worst | {"geometry": whole}, None)
    assert [name for name, _ in found] == ["geometry"]


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
