"""Images of worlds, tile by tile.

A tile is an independent job: it looks up the ground that can appear in it, adds the ground's and
the structures' powers and the coherent points at their image positions, and turns power into
speckle. Everything random is keyed to ground or pixels and all tiles share one lattice of ground
cells, so tiles fit together without seams, in any size and order.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sarknowlip.core.errors import GeometryError
from sarknowlip.core.files import exclusive, remove_partials, replacing
from sarknowlip.core.pool import run_jobs
from sarknowlip.core.progress import Progress
from sarknowlip.simulate.image.contract import ImageGeometry
from sarknowlip.simulate.image.extent import within
from sarknowlip.simulate.image.raster import Raster
from sarknowlip.simulate.image.scene import RenderConfig, Scene
from sarknowlip.simulate.image.tile import Tile, render_tile
from sarknowlip.simulate.layers import World
from sarknowlip.simulate.scatter.backscatter import Backscatter
from sarknowlip.simulate.sensors.profile import SensorProfile

__all__ = ["Progress", "RenderConfig", "render"]


_SCENE = "scene.pickle"
_LOCK = "lock"


def render(  # noqa: PLR0917
    world: World,
    profile: SensorProfile,
    geometry: ImageGeometry,
    backscatter: Backscatter,
    config: RenderConfig,
    folder: Path,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> Raster:
    """Make an image of a world, or go on with one that was interrupted.

    Pixels are σ⁰ (power per area of the reference plane), float32; for complex products √σ⁰,
    complex64; with `RenderConfig.covariance` elements of the covariance matrix, float32. They are
    the same whatever the workers, the order of tiles and interruptions; with other `tile_px` they
    differ by rounding.

    Args:
        world: The ground; picklable.
        profile: The radar and its product.
        geometry: The image; picklable.
        backscatter: For the image's polarisations, which become its channels.
        config: How it is made.
        folder: Where the raster is kept.
        workers: Processes.
        progress: Called with tiles done, tiles in all, and the last one's place.

    Raises:
        ConfigError: The profile's looks cannot have its ENL, or a complex product has several.
        GeometryError: The image bends too much within ground cells, or is to be cut to the world
            and shows none of it.
        SarKnowlipError: The folder holds another image, or another process writes to it.
        StorageError: The folder cannot be written.
    """
    with exclusive(folder / _LOCK):
        scene = Scene.of(world, profile, geometry, backscatter, config)
        tiles = list(_tiles(geometry.shape, config.tile_px))
        if config.cut and not any(_shown(scene, tile).any() for tile in _from_middle(tiles)):
            raise GeometryError(
                "the image shows nothing of the world", "make the world larger or look elsewhere"
            )
        remove_partials(folder)
        dtype = np.complex64 if scene.complex else np.float32
        raster = Raster.create(folder, scene.channels, geometry.shape, dtype, scene.digest())
        finished = raster.finished()
        todo = [tile for tile in tiles if tile.number not in finished]
        if workers > 1 and len(todo) > 1:
            with replacing(folder / _SCENE) as partial:
                partial.write_bytes(pickle.dumps(scene, protocol=pickle.HIGHEST_PROTOCOL))
            job = functools.partial(_render_stored, folder / _SCENE, raster)
        else:
            job = functools.partial(_render_into, scene, raster)
        done = len(tiles) - len(todo)
        try:
            for tile, _ in run_jobs(job, todo, workers):
                raster.finish([tile.number])
                done += 1
                if progress is not None:
                    progress(done, len(tiles), f"row {tile.row}, column {tile.column}")
        finally:
            (folder / _SCENE).unlink(missing_ok=True)
    return raster


def _tiles(shape: tuple[int, int], size: int) -> Iterator[Tile]:
    number = 0
    for row in range(0, shape[0], size):
        for column in range(0, shape[1], size):
            extent = min(size, shape[0] - row), min(size, shape[1] - column)
            yield Tile(number, row, column, extent)
            number += 1


def _from_middle(tiles: list[Tile]) -> list[Tile]:
    """Return tiles with that in the middle first."""
    middle = len(tiles) // 2
    return tiles[middle:] + tiles[:middle]


def _shown(scene: Scene, tile: Tile) -> npt.NDArray[np.bool_]:
    return within(scene.geometry, scene.world, (tile.row, tile.column), tile.shape)


def _render_into(scene: Scene, raster: Raster, tile: Tile) -> None:
    shown = np.ones(tile.shape, dtype=bool)
    if scene.config.cut:
        shown = _shown(scene, tile)
    if shown.any():
        pixels = render_tile(scene, tile)
        pixels[:, ~shown] = np.nan
        raster.write(tile.row, tile.column, pixels)
    else:
        raster.write(tile.row, tile.column, np.full((len(scene.channels), *tile.shape), np.nan))


def _render_stored(path: Path, raster: Raster, tile: Tile) -> None:
    _render_into(_stored(path), raster, tile)


@functools.lru_cache(maxsize=1)
def _stored(path: Path) -> Scene:
    """Read the scene once per worker process."""
    scene = pickle.loads(path.read_bytes())
    assert isinstance(scene, Scene)
    return scene
