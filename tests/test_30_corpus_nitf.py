"""Rung 3: a corpus of SICD and SIDD products, sound and unusable ones mixed."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.sicd.make import collect, make_sicd
from data.sidd.make import make_sidd
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.validate import validate
from sarknowlip.geo.grid import GridConfig

HILL = (41.95, 12.6, 60.0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("nitf")
    inputs, out = root / "in", root / "corpus"
    fiji = collect(scp_llh=(-16.5, 179.99995, 9.0), side="L", ascending=False)
    aircraft = collect(scp_llh=(45.8, 9.0, 200.0), altitude_m=20_000.0)
    make_sicd(inputs / "rome.ntf")
    make_sicd(inputs / "uncalibrated.nitf", passing=collect(scp_llh=HILL), radiometric={})
    make_sicd(inputs / "fiji.ntf", passing=fiji, grid="INCA", shape=(160, 240))
    make_sicd(inputs / "aircraft.ntf", passing=aircraft, errors=False)
    make_sidd(inputs / "plane.ntf")
    make_sidd(inputs / "geographic.ntf", projection="geographic")
    make_sidd(inputs / "dateline.ntf", passing=fiji, pixel_type="MONO16I")
    make_sidd(inputs / "colour.ntf", pixel_type="RGB24I")
    (inputs / "empty.ntf").write_bytes(b"")
    (inputs / "cut.ntf").write_bytes((inputs / "rome.ntf").read_bytes()[:100_000])
    report = build([inputs], out, BuildConfig(grid=GridConfig(tile_px=64)))
    assert report.scenes == 7
    reasons = {rejection.input: rejection.reason for rejection in report.rejected}
    assert set(reasons) == {"colour.ntf", "empty.ntf", "cut.ntf"}
    assert "colour image" in reasons["colour.ntf"]
    assert "0 bytes" in reasons["empty.ntf"]
    assert "truncated" in reasons["cut.ntf"]
    return out


def test_corpus_is_sound(corpus: Path) -> None:
    result = validate(corpus)
    assert result.tiles > 30
    assert result.problems == ()


def test_rows_say_what_is_known_and_list_what_is_not(corpus: Path) -> None:
    rows = {row["sarknowlip:scene"]: row for row in Catalog(corpus).rows()}
    assert set(rows) == {
        "rome", "uncalibrated", "fiji", "aircraft", "plane", "geographic", "dateline",
    }  # fmt: skip
    rome = rows["rome"]
    assert rome["sarknowlip:sensor"] == "sicd"
    assert rome["sarknowlip:city"] == "Rome"
    assert (rome["sarknowlip:quantity"], rome["sarknowlip:calibrated"]) == ("sigma0", True)
    assert rome["sarknowlip:geocoding_method"] == "sensor-model"
    assert rome["sarknowlip:geocoding_error_m"] > 0
    assert rome["sar:observation_direction"] == "right"
    assert rows["fiji"]["sar:observation_direction"] == "left"
    assert rows["fiji"]["sat:orbit_state"] == "descending"
    for name in ("uncalibrated", "plane", "geographic", "dateline"):
        assert rows[name]["sarknowlip:quantity"] == "amplitude"
        assert rows[name]["sarknowlip:calibrated"] is False
    aircraft = rows["aircraft"]
    assert aircraft["sat:orbit_state"] is None
    assert {"sat:orbit_state", "sarknowlip:geocoding_error_m"} <= {*aircraft["sarknowlip:missing"]}
    assert rows["geographic"]["sarknowlip:geocoding_method"] == "provider"
    assert rows["geographic"]["sarknowlip:geocoding_vertical_datum"] is None
