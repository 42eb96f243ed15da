"""Rendered images against geometry and radiometry computed by other means."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from data.world.make import (
    HELSINKI,
    HandWorld,
    building,
    ground,
    layers,
    local_bounds,
    rectangle,
    region,
    target,
)
from sarknowlip.core.errors import ConfigError, GeometryError, SarKnowlipError
from sarknowlip.simulate.image import tile
from sarknowlip.simulate.image.contract import Scatterers
from sarknowlip.simulate.image.ground import cells
from sarknowlip.simulate.image.lattice import Lattice, Patch
from sarknowlip.simulate.image.map_grid import MapGrid
from sarknowlip.simulate.image.orbit import Orbit
from sarknowlip.simulate.image.points import PointImage
from sarknowlip.simulate.image.project import Projection, Window
from sarknowlip.simulate.image.radar_grid import GroundRangeGrid
from sarknowlip.simulate.image.raster import Raster
from sarknowlip.simulate.image.render import RenderConfig, render
from sarknowlip.simulate.image.response import ImpulseResponse
from sarknowlip.simulate.image.slant_grid import SlantRangeGrid
from sarknowlip.simulate.layers import surface_id
from sarknowlip.simulate.scatter.backscatter import Backscatter
from sarknowlip.simulate.scatter.conditions import Conditions
from sarknowlip.simulate.sensors import find_profile
from sarknowlip.simulate.sensors.profile import SensorProfile, View

MEAN = RenderConfig(speckle=False, texture=False)
SILENT = RenderConfig(speckle=False, texture=False, noise=False)


@dataclass(frozen=True)
class Plane:
    """A radar at infinity over a plane: rows along track, columns along ground range."""

    shape: tuple[int, int]
    look_deg: float
    heading_deg: float
    origin: tuple[float, float]
    spacing_m: float
    theta_deg: float = 35.0
    reference_height_m: float = 20.0
    shift: tuple[float, float] = (0.0, 0.0)

    def _axes(self) -> tuple[np.ndarray, np.ndarray]:
        return tuple(
            np.array([np.sin(a), np.cos(a)]) / self.spacing_m
            for a in np.radians([self.heading_deg, self.look_deg])
        )

    def positions(self, x: Any, y: Any, z: Any) -> Any:
        along, across = self._axes()
        dx, dy = np.asarray(x) - self.origin[0], np.asarray(y) - self.origin[1]
        lean = (np.asarray(z) - self.reference_height_m) / np.tan(np.radians(self.theta_deg))
        middle = (self.shape[0] - 1) / 2, (self.shape[1] - 1) / 2
        rows = middle[0] + along[0] * dx + along[1] * dy
        columns = middle[1] + across[0] * dx + across[1] * dy - lean / self.spacing_m
        return rows, columns

    def ground(self, row: Any, column: Any, height_m: float) -> Any:
        lean = (height_m - self.reference_height_m) / np.tan(np.radians(self.theta_deg))
        r = (np.asarray(row) - (self.shape[0] - 1) / 2) * self.spacing_m
        c = (np.asarray(column) - (self.shape[1] - 1) / 2) * self.spacing_m + lean
        along, across = (a * self.spacing_m for a in self._axes())
        return (
            self.origin[0] + r * along[0] + c * across[0],
            self.origin[1] + r * along[1] + c * across[1],
        )

    def incidence_deg(self, x: Any, y: Any) -> Any:
        return np.full(np.shape(x), self.theta_deg)

    def displacement(self, x: Any, y: Any, vx: Any, vy: Any) -> Any:
        return np.full(np.shape(x), self.shift[0]), np.full(np.shape(x), self.shift[1])

    def axes(self, row: float, column: float) -> np.ndarray:
        return np.array([[0.0, 1.0], [1.0, 0.0]]) / self.spacing_m


def sensor(name: str = "sentinel1-iw-grd", **changes: Any) -> SensorProfile:
    return find_profile(name).model_copy(update=changes)


def square(spacing: float, **changes: Any) -> SensorProfile:
    """Return a fine power sensor on a square grid at 1.6 pixels per resolution cell."""
    fine = {
        "resolution_range_m": 1.6 * spacing,
        "resolution_azimuth_m": 1.6 * spacing,
        "spacing_range_m": spacing,
        "spacing_azimuth_m": spacing,
        "looks_range": 1,
        "enl": 1.0,
        "hamming": 0.75,
        "output": "geotiff",
    }
    return sensor(**(fine | changes))


def plane(shape: tuple[int, int], spacing: float, look_deg: float = 80.0, **kw: Any) -> Plane:
    bounds = local_bounds(2000, 2000)
    heading = kw.pop("heading_deg", look_deg - 90.0)
    return Plane(shape, look_deg, heading, bounds.centre, spacing, **kw)


def scattering(
    look_deg: float, pols: tuple[str, ...] = ("VV", "VH"), band: str = "C"
) -> Backscatter:
    return Backscatter(band, 5.405, pols, look_deg, Conditions())


def image(
    folder: Path, world: HandWorld, profile: Any, geometry: Any, config: Any, **kw: Any
) -> Any:
    pols = kw.pop("pols", ("VV", "VH"))
    raster = render(
        world, profile, geometry, scattering(geometry.look_deg, pols), config, folder, **kw
    )
    return np.stack([raster.read(name) for name in raster.channels])


def flat(surface: str = "grass", size: float = 2000.0) -> HandWorld:
    bounds = local_bounds(size, size)
    return HandWorld(layers(ground(bounds.padded(3000), surface)), bounds=bounds)


def town(size: float = 1500.0) -> HandWorld:
    """Return a world with a bit of everything, and hills."""
    bounds = local_bounds(size, size)
    parts: list[Any] = [
        ground(bounds.padded(200), "grass"),
        region(2, rectangle(0, 0, size / 3, size), "sea", "sea", "water"),
        region(3, rectangle(size / 2, size / 2, 300, 500), "forest", "forest", "ground"),
        region(4, rectangle(size / 2, 100, 20, size - 200), "asphalt", "road", "road"),
        building(90, rectangle(size / 5, size / 2, 400, 14), 14.0, "bridge", 11.0, "concrete"),
        target(300, "ship", 200, 700, 120, 20, 25, 70, subclass="cargo"),
        target(301, "ship", 300, 300, 60, 12, 15, 20, 6.0, subclass="cargo"),
    ]
    random = np.random.default_rng(3)
    for n in range(60):
        x, y = random.uniform([size * 0.55, 100], [size - 50, size / 2 - 50])
        box = rectangle(x, y, *random.uniform(8, 25, 2))
        parts.append(building(100 + n, box, random.uniform(4, 30)))

    return HandWorld(layers(*parts), bounds=bounds, relief=hills, limits=(17.0, 80.0))


def hills(x: Any, y: Any) -> Any:
    """Return heights of `town`: level to the west, hilly to the east."""
    west, south = local_bounds(0, 0).west, local_bounds(0, 0).south
    return 18.0 + 0.03 * np.clip(x - west - 500, 0, None) * (1 + np.sin((y - south) / 160.0))


def past(world: HandWorld, profile: SensorProfile, **view: Any) -> Orbit:
    view = {"incidence_deg": profile.incidence_deg[1]} | view
    return Orbit.past(world.frame, (*world.bounds.centre, 20.0), profile, View(**view))


# Without seams, in any order


@pytest.mark.parametrize("kind", ["ground range", "map", "slant"])
def test_tiles_of_any_size_make_the_same_image(tmp_path: Path, kind: str) -> None:
    """Equal but for rounding: of float32, and of transforms of other lengths in float64."""
    world = town(1200.0)
    name = {"ground range": "sentinel1-iw-grd", "map": "gaofen3-fsii", "slant": "umbra-spotlight"}
    profile = sensor(name[kind])
    if kind == "slant":  # at a coarse scale, to be quick
        profile = profile.model_copy(
            update={
                "resolution_range_m": 6.4, "resolution_azimuth_m": 10.0,
                "spacing_range_m": 4.8, "spacing_azimuth_m": 7.6,
            }
        )  # fmt: skip
    orbit = past(world, profile)
    grid: Any = {"ground range": GroundRangeGrid, "map": MapGrid, "slant": SlantRangeGrid}[kind]
    geometry = grid.over(world.frame, world.bounds, 20.0, orbit, profile, margin_m=100.0)
    pols = ("VV", "VH") if kind != "slant" else ("VV",)
    whole, tiled = (
        image(tmp_path / str(px), world, profile, geometry, RenderConfig(tile_px=px), pols=pols)
        for px in (512, 128)
    )
    assert min(geometry.shape) > 128
    scale = np.sqrt(np.mean(np.abs(whole) ** 2))
    assert np.abs(whole - tiled).max() <= 3e-7 * np.abs(whole).max()
    assert np.median(np.abs(whole - tiled)) <= 1e-7 * scale
    assert (np.abs(whole) > 0).all()


def test_workers_and_interruptions_change_nothing(tmp_path: Path) -> None:
    world, profile = town(), sensor()
    geometry = plane((120, 120), 10.0)
    config = RenderConfig(tile_px=64)

    def make(folder: str, **kw: Any) -> Raster:
        back = scattering(geometry.look_deg)
        return render(world, profile, geometry, back, config, tmp_path / folder, **kw)

    def stop(done: int, total: int, name: str) -> None:
        assert total == 4
        if done == 2:
            raise KeyboardInterrupt

    make("whole")
    with pytest.raises(KeyboardInterrupt):
        make("part", progress=stop)
    with (tmp_path / "part" / "tiles.jsonl").open("a") as journal:
        journal.write("1")  # cut off by a kill
    assert Raster.open(tmp_path / "part").finished() == {0, 1}
    calls: list[int] = []
    make("part", progress=lambda done, total, name: calls.append(done))
    assert calls == [3, 4]
    make("two", workers=2)
    pixels = [(tmp_path / name / "raster.npy").read_bytes() for name in ("whole", "part", "two")]
    assert pixels[0] == pixels[1] == pixels[2]
    assert not (tmp_path / "two" / "scene.pickle").exists()


@pytest.mark.parametrize("fallocate", [True, False])
def test_space_is_taken_before_pixels_are_made(
    fallocate: bool, tmp_path: Path, monkeypatch
) -> None:
    """With and without the system call, which macOS lacks."""
    if not fallocate:
        monkeypatch.delattr("os.posix_fallocate", raising=False)
    Raster.create(tmp_path, ("VV", "VH"), (700, 900), np.float32, "recipe")
    file = tmp_path / "raster.npy"
    assert file.stat().st_blocks * 512 >= 2 * 700 * 900 * 4
    assert (np.load(file) == 0).all()
    assert np.load(file).shape == (2, 700, 900)


def test_a_folder_keeps_to_its_recipe(tmp_path: Path) -> None:
    world, profile, geometry = flat(), sensor(), plane((32, 32), 10.0)
    image(tmp_path, world, profile, geometry, RenderConfig())
    with pytest.raises(SarKnowlipError, match="another recipe"):
        image(tmp_path, world, profile, geometry, RenderConfig(seed=1))
    with pytest.raises(SarKnowlipError, match="another recipe"):
        image(tmp_path, flat("forest"), profile, geometry, RenderConfig())


def test_windows_equal_crops(tmp_path: Path) -> None:
    geometry = plane((50, 40), 10.0)
    render(flat(), sensor(), geometry, scattering(80.0), RenderConfig(), tmp_path)
    raster = Raster.open(tmp_path)
    assert raster.shape == (50, 40)
    assert raster.channels == ("VV", "VH")
    crop = raster.read("VH", slice(10, 30), slice(5, 7))
    assert (crop == raster.read(1)[10:30, 5:7]).all()


def test_other_seeds_make_other_speckle(tmp_path: Path) -> None:
    a, b = (
        image(tmp_path / str(s), flat(), sensor(), plane((64, 64), 10.0), RenderConfig(seed=s))[0]
        for s in (1, 2)
    )
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.1


def test_complex_products_have_one_look(tmp_path: Path) -> None:
    profile = sensor("umbra-spotlight", looks_range=2, enl=2.0)
    with pytest.raises(ConfigError, match="looks"):
        image(tmp_path, flat(), profile, plane((32, 32), 1.0), RenderConfig())


# Level and distribution


@pytest.mark.parametrize("surface", ["grass", "sea", "asphalt", "cereal"])
def test_mean_of_flat_ground_is_the_table_plus_noise(tmp_path: Path, surface: str) -> None:
    profile, geometry = sensor(), plane((64, 64), 10.0)
    found = image(tmp_path, flat(surface), profile, geometry, MEAN)
    ids = np.array([surface_id(surface)], np.uint8)
    expected = scattering(80.0).power(ids, np.array([35.0]))[:, 0] + 10 ** (profile.nesz_db / 10)
    error = 10 * np.log10(found / expected[:, None, None])
    assert np.abs(error.mean(axis=(1, 2))).max() < 0.01
    assert np.abs(error).max() < 0.05


def test_mean_of_speckled_ground_is_the_table_plus_noise(tmp_path: Path) -> None:
    profile, geometry = sensor(), plane((512, 512), 10.0)
    config = RenderConfig(texture=False)
    found = image(tmp_path, flat(), profile, geometry, config).mean(axis=(1, 2))
    ids = np.array([surface_id("grass")], np.uint8)
    expected = scattering(80.0).power(ids, np.array([35.0]))[:, 0] + 10 ** (profile.nesz_db / 10)
    assert np.abs(10 * np.log10(found / expected)).max() < 0.05


@pytest.mark.parametrize(
    "name", ["sentinel1-iw-grd", "gaofen3-fsii", "terrasarx-stripmap", "umbra-spotlight"]
)
def test_homogeneous_ground_has_the_stated_looks_and_is_gamma(tmp_path: Path, name: str) -> None:
    profile = sensor(name)
    spacing = profile.spacing_azimuth_m
    profile = profile.model_copy(
        update={"resolution_range_m": profile.resolution_azimuth_m, "spacing_range_m": spacing}
    )
    geometry = plane((600, 600), spacing)
    config = RenderConfig(texture=False, seed=11)
    pixels = image(tmp_path, flat(), profile, geometry, config, pols=("VV",))[0]
    power = np.abs(pixels) ** 2 if profile.output == "sicd" else pixels
    # Unequal looks add up to a law that is 0.006 from the gamma law at most: more samples show it.
    step = int(np.ceil(3 * profile.resolution_azimuth_m / spacing))
    samples = power[::step, ::step].ravel().astype(float)
    many = power.ravel().astype(float)  # correlated, but moments need them all
    assert many.mean() ** 2 / many.var() == pytest.approx(profile.enl, rel=0.05)
    law = stats.gamma(profile.enl, scale=many.mean() / profile.enl)
    assert stats.kstest(samples, law.cdf).pvalue > 0.01


def test_textured_sea_is_k_distributed(tmp_path: Path) -> None:
    profile, geometry = sensor("gaofen3-fsii"), plane((440, 440), 5.0)
    back = scattering(80.0, ("VV",))
    order, sea = 3.0, surface_id("sea")
    back.texture_order[sea], back.texture_length_m[sea] = order, 60.0
    config = RenderConfig(noise=False, seed=2)
    raster = render(flat("sea", 3000.0), profile, geometry, back, config, tmp_path)
    pixels = raster.read(0).astype(float)
    samples = pixels[10::28, 10::28].ravel() / pixels.mean()
    looks = profile.enl

    def cdf(value: float) -> float:
        """Return the share of gamma speckle below a value, averaged over gamma texture."""

        def part(t: float) -> float:
            share = stats.gamma.cdf(looks * value / t, looks)
            return float(share * stats.gamma.pdf(order * t, order) * order)

        mean = integrate.quad(part, 0, 12)
        return float(mean[0])

    grid = np.linspace(1e-3, 12, 60)
    law = np.array([cdf(v) for v in grid])
    assert stats.kstest(samples, lambda v: np.interp(v, grid, law)).pvalue > 0.01
    gamma = stats.gamma(looks, scale=1 / looks)
    assert stats.kstest(samples, gamma.cdf).pvalue < 0.01  # the test can tell


def test_mean_image_is_the_mean_of_speckled_images(tmp_path: Path) -> None:
    world, profile, geometry = town(), sensor(), plane((40, 40), 10.0)
    geometry = replace(geometry, origin=(world.bounds.west + 900, world.bounds.south + 400))
    mean = image(tmp_path / "mean", world, profile, geometry, RenderConfig(speckle=False))
    shots = [
        image(tmp_path / str(s), world, profile, geometry, RenderConfig(seed=s)) for s in range(16)
    ]
    ratio = np.mean(shots, axis=0) / mean
    assert np.abs(ratio.mean(axis=(1, 2)) - 1).max() < 0.05
    assert np.abs(np.log(ratio)).mean() < 0.15


@pytest.mark.parametrize("surface", ["forest", "park_trees", "garden"])
@pytest.mark.parametrize("spacing", [1.0, 2.5, 10.0])
def test_plants_keep_the_level_of_their_table(tmp_path: Path, surface: str, spacing: float) -> None:
    """Crowns, their shadow and their layover move power but don't make or lose it."""
    geometry = plane((120, 120), spacing)
    found = image(tmp_path, flat(surface), square(spacing), geometry, SILENT)
    ids = np.array([surface_id(surface)], np.uint8)
    expected = scattering(80.0).power(ids, np.array([35.0]))[:, 0]
    assert np.abs(10 * np.log10(found.mean(axis=(1, 2)) / expected)).max() < 0.3
    if spacing == 1.0:
        assert found[0].std() > 0.2 * found[0].mean()


def test_nothing_beyond_the_world_but_noise(tmp_path: Path) -> None:
    geometry = replace(plane((32, 32), 10.0), origin=(300_000.0, 6_600_000.0))
    found = image(tmp_path, flat(), sensor(), geometry, MEAN)
    assert found == pytest.approx(10 ** (sensor().nesz_db / 10), rel=1e-6)


def test_covariance_matrices(tmp_path: Path) -> None:
    profile, geometry = sensor("gaofen3-qpsi"), plane((400, 400), 8.0)
    pols = ("HH", "HV", "VH", "VV")
    config = RenderConfig(covariance=True, texture=False, noise=False)
    back = scattering(80.0, pols)
    raster = render(flat(), profile, geometry, back, config, tmp_path)
    assert raster.channels[:7] == (
        "C11", "C12_real", "C12_imag", "C13_real", "C13_imag", "C14_real", "C14_imag",
    )  # fmt: skip
    n = len(pols)
    matrix = np.zeros((400, 400, n, n), complex)
    for i in range(n):
        matrix[..., i, i] = raster.read(f"C{i + 1}{i + 1}")
        for j in range(i + 1, n):
            real, imag = (raster.read(f"C{i + 1}{j + 1}_{part}") for part in ("real", "imag"))
            matrix[..., i, j] = real + 1j * imag
            matrix[..., j, i] = real - 1j * imag
    least = np.linalg.eigvalsh(matrix[::10, ::10]).min()
    assert least > -1e-6
    mean = matrix.mean(axis=(0, 1))
    amplitude = np.sqrt(np.diag(mean).real)
    found = mean / np.outer(amplitude, amplitude)
    ids = np.array([surface_id("grass")], np.uint8)
    assert found[0, 3] == pytest.approx(complex(back.copol_correlation(ids)[0]), abs=0.03)
    assert found[1, 2] == pytest.approx(1.0, abs=1e-3)  # reciprocity
    assert np.abs(found[[0, 0, 1, 2], [1, 2, 3, 3]]).max() < 0.03  # reflection symmetry


# Geometry


@pytest.mark.parametrize("orbit_heading", [350.0, 190.0])
@pytest.mark.parametrize("side", [90.0, -90.0])
def test_towers_lean_toward_the_radar_and_shade_away(
    tmp_path: Path, orbit_heading: float, side: float
) -> None:
    look = (orbit_heading + side) % 360
    bounds = local_bounds(2000, 2000)
    tower = rectangle(985, 985, 30, 30)
    world = HandWorld(layers(ground(bounds, "grass"), building(5, tower, 60.0)), bounds=bounds)
    geometry = plane((301, 301), 1.0, look, heading_deg=orbit_heading)
    found = image(tmp_path, world, square(1.0), geometry, SILENT)[0]
    level = np.median(found)
    middle = found[145:156]
    lean, shade = 60 / np.tan(np.radians(35.0)), 60 * np.tan(np.radians(35.0))
    columns = np.arange(301) - 150
    roof = (columns > -15 - lean + 4) & (columns < -15 - 4)
    dark = (columns > 17) & (columns < 15 + shade - 4)
    beyond = (columns > 15 + shade + 8) & (columns < 140)
    assert (middle[:, roof].mean(axis=0) > 1.2 * level).all()
    assert middle[:, dark].max() < 0.02 * level
    assert middle[:, beyond] == pytest.approx(level, rel=0.1)
    # On the ground: from the tower's centre the bright side is where the radar is.
    rows, at = np.nonzero(found > 1.3 * level)
    x, y = geometry.ground(rows.mean(), at.mean(), 20.0)
    toward = np.array([-np.sin(np.radians(look)), -np.cos(np.radians(look))])
    assert np.dot([x - bounds.centre[0], y - bounds.centre[1]], toward) > 20


def test_roofs_are_level_on_slopes() -> None:
    """A block of 60 m on a slope of 20 %: one top, above the ground at its middle, in any patch."""
    bounds = local_bounds(2000, 2000)
    west = bounds.west
    block = building(5, rectangle(970, 970, 60, 60), 60.0)
    world = HandWorld(
        layers(ground(bounds), block), bounds, relief=lambda x, y: 20 + 0.2 * (x - west)
    )
    lattice = Lattice.over(bounds, 80.0, 1.0)
    for i, j in ((-60.0, -60.0), (0.0, -4.0)):  # around it, and a part of it
        patch = Patch.around(lattice, np.array([i, 60.0]), np.array([j, 60.0]), 8)
        found = cells(world, world.layers(patch.bounds), patch, None)
        inside = found.roof > 0
        top = (found.terrain + found.roof)[inside]
        assert inside.any()
        assert top == pytest.approx(20 + 0.2 * 1000 + 60, abs=1e-3)
        assert np.ptp(found.terrain[inside]) > 5


def test_roofs_do_not_sink_into_hills() -> None:
    bounds = local_bounds(2000, 2000)
    west = bounds.west
    hall = building(5, rectangle(950, 950, 100, 100), 5.0)
    world = HandWorld(
        layers(ground(bounds), hall), bounds, relief=lambda x, y: 20 + 0.2 * (x - west)
    )
    patch = Patch.around(
        Lattice.over(bounds, 80.0, 1.0), np.array([-80.0, 80.0]), np.array([-80.0, 80.0]), 8
    )
    found = cells(world, world.layers(patch.bounds), patch, None)
    assert (found.roof > 0).sum() == pytest.approx(100 * 100, rel=0.01)


def test_bridges_shade_a_strip_and_let_water_be_seen_under_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = local_bounds(2000, 2000)
    none = Scatterers.at(*np.zeros((3, 0)), np.zeros((2, 0)))
    monkeypatch.setattr(tile, "structure_scatterers", lambda *_, **__: (none, none))
    bridge = building(5, rectangle(980, 800, 40, 400), 32.0, "bridge", 28.0, "concrete")
    world = HandWorld(layers(ground(bounds, "grass"), bridge), bounds=bounds)
    found = image(tmp_path, world, square(1.0), plane((101, 201), 1.0, 90.0), SILENT)[0]
    level, row = np.median(found), found[50]
    columns = np.arange(201) - 100
    tan = np.tan(np.radians(35.0))
    shade = (columns > -20 + 32 * tan + 2) & (columns < 20 + 28 * tan - 2)
    under = (columns > -16) & (columns < -20 + 28 * tan - 4)
    assert shade.any()
    assert under.any()
    assert row[shade].max() < 0.05 * level
    assert row[under] == pytest.approx(level, rel=0.1)


def test_slopes_toward_the_radar_are_bright_and_short(tmp_path: Path) -> None:
    """Power per range of a ridge's slopes against σ⁰(θ') and the stretch, cell by cell."""
    bounds, tilt = local_bounds(2000, 2000), 0.25
    middle = bounds.centre[0]
    world = HandWorld(
        layers(ground(bounds, "grass")), bounds=bounds,
        relief=lambda x, y: 20.0 + tilt * np.clip(200 - np.abs(x - middle), 0, None),
    )  # fmt: skip
    found = image(tmp_path, world, square(2.0), plane((60, 400), 2.0, 90.0), SILENT)
    back = scattering(90.0)
    ids = np.array([surface_id("grass")] * 2, np.uint8)
    slope = np.degrees(np.arctan(tilt))
    local = 35.0 + np.array([-slope, slope])
    stretch = 1.0 / np.cos(np.radians(slope))
    pressed = 1.0 - np.array([tilt, -tilt]) / np.tan(np.radians(35.0))
    expected = back.power(ids, local) * stretch / pressed
    lean = tilt * 140 / np.tan(np.radians(35.0))  # 60 m from the top the ridge is 35 m high
    column = np.rint(199.5 + (np.array([-60, 60]) - lean) / 2)
    at = column.astype(int)
    for k in range(2):
        window = found[:, 20:40, at[k] - 5 : at[k] + 5].mean(axis=(1, 2))
        assert np.abs(10 * np.log10(window / expected[:, k])).max() < 0.1


def test_ships_under_way_appear_displaced(tmp_path: Path) -> None:
    bounds = local_bounds(2000, 2000)
    resting, moving = (
        HandWorld(
            layers(
                ground(bounds.padded(1000), "sea"),
                target(3, "ship", 1000, 1000, 150, 25, 30, 30, speed, subclass="cargo"),
            ),
            bounds=bounds,
        )
        for speed in (0.0, 8.0)
    )
    geometry = plane((180, 180), 10.0, shift=(62.0, 0.0))
    shots = [
        image(tmp_path / str(n), world, sensor(), geometry, replace_tile(SILENT, 64))
        for n, world in enumerate((resting, moving))
    ]
    assert shots[1][:, 70:] == pytest.approx(shots[0][:, 8:-62], rel=1e-3, abs=1e-3)


def replace_tile(config: RenderConfig, pixels: int) -> RenderConfig:
    return config.model_copy(update={"tile_px": pixels})


def test_facades_in_shadow_send_nothing_back(tmp_path: Path) -> None:
    """A low house right behind a tall block adds nothing."""
    bounds = local_bounds(2000, 2000)
    block = building(5, rectangle(960, 940, 20, 120), 40.0)
    house = building(6, rectangle(985, 985, 10, 30), 5.0)
    shots = []
    for n, bodies in enumerate(([block], [block, house])):
        world = HandWorld(layers(ground(bounds, "grass"), *bodies), bounds=bounds)
        shots.append(
            image(tmp_path / str(n), world, square(1.0), plane((64, 200), 1.0, 90.0), SILENT)
        )
    assert shots[1] == pytest.approx(shots[0], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("speed", [0.0, 5.0])
@pytest.mark.parametrize("hill", [False, True])
def test_trucks_are_hidden_behind_blocks_and_hills(
    tmp_path: Path, *, speed: float, hill: bool
) -> None:
    """Moving ones, too, where they are and not where they appear, whatever the tiles."""
    bounds = local_bounds(2000, 2000)
    west = bounds.west

    def relief(x: Any, y: Any) -> Any:
        return 20.0 + 55.0 * np.exp(-(((x - west - 965) / 8) ** 2)) if hill else 20.0 + 0.0 * x

    block = [] if hill else [building(5, rectangle(960, 940, 20, 120), 40.0)]
    profile, geometry = square(1.0), plane((160, 300), 1.0, 90.0, shift=(40.0, 0.0))

    def make(name: str, *content: Any, px: int = 512) -> Any:
        world = HandWorld(layers(ground(bounds, "grass"), *content), bounds=bounds, relief=relief)
        return image(tmp_path / name, world, profile, geometry, replace_tile(SILENT, px))

    def truck(x: float) -> Any:
        return target(9, "vehicle", x, 1000, 16, 2.5, 4, 0, speed, subclass="truck")

    empty = make("empty", *block)
    behind, before, beyond = (make(str(x), *block, truck(x)) - empty for x in (990, 875, 1060))
    free = np.abs(before).sum()
    assert free > 10
    assert np.abs(behind).sum() < 0.05 * free
    assert np.abs(beyond).sum() == pytest.approx(free, rel=0.3)
    for x in (990, 875):
        whole, tiled = (make(f"{x}/{px}", *block, truck(x), px=px) for px in (512, 128))
        assert np.abs(whole - tiled).max() <= 3e-7 * np.abs(whole).max()


# Parts


@given(
    points=st.lists(
        st.tuples(st.floats(3, 16), st.floats(3, 16), st.floats(0.1, 10)), min_size=1, max_size=20
    )
)
def test_splatting_keeps_power_and_centre(points: list[tuple[float, float, float]]) -> None:
    rows, columns, weights = np.array(points).T
    window = Window(100, -50, np.zeros((1, 20, 20)))
    window.splat(rows + 100, columns - 50, weights[None])
    total = window.values[0]
    assert total.sum() == pytest.approx(weights.sum())
    i, j = np.mgrid[:20, :20]
    assert (total * i).sum() == pytest.approx((weights * rows).sum())
    assert (total * j).sum() == pytest.approx((weights * columns).sum())


@given(st.tuples(st.integers(-30, 0), st.integers(-30, 0)))
def test_splats_into_parts_fit_together(place: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    rows, columns = random.uniform(-35, 35, (2, 300))
    weights = random.uniform(0, 1, (2, 300))
    whole = Window(-40, -40, np.zeros((2, 80, 80)))
    part = Window(*place, np.zeros((2, 25, 30)))
    for window in (whole, part):
        window.splat(rows, columns, weights)
    i, j = place[0] + 40, place[1] + 40
    assert part.values == pytest.approx(whole.values[:, i : i + 25, j : j + 30], abs=1e-12)


@pytest.mark.parametrize("alpha", [0.75, 1.0])
def test_points_have_the_sensors_resolution_sidelobes_and_power(alpha: float) -> None:
    """On a grid of 16 samples per resolution cell, with 300 m² in σ⁰ units."""
    geometry = plane((1025, 1025), 0.125)
    psf = ImpulseResponse(alpha, (2.0, 2.0), geometry.axes(0, 0))
    fields = np.zeros((1, 1, 1025, 1025), complex)
    x, y = (np.array([v]) for v in geometry.ground(512.0, 512.0, 20.0))
    points = Scatterers.at(x, y, np.array([20.0]), np.array([[300.0]]))
    density = np.array([1 / 0.125**2])
    PointImage(geometry, psf, ("VV",), 1, 1e-9).add_to(fields, (0, 0), points, density)
    power = np.abs(fields[0, 0]) ** 2
    assert power.sum() * 0.125**2 == pytest.approx(300.0, rel=0.03)
    for cut in (power[512], power[:, 512]):
        assert cut.argmax() == 512
        profile = cut / cut.max()
        right = 512 + np.argmax(profile[512:] < 0.5)
        edge = right - (0.5 - profile[right]) / (profile[right - 1] - profile[right])
        assert 2 * (edge - 512) * 0.125 == pytest.approx(2.0, abs=0.01)
        null = 512 + np.argmax(np.diff(profile[512:]) > 0)
        if alpha == 1.0:
            assert 10 * np.log10(profile[null:].max()) == pytest.approx(-13.26, abs=0.1)
        assert profile[512 + 16 * 9 : 512 + 16 * 11].max() > 1e-8  # followed 10 cells and more


def test_points_added_by_blocks_equal_those_added_one_by_one(monkeypatch) -> None:
    geometry = plane((90, 120), 1.0)
    psf = ImpulseResponse(0.75, (1.5, 2.0), geometry.axes(0, 0))
    random = np.random.default_rng(3)
    x, y = geometry.ground(random.uniform(-40, 130, 900), random.uniform(-40, 160, 900), 20.0)
    points = Scatterers.at(x, y, np.full(900, 20.0), 10 ** random.uniform(-1, 5, (2, 900)))
    found = []
    for separable in (True, False):
        assert psf.separable
        monkeypatch.setattr(ImpulseResponse, "separable", separable)
        fields = np.zeros((2, 2, 90, 120), np.complex64)
        draw = PointImage(geometry, psf, ("VV", "VH"), 1, 1e-2)
        draw.add_to(fields, (0, 0), points, np.ones(900))
        found.append(fields)
        monkeypatch.undo()
    assert np.abs(found[0] - found[1]).max() < 1e-5 * np.abs(found[1]).max()


def test_points_do_not_depend_on_the_window() -> None:
    geometry = plane((300, 300), 1.0)
    psf = ImpulseResponse(0.75, (1.5, 2.0), geometry.axes(0, 0))
    random = np.random.default_rng(2)
    x, y = geometry.ground(random.uniform(0, 300, 80), random.uniform(0, 300, 80), 20.0)
    rcs = 10 ** random.uniform(-1, 5, (2, 80))
    points = Scatterers.at(x, y, np.full(80, 20.0), rcs)
    draw = PointImage(geometry, psf, ("VV", "VH"), 1, 1e-2)
    whole, part = np.zeros((3, 2, 300, 300), complex), np.zeros((3, 2, 90, 70), complex)
    for fields, place in ((whole, (0, 0)), (part, (120, 40))):
        draw.add_to(fields, place, points, np.ones(80))
    assert part == pytest.approx(whole[:, :, 120:210, 40:110], abs=1e-9)


def test_projection_is_exact_to_a_fiftieth_of_a_pixel() -> None:
    world, profile = flat(size=8000.0), sensor()
    geometry = GroundRangeGrid.over(HELSINKI, world.bounds, 20.0, past(world, profile), profile)
    lattice = Lattice.over(world.bounds, geometry.look_deg, 2.5)
    projection = Projection.of(geometry, lattice, 0.0, 400.0)
    random = np.random.default_rng(4)
    x, y = (random.uniform(c - 300, c + 300, 500) for c in world.bounds.centre)
    z = random.uniform(0, 400, 500)
    nodes = projection.nodes(Patch.around(lattice, *lattice.ij(x, y), projection.step))
    rows, columns, density = nodes.at(x, y, z)
    exact = geometry.positions(x, y, z)
    assert np.abs(rows - exact[0]).max() < 0.02
    assert np.abs(columns - exact[1]).max() < 0.02
    assert density == pytest.approx(0.01, rel=0.01)


def test_bent_geometries_are_refused() -> None:
    @dataclass(frozen=True)
    class Bent(Plane):
        def positions(self, x: Any, y: Any, z: Any) -> Any:
            rows, columns = super().positions(x, y, z)
            return rows + 50 * np.sin(np.asarray(x) / 3), columns

    bounds = local_bounds(2000, 2000)
    bent = Bent((50, 50), 80.0, -10.0, bounds.centre, 10.0)
    with pytest.raises(GeometryError, match="bend"):
        Projection.of(bent, Lattice.over(bounds, 80.0, 2.5), 0.0, 50.0)
