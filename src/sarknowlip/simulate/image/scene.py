"""Everything the tiles of one image have in common, made once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import shapely
from pydantic import Field

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.hashing import digest
from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.image.contract import ImageGeometry
from sarknowlip.simulate.image.ground import tallest_m
from sarknowlip.simulate.image.lattice import Lattice
from sarknowlip.simulate.image.points import REACHES, image_positions
from sarknowlip.simulate.image.project import Projection
from sarknowlip.simulate.image.response import ImpulseResponse
from sarknowlip.simulate.image.speckle import look_weights
from sarknowlip.simulate.layers import Table, Targets, World
from sarknowlip.simulate.scatter.backscatter import Backscatter
from sarknowlip.simulate.sensors.profile import SensorProfile

COARSEST_M = 2.5
"""Greatest posting of ground cells, metres: a third of a small house. Chosen."""


class RenderConfig(Config):
    """How an image is made.

    Attributes:
        seed: Of the acquisition: speckle and waves; another date has another one.
        tile_px: Edge of a tile, pixels; memory grows with its square, results don't depend on it.
        oversampling: Divides the extents of ground cells, which are otherwise about half of the
            resolution, whole fractions of the pixel spacing, and at most `COARSEST_M`.
        noise: Whether thermal noise is added.
        speckle: Whether there is speckle; without it the image is the mean of all its speckled
            versions (its square root where the product is complex).
        texture: Whether surfaces have their gamma texture.
        covariance: Whether the channels are the elements of the multilooked covariance matrix.
        cut: Whether pixels that show ground beyond the world are NaN; else they hold what reaches
            them, noise at least.
    """

    seed: int = 0
    tile_px: int = Field(default=512, ge=16, le=8192)
    oversampling: float = Field(default=1.0, gt=0.1, le=8.0)
    noise: bool = True
    speckle: bool = True
    texture: bool = True
    covariance: bool = False
    cut: bool = False


@dataclass(frozen=True)
class Movers:
    """Targets under way, which appear far from where they are.

    Attributes:
        targets: One row each.
        row: Row at which its centre appears.
        column: Column.
    """

    targets: Targets
    row: Floats
    column: Floats


@dataclass(frozen=True)
class Survey:
    """What one pass over a whole world finds.

    Attributes:
        tallest_m: Height above the terrain that nothing exceeds.
        movers: All targets with a speed.
        digest: Of all content, in the order of the world's cells.
    """

    tallest_m: float
    movers: Targets
    digest: str


def survey(world: World) -> Survey:
    """Look through a world piece by piece."""
    tallest, movers, content = 0.0, [Targets.empty()], hashlib.blake2b(digest_size=16)
    for cell in world.cells():
        tallest = max(tallest, tallest_m(cell))
        moving = cell.targets.speed != 0
        if moving.any():
            movers.append(cell.targets.take(moving))
        for table in (cell.regions, cell.buildings, cell.targets):
            _add_content(content, table)
    everyone = Targets.concat(movers)
    everyone = everyone.take(np.argsort(everyone.uid, kind="stable"))
    return Survey(tallest, everyone, content.hexdigest())


@dataclass(frozen=True)
class Scene:
    """One image to be made.

    Attributes:
        world: The ground.
        profile: The radar and its product.
        geometry: The image.
        backscatter: Of surfaces, structures and targets, in this image's polarisations.
        config: How it is made.
        survey: Of the world.
        lattice: Ground cells.
        projection: Ground to image.
        response: Of one look.
        weights: Of looks.
        movers: Targets under way.
    """

    world: World
    profile: SensorProfile
    geometry: ImageGeometry
    backscatter: Backscatter
    config: RenderConfig
    survey: Survey
    lattice: Lattice
    projection: Projection
    response: ImpulseResponse
    weights: tuple[float, ...]
    movers: Movers

    @classmethod
    def of(
        cls,
        world: World,
        profile: SensorProfile,
        geometry: ImageGeometry,
        backscatter: Backscatter,
        config: RenderConfig,
    ) -> Scene:
        """Survey the world and settle lattice, projection and response.

        Raises:
            ConfigError: The profile's looks cannot have its ENL, or a complex product has several.
            GeometryError: The image's geometry bends too much within ground cells.
        """
        looks = profile.looks_range * profile.looks_azimuth
        if profile.output == "sicd" and looks != 1 and not config.covariance:
            raise ConfigError(f"{profile.name} has {looks} looks", "a complex image has one look")
        found = survey(world)
        centre = (geometry.shape[0] - 1) / 2, (geometry.shape[1] - 1) / 2
        axes = np.asarray(geometry.axes(*centre), dtype=np.float64)
        resolution = profile.resolution_range_m, profile.resolution_azimuth_m
        response = ImpulseResponse(profile.hamming, resolution, axes)
        postings = _postings(profile, geometry, config.oversampling)
        lattice = Lattice.over(world.bounds, geometry.look_deg, *postings)
        low, high = world.height_range(world.bounds)
        projection = Projection.of(geometry, lattice, low, high + found.tallest_m)
        moving = found.movers
        angle = np.radians(moving.heading)
        row, column = image_positions(
            geometry,
            moving.x,
            moving.y,
            np.asarray(world.height(moving.x, moving.y), dtype=np.float64),
            vx=moving.speed * np.sin(angle),
            vy=moving.speed * np.cos(angle),
        )
        weights = look_weights(looks, profile.enl)
        return cls(
            world, profile, geometry, backscatter, config, found, lattice, projection, response,
            weights, Movers(moving, row, column),
        )  # fmt: skip

    @property
    def polarizations(self) -> tuple[str, ...]:
        """Of the image, in order."""
        return tuple(self.backscatter.polarizations)

    @property
    def complex(self) -> bool:
        """Whether pixels are complex amplitudes."""
        return self.profile.output == "sicd" and not self.config.covariance

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels: polarisations, or elements of the covariance matrix by rows."""
        if not self.config.covariance:
            return self.polarizations
        names: list[str] = []
        for i in range(1, len(self.polarizations) + 1):
            names.append(f"C{i}{i}")
            for j in range(i + 1, len(self.polarizations) + 1):
                names += [f"C{i}{j}_real", f"C{i}{j}_imag"]
        return tuple(names)

    @property
    def nesz(self) -> float:
        """Thermal noise that is added, σ⁰."""
        return float(10 ** (self.profile.nesz_db / 10)) if self.config.noise else 0.0

    @property
    def reach_m(self) -> float:
        """Ground distance that the widest responses of points take."""
        return REACHES[-1] * max(_ground_lengths(self.profile, self.geometry)[:2])

    @property
    def wall_spacing_m(self) -> float:
        """Greatest distance of diffuse points on walls: three quarters of the resolution."""
        return 0.75 * min(_ground_lengths(self.profile, self.geometry)[:2])

    def digest(self) -> str:
        """Return a digest of everything that pixels depend on, but for code."""
        rows, columns = (np.linspace(0.0, n - 1.0, 4) for n in self.geometry.shape)
        rows, columns = np.repeat(rows, 4), np.tile(columns, 4)
        z = self.geometry.reference_height_m
        x, y = (np.asarray(v, dtype=np.float64) for v in self.geometry.ground(rows, columns, z))
        numbers = np.arange(256, dtype=np.uint8)
        power = self.backscatter.power(numbers, np.full(256, 35.0))
        return digest(
            {
                "config": self.config.model_dump(mode="json"),
                "profile": self.profile.model_dump(mode="json"),
                "polarizations": list(self.polarizations),
                "shape": list(self.geometry.shape),
                "look_deg": self.geometry.look_deg,
                "ground": np.round(np.stack([x, y]), 6).tolist(),
                "power": [f"{value:.6g}" for value in np.asarray(power).ravel()],
                "world": self.survey.digest,
                "seed": self.world.seed,
                "heights": np.round(np.asarray(self.world.height(x, y)), 6).tolist(),
            }
        )


def _ground_lengths(
    profile: SensorProfile, geometry: ImageGeometry
) -> tuple[float, float, float, float]:
    """Return resolution in range and azimuth and spacing likewise, on the ground, metres."""
    stretch = 1.0
    if profile.output == "sicd":
        row, column = (np.array([(n - 1) / 2]) for n in geometry.shape)
        x, y = geometry.ground(row, column, geometry.reference_height_m)
        stretch = 1.0 / float(np.sin(np.radians(geometry.incidence_deg(x, y)))[0])
    return (
        profile.resolution_range_m * stretch,
        profile.resolution_azimuth_m,
        profile.spacing_range_m * stretch,
        profile.spacing_azimuth_m,
    )


def _postings(
    profile: SensorProfile, geometry: ImageGeometry, oversampling: float
) -> tuple[float, float]:
    """Return extents of ground cells in azimuth and range, whole fractions of the spacings.

    Bilinear shares of cells add up to the same for every pixel only if they are; 0.3 cells too few
    are tolerated before a pixel gets one more. Cells are square but in slant range images, where
    one axis may be resolved much better than the other. There a pixel has at least two cells in
    range, as on slopes they are no whole fraction.
    """
    range_m, azimuth_m, sample_m, line_m = _ground_lengths(profile, geometry)
    if profile.output == "sicd":
        across = _share(sample_m, min(range_m / 2, sample_m / 2, COARSEST_M) / oversampling)
        return _share(line_m, min(azimuth_m / 2, line_m, COARSEST_M) / oversampling), across
    wanted = min(range_m / 2, azimuth_m / 2, sample_m, line_m, COARSEST_M) / oversampling
    return _share(line_m, wanted), _share(line_m, wanted)


def _share(length_m: float, wanted_m: float) -> float:
    return length_m / max(1, int(np.ceil(length_m / wanted_m - 0.3)))


def _add_content(content: hashlib.blake2b, table: Table) -> None:
    """Add all columns of a table to a digest."""
    for name, kind in table.DTYPES.items():
        values = getattr(table, name)
        if name == "geometry":
            parts = [len(values).to_bytes(8, "little"), *shapely.to_wkb(values)]
        elif kind is object:
            parts = [str(value).encode() + b"\0" for value in values]
        else:
            parts = [values.tobytes()]
        content.update(b"".join(parts))
