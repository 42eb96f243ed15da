"""One tile of an image: from a world's layers to pixels."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from sarknowlip.simulate.frame import Bounds, Floats
from sarknowlip.simulate.image.contract import Scatterers
from sarknowlip.simulate.image.facets import Facets
from sarknowlip.simulate.image.ground import (
    TERRAIN_STEP,
    Cells,
    Texture,
    cells,
    tallest_m,
    tops,
)
from sarknowlip.simulate.image.lattice import Patch, between
from sarknowlip.simulate.image.points import REACHES, PointImage, seen, take
from sarknowlip.simulate.image.project import NodeFields, Window
from sarknowlip.simulate.image.response import REACH
from sarknowlip.simulate.image.scene import Scene
from sarknowlip.simulate.image.sight import in_sight
from sarknowlip.simulate.image.speckle import Blur, Complex, Pair, noise
from sarknowlip.simulate.layers import Buildings, Layers, Targets
from sarknowlip.simulate.scatter.points import joined, no_points
from sarknowlip.simulate.scatter.structures import structure_scatterers
from sarknowlip.simulate.scatter.targets import target_scatterers

_EDGE_POINTS = 5
_MARGIN_CELLS = 8
"""Ground cells beyond what a tile needs: slopes and canopy edges look at neighbours."""
_INCIDENCE_BIN_DEG = 0.5
"""Structures and targets are computed for the middles of such bins, so that tiles agree."""


@dataclass(frozen=True)
class Tile:
    """A rectangle of an image.

    Attributes:
        number: In the image, row by row.
        row: First row.
        column: First column.
        shape: Rows and columns.
    """

    number: int
    row: int
    column: int
    shape: tuple[int, int]


def render_tile(scene: Scene, tile: Tile) -> npt.NDArray[np.complex64] | npt.NDArray[np.float32]:
    """Return the pixels of a tile, shape (channels, rows, columns)."""
    blur = _blur(scene, tile.shape)
    height, width = (n + 2 * h for n, h in zip(tile.shape, blur.half, strict=True))
    copol = _places(scene.polarizations, "HH", "VV")
    fields = len(scene.polarizations) + (2 if copol else 0)
    window = Window(
        tile.row - blur.half[0], tile.column - blur.half[1], np.zeros((fields, height, width))
    )
    patch, layers = _ground(scene, window)
    content = cells(scene.world, layers, patch, _texture(scene))
    nodes = scene.projection.nodes(patch)
    shadow = Facets(content, nodes, scene.backscatter, copol).add_to(window)
    diffuse, corners = _structures(scene, layers.buildings, content)
    _add_diffuse(window, take(diffuse, seen(diffuse, content, shadow)), nodes, copol)
    looks = len(scene.weights)
    coherent = np.zeros((looks, len(scene.polarizations), *tile.shape), dtype=np.complex64)
    image = PointImage(
        scene.geometry,
        scene.response,
        scene.polarizations,
        scene.config.seed,
        10 ** (scene.profile.nesz_db / 10),
    )
    place = tile.row, tile.column
    density = functools.partial(_density, scene)
    corners = take(corners, seen(corners, content, shadow))
    image.add_to(coherent, place, corners, density(corners), widest=REACH)
    resting = _scatterers(scene, layers.targets.take(layers.targets.speed == 0))
    # Strong points matter beyond the patch; so that tiles agree, their own rays tell for them.
    far = image.reach(resting, density(resting)) > REACH
    resting, strong = take(resting, ~far & seen(resting, content, shadow)), take(resting, far)
    moving = _scatterers(scene, _passing(scene, tile))
    for points in (resting, *(take(some, in_sight(scene, some)) for some in (strong, moving))):
        image.add_to(coherent, place, points, density(points))
    return _pixels(scene, tile, window, coherent, blur)


def _ground(scene: Scene, window: Window) -> tuple[Patch, Layers]:
    """Return the ground that can appear in a window or shade it, and what lies on and near it."""
    low, high = scene.world.height_range(scene.world.bounds)
    patch = _patch(scene, window, low, high + scene.survey.tallest_m)
    low, high = scene.world.height_range(patch.bounds)
    patch = _patch(scene, window, low, high + scene.survey.tallest_m)
    layers = scene.world.layers(patch.bounds.padded(scene.reach_m))
    near = shapely.intersects(_box(patch.bounds), layers.buildings.geometry)
    layers = Layers(layers.regions, layers.buildings.take(near), layers.targets)
    highest = tops(scene.world, layers.buildings).max(initial=high + tallest_m(layers))
    patch = _patch(scene, window, low, float(highest))
    near = shapely.intersects(_box(patch.bounds), layers.buildings.geometry)
    return patch, Layers(layers.regions, layers.buildings.take(near), layers.targets)


def _patch(scene: Scene, window: Window, low: float, high: float) -> Patch:
    """Return the ground of a window whose content lies between two heights."""
    height, width = window.values.shape[1:]
    along = np.linspace(0.0, 1.0, _EDGE_POINTS)
    rows, columns = np.meshgrid(
        window.row + along * (height - 1), window.column + along * (width - 1), indexing="ij"
    )
    places = [scene.geometry.ground(rows.ravel(), columns.ravel(), z) for z in (low, high)]
    x, y = (np.concatenate([np.asarray(place[k]) for place in places]) for k in range(2))
    i, j = scene.lattice.ij(x, y)
    steepest = np.radians(np.asarray(scene.geometry.incidence_deg(x, y)).max())
    shade = (high - low) * np.tan(steepest) / scene.lattice.range_m
    margin = _MARGIN_CELLS
    i = np.array([i.min() - margin, i.max() + margin])
    j = np.array([j.min() - margin - shade, j.max() + margin])
    return Patch.around(scene.lattice, i, j, scene.projection.step)


def _box(bounds: Bounds) -> shapely.Polygon:
    return shapely.box(bounds.west, bounds.south, bounds.east, bounds.north)


def _texture(scene: Scene) -> Texture | None:
    if not scene.config.texture:
        return None
    backscatter = scene.backscatter
    return Texture(backscatter.texture_order, backscatter.texture_length_m, scene.config.seed)


def _structures(
    scene: Scene, buildings: Buildings, content: Cells
) -> tuple[Scatterers, Scatterers]:
    x, y = shapely.get_coordinates(shapely.centroid(buildings.geometry)).reshape(-1, 2).T
    patch = content.patch
    height = content.terrain[::TERRAIN_STEP, ::TERRAIN_STEP].astype(np.float64)

    def ground(x: Floats, y: Floats) -> Floats:
        i, j = patch.local(np.asarray(x), np.asarray(y))
        return between(height, i / TERRAIN_STEP, j / TERRAIN_STEP)

    parts = [
        structure_scatterers(
            buildings.take(which),
            ground,
            scene.backscatter,
            scene.geometry.look_deg,
            incidence,
            spacing_m=scene.wall_spacing_m,
            seed=scene.world.seed,
        )
        for which, incidence in _by_incidence(scene, x, y)
    ]
    count = len(scene.polarizations)
    return _joined([part[0] for part in parts], count), _joined([part[1] for part in parts], count)


def _scatterers(scene: Scene, targets: Targets) -> Scatterers:
    def height(x: Floats, y: Floats) -> Floats:
        return np.asarray(scene.world.height(x, y))

    parts = [
        target_scatterers(
            targets.take(which),
            height,
            scene.backscatter,
            scene.geometry.look_deg,
            incidence,
            seed=scene.world.seed,
        )
        for which, incidence in _by_incidence(scene, targets.x, targets.y)
    ]
    return _joined(parts, len(scene.polarizations))


def _passing(scene: Scene, tile: Tile) -> Targets:
    """Return the targets under way that can appear in a tile."""
    movers = scene.movers
    half = scene.response.half_widths(REACHES[-1])
    pixels = np.abs(scene.response.axes).sum(axis=1)
    extent = (movers.targets.length + movers.targets.width + movers.targets.height)[
        :, None
    ] * pixels
    margin = extent + np.array(half)
    inside = (movers.row > tile.row - margin[:, 0]) & (movers.column > tile.column - margin[:, 1])
    inside &= movers.row < tile.row + tile.shape[0] + margin[:, 0]
    inside &= movers.column < tile.column + tile.shape[1] + margin[:, 1]
    return movers.targets.take(inside)


def _by_incidence(
    scene: Scene, x: Floats, y: Floats
) -> Iterator[tuple[npt.NDArray[np.bool_], float]]:
    """Yield the members of each bin of incidence and the bin's middle, degrees."""
    incidence = np.asarray(scene.geometry.incidence_deg(x, y), dtype=np.float64)
    number = np.floor(incidence / _INCIDENCE_BIN_DEG)
    for bin_number in np.unique(number):
        yield number == bin_number, float((bin_number + 0.5) * _INCIDENCE_BIN_DEG)


def _density(scene: Scene, points: Scatterers) -> Floats:
    """Return pixels per square metre of the reference plane at points, shape (n,)."""
    z = np.full(len(points), scene.geometry.reference_height_m)
    step = scene.lattice.posting_m
    east = [scene.geometry.positions(points.x + s * step, points.y, z) for s in (-1, 1)]
    north = [scene.geometry.positions(points.x, points.y + s * step, z) for s in (-1, 1)]
    (a, b), (c, d) = (
        [(np.asarray(high[k]) - np.asarray(low[k])) / (2 * step) for k in range(2)]
        for low, high in (east, north)
    )
    return np.abs(a * d - b * c)


def _add_diffuse(
    window: Window, points: Scatterers, nodes: NodeFields, copol: tuple[int, int] | None
) -> None:
    if not len(points):
        return
    rows, columns, density = nodes.at(points.x, points.y, points.z)
    weights = points.rcs * density
    if copol is not None:
        cross = np.sqrt(weights[copol[0]] * weights[copol[1]]) * points.copol
        weights = np.concatenate([weights, cross.real[None], cross.imag[None]])
    window.splat(rows, columns, weights)


def _pixels(
    scene: Scene, tile: Tile, window: Window, coherent: npt.NDArray[np.complex64], blur: Blur
) -> npt.NDArray[np.complex64] | npt.NDArray[np.float32]:
    count = len(scene.polarizations)
    signal = window.values[:count]
    power = signal + scene.nesz
    pairs = _pairs(scene.polarizations, signal, power, window.values[count:])
    if not scene.config.speckle:
        return _mean(scene, power, pairs, coherent, blur)
    amplitude = np.sqrt(power)
    covariance = np.zeros((count, count, *tile.shape), dtype=np.complex128)
    place, shape = (window.row, window.column), power.shape[1:]
    image = coherent[0]
    for look, weight in enumerate(scene.weights):
        fields = noise(
            scene.config.seed,
            look,
            place,
            (shape[0], shape[1]),
            polarizations=scene.polarizations,
            pairs=pairs,
        )
        image = coherent[look]
        for k, field in enumerate(fields):
            image[k] += blur(amplitude[k] * field)
        for i, j in _elements(scene):
            covariance[i, j] += weight * image[i] * np.conj(image[j])
    if scene.complex:
        return np.asarray(image, dtype=np.complex64)
    return _channels(scene, covariance)


def _mean(
    scene: Scene,
    power: Floats,
    pairs: tuple[Pair, ...],
    coherent: npt.NDArray[np.complex64],
    blur: Blur,
) -> npt.NDArray[np.complex64] | npt.NDArray[np.float32]:
    """Return the mean over speckle: power through the squared response, plus coherent points."""
    soft = Blur(blur.kernel**2, blur.shape)
    count = len(power)
    covariance = np.zeros((count, count, *blur.shape), dtype=np.complex128)
    for i, j in _elements(scene):
        if i == j:
            covariance[i, i] = np.maximum(soft(power[i]).real, 0.0)
        for pair in pairs:
            if (pair.first, pair.second) == (i, j):
                covariance[i, j] = soft(pair.correlation * np.sqrt(power[i] * power[j]))
        for weight, image in zip(scene.weights, coherent, strict=True):
            covariance[i, j] += weight * image[i] * np.conj(image[j])
    if scene.complex:
        return np.asarray(np.sqrt(_diagonal(covariance)), dtype=np.complex64)
    return _channels(scene, covariance)


def _elements(scene: Scene) -> Iterator[tuple[int, int]]:
    """Yield places of the elements of the covariance matrix that the image needs."""
    count = len(scene.polarizations)
    for i in range(count):
        for j in range(i, count if scene.config.covariance else i + 1):
            yield i, j


def _channels(scene: Scene, covariance: Complex) -> npt.NDArray[np.float32]:
    if not scene.config.covariance:
        return np.asarray(_diagonal(covariance), dtype=np.float32)
    planes = []
    for i, j in _elements(scene):
        planes.append(covariance[i, j].real)
        if i != j:
            planes.append(covariance[i, j].imag)
    return np.asarray(np.stack(planes), dtype=np.float32)


def _diagonal(covariance: Complex) -> Floats:
    return np.stack([covariance[i, i].real for i in range(len(covariance))])


def _pairs(
    polarizations: tuple[str, ...], signal: Floats, power: Floats, cross: Floats
) -> tuple[Pair, ...]:
    """Return correlated polarisations: HH with VV by surface, HV with VH wholly (reciprocity)."""
    pairs = []
    copol = _places(polarizations, "HH", "VV")
    if copol is not None:
        root = np.sqrt(power[copol[0]] * power[copol[1]])
        pairs.append(Pair(*copol, _ratio(cross[0] + 1j * cross[1], root)))
    both = _places(polarizations, "HV", "VH")
    if both is not None:
        root = np.sqrt(power[both[0]] * power[both[1]])
        pairs.append(Pair(*both, _ratio(np.sqrt(signal[both[0]] * signal[both[1]]), root)))
    return tuple(pairs)


def _ratio(value: npt.NDArray[Any], root: Floats) -> npt.NDArray[Any]:
    return np.asarray(np.divide(value, root, out=np.zeros_like(value), where=root > 0))


def _places(polarizations: tuple[str, ...], first: str, second: str) -> tuple[int, int] | None:
    if first in polarizations and second in polarizations:
        return polarizations.index(first), polarizations.index(second)
    return None


def _joined(parts: list[Scatterers], polarizations: int) -> Scatterers:
    return joined([no_points(polarizations), *parts])


@functools.lru_cache(maxsize=8)
def _cached_blur(kernel: bytes, kernel_shape: tuple[int, int], shape: tuple[int, int]) -> Blur:
    return Blur(np.frombuffer(kernel).reshape(kernel_shape), shape)


def _blur(scene: Scene, shape: tuple[int, int]) -> Blur:
    kernel = scene.response.kernel()
    return _cached_blur(kernel.tobytes(), (kernel.shape[0], kernel.shape[1]), shape)
