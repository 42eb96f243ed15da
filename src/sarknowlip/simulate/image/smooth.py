"""Polynomials that stand for a smooth function of three variables within a box.

Range and time of points a few kilometres apart, seen from hundreds of kilometres, hardly curve: a
polynomial of low total degree equals the exact solution to a tolerance that is measured at places
that the fit has not seen, and costs a tenth.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from sarknowlip.core.errors import GeometryError
from sarknowlip.simulate.frame import Floats

Function = Callable[[Floats, Floats, Floats], tuple[Floats, ...]]

DEGREES = range(2, 10)
"""Total degrees that are tried, in this order."""

_BLOCK = 1 << 13
"""Points evaluated together, so that their powers stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class SmoothMap:
    """A function of three variables with several results.

    Attributes:
        exact: The function it stands for; it answers for points outside the box.
        middle: Centre of the box, shape (3,).
        half: Half the extents of the box, shape (3,).
        recipe: For every term but the constant one, the earlier term and the variable whose product
            it is.
        weights: Coefficients, shape (results, terms).
    """

    exact: Function
    middle: Floats
    half: Floats
    recipe: tuple[tuple[int, int], ...]
    weights: Floats

    @classmethod
    def fit(
        cls, exact: Function, low: npt.ArrayLike, high: npt.ArrayLike, tolerance: float
    ) -> Self:
        """Return the polynomials of the least degree that keep to a tolerance.

        Args:
            exact: Takes and returns arrays of shape (n,).
            low: Least values of the variables, shape (3,).
            high: Greatest values.
            tolerance: Greatest error of any result at the places of control.

        Raises:
            GeometryError: No degree in `DEGREES` is enough: the box is too large.
        """
        middle = (np.asarray(low, dtype=np.float64) + np.asarray(high)) / 2
        half = np.maximum((np.asarray(high, dtype=np.float64) - np.asarray(low)) / 2, 1e-6)
        nodes = _product(_nodes(12), _nodes(7))
        control = _product(np.linspace(-1.0, 1.0, 6), np.array([-1.0, -0.3, 0.4, 1.0]))
        wanted, checked = (
            np.stack(exact(*(middle[:, None] + half[:, None] * at))) for at in (nodes, control)
        )
        for degree in DEGREES:
            recipe = _recipe(degree)
            weights = np.asarray(
                np.linalg.lstsq(_terms(recipe, nodes).T, wanted.T)[0].T, np.float64
            )
            error = np.abs(weights @ _terms(recipe, control) - checked).max()
            if error <= tolerance:
                return cls(exact, middle, half, recipe, weights)
        raise GeometryError(
            f"an image of {2 * half[0]:.0f} by {2 * half[1]:.0f} is too large for one geometry",
            "simulate a smaller world",
        )

    def __call__(self, *places: npt.ArrayLike) -> tuple[Floats, ...]:
        """Return the results at places given by three arrays, which are broadcast together."""
        u, v, w = np.broadcast_arrays(*(np.asarray(place, dtype=np.float64) for place in places))
        flat = u.ravel(), v.ravel(), w.ravel()
        results = np.empty((len(self.weights), u.size))
        for first in range(0, u.size, _BLOCK):
            part = slice(first, first + _BLOCK)
            results[:, part] = self._block(np.stack([axis[part] for axis in flat]))
        return tuple(result.reshape(u.shape) for result in results)

    def _block(self, places: Floats) -> Floats:
        scaled = (places - self.middle[:, None]) / self.half[:, None]
        result = np.asarray(self.weights @ _terms(self.recipe, scaled))
        outside = (np.abs(scaled) > 1.0 + 1e-9).any(axis=0)
        if outside.any():
            result[:, outside] = np.stack(self.exact(*places[:, outside]))
        return result


def _nodes(count: int) -> Floats:
    return np.asarray(np.cos(np.pi * (np.arange(count) + 0.5) / count))


def _product(level: Floats, upright: Floats) -> Floats:
    """Return all combinations, shape (3, n), of values of the two level axes and the third."""
    return np.stack([axis.ravel() for axis in np.meshgrid(level, level, upright, indexing="ij")])


def _recipe(degree: int) -> tuple[tuple[int, int], ...]:
    """Return how to multiply up all monomials of three variables up to a total degree."""
    powers = sorted(
        (p for p in itertools.product(range(degree + 1), repeat=3) if sum(p) <= degree), key=sum
    )
    place = {p: i for i, p in enumerate(powers)}
    steps = []
    for p in powers[1:]:
        variable = next(i for i in range(3) if p[i])
        lower = tuple(n - (i == variable) for i, n in enumerate(p))
        steps.append((place[lower], variable))
    return tuple(steps)


def _terms(recipe: tuple[tuple[int, int], ...], scaled: Floats) -> Floats:
    """Return the monomials at places, shape (terms, n)."""
    terms = np.empty((len(recipe) + 1, scaled.shape[1]))
    terms[0] = 1.0
    for i, (lower, variable) in enumerate(recipe, start=1):
        np.multiply(terms[lower], scaled[variable], out=terms[i])
    return terms
