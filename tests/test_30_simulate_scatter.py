"""Rung 3: how surfaces, buildings and targets scatter."""

from __future__ import annotations

import json
import math
from functools import partial
from importlib import resources

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from shapely.geometry import Polygon, box

from sarknowlip.simulate.image.contract import Scatterers
from sarknowlip.simulate.layers import TARGET_KINDS, Buildings, Targets, surface_id, surfaces
from sarknowlip.simulate.scatter.backscatter import Backscatter
from sarknowlip.simulate.scatter.conditions import Conditions, table
from sarknowlip.simulate.scatter.structures import structure_scatterers
from sarknowlip.simulate.scatter.targets import mean_rcs, target_scatterers
from sarknowlip.simulate.scatter.walls import facing_walls

FREQUENCY = {"X": 9.65, "C": 5.405, "L": 1.2575}
LIKE = ("VV", "HH")
REFERENCE = json.loads(
    resources.files("sarknowlip.simulate.scatter").joinpath("reference.json").read_text("utf-8")
)


def backscatter(band: str = "C", look_deg: float = 90.0, **conditions: float) -> Backscatter:
    return Backscatter(
        band, FREQUENCY[band], ("VV", "HH", "VH", "HV"), look_deg, Conditions(**conditions)
    )


def sigma_db(model: Backscatter, surface: str, incidence: float, pol: str = "VV") -> float:
    power = model.power(np.array([surface_id(surface)], np.uint8), np.array([incidence]))
    return 10 * math.log10(power[model.polarizations.index(pol), 0])


# The published formulas again, one number at a time, written apart from the package's.


def cmod5n(wind: float, phi: float, theta: float) -> float:
    c = dict(enumerate(table("sea")["cmod5n"]["c"], start=1))
    x = (theta - 40) / 25
    s0, s = c[12] + c[13] * x, (c[7] + c[8] * x) * wind
    a3 = 1 / (1 + math.exp(-max(s, s0)))
    if s < s0:
        a3 *= (s / s0) ** (s0 * (1 - a3))
    b0 = a3 ** (c[9] + x * (c[10] + x * c[11]))
    b0 *= 10 ** (c[1] + x * (c[2] + x * (c[3] + x * c[4])) + (c[5] + c[6] * x) * wind)
    b1 = c[14] * (1 + x)
    b1 -= c[15] * wind * (0.5 + x - math.tanh(4 * (x + c[16] + c[17] * wind)))
    b1 /= 1 + math.exp(0.34 * (wind - c[18]))
    y = wind / (c[21] + x * (c[22] + x * c[23])) + 1
    if y < c[19]:
        a = c[19] - (c[19] - 1) / c[20]
        y = a + (y - 1) ** c[20] / (c[20] * (c[19] - 1) ** (c[20] - 1))
    b2 = (-(c[24] + x * (c[25] + x * c[26])) + (c[27] + c[28] * x) * y) * math.exp(-y)
    return b0 * (1 + b1 * math.cos(phi) + b2 * math.cos(2 * phi)) ** 1.6


def water(band: str, pol: str, wind: float, phi: float, theta: float) -> float:
    sea = table("sea")
    if pol == "VH" and band != "L":
        return 10 ** ((0.592 * wind - 35.6) / 10)
    if band == "C":
        square = math.tan(math.radians(theta)) ** 2
        ratio = ((1 + 0.6 * square) / (1 + 2 * square)) ** 2
        return cmod5n(wind, phi, theta) * (ratio if pol == "HH" else 1)
    model = sea["masuko" if band == "X" else "meissner"]
    at = model["incidence_deg"].index(theta)
    if band == "L":
        powers = [wind**i for i in range(1, 6)]
        return sum(
            math.cos(k * phi) * sum(b * w for b, w in zip(row, powers, strict=True))
            for k, row in enumerate(model[pol][at])
        )
    up, down, cross = (
        (wind * 1.06) ** model[pol][side][1][at] * 10 ** model[pol][side][0][at]
        for side in ("up", "down", "cross")
    )
    harmonics = (up + down + 2 * cross) / 4, (up - down) / 2, (up + down - 2 * cross) / 4
    return sum(h * math.cos(k * phi) for k, h in enumerate(harmonics))


def oh_1992(band: str, pol: str, row: dict, theta: float, moisture: float) -> float:
    eps = row.get("permittivity")
    if eps is None:
        wet = moisture * row["moisture_factor"]
        eps = 3.03 + 9.3 * wet + 146 * wet**2 - 76.7 * wet**3
    ks = 2 * math.pi * FREQUENCY[band] / 29.9792458 * row["rms_height_cm"]
    t = math.radians(theta)
    root = math.sqrt(eps - math.sin(t) ** 2)
    h = ((math.cos(t) - root) / (math.cos(t) + root)) ** 2
    v = ((eps * math.cos(t) - root) / (eps * math.cos(t) + root)) ** 2
    nadir = ((1 - math.sqrt(eps)) / (1 + math.sqrt(eps))) ** 2
    p = (1 - (2 * t / math.pi) ** (1 / (3 * nadir)) * math.exp(-ks)) ** 2
    g = 0.7 * (1 - math.exp(-0.65 * ks**1.8))
    vv = g * math.cos(t) ** 3 / math.sqrt(p) * (v + h)
    rough = {"VV": vv, "HH": p * vv, "VH": 0.23 * math.sqrt(nadir) * (1 - math.exp(-ks)) * vv}[pol]
    added = row.get("installations_gamma_db")
    if added is None:
        return rough
    return rough + 10 ** (added["like" if pol in LIKE else "cross"] / 10) * math.cos(t)


def independent(surface: str, band: str, pol: str, theta: float) -> float:
    """Return σ⁰ (linear) of a row of the reference table."""
    given = REFERENCE["conditions"]
    row = table("surfaces")["surfaces"][surface]
    step = "like_db" if pol in LIKE else "cross_db"
    cosine = math.cos(math.radians(theta))
    match row["model"]:
        case "sea":
            phi = math.radians(given["wind_from_deg"] - given["look_deg"])
            wind = given["wind_speed"] * row["wind_factor"]
            like = min(water(band, p, wind, phi, theta) for p in LIKE)
            found = water(band, pol, wind, phi, theta)
            found = found if pol in LIKE else min(found, like * 10**-0.5)
            return found * 10 ** (row.get("shift_db", {}).get(band, 0) / 10)
        case "oh":
            return oh_1992(band, pol, row, theta, given["soil_moisture"])
        case "terrain":
            p = table("terrain")["classes"][row["class"]]["C" if band == "X" else band]
            a = p["HV" if pol == "VH" else pol]
            t = math.radians(theta)
            db = a[0] + a[1] * math.exp(-a[2] * t) + a[3] * math.cos(a[4] * t + a[5])
            return 10 ** ((db + (0.5 if band == "X" else 0)) / 10)
        case "gamma":
            return 10 ** (row["gamma_db"][band][step.removesuffix("_db")] / 10) * cosine
        case "offset":
            return independent(row["of"], band, pol, theta) * 10 ** (row[step] / 10)
        case "mixture":
            parts = row["parts"].items()
            return sum(share * independent(name, band, pol, theta) for name, share in parts)
        case "bounce":
            canopy = independent(row["of"], band, pol, theta)
            level = row["bounce_gamma_db"][band].get(pol, -math.inf)
            return canopy + 10 ** (level / 10) * cosine
    raise AssertionError(row["model"])


def test_reference_table_is_what_the_sources_give() -> None:
    for row in REFERENCE["rows"]:
        place = row["surface"], row["band"], row["polarization"], row["incidence_deg"]
        assert 10 * math.log10(independent(*place)) == pytest.approx(row["sigma0_db"], abs=0.002)


@pytest.mark.parametrize("band", "XCL")
def test_lookup_reproduces_the_reference_table(band: str) -> None:
    given = REFERENCE["conditions"]
    model = backscatter(band, **given)
    rows = [row for row in REFERENCE["rows"] if row["band"] == band]
    assert {row["surface"] for row in rows} == {surface.name for surface in surfaces()}
    for row in rows:
        found = sigma_db(model, row["surface"], row["incidence_deg"], row["polarization"])
        assert found == pytest.approx(row["sigma0_db"], abs=0.05), row


def test_every_surface_band_and_polarisation_is_finite_and_ordered() -> None:
    incidence = np.arange(0.0, 89.5, 0.5)
    for band in "XCL":
        model = backscatter(band)
        for surface in surfaces():
            power = model.power(np.full(incidence.shape, surface.id, np.uint8), incidence)
            assert power.dtype == np.float32
            assert np.isfinite(power).all()
            assert (power > 0).all()
            like = power[:2].min(axis=0)
            assert (power[2] < like)[incidence <= 70].all(), (band, surface.name)
            np.testing.assert_array_equal(power[2], power[3])  # reciprocity


@pytest.mark.parametrize("band", "XCL")
def test_classes_are_in_order(band: str) -> None:
    model = backscatter(band, wind_speed=4.0)
    at = partial(sigma_db, model, incidence=35.0)
    # At L band crops are nearly transparent and come close to rippled water.
    above_water = 2 if band == "L" else 5
    assert at("forest") > at("broadleaf_crop") > at("cereal") > at("inland_water") + above_water
    assert at("sea") > at("inland_water") > at("inland_water", pol="VH")
    assert at("ploughed") > at("beach") > at("asphalt")
    assert at("flooded_vegetation", pol="HH") > at("cereal", pol="HH") + 1
    gain_h = at("flooded_vegetation", pol="HH") - at("cereal", pol="HH")
    assert gain_h > at("flooded_vegetation") - at("cereal") > 0
    assert at("sea", pol="VV") > at("sea", pol="HH")


@pytest.mark.parametrize("band", "XCL")
@settings(deadline=None, max_examples=25)
@given(wind=st.floats(3.5, 17.0), phi=st.floats(0.0, 360.0))
def test_sea_falls_with_incidence(band: str, wind: float, phi: float) -> None:
    model = backscatter(band, look_deg=0.0, wind_speed=wind, wind_from_deg=phi)
    for pol in range(2):
        power = model.power(np.full(88, surface_id("sea"), np.uint8), np.arange(1.0, 89.0))[
            pol
        ].astype(float)
        assert (np.diff(power) < 0).all()


@pytest.mark.parametrize("band", "XCL")
def test_sea_grows_with_wind_and_is_stronger_upwind_than_crosswind(band: str) -> None:
    for pol in ("VV", "HH", "VH"):
        speeds = [sigma_db(backscatter(band, wind_speed=w), "sea", 38.0, pol) for w in (4, 7, 12)]
        assert speeds == sorted(speeds)
        assert speeds[2] > speeds[0] + 2
    for pol in LIKE:
        # The radar looks east: wind from the east blows toward it.
        up, down, cross = (
            sigma_db(backscatter(band, wind_speed=12.0, wind_from_deg=d), "sea", 38.0, pol)
            for d in (90.0, 270.0, 0.0)
        )
        assert up > cross + 0.5
        assert down > cross
        assert up > down


def test_wind_direction_counts_relative_to_the_look() -> None:
    one = backscatter("C", look_deg=20.0, wind_from_deg=75.0)
    other = backscatter("C", look_deg=200.0, wind_from_deg=255.0)
    assert sigma_db(one, "sea", 33.0) == pytest.approx(sigma_db(other, "sea", 33.0), abs=1e-9)


def test_wet_soil_is_brighter() -> None:
    wet, dry = backscatter(soil_moisture=0.35), backscatter(soil_moisture=0.05)
    assert sigma_db(wet, "bare_soil", 35.0) > sigma_db(dry, "bare_soil", 35.0) + 2
    assert sigma_db(wet, "forest", 35.0) == sigma_db(dry, "forest", 35.0)


def test_lookup_keeps_shape_and_clips() -> None:
    model = backscatter()
    ids = np.array([[0, 1, 12], [12, 12, 12]], np.uint8)
    angles = np.array([[30.0, 30.0, 30.0], [90.0, 135.0, np.nan]])
    power = model.power(ids, angles)
    assert power.shape == (4, 2, 3)
    assert (power[:, 0, 0] == 0).all()  # id 0 is nothing
    assert (power[:, 1] == 0).all()  # grazing, turned away, unknown
    np.testing.assert_array_equal(
        model.power(ids[0], np.array([30.0, -5.0, 30.0]))[:, 1],
        model.power(ids[0], np.array([30.0, 0.0, 30.0]))[:, 1],
    )
    many = np.full((300, 301), 12, np.uint8)
    assert np.ptp(model.power(many, np.full(many.shape, 40.0)), axis=(1, 2)).max() == 0
    assert model.power(many[:0], np.zeros((0, 301))).shape == (4, 0, 301)


def test_texture_and_correlation_are_sensible() -> None:
    model = backscatter()
    ids = np.array([surface.id for surface in surfaces()], np.uint8)
    assert (np.abs(model.copol_correlation(ids)) <= 1).all()
    assert (model.texture_order[ids] > 1).all()
    assert (model.texture_length_m[ids] > 0).all()
    assert np.isinf(model.texture_order[0])
    rough = model.texture_order[surface_id("forest")]
    assert rough < model.texture_order[surface_id("grass")]


def test_conditions_refuse_what_the_models_cannot_take() -> None:
    with pytest.raises(ValidationError):
        Conditions(wind_speed=60.0)
    with pytest.raises(ValidationError):
        Conditions(soil_moisture=0.9)


# Buildings. The radar looks east, so walls on the west face it.


def flat(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.full(np.shape(x), 7.0)


def buildings(*shapes: Polygon, height: float = 12.0, base: float = 0.0, kind: str = "house"):
    return Buildings.of(
        uid=np.arange(len(shapes)) + 11, geometry=np.array(shapes, object), base=base,
        height=height, surface=18, kind=kind, function="dense_residential", parent=1,
    )  # fmt: skip


def returns(rows: Buildings, *, band: str = "C", look: float = 90.0, incidence: float = 36.0):
    return structure_scatterers(
        rows, flat, backscatter(band), look, incidence, spacing_m=3.0, seed=5
    )


def turned(degrees: float) -> Polygon:
    return shapely.affinity.rotate(box(0, 0, 12, 60), degrees, origin="center")


def total(points: Scatterers) -> np.ndarray:
    return points.rcs.sum(axis=1)


def test_only_walls_toward_the_radar_return() -> None:
    diffuse, coherent = returns(buildings(box(100, 200, 130, 260)))
    for points in (diffuse, coherent):
        np.testing.assert_allclose(points.x, 100.0)  # the west wall alone
        assert (points.y >= 200).all()
        assert (points.y <= 260).all()
        assert (points.z >= 7 - 1e-9).all()
        assert (points.z <= 19 + 1e-9).all()
    assert np.isclose(diffuse.z, 7.0).sum() == 20  # the line at its foot, 60 m by 3 m
    seen_from_east = returns(buildings(box(100, 200, 130, 260)), look=270.0)[0]
    np.testing.assert_allclose(seen_from_east.x, 130.0)


def test_courts_have_walls_and_orientation_of_rings_does_not_matter() -> None:
    court = Polygon(box(0, 0, 60, 60).exterior.coords, [box(20, 20, 40, 40).exterior.coords])
    walls = facing_walls(buildings(court), 90.0)
    assert sorted(walls.x.tolist()) == [0.0, 40.0]  # outer west wall, and the court's east wall
    clockwise = shapely.reverse(court)
    assert sorted(facing_walls(buildings(clockwise), 90.0).x.tolist()) == [0.0, 40.0]
    both = shapely.MultiPolygon([box(0, 0, 9, 9), box(20, 0, 29, 9)])
    assert sorted(facing_walls(buildings(both), 90.0).x.tolist()) == [0.0, 20.0]


def test_taller_and_better_aligned_walls_return_more() -> None:
    heights = [total(returns(buildings(turned(0), height=h))[0])[:3] for h in (4, 8, 16, 32)]
    assert (np.diff(heights, axis=0) > 0).all()
    angles = [total(returns(buildings(turned(a)))[0]) for a in (0, 10, 20, 45)]
    assert (np.diff([a[:2] for a in angles], axis=0) < 0).all()
    # Oblique walls depolarise: cross relative to like peaks between.
    ratio = [a[2] / a[1] for a in angles]
    assert ratio[1] > ratio[0]


def test_double_bounce_follows_the_closed_form() -> None:
    # A wall face on: 4 |R|² |R|² h l tan θ / (2 m²) as structures.py derives, from its own numbers.
    numbers = table("structures")
    theta = math.radians(36.0)

    def reflectivity(eps: float, t: float) -> float:
        root = math.sqrt(eps - math.sin(t) ** 2)
        return ((math.cos(t) - root) / (math.cos(t) + root)) ** 2

    ground = reflectivity(numbers["ground"]["permittivity"], theta)
    wall = reflectivity(numbers["wall"]["permittivity"], math.pi / 2 - theta)
    wall += numbers["wall"]["metal_share"] * (1 - wall)
    ideal = 4 * ground * wall * 12 * 60 * math.tan(theta) / (2 * numbers["ground"]["slope"] ** 2)
    diffuse, _ = returns(buildings(box(0, 0, 12, 60)))
    foot = np.isclose(diffuse.z, 7.0)
    expected = ideal * numbers["ground"]["double_bounce_share"]
    assert diffuse.rcs[1, foot].sum() == pytest.approx(expected, rel=1e-9)


def test_dense_districts_land_near_published_urban_levels() -> None:
    """C-band VV of dense built-up ground at 30–40° is about −9 to 0 dB, by orientation."""
    blocks = [box(i * 56, j * 30, i * 56 + 40, j * 30 + 14) for i in range(10) for j in range(10)]
    model = backscatter()
    roof, street = (10 ** (sigma_db(model, s, 36.0) / 10) for s in ("flat_roof", "asphalt"))
    covered = 40 * 14 / (56 * 30)
    levels = []
    for degrees in (0, 10, 25, 45):
        city = shapely.affinity.rotate(shapely.MultiPolygon(blocks), degrees, origin=(0, 0)).geoms
        points = returns(buildings(*city, height=16.0, kind="apartment_block"))
        upright = sum(total(p)[0] for p in points) / (100 * 56 * 30)
        levels.append(10 * math.log10(upright + covered * roof + (1 - covered) * street))
    assert -9.0 < min(levels) <= max(levels) < 0.0
    assert max(levels[:2]) > max(levels[2:])  # along the streets brighter than across


def test_bridges_return_three_times() -> None:
    bridge = buildings(box(0, 0, 12, 300), base=9.0, height=11.0, kind="bridge")
    diffuse, coherent = returns(bridge)
    assert len(coherent) == 0
    deck = (diffuse.z > 15) & (diffuse.z < 18.01)
    water, image = np.isclose(diffuse.z, 7.0), np.isclose(diffuse.z, -2.0)
    assert deck.any()
    assert water.sum() == image.sum() == 100
    assert (deck | water | image).all()
    assert diffuse.rcs[1, water].sum() > diffuse.rcs[1, image].sum() > 0


def test_corners_have_a_heavy_tail() -> None:
    rows = buildings(*(box(40 * i, 0, 40 * i + 20, 60) for i in range(400)), height=20.0)
    _, corners = returns(rows)
    power = corners.rcs[0]
    assert power.mean() > 3 * np.median(power)
    per_building = len(corners) / len(rows)
    assert per_building == pytest.approx(60 * 20 / 150, rel=0.1)
    assert not np.allclose(corners.phase, corners.phase[0])


def test_buildings_do_not_depend_on_their_neighbours() -> None:
    rows = buildings(*(turned(7.0 * i) for i in range(24)), height=15.0)
    order = np.random.default_rng(0).permutation(24)
    for kind in range(2):
        whole, again = returns(rows)[kind], returns(rows)[kind]
        np.testing.assert_array_equal(whole.rcs, again.rcs)
        shuffled = returns(rows.take(order))[kind]
        part = returns(rows.take(np.arange(5, 9)))[kind]
        assert same_points(whole, shuffled)
        assert set(map(tuple, key(part))) <= set(map(tuple, key(whole)))
    assert not np.array_equal(
        structure_scatterers(rows, flat, backscatter(), 90.0, 36.0, spacing_m=3.0, seed=6)[1].phase,
        returns(rows)[1].phase,
    )


def key(points: Scatterers) -> np.ndarray:
    columns = np.stack([points.x, points.y, points.z, *points.rcs, points.phase], axis=1)
    return np.round(columns, 6)


def same_points(one: Scatterers, other: Scatterers) -> bool:
    return sorted(map(tuple, key(one))) == sorted(map(tuple, key(other)))


def test_nothing_gives_nothing() -> None:
    for points in returns(Buildings.empty()):
        assert len(points) == 0
        assert points.rcs.shape == (4, 0)
    points = target_scatterers(Targets.empty(), flat, backscatter(), 90.0, 36.0, seed=1)
    assert len(points) == 0
    assert points.rcs.shape == (4, 0)


# Targets.


def targets(kind: object, n: int = 1, **columns: object) -> Targets:
    given = {
        "uid": np.arange(n) + 1, "kind": kind, "subclass": kind, "x": 0.0, "y": 0.0,
        "length": 100.0, "width": 16.0, "height": 20.0, "heading": 0.0, "speed": 0.0,
        "function": "sea", "parent": 1,
    }  # fmt: skip
    return Targets.of(**given | columns)


def points_of(rows: Targets, **view: object) -> Scatterers:
    given = {"look_deg": 90.0, "incidence_deg": 45.0, "seed": 3} | view
    return target_scatterers(rows, flat, backscatter("C"), **given)


@pytest.mark.parametrize("kind", TARGET_KINDS)
def test_mean_rcs_holds_over_aspects(kind: str) -> None:
    n = 1500
    for subclass in table("targets")["kinds"][kind]["subclasses"]:
        rows = targets(kind, n, subclass=subclass, heading=np.arange(n) * 360.0 / n, length=60.0)
        points = points_of(rows)
        measured = 10 * np.log10(points.rcs[0].sum() / n)
        expected = 10 * np.log10(mean_rcs(rows, FREQUENCY["C"])[0])
        assert measured == pytest.approx(expected, abs=0.6), subclass
        assert (points.rcs[2] < points.rcs[0] + 1e-12).all()


def test_ships_grow_with_length_as_measured() -> None:
    """OpenSARShip's Sentinel-1 ships: 43.5 dBsm in the mean at 100 m, length to 2.25."""
    short, long = (10 * np.log10(mean_rcs(targets("ship", length=v), 5.405)[0]) for v in (100, 300))
    assert short == pytest.approx(43.5)
    assert long - short == pytest.approx(22.5 * math.log10(3))


def test_points_lie_on_the_object_and_move_with_it() -> None:
    rows = targets("ship", heading=60.0, speed=8.0, x=500.0, y=-300.0, subclass="tanker")
    points = points_of(rows)
    east, north = math.sin(math.radians(60)), math.cos(math.radians(60))
    ahead = (points.x - 500) * east + (points.y + 300) * north
    across = (points.x - 500) * north - (points.y + 300) * east
    assert np.abs(ahead).max() <= 50.001
    assert np.abs(across).max() <= 8.001
    assert points.z.min() >= 7 - 1e-9
    assert points.z.max() <= 27 + 1e-9
    np.testing.assert_allclose(points.vx, 8 * east)
    np.testing.assert_allclose(points.vy, 8 * north)


def test_the_side_toward_the_radar_is_the_bright_one() -> None:
    points = points_of(targets("ship", heading=0.0, height=0.001))  # northward; radar in the west
    west, east = (points.rcs[0, side].sum() for side in (points.x < -5, points.x > 5))
    assert west > 3 * east
    tank = points_of(targets("storage_tank", length=40.0, width=40.0))
    foot = np.isclose(tank.z, 7.0)
    assert foot.any()
    assert (tank.x[foot] < 0).all()
    rim = np.isclose(tank.z, 27.0) & np.isclose(np.hypot(tank.x, tank.y), 20.0)
    assert tank.x[rim].min() < 0 < tank.x[rim].max()  # near and far rim


def test_broadside_aircraft_outshine_oblique_ones() -> None:
    n = 300
    side, oblique = (
        points_of(targets("aircraft", n, length=38.0, width=36.0, height=12.0, heading=h)).rcs[0]
        for h in (0.0, 45.0)
    )
    assert side.sum() > 1.5 * oblique.sum()


def test_unknown_subclasses_are_treated_as_the_default() -> None:
    odd, usual = (points_of(targets("ship", subclass=s)) for s in ("submarine", "cargo"))
    assert same_points(odd, usual)


def test_targets_do_not_depend_on_their_neighbours() -> None:
    kinds = np.array([TARGET_KINDS[i % len(TARGET_KINDS)] for i in range(40)], object)
    rows = targets(kinds, 40, subclass=kinds, x=np.arange(40) * 300.0, speed=4.0)
    whole = points_of(rows)
    assert same_points(whole, points_of(rows.take(np.random.default_rng(1).permutation(40))))
    part = points_of(rows.take(np.array([3, 17, 38])))
    assert set(map(tuple, key(part))) <= set(map(tuple, key(whole)))
    assert not same_points(whole, points_of(rows, seed=4))
