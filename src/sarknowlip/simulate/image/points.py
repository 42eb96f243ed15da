"""Point scatterers in an image: coherent responses with sidelobes, and which points are hidden."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sarknowlip.simulate import keyed
from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.image.contract import ImageGeometry, Scatterers
from sarknowlip.simulate.image.ground import Cells, Floats32
from sarknowlip.simulate.image.response import REACH, ImpulseResponse
from sarknowlip.simulate.image.speckle import Complex

REACHES = (3, 5, REACH, 16, 32)
"""Half-widths of responses, resolution cells; strong points get the wider ones."""

BESIDE = 1.5
"""Cells toward the radar at which the shadow beside a point is looked up: walls stand on edges."""
TOLERANCE_M = 0.3
"""Points so little below the line of sight are seen: chosen, half a step of a facade's points."""
_CHUNK = 512
"""Points whose responses are in memory at a time."""
_BLOCK_PX = 16
"""Edge of blocks of pixels; separable responses of all points in one are added together."""


def seen(points: Scatterers, cells: Cells, shadow: Floats32) -> npt.NDArray[np.bool_]:
    """Tell which points nothing stands before.

    Points below the ground are mirror images, which are seen where the ground is.

    Args:
        points: Any; those off the patch count as seen.
        cells: Content of a patch.
        shadow: Height below which there is shadow, by cell.
    """
    i, j = cells.patch.local(points.x, points.y)
    row, column = np.rint(i).astype(np.intp), np.rint(j - BESIDE).astype(np.intp)
    on = (row >= 0) & (row < shadow.shape[0]) & (column >= 0) & (column < shadow.shape[1])
    row, column = np.where(on, row, 0), np.where(on, column, 0)
    height = np.maximum(points.z, cells.terrain[row, column])
    return np.asarray(~on | (height >= shadow[row, column] - TOLERANCE_M))


def take(points: Scatterers, which: npt.NDArray[np.bool_]) -> Scatterers:
    """Return some of the points."""
    return Scatterers(**{name: column[..., which] for name, column in vars(points).items()})


def image_positions(
    geometry: ImageGeometry, x: Floats, y: Floats, z: Floats, *, vx: Floats, vy: Floats
) -> tuple[Floats, Floats]:
    """Return exact rows and columns at which points appear, displaced by their motion."""
    rows, columns = (np.array(v, dtype=np.float64) for v in geometry.positions(x, y, z))
    moving = np.flatnonzero((vx != 0) | (vy != 0))
    if len(moving):
        moved = geometry.displacement(x[moving], y[moving], vx[moving], vy[moving])
        rows[moving] += moved[0]
        columns[moving] += moved[1]
    return rows, columns


@dataclass(frozen=True)
class PointImage:
    """Adds coherent points to complex fields.

    Attributes:
        geometry: Of the image.
        response: Of one look.
        polarizations: Order of `Scatterers.rcs`.
        seed: Of the acquisition: phases of looks after the first, of other polarisations.
        floor: σ⁰ to which sidelobes are followed (thermal noise).
    """

    geometry: ImageGeometry
    response: ImpulseResponse
    polarizations: tuple[str, ...]
    seed: int
    floor: float

    def add_to(
        self,
        fields: npt.NDArray[np.complexfloating],
        place: tuple[int, int],
        points: Scatterers,
        density: Floats,
        widest: int = REACHES[-1],
    ) -> None:
        """Add responses whose summed power over pixel area is the points' RCS.

        Args:
            fields: Shape (looks, P, rows, columns), √σ⁰; changed in place.
            place: Row and column of the first pixel.
            points: In any place; those out of reach add nothing.
            density: Pixels per square metre of the reference plane at each point, shape (n,).
            widest: Greatest half-width, resolution cells.
        """
        rows, columns = image_positions(
            self.geometry, points.x, points.y, points.z, vx=points.vx, vy=points.vy
        )
        power = points.rcs * density
        chosen = np.minimum(self.reach(points, density), widest)
        reaches = [reach for reach in REACHES if reach <= widest]
        looks, shape = fields.shape[0], fields.shape[2:]
        for reach in reaches:
            half = self.response.half_widths(reach)
            near = (rows > place[0] - half[0] - 1) & (rows < place[0] + shape[0] + half[0])
            near &= (columns > place[1] - half[1] - 1) & (columns < place[1] + shape[1] + half[1])
            index = np.flatnonzero(near & (chosen == reach))
            blocks = np.rint(np.stack([columns[index], rows[index]])) // _BLOCK_PX
            index = index[np.lexsort(blocks)]
            stamp = self._stamp_blocks if self.response.separable else self._stamp
            for start in range(0, len(index), _CHUNK):
                part = index[start : start + _CHUNK]
                amplitudes = self._amplitudes(points, part, looks) * np.sqrt(power[:, part])
                stamp(
                    fields,
                    place,
                    rows[part],
                    columns[part],
                    amplitudes=amplitudes,
                    reach=reach,
                )

    def reach(self, points: Scatterers, density: Floats) -> npt.NDArray[np.int64]:
        """Return the half-width of each point's response, resolution cells, one of `REACHES`.

        Sidelobes are followed until a tenth of `floor`; those of a sinc have fallen to it n cells
        away if the peak is (πn)² times as high.
        """
        strongest = (points.rcs * density).max(axis=0, initial=0.0)
        wanted = np.sqrt(10.0 * strongest * self.response.peak / self.floor) / np.pi
        number = np.minimum(np.searchsorted(REACHES, wanted), len(REACHES) - 1)
        return np.asarray(np.array(REACHES)[number])

    def _stamp(
        self,
        fields: npt.NDArray[np.complexfloating],
        place: tuple[int, int],
        rows: Floats,
        columns: Floats,
        *,
        amplitudes: Complex,
        reach: int,
    ) -> None:
        centre_row, centre_column = np.rint(rows), np.rint(columns)
        stamps = self.response.around(rows - centre_row, columns - centre_column, reach)
        stamps, amplitudes = stamps.astype(np.float32), amplitudes.astype(fields.dtype)
        half = stamps.shape[1] // 2, stamps.shape[2] // 2
        first_row = centre_row.astype(np.intp) - place[0] - half[0]
        first_column = centre_column.astype(np.intp) - place[1] - half[1]
        for n, (top, left) in enumerate(zip(first_row, first_column, strict=True)):
            a, b = max(-top, 0), min(stamps.shape[1], fields.shape[2] - top)
            c, d = max(-left, 0), min(stamps.shape[2], fields.shape[3] - left)
            if a < b and c < d:
                fields[:, :, top + a : top + b, left + c : left + d] += (
                    amplitudes[:, :, n, None, None] * stamps[n, a:b, c:d]
                )

    def _stamp_blocks(
        self,
        fields: npt.NDArray[np.complexfloating],
        place: tuple[int, int],
        rows: Floats,
        columns: Floats,
        *,
        amplitudes: Complex,
        reach: int,
    ) -> None:
        """Add separable responses: those of a block are one product of two matrices."""
        centre = np.rint(np.stack([rows, columns]))
        factors = self.response.factors(rows - centre[0], columns - centre[1], reach)
        whole = centre.astype(np.intp)
        block = whole // _BLOCK_PX
        by_row, by_column = (
            _shifted(factor.astype(np.float32), shift)
            for factor, shift in zip(factors, whole - block * _BLOCK_PX, strict=True)
        )
        flat = amplitudes.reshape(-1, len(rows)).astype(np.complex64)
        parts = np.concatenate([flat.real, flat.imag])
        half = np.array([factor.shape[1] // 2 for factor in factors])[:, None]
        first = block * _BLOCK_PX - half - np.array(place)[:, None]
        size, shape = (by_row.shape[1], by_column.shape[1]), fields.shape[2:]
        edges = np.flatnonzero(np.diff(block, axis=1, prepend=block[:, :1] - 1).any(axis=0))
        for start, stop in zip(edges, [*edges[1:], len(rows)], strict=True):
            top, left = (int(v) for v in first[:, start])
            a, b = max(-top, 0), min(size[0], shape[0] - top)
            c, d = max(-left, 0), min(size[1], shape[1] - left)
            if a >= b or c >= d:
                continue
            weighted = parts[:, None, start:stop] * by_row[start:stop, a:b].T
            added = weighted.reshape(-1, stop - start) @ by_column[start:stop, c:d]
            real, imaginary = added.reshape(2, *fields.shape[:2], b - a, d - c)
            here = fields[:, :, top + a : top + b, left + c : left + d]
            here.real += real
            here.imag += imaginary

    def _amplitudes(self, points: Scatterers, which: npt.NDArray[np.intp], looks: int) -> Complex:
        """Return unit phasors, shape (looks, P, n).

        Looks see other parts of the spectrum, in which the phases between points differ. HH and VV
        keep the angle of their correlation on average: a random sign makes up for its modulus.
        """
        keys = tuple(
            np.rint(v[which] * 1000.0).astype(np.int64) for v in (points.x, points.y, points.z)
        )
        phase = np.tile(points.phase[which], (looks, len(self.polarizations), 1))
        for look in range(1, looks):
            phase[look] += 2 * np.pi * keyed.uniform(self.seed, f"points/look/{look}", *keys)
        copol = points.copol[which]
        sign = np.where(keyed.uniform(self.seed, "points/copol", *keys) < 0.5, -1.0, 1.0)
        between = np.angle(copol) + sign * np.arccos(np.clip(np.abs(copol), 0.0, 1.0))
        cross = 2 * np.pi * keyed.uniform(self.seed, "points/cross", *keys)
        for k, name in enumerate(self.polarizations):
            if name == "VV":
                phase[:, k] -= between
            elif name != "HH":
                phase[:, k] += cross
        return np.asarray(np.exp(1j * phase))


def _shifted(factors: Floats32, shift: npt.NDArray[np.intp]) -> Floats32:
    """Return rows moved right by 0…`_BLOCK_PX` − 1 places, zero elsewhere."""
    n, width = factors.shape
    wide = np.zeros((n, width + _BLOCK_PX - 1), dtype=np.float32)
    wide[np.arange(n)[:, None], shift[:, None] + np.arange(width)] = factors
    return wide
