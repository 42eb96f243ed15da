"""Backscatter of ground cells: local incidence, shadow, foreshortening and layover.

A cell of true area A whose normal makes the angle θ' with the line of sight has the radar
cross-section σ⁰(θ') A and appears where its centre does; cells that meet in one pixel add up, which
is layover. Plants are relief within a surface whose σ⁰ is that of the whole canopy: each cell gets
the share of σ⁰ that its area, as seen by the radar, has of the seen area of level ground. As seen
areas of a height field without its shadows add up to that of its base, the mean stays σ⁰.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sarknowlip.simulate.frame import Floats
from sarknowlip.simulate.image.ground import Cells, Floats32
from sarknowlip.simulate.image.lattice import Lattice, spread
from sarknowlip.simulate.image.project import NodeFields, Window


class Reflectivity(Protocol):
    """σ⁰ of surfaces, as `scatter.Backscatter` has it."""

    @property
    def polarizations(self) -> tuple[str, ...]:
        """Order of the first axis of results."""

    def power(
        self, surface: npt.NDArray[np.uint8], incidence_deg: npt.NDArray[Any]
    ) -> npt.NDArray[np.floating]:
        """Return linear σ⁰ per true area, shape (P, …)."""

    def copol_correlation(self, surface: npt.NDArray[np.uint8]) -> npt.NDArray[np.complex128]:
        """Return correlations of HH and VV, same shape."""


@dataclass(frozen=True)
class Facets:
    """Adds the ground of a patch to a window of pixels.

    Attributes:
        cells: What is there.
        nodes: Geometry of the same patch.
        reflectivity: Of surfaces.
        copol: Places of HH and VV among the polarisations if their correlation is wanted; it
            goes to two more fields, real and imaginary part, behind those of power.
    """

    cells: Cells
    nodes: NodeFields
    reflectivity: Reflectivity
    copol: tuple[int, int] | None = None

    def add_to(self, window: Window) -> Floats32:
        """Add all visible cells, as σ⁰ on the reference plane.

        Returns:
            Ellipsoidal height below which there is shadow, by cell, metres.
        """
        step = self.nodes.projection.step
        shadow = np.empty(self.cells.patch.shape, dtype=np.float32)
        for start in range(0, shadow.shape[0], step):
            shadow[start : start + step] = self._add_strip(window, start)
        return shadow

    def _add_strip(self, window: Window, start: int) -> Floats:
        step = self.nodes.projection.step
        rows = slice(start, start + step)
        part = slice(start // step, start // step + 2)
        cos, sin = (spread(v[part], step) for v in (self.nodes.cos, self.nodes.sin))
        terrain = self.cells.terrain[rows].astype(np.float64)
        top = terrain + self.cells.roof[rows]
        if self.cells.canopy is not None:
            top += self.cells.canopy[rows]
        fall = np.cumsum(cos / sin, axis=1)
        fall *= self.cells.patch.lattice.range_m
        line = top + fall
        ray = np.maximum.accumulate(line, axis=1)
        visible = line >= ray
        light = cos.astype(np.float32), sin.astype(np.float32)
        if self.cells.deck is not None:
            self._shade_by_decks(rows, visible, light[1] / light[0])
        surface = self.cells.surface[rows]
        power = self._power(rows, surface, light)
        if self.cells.depth is not None:
            top -= self.cells.depth[rows]
        self._splat(window, part, visible & (surface > 0), top, power=power, surface=surface)
        if self.cells.deck is not None and self.cells.deck_surface is not None:
            deck, surface = self.cells.deck[rows], self.cells.deck_surface[rows]
            high = terrain + deck
            incidence = np.degrees(np.arccos(light[0]))
            power = self.reflectivity.power(surface, incidence)
            seen = (deck > 0) & (high + fall >= ray)
            self._splat(window, part, seen, high, power=power, surface=surface)
        return np.asarray(ray - fall)

    def _power(
        self, rows: slice, surface: npt.NDArray[np.uint8], light: tuple[Floats32, Floats32]
    ) -> npt.NDArray[Any]:
        """Return the radar cross-section per level square metre, shape (P, rows, columns)."""
        lattice = self.cells.patch.lattice
        cos, sin = light
        ground = (self.cells.roof[rows] == 0).astype(np.float32)
        ahead, aside = _slopes(self.cells.terrain, rows, lattice)
        ahead *= ground
        aside *= ground
        stretch = np.sqrt(1 + ahead * ahead + aside * aside)
        facing = cos + ahead * sin
        incidence = np.degrees(np.arccos(np.clip(facing / stretch, -1, 1)))
        power = self.reflectivity.power(surface, incidence) * stretch
        if self.cells.canopy is not None:
            crown, _ = _slopes(self.cells.canopy, rows, lattice)
            crown *= ground
            power *= np.maximum(1 + crown * sin / np.maximum(facing, np.float32(1e-3)), 0)
        if self.cells.texture is not None:
            power *= self.cells.texture[rows]
        return np.asarray(power)

    def _splat(
        self,
        window: Window,
        part: slice,
        seen: npt.NDArray[np.bool_],
        height: Floats,
        *,
        power: npt.NDArray[np.floating],
        surface: npt.NDArray[np.uint8],
    ) -> None:
        if not seen.any():
            return
        step = self.nodes.projection.step
        up = height - self.nodes.projection.heights[1]
        level, rise, bend = self.nodes.positions[:, :, part]
        places = spread(level, step)
        slant = spread(bend.astype(np.float32), step) * up.astype(np.float32)
        slant += spread(rise.astype(np.float32), step)
        places += slant * up
        area = self.cells.patch.lattice.area_m2
        density = spread((self.nodes.density[part] * area).astype(np.float32), step)
        everything = bool(seen.all())
        weights = power * density
        if not everything:
            places, weights, surface = places[:, seen], weights[:, seen], surface[seen]
        rows, columns = places.reshape(2, -1)
        weights, surface = weights.reshape(len(weights), -1), surface.reshape(-1)
        if self.copol is not None:
            hh, vv = self.copol
            cross = np.sqrt(weights[hh] * weights[vv])
            cross = cross * self.reflectivity.copol_correlation(surface)
            weights = np.concatenate([weights, cross.real[None], cross.imag[None]])
        window.splat(rows, columns, weights)

    def _shade_by_decks(self, rows: slice, visible: npt.NDArray[np.bool_], tan: Floats32) -> None:
        """Darken what lies behind decks, between the rays past their lower and upper edges."""
        assert self.cells.deck is not None
        assert self.cells.clearance is not None
        deck, under = self.cells.deck[rows], self.cells.clearance[rows]
        i, j = np.nonzero(deck > 0)
        posting = self.cells.patch.lattice.range_m
        first = np.ceil(under[i, j] * tan[i, j] / posting).astype(np.intp)
        last = np.floor(deck[i, j] * tan[i, j] / posting).astype(np.intp)
        for shift in range(int(first.min(initial=0)), int(last.max(initial=-1)) + 1):
            hit = (first <= shift) & (shift <= last) & (j + shift < visible.shape[1])
            visible[i[hit], j[hit] + shift] = False


def _slopes(height: Floats32, rows: slice, lattice: Lattice) -> tuple[Floats32, Floats32]:
    """Return rises per metre along range and azimuth for rows, from central differences."""
    index = np.clip(np.arange(rows.start - 1, rows.stop + 1), 0, len(height) - 1)
    around = height[index]
    aside = (around[2:] - around[:-2]) / np.float32(2 * lattice.azimuth_m)
    inner = around[1:-1]
    ahead = np.empty_like(inner)
    ahead[:, 1:-1] = (inner[:, 2:] - inner[:, :-2]) / np.float32(2 * lattice.range_m)
    ahead[:, 0], ahead[:, -1] = ahead[:, 1], ahead[:, -2]
    return ahead, aside
