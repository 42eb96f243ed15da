"""One acquisition of a world: rendered, then written in the file format of its sensor."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.progress import Progress
from sarknowlip.sar.product import Polarization
from sarknowlip.simulate import keyed
from sarknowlip.simulate.formats.geotiff import write_geotiff
from sarknowlip.simulate.formats.safe import write_safe
from sarknowlip.simulate.formats.sicd import write_sicd
from sarknowlip.simulate.image.map_grid import MapGrid
from sarknowlip.simulate.image.orbit import Orbit
from sarknowlip.simulate.image.radar_grid import GroundRangeGrid
from sarknowlip.simulate.image.raster import Raster
from sarknowlip.simulate.image.render import RenderConfig, render
from sarknowlip.simulate.image.slant_grid import SlantRangeGrid
from sarknowlip.simulate.layers import World
from sarknowlip.simulate.scatter.backscatter import Backscatter
from sarknowlip.simulate.scatter.conditions import Conditions
from sarknowlip.simulate.sensors import find_profile
from sarknowlip.simulate.sensors.profile import SensorProfile, View

Grid = GroundRangeGrid | SlantRangeGrid | MapGrid

YEARS = 1978, 2100
"""Years of acquisition: from the first civil radar in space to where orbits are still told."""
HEIGHT_SAMPLES = 33
"""Points along an edge of the world at which its mean height is taken."""


class AcquireConfig(Config):
    """How a sensor looks at a world.

    Attributes:
        sensor: Name in `sensors.PROFILES`.
        orbit_state: Direction of flight.
        look: Side to which the radar looks; None takes the sensor's usual one.
        incidence_deg: At the world's centre, degrees; None takes the sensor's usual one.
        start: Zero-Doppler time of the world's centre, UTC, RFC 3339.
        polarizations: None takes the sensor's usual ones.
        covariance: Elements of the covariance matrix beside the powers; GeoTIFF sensors only.
        conditions: Wind and soil.
        tile_px: Edge of the pieces in which the image is made; changes no pixel.
    """

    sensor: str = "sentinel1-iw-grd"
    orbit_state: Literal["ascending", "descending"] = "ascending"
    look: Literal["left", "right"] | None = None
    incidence_deg: float | None = Field(default=None, gt=0.0, lt=90.0)
    start: str = "2024-06-01T06:00:00Z"
    polarizations: tuple[Polarization, ...] | None = None
    covariance: bool = False
    conditions: Conditions = Conditions()
    tile_px: int = Field(default=512, ge=16, le=8192)

    def profile(self) -> SensorProfile:
        """Return the sensor with the polarisations asked for.

        Raises:
            ConfigError: No such sensor, polarisations or product.
        """
        profile = find_profile(self.sensor)
        wanted = self.polarizations or profile.polarizations
        if wanted not in profile.polarizations_offered:
            offered = ", ".join("+".join(pols) for pols in profile.polarizations_offered)
            raise ConfigError(
                f"{profile.name} has no product of {'+'.join(wanted)}", f"choose of: {offered}"
            )
        if self.covariance and profile.output != "geotiff":
            raise ConfigError(
                f"{profile.name} has no covariance product", "choose a sensor of GeoTIFF output"
            )
        return profile.model_copy(update={"polarizations": wanted})

    def view(self) -> View:
        """Return the view, completed from the sensor's profile.

        Raises:
            ConfigError: No such sensor, or the time can't be read.
        """
        profile = find_profile(self.sensor)
        return View(
            orbit_state=self.orbit_state,
            look=self.look or profile.look_sides[0],
            incidence_deg=self.incidence_deg or profile.incidence_deg[1],
            start=_utc(self.start),
        )


@dataclass(frozen=True)
class Acquisition:
    """A world seen by a sensor: everything that decides the pixels.

    Attributes:
        world: What is seen.
        config: How.
        profile: By which sensor.
        orbit: From where.
        grid: Where ground appears.
        backscatter: How it scatters.
    """

    world: World
    config: AcquireConfig
    profile: SensorProfile
    orbit: Orbit
    grid: Grid
    backscatter: Backscatter

    @classmethod
    def of(cls, world: World, config: AcquireConfig) -> Acquisition:
        """Put the sensor on its orbit past a world.

        Raises:
            ConfigError: The sensor does not exist or offers no such product.
            GeometryError: It cannot look so at this place.
        """
        profile, view = config.profile(), config.view()
        low, mean, high = _heights(world)
        orbit = Orbit.past(world.frame, (*world.bounds.centre, mean), profile, view)
        where = (world.frame, world.bounds, mean, orbit, profile)
        grid: Grid
        if profile.output == "safe":
            grid = GroundRangeGrid.over(*where)
        elif profile.output == "sicd":
            grid = SlantRangeGrid.over(*where, heights=(low, high))
        else:
            # High ground leans toward the radar, beyond the world's own outline.
            lean = max(high - mean, mean - low) / math.tan(math.radians(view.incidence_deg))
            grid = MapGrid.over(*where, heights=(low, high), margin_m=math.ceil(lean))
        backscatter = Backscatter(
            profile.band,
            profile.frequency_ghz,
            profile.polarizations,
            grid.look_deg,
            config.conditions,
        )
        return cls(world, config, profile, orbit, grid, backscatter)

    @property
    def seed(self) -> int:
        """Seed of the speckle: differs between sensors, views and times."""
        key = keyed.stream_id(self.config.digest())
        return int(keyed.bits(self.world.seed, "acquisition", key) >> np.uint64(1))

    def render(self, folder: Path, *, workers: int, progress: Progress | None = None) -> Raster:
        """Render into a folder, or go on with what is there; see `image.render.render`."""
        recipe = RenderConfig(
            seed=self.seed,
            tile_px=self.config.tile_px,
            covariance=self.config.covariance,
            cut=True,
        )
        return render(
            self.world,
            self.profile,
            self.grid,
            self.backscatter,
            recipe,
            folder,
            workers=workers,
            progress=progress,
        )

    def write(self, raster: Raster, folder: Path, name: str) -> Path:
        """Write the product into a folder and return its path.

        Raises:
            StorageError: The folder cannot be written; nothing is left that looks whole.
        """
        pixels = raster.pixels()
        facts: dict[str, Any] = {"profile": self.profile, "world_name": name}
        if isinstance(self.grid, GroundRangeGrid):
            return write_safe(pixels, folder, geometry=self.grid, world=self.world, **facts)
        if isinstance(self.grid, SlantRangeGrid):
            return write_sicd(pixels, folder / f"{name}.nitf", geometry=self.grid, **facts)
        facts["channels"] = raster.channels
        return write_geotiff(pixels, folder / f"{name}.tif", geometry=self.grid, **facts)


def acquire(
    world: World,
    config: AcquireConfig,
    folder: Path,
    name: str,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Return the product of one acquisition, made in a folder.

    Rendered tiles lie in a hidden folder beside it until the product is whole: the same call goes
    on after an interruption.

    Raises:
        ConfigError: The sensor does not exist or offers no such product.
        GeometryError: It cannot look so at this place.
        StorageError: The folder cannot be written.
    """
    work = folder / f".{name}"
    acquisition = Acquisition.of(world, config)
    raster = acquisition.render(work, workers=workers, progress=progress)
    path = acquisition.write(raster, folder, name)
    shutil.rmtree(work)
    return path


def _heights(world: World) -> tuple[float, float, float]:
    """Return least, mean and greatest terrain height of a world, metres."""
    area = world.bounds
    x, y = np.meshgrid(
        np.linspace(area.west, area.east, HEIGHT_SAMPLES),
        np.linspace(area.south, area.north, HEIGHT_SAMPLES),
    )
    low, high = world.height_range(area)
    return low, float(np.mean(world.height(x, y))), high


def _utc(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no time", "write 2024-06-01T06:00:00Z") from error
    if not YEARS[0] <= moment.year <= YEARS[1]:
        raise ConfigError(f"{text!r} is out of time", f"choose a year of {YEARS[0]} to {YEARS[1]}")
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return f"{moment.isoformat()}Z"
