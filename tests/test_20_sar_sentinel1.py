"""Rung 2: Sentinel-1 SAFE folders made from a physical orbit; targets are placed independently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from shapely import contains_xy

from data.elevation.make import make_dem
from data.safe.make import TO_ECEF, Safe, Track, make_safe
from data.sicd.targets import grid_at, offset_px
from sarknowlip.core.errors import GeometryError, ProductError
from sarknowlip.geo.footprint import wgs84_bbox
from sarknowlip.geo.grid import pyproj_crs
from sarknowlip.sar import terrain
from sarknowlip.sar.product import ReadOptions
from sarknowlip.sar.sensors import open_product, recognise
from sarknowlip.sar.sensors.sentinel1 import Sentinel1Safe

ROME = (12.5, 42.0, 100.0)
GSD_M = 10.0
FLAT = {"noise": 0.0, "polarizations": ("VV",)}


def around(centre: tuple[float, float, float], height=None) -> list[tuple[float, float, float]]:
    """Return five targets on the ground within 2.5 km east or west and 700 m north or south."""
    east = 1 / 111_300 / np.cos(np.deg2rad(centre[1]))
    shifts = [(0, 0), (900, 340), (-1700, -670), (-2450, 450), (2400, -400)]
    places = [(centre[0] + e * east, centre[1] + n / 111_200) for e, n in shifts]
    return [(*place, centre[2] if height is None else height(*place)) for place in places]


def offsets(product: Sentinel1Safe, targets) -> list[float]:
    """Return the distances in pixels of a 10 m map grid, in every band."""
    found = []
    for lon, lat, _ in targets:
        grid = grid_at(lon, lat, 360.0, GSD_M)
        found += [offset_px(band, grid, lon, lat) for band in product.power(grid)]
    return found


CASES = {
    "GRD": Safe(),
    "GRD descending": Safe(heading=193.0),
    "GRD south, near range": Safe(centre=(151.21, -33.86, 40.0), incidence=30.0, tie_height=40.0),
    "GRD 78° north, far range": Safe(centre=(15.6, 78.2, 30.0), incidence=45.0, tie_height=30.0),
    "GRD across ±180°": Safe(centre=(179.9998, -16.5, 60.0), tie_height=60.0),
    "SLC IW1": Safe(product="SLC"),
    "SLC three swaths": Safe(product="SLC", swaths=3, heading=193.0),
    "SLC EW, one polarisation": Safe(product="SLC", mode="EW", polarizations=("HH",)),
    "SLC stripmap": Safe(product="SLC", mode="SM"),
}


@pytest.mark.parametrize("name", CASES)
def test_point_targets_are_where_they_should_be(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    targets = around(case.centre)
    path = make_safe(tmp_path, Safe(**vars(case) | {"targets": targets}))
    grid = grid_at(*case.centre[:2], 6000.0, GSD_M)
    dem = make_dem(tmp_path / "dem.tif", grid, case.centre[2], step=50.0, margin=3000.0)
    by_ties = Sentinel1Safe.open(path)
    assert by_ties.geocoding.method == "gcp"
    by_orbit = Sentinel1Safe.open(path, ReadOptions(dem=dem, dem_geoid_m=0.0))
    assert by_orbit.geocoding.method == "range-doppler"
    assert len(by_ties.acquisition.polarizations) == len(case.polarizations)
    assert max(offsets(by_ties, targets)) < 0.15
    assert max(offsets(by_orbit, targets)) < 0.15


def hillside(tmp_path: Path, slope: tuple[float, float], margin: float = 3500.0):
    """Return a height function of lon, lat and an elevation model of an inclined plane."""
    grid = grid_at(*ROME[:2], 5600.0, GSD_M)
    move = Transformer.from_crs(4326, str(grid.crs), always_xy=True)
    x0, y0 = move.transform(*ROME[:2])

    def height(x, y):
        return ROME[2] + slope[0] * (x - x0) + slope[1] * (y - y0)

    dem = make_dem(tmp_path / "dem.tif", grid, height, step=10.0, margin=margin)
    return lambda lon, lat: float(height(*move.transform(lon, lat))), dem


@pytest.mark.parametrize("product", ["GRD", "SLC"])
def test_terrain_is_corrected(product: str, tmp_path: Path) -> None:
    height, dem = hillside(tmp_path, (0.15, -0.1))
    targets = around(ROME, height)
    path = make_safe(tmp_path, Safe(product=product, polarizations=("VV",), targets=targets))
    corrected = Sentinel1Safe.open(path, ReadOptions(dem=dem, dem_geoid_m=0.0))
    assert max(offsets(corrected, targets)) < 0.2
    # Without heights, a target h above the tie points lies h / tan(incidence) nearer to the radar.
    lon, lat, high = targets[1]
    grid = grid_at(lon, lat, 1000.0, GSD_M)
    power = Sentinel1Safe.open(path).power(grid)[0]
    row, column = np.unravel_index(np.nanargmax(power), power.shape)
    x, y = grid.affine * (column + 0.5, row + 0.5)
    move = Transformer.from_crs(4326, str(grid.crs), always_xy=True)
    shift = np.hypot(*np.subtract((x, y), move.transform(lon, lat)))
    assert shift == pytest.approx(abs(high - 100.0) / np.tan(np.deg2rad(36.0)), abs=10.0)


@pytest.mark.parametrize("slope", [(0.0, 0.0), (0.3, 0.0), (-0.3, 0.0), (0.2, -0.2)])
def test_flattened_gamma_follows_the_area_that_a_slope_shows(slope, tmp_path: Path) -> None:
    safe = Safe(**FLAT)
    path = make_safe(tmp_path, safe)
    height, dem = hillside(tmp_path, slope, margin=1500.0)
    grid = grid_at(*ROME[:2], 1200.0, 20.0)
    power = {}
    for quantity in ("beta0", "gamma0"):
        product = Sentinel1Safe.open(path, ReadOptions(dem=dem, dem_geoid_m=0.0, quantity=quantity))
        power[quantity] = product.power(grid)[0]
    assert product.geocoding.method == "range-doppler-rtc"

    def at(north: float, east: float):
        lon, lat = ROME[0] + east * 1e-5, ROME[1] + north * 1e-5
        return np.array(TO_ECEF.transform(lon, lat, height(lon, lat)))

    # Ulander 1996: a facet covers cos(ψ) of the slant plane and shows cos(local incidence).
    normal = np.cross(at(0, 1) - at(0, -1), at(1, 0) - at(-1, 0))
    track = Track.past(safe)
    sight = at(0, 0) - track.position(0)
    plane = np.cross(track.velocity(0), sight)
    expected = abs(normal @ plane) / np.linalg.norm(plane) / -(normal @ sight)
    expected *= np.linalg.norm(sight)
    ratio = (power["gamma0"] / power["beta0"])[15:45, 15:45]
    assert np.mean(ratio) == pytest.approx(expected, rel=0.005)
    assert np.std(ratio) / expected < 0.015
    if slope == (0.0, 0.0):
        by_table = Sentinel1Safe.open(path, ReadOptions(quantity="gamma0")).power(grid)[0]
        assert power["gamma0"][15:45, 15:45] == pytest.approx(by_table[15:45, 15:45], rel=0.01)


def test_flattening_does_not_depend_on_blocks(tmp_path: Path, monkeypatch) -> None:
    grid = grid_at(*ROME[:2], 1200.0, 20.0)
    hill = grid_at(*ROME[:2], 4000.0, 20.0)
    x0, y0 = hill.affine * (100.0, 100.0)

    def cone(x, y):
        return 100.0 + np.maximum(600.0 - 0.9 * np.hypot(x - x0 - 300.0, y - y0), 0.0)

    dem = make_dem(tmp_path / "dem.tif", hill, cone, step=10.0)
    product = Sentinel1Safe.open(
        make_safe(tmp_path, Safe(**FLAT)),
        ReadOptions(dem=dem, dem_geoid_m=0.0, quantity="gamma0"),
    )
    whole = product.power(grid)
    monkeypatch.setattr(terrain, "BLOCK_PX", 17)
    pieces = product.power(grid)
    assert np.isfinite(whole).mean() > 0.9
    # What remains is GDAL's approximation of where the heights of a window lie.
    np.testing.assert_allclose(pieces, whole, rtol=1e-3)
    crop = product.power(grid[7:40, 21:50])
    np.testing.assert_allclose(crop, whole[:, 7:40, 21:50], rtol=1e-3)
    monkeypatch.setattr(terrain.Flattening, "_reach", lambda *_: 0.0)
    blind = product.power(grid)
    assert (np.abs(blind / whole - 1) > 0.2).mean() > 0.01  # so the margin is what matters


@pytest.mark.parametrize("name", ["GRD", "SLC three swaths"])
def test_a_window_equals_the_crop_of_the_whole(name: str, tmp_path: Path) -> None:
    product = open_product(make_safe(tmp_path, CASES[name]))
    grid = grid_at(*ROME[:2], 4000.0, 25.0)
    whole = product.power(grid)
    window = product.power(grid[30:110, 45:120])
    np.testing.assert_allclose(window, whole[:, 30:110, 45:120], rtol=1e-5)


def test_bursts_and_swaths_leave_no_seam(tmp_path: Path) -> None:
    product = Sentinel1Safe.open(make_safe(tmp_path, Safe(product="SLC", swaths=3, **FLAT)))
    grid = grid_at(12.57, 42.011, 14_000.0, 30.0)
    power = product.power(grid)[0]
    rows, columns = np.mgrid[: grid.shape[0], : grid.shape[1]] + 0.5
    x, y = grid.affine * (columns, rows)
    back = Transformer.from_crs(str(grid.crs), 4326, always_xy=True)
    inside = contains_xy(product.footprint.buffer(-0.0006), *back.transform(x, y))
    assert inside.sum() > 15_000
    assert np.isfinite(power[inside]).all()
    # Calibration tables rise by 7 % along a swath; no pixel is darkened by invalid samples.
    assert power[inside].min() > 0.8 * power[inside].max()


def test_records_are_complete(tmp_path: Path) -> None:
    product = open_product(make_safe(tmp_path))
    facts = product.acquisition.stac_properties()
    assert product.acquisition.missing == ()
    assert facts["platform"] == "sentinel-1a"
    assert facts["constellation"] == "sentinel-1"
    assert facts["start_datetime"] == "2022-06-01T05:11:22.300000Z"
    assert (facts["sar:frequency_band"], facts["sar:center_frequency"]) == ("C", 5.405)
    assert facts["sar:polarizations"] == ["VV", "VH"]
    assert (facts["sar:looks_range"], facts["sar:looks_azimuth"]) == (5, 1)
    assert facts["sar:looks_equivalent_number"] == 4.4
    assert facts["sar:observation_direction"] == "right"
    assert (facts["sat:orbit_state"], facts["sat:relative_orbit"]) == ("ascending", 103)
    assert facts["sarknowlip:incidence_near"] < facts["view:incidence_angle"] == 36.0
    assert facts["sarknowlip:incidence_far"] > 36.0
    assert facts["sarknowlip:heading"] == pytest.approx(350.0)
    assert product.name.startswith("S1A_IW_GRDH_1SDV")
    assert not product.name.endswith(".SAFE")
    assert all(path.is_file() for path in product.files())
    assert len(product.files()) == 9
    slc = open_product(make_safe(tmp_path / "slc", Safe(product="SLC", swaths=3)))
    assert set(slc.acquisition.missing) == {
        "sar:looks_equivalent_number", "sar:resolution_range", "sar:resolution_azimuth",
    }  # fmt: skip
    assert slc.gsd_m == pytest.approx((2.33 / np.sin(np.deg2rad(36.0)), 13.4), rel=0.01)
    near, far = slc.acquisition.incidence_near, slc.acquisition.incidence_far
    assert near < slc.acquisition.incidence_angle < far


def test_footprint_holds_what_is_seen(tmp_path: Path) -> None:
    crossing = Safe(product="SLC", centre=(179.9998, -16.5, 60.0), tie_height=60.0)
    product = open_product(make_safe(tmp_path, crossing))
    west, _, east, _ = wgs84_bbox(product.footprint)
    assert west > 179.9
    assert east < -179.9
    assert len(product.footprint.geoms) == 2
    grd = open_product(make_safe(tmp_path / "grd"))
    grid = grid_at(*ROME[:2], 12_000.0, 50.0)
    seen = np.isfinite(grd.power(grid)[0]).sum() * 50.0**2
    to_map = Transformer.from_crs(4326, str(grid.crs), always_xy=True)
    outline = np.array(grd.footprint.geoms[0].exterior.coords)
    x, y = to_map.transform(*outline.T)
    area = abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2
    assert seen == pytest.approx(area, rel=0.03)


def test_error_estimate_follows_the_roughness_of_tie_heights(tmp_path: Path) -> None:
    rough = open_product(make_safe(tmp_path, Safe(tie_step=50.0)))
    assert rough.geocoding.error_m == pytest.approx(50.0 / np.tan(np.deg2rad(36.0)), rel=1e-6)
    smooth = open_product(make_safe(tmp_path / "smooth"))
    assert smooth.geocoding.error_m == pytest.approx(0.0, abs=1e-6)


def test_noise_is_removed_once_and_only_when_asked(tmp_path: Path) -> None:
    grid = grid_at(*ROME[:2], 1000.0, GSD_M)
    loud = make_safe(tmp_path, Safe(noise=4000.0))
    kept = open_product(loud, ReadOptions(remove_noise=False))
    removed = open_product(loud)
    assert (kept.radiometry.noise_removed, removed.radiometry.noise_removed) == (False, True)
    # DN is 100; noise is 4000 times a factor that rises from 1 to 2 along the image, whose centre
    # is 0.2 s of its 299 · 1.5 ms after the first line.
    share = removed.power(grid)[0] / kept.power(grid)[0]
    factor = 1 + 0.2 / (299 * 1.5e-3)
    assert np.nanmean(share) == pytest.approx(1 - 4000 * factor / 100**2, abs=0.002)
    assert np.nanmin(share) > 1 - 4000 * 2.0 / 100**2
    done = open_product(make_safe(tmp_path / "done", Safe(noise=4000.0, noise_removed=True)))
    assert done.radiometry.noise_removed is True
    np.testing.assert_allclose(done.power(grid), kept.power(grid), rtol=1e-6)
    silent = open_product(make_safe(tmp_path / "silent", Safe(noise=1e6)))
    assert np.nanmax(silent.power(grid)) == 0.0


def test_coarse_pixels_are_multilooked(tmp_path: Path) -> None:
    path = make_safe(tmp_path, Safe(**FLAT, targets=[ROME], amplitude=1000.0))
    product = Sentinel1Safe.open(path)
    fine, coarse = grid_at(*ROME[:2], 1200.0, 10.0), grid_at(*ROME[:2], 1200.0, 100.0)
    total = [float(product.power(g)[0].sum()) * g.affine.a**2 for g in (fine, coarse)]
    assert total[1] == pytest.approx(total[0], rel=0.03)


def test_grids_coarser_than_the_lattice_ask_the_model_itself(tmp_path: Path) -> None:
    wide = grid_at(*ROME[:2], 9000.0, 10.0)
    dem = make_dem(tmp_path / "dem.tif", wide, lambda x, y: 100.0 + 0 * x, step=50.0, margin=0.0)
    with rasterio.open(dem, "r+") as source:
        heights = source.read(1)
        heights[:, 120:] = -9999.0  # the east is unknown
        source.write(heights, 1)
    product = Sentinel1Safe.open(
        make_safe(tmp_path, Safe(**FLAT)), ReadOptions(dem=dem, dem_geoid_m=0.0)
    )
    grid = grid_at(*ROME[:2], 6000.0, 600.0)
    (swath,) = product._swaths
    crs = pyproj_crs(grid)
    assert swath.lattice(crs).step < 600.0
    power = product.power(grid)[0]
    assert np.isfinite(power[4:6, 2:5]).all()
    assert np.isnan(power[:, 8:]).all()
    fine = product.power(grid_at(*ROME[:2], 6000.0, 20.0))[0]
    assert power[5, 4] == pytest.approx(np.nanmean(fine[150:180, 120:150]), rel=0.01)


def test_measurements_that_are_absent_are_left_out(tmp_path: Path, caplog) -> None:
    path = make_safe(tmp_path)
    next(path.glob("measurement/*-vv-*.tiff")).unlink()
    assert open_product(path).acquisition.polarizations == ("VH",)
    assert "VV is left out" in caplog.text


BREAKS = {
    "annotation": ("annotation/*-vh-*.xml", None, "missing"),
    "annotation not XML": ("annotation/*-vv-*.xml", b"<product><general", "is not XML"),
    "annotation of something else": ("annotation/*-vv-*.xml", b"<product/>", "lacks what"),
    "calibration": ("annotation/calibration/calibration-*-vv-*.xml", None, "missing"),
    "calibration not XML": ("annotation/calibration/calibration-*-vv-*", b"no", "is not XML"),
    "noise": ("annotation/calibration/noise-*-vv-*.xml", None, "missing"),
    "noise without vectors": (
        "annotation/calibration/noise-*-vv-*.xml", b"<noise></noise>", "has no noise table",
    ),
    "measurement truncated": ("measurement/*-vv-*.tiff", 0.3, "cannot read"),
    "measurement empty": ("measurement/*-vv-*.tiff", b"", "cannot read"),
    "manifest not XML": ("manifest.safe", 0.5, "is not XML"),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_damage_is_one_line_that_names_the_file(name: str, tmp_path: Path) -> None:
    pattern, change, says = BREAKS[name]
    path = make_safe(tmp_path)
    victim = next(path.glob(pattern))
    if change is None:
        victim.unlink()
    elif isinstance(change, float):
        victim.write_bytes(victim.read_bytes()[: int(victim.stat().st_size * change)])
    else:
        victim.write_bytes(change)
    with pytest.raises(ProductError) as caught:
        open_product(path).power(grid_at(*ROME[:2], 1500.0, GSD_M))
    message = str(caught.value)
    assert says in message
    assert victim.name in message
    assert "\n" not in message


def test_missing_noise_may_be_kept(tmp_path: Path) -> None:
    path = make_safe(tmp_path)
    for noise in path.glob("annotation/calibration/noise-*"):
        noise.unlink()
    with pytest.raises(ProductError, match="keep thermal noise"):
        open_product(path)
    product = open_product(path, ReadOptions(remove_noise=False))
    assert np.isfinite(product.power(grid_at(*ROME[:2], 400.0, GSD_M))).all()


def test_shape_must_be_what_the_annotation_says(tmp_path: Path) -> None:
    path = make_safe(tmp_path)
    other = make_safe(tmp_path / "other", Safe(product="SLC", mode="SM"))
    victim = next(path.glob("measurement/*-vv-*"))
    victim.write_bytes(next(other.glob("measurement/*-vv-*")).read_bytes())
    with pytest.raises(ProductError, match=r"pixels, its annotation says"):
        open_product(path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("SENTINEL-1<", "SENTINEL-2<", "is not of Sentinel-1"),
        (">GRD<", ">OCN<", "is of a IW OCN product"),
        (">IW<", ">WV<", "is of a WV GRD product"),
        ("sentinel-1.0", "sentinel-3.0", "no SAR product this package knows"),
    ],
)
def test_other_products_are_refused(old: str, new: str, says: str, tmp_path: Path) -> None:
    path = make_safe(tmp_path)
    manifest = path / "manifest.safe"
    manifest.write_text(manifest.read_text().replace(old, new))
    with pytest.raises(ProductError, match=says):
        open_product(path)


def test_elevation_model_elsewhere(tmp_path: Path) -> None:
    path = make_safe(tmp_path)
    dem = make_dem(tmp_path / "far.tif", grid_at(20.0, 50.0, 2000.0, 10.0), 100.0)
    with pytest.raises(GeometryError, match=r"far\.tif does not cover the product"):
        open_product(path, ReadOptions(dem=dem, dem_geoid_m=0.0))


def test_recognition_is_by_manifest(tmp_path: Path) -> None:
    path = make_safe(tmp_path)
    assert recognise(path) == "sentinel1-safe"
    (tmp_path / "empty.SAFE").mkdir()
    assert recognise(tmp_path / "empty.SAFE") is None
    assert not Sentinel1Safe.recognises(path / "manifest.safe")


def test_ground_elsewhere_has_no_data(tmp_path: Path) -> None:
    path = make_safe(tmp_path)
    track = Track.past(Safe())
    normal = np.cross(track.abeam, track.ahead)
    place = np.array(TO_ECEF.transform(*ROME))
    mirrored = TO_ECEF.transform(*(place - 2 * (place @ normal) * normal), direction="INVERSE")
    wide = GeoBox((250, 600), Affine(0.02, 0, 2.0, 0, -0.02, 43.0), "EPSG:4326")
    dem = make_dem(tmp_path / "dem.tif", wide, 100.0, step=0.02, margin=0.0)
    assert 2.1 < mirrored[0] < 13.0
    assert 39.0 < mirrored[1] < 42.0
    for options in (ReadOptions(), ReadOptions(dem=dem, dem_geoid_m=0.0)):
        product = open_product(path, options)
        # The mirror image left of the track has the same range and Doppler as the scene.
        for lon, lat in ((13.0, 42.0), mirrored[:2]):
            affine = Affine(0.005, 0, lon - 0.1, 0, -0.005, lat + 0.1)
            assert np.isnan(product.power(GeoBox((40, 40), affine, "EPSG:4326"))).all()
        affine = Affine(0.005, 0, ROME[0] - 0.1, 0, -0.005, ROME[1] + 0.1)
        assert np.isfinite(product.power(GeoBox((40, 40), affine, "EPSG:4326"))).any()
