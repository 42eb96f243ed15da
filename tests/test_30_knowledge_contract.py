"""Rung 3: what every knowledge source promises, with and without the files it reads."""

from __future__ import annotations

import functools
import re
from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from data.knowledge.make import GRID, make_options
from data.tiles.make import coast, make_tile, speckled
from sarknowlip.core.errors import ConfigError, SarKnowlipError
from sarknowlip.knowledge.cache import entry_key
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.masks import decode_mask, mask_box
from sarknowlip.knowledge.sources import SOURCES, SourceOptions
from sarknowlip.knowledge.vocabulary import COVERS, FUNCTIONS, OBJECTS
from sarknowlip.sar.tile import TileImage

FILES = [name for name in SOURCES if name in SourceOptions.model_fields]
"""Sources that need a file; the option of the same name names it."""
POLARIZATION = "VV|VH|HH|HV"
LEVELS = ("dB", "dB relative")
VOCABULARY: list[tuple[str, dict[str, tuple[str, ...]]]] = [
    (
        "image",
        {
            "(rows|columns)": ("px",),
            "gsd_[xy]": ("m",),
            "(valid|shadow)_share": ("share",),
            "looks": ("looks",),
            "texture_variation": ("1",),
            "(look_azimuth|incidence|up)": ("deg",),
        },
    ),
    (POLARIZATION, {"mean|p10|p90": LEVELS}),
    ("VH/VV|HV/HH", {"ratio": ("dB",)}),
    (
        "water|land|bright_structure",
        {
            "share": ("share",),
            f"mean_({POLARIZATION})": ("dB",),
            f"threshold_({POLARIZATION})": ("dB",),
        },
    ),
    ("populations", {"count": ("count",), "separation": ("1",), "contrast": ("dB",)}),
    ("dark_population|calm_ground", {"share": ("share",)}),
    ("targets|ships", {"count": ("count",)}),
    (
        r"target/\d\d",
        {
            "column|row": ("px",),
            "longitude|latitude|orientation": ("deg",),
            "length|width|resolved_length": ("m",),
            "peak": LEVELS,
            "contrast": ("dB",),
            "water_beside": ("share",),
        },
    ),
    (
        r"line/\d\d",
        {
            "column|row": ("px",),
            "length": ("m",),
            "orientation": ("deg",),
            "contrast": ("dB",),
        },
    ),
    (
        "city",
        {
            "name|country": ("class",),
            "population": ("count",),
            "distance": ("m",),
            "bearing": ("deg",),
        },
    ),
    (r"place/\d\d", {"name|kind": ("class",), "column|row": ("px",)}),
    (f"cover/({'|'.join(COVERS.values())})", {"share": ("share",)}),
    (
        "terrain",
        {
            "mean_height|relief": ("m",),
            "slope": ("deg",),
            "(facing|away)_share": ("share",),
        },
    ),
    (f"function/({'|'.join(FUNCTIONS)})", {"share": ("share",)}),
    (
        r"region/\d\d",
        {
            "function|name": ("class",),
            "share": ("share",),
            "area": ("m2",),
            "column|row": ("px",),
            "orientation": ("deg",),
        },
    ),
    ("buildings", {"count": ("count",), "share": ("share",), "mean_height": ("m",)}),
    ("roads|railways", {"length": ("m",)}),
    (f"objects/({'|'.join(OBJECTS)})", {"count": ("count",)}),
    (
        r"object/\d\d",
        {
            "kind|name": ("class",),
            "column|row": ("px",),
            "length|width|height": ("m",),
            "orientation": ("deg",),
        },
    ),
    (
        f"zone/(cover/({'|'.join(COVERS.values())})|function/({'|'.join(FUNCTIONS)}))",
        {f"mean_({POLARIZATION})": LEVELS, "variation": ("1",), "ratio": ("dB",)},
    ),
]
RANGES = {"share": (0, 1), "deg": (-180, 360), "count": (0, 1e9), "px": (0, 1e5), "m2": (0, 1e15)}


def awkward_tiles() -> dict[str, TileImage]:
    nan = np.full((2, 64, 64), np.nan)
    half = speckled(np.full((2, 96, 96), 0.1), 4.0)
    half[:, :, :48] = np.nan
    shore, _ = coast()
    looking = {"heading": 350.0, "observation_direction": "right"}
    return {
        "coast": shore,
        "looking": replace(shore, acquisition=shore.acquisition.model_copy(update=looking)),
        "degrees": replace(
            shore, geobox=GeoBox((192, 192), Affine(1e-4, 0, 15, 0, -1e-4, 42.45), "EPSG:4326")
        ),
        "turned": replace(
            shore, geobox=GeoBox((192, 192), GRID.affine @ Affine.rotation(-20), "EPSG:32633")
        ),
        "empty": make_tile(nan, polarizations=("VV", "VH")),
        "half": make_tile(half, polarizations=("VV", "VH")),
        "tiny": make_tile(speckled(np.full((1, 16, 16), 0.1), 4.0)),
        "constant": make_tile(np.full((1, 64, 64), 0.25)),
        "zeros": make_tile(np.zeros((1, 64, 64))),
        "relative": make_tile(
            speckled(np.full((1, 96, 96), 900.0), 1.0), calibrated=False, quantity="amplitude"
        ),
        "l-band": make_tile(
            speckled(np.full((4, 64, 64), 0.1), 4.0),
            polarizations=("HH", "HV", "VH", "VV"),
            band="L",
        ),
        "elsewhere": make_tile(
            speckled(np.full((1, 64, 64), 0.1), 4.0), transform=Affine(10, 0, 2e5, 0, -10, 6e6)
        ),
        "antimeridian": replace(
            make_tile(speckled(np.full((1, 64, 64), 0.1), 4.0)),
            geobox=GeoBox((64, 64), Affine(1e-3, 0, 179.97, 0, -1e-3, 52.0), "EPSG:4326"),
        ),
    }


TILES = sorted(awkward_tiles())


@pytest.fixture(scope="module")
def options(tmp_path_factory) -> SourceOptions:
    """Files of all sources around the tiles."""
    return make_options(tmp_path_factory.mktemp("knowledge"))


@pytest.fixture(scope="module")
def before(options):
    """Return a function to the facts that sources before one have found about a tile."""

    @functools.cache
    def find(name: str, tile_name: str) -> tuple[Evidence, ...]:
        tile, found = awkward_tiles()[tile_name], ()
        for earlier in options.sources[: options.sources.index(name)]:
            found += tuple(SOURCES[earlier](options).evidence(tile, found))
        return found

    return find


def pattern_of(fact: Evidence) -> dict[str, tuple[str, ...]] | None:
    return next((words for key, words in VOCABULARY if re.fullmatch(key, fact.subject)), None)


@pytest.mark.parametrize("tile_name", TILES)
@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "after others"])
def test_contract_of_sources(name, tile_name, alone, options, before) -> None:
    tile = awkward_tiles()[tile_name]
    known = () if alone else before(name, tile_name)
    source = SOURCES[name](options)
    found = source.evidence(tile, known)
    assert found == SOURCES[name](options).evidence(tile, known), "deterministic"
    assert len({fact.id for fact in found}) == len(found)
    said = {(fact.subject, fact.predicate) for fact in found}
    assert len(said) == len(found)
    assert not said & {(fact.subject, fact.predicate) for fact in known}, "no source says it twice"
    for fact in found:
        assert fact.intact
        assert fact.tile_id == tile.id
        assert fact.source == name == source.name
        assert fact.source_version == source.version
        words = pattern_of(fact)
        assert words is not None, f"{fact.subject} is not in the vocabulary"
        units = next((u for key, u in words.items() if re.fullmatch(key, fact.predicate)), ())
        assert fact.unit in units, f"{fact.subject} {fact.predicate} in {fact.unit}"
        assert (fact.value is None) == (fact.unit == "class")
        if fact.unit in RANGES and fact.value is not None:
            low, high = RANGES[fact.unit]
            assert low <= fact.value <= high
        check_place(fact, tile)


def check_place(fact: Evidence, tile: TileImage) -> None:
    """Boxes lie inside; masks have the tile's shape and agree with box and share."""
    rows, columns = tile.valid.shape
    if fact.bbox_px is not None:
        x0, y0, x1, y1 = fact.bbox_px
        assert 0 <= x0 < x1 <= columns
        assert 0 <= y0 < y1 <= rows
    if fact.mask_rle is None:
        ground = fact.subject.startswith(("cover/", "function/")) and fact.predicate == "share"
        assert not (ground and fact.value), "ground that is there has a mask"
        return
    mask = decode_mask(fact.mask_rle, (rows, columns))
    assert mask.any()
    if fact.bbox_px is not None:
        assert mask_box(mask) == fact.bbox_px
    if fact.predicate == "share" and fact.source != "image":  # the image's are of valid pixels
        assert mask.mean() == pytest.approx(fact.value, abs=1e-5)


@pytest.mark.parametrize("name", SOURCES)
def test_facts_depend_on_what_the_source_says_it_looks_at(name, options, before) -> None:
    """What `looks_at` does not take in is changed: facts must stay, or the cache would lie."""
    source, tile = SOURCES[name](options), awkward_tiles()["looking"]
    known = before(name, "looking")
    dark = replace(tile, db=tile.db - 10)
    turned = tile.acquisition.model_copy(update={"heading": 100.0})
    for other, others in (
        (dark, known),
        (replace(dark, acquisition=turned), known),
        (tile, ()),
        (replace(tile, id="another"), known),
    ):
        if entry_key(source, other, others) == entry_key(source, tile, known):
            dump = [
                [fact.model_dump(exclude={"id", "tile_id"}) for fact in source.evidence(*args)]
                for args in ((tile, known), (other, others))
            ]
            assert dump[0] == dump[1]


@pytest.mark.parametrize("name", SOURCES)
def test_sources_say_what_must_be_said_of_their_data(name, options) -> None:
    source = SOURCES[name](options)
    assert isinstance(source.attribution, str)
    assert source.looks_at in {"nothing", "acquisition", "pixels", "known"}
    assert source.version


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["no option", "missing", "text", "truncated"])
def test_files_that_cannot_be_read_are_named_in_one_line(name, damage, options, tmp_path) -> None:
    if damage == "no option":
        with pytest.raises(ConfigError):
            SOURCES[name](SourceOptions())
        return
    given = getattr(options, name)
    several = isinstance(given, tuple)
    whole = given[0] if several else given
    path = tmp_path / whole.name
    if damage == "text":
        path.write_text("This is no map.\n" * 100)
    elif damage == "truncated":
        path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    damaged = options.model_copy(update={name: (path,) if several else path})
    with pytest.raises(SarKnowlipError) as caught:
        SOURCES[name](damaged).evidence(coast()[0])
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_sources_are_silent_elsewhere(name, options) -> None:
    for tile_name in ("elsewhere", "antimeridian"):
        assert SOURCES[name](options).evidence(awkward_tiles()[tile_name]) == []


def test_options_tell_which_sources_can_be_asked(options) -> None:
    assert options.sources == tuple(SOURCES)
    free = tuple(name for name in SOURCES if name not in FILES)
    assert SourceOptions().sources == free
    assert "dem" in SourceOptions(dem=options.dem).sources
    order = list(SOURCES)
    assert order[-2:] == ["image", "zones"], "zones look at what all others found"
    for name in free:
        SOURCES[name](SourceOptions())
