"""Scores of signals on one scale, whatever the level of a text and the model that scored it.

What a cosine or a likelihood is like depends on the length of a text, on what it is about and on
the model. So each column is centred and scaled within texts of the same fold, level and dimension;
where these are too few, of the same level, else of all. Evidence is the same for all and is scaled
over all. An unknown score becomes 0, the value of an average text, and is marked.

Shapes: N texts, C columns of scores, F features, G groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.train.rounds.signals.signal import Scores

ENOUGH = 40
"""Known scores from which on a group has a scale of its own."""
LIMIT = 5.0
"""Scaled scores are clipped to ±5."""
TAIL = 0.01
"""Share of scores at each end that is drawn in before mean and spread are taken."""
SAME_FOR_ALL = ("evidence",)
"""Signals that no model computes."""
GROUPS = ("fold", "level", "dimension")
"""Columns that group texts, the widest group first; one that a table lacks is passed over."""


class Scale(Config):
    """How a column is scaled in a group: (x − centre) / spread."""

    centre: float
    spread: float = Field(gt=0.0)


class Features(Config):
    """From a table of scores to features.

    Attributes:
        columns: Scores that are used, `signal.column`.
        scales: Of each column by group; the group "" is that of all texts.
        marked: Columns whose absence is a feature; of columns absent together one.
        levels: Levels that are features.
    """

    columns: tuple[str, ...]
    scales: dict[str, dict[str, Scale]]
    marked: tuple[str, ...]
    levels: tuple[str, ...]

    @classmethod
    def of(cls, table: pa.Table, use: Sequence[str] | None = None) -> Features:
        """Return the features of a population of texts.

        Args:
            table: What `TextScorer.score` returns, of all texts; no labels are needed.
            use: Names of signals; None for all of the table.

        Raises:
            ConfigError: A signal that the table lacks, or none whose scores differ.
        """
        columns = _columns(table, use)
        scores = {name: table[name].to_numpy().astype(np.float64) for name in columns}
        kept = [name for name in columns if np.unique(_known(scores[name])).size > 1]
        if not kept:
            raise ConfigError(
                f"no score of {', '.join(use or ['any signal'])} differs between texts",
                "score more texts, or use other signals",
            )
        scales: dict[str, dict[str, Scale]] = {}
        for group, rows in _groups(table):
            for name in kept:
                of_all = name.partition(".")[0] in SAME_FOR_ALL
                known = _known(scores[name][rows])
                if group and (of_all or known.size < ENOUGH or np.unique(known).size < 2):
                    continue
                scales.setdefault(group, {})[name] = _scale(known)
        absent = {name: np.isnan(scores[name]) for name in kept}
        marks = {mark.tobytes(): name for name, mark in reversed(absent.items()) if mark.any()}
        levels = tuple(sorted(set(table["level"].to_pylist())))
        return cls(
            columns=tuple(kept),
            scales=scales,
            marked=tuple(name for name in kept if name in marks.values()),
            levels=levels if len(levels) > 1 else (),
        )

    @classmethod
    def of_models(cls, table: pa.Table, use: Sequence[str] | None = None) -> Features:
        """Return the features that models computed, as `of`.

        None if no such signal is used, or none tells any two texts apart.
        """
        told = {
            name.partition(".")[0]: None
            for name in _columns(table, use)
            if np.unique(_known(table[name].to_numpy().astype(np.float64))).size > 1
        }
        models = [name for name in told if name not in SAME_FOR_ALL]
        return cls.of(table, models) if models else cls(columns=(), scales={}, marked=(), levels=())

    def scaled(self, table: pa.Table) -> Scores:
        """Return scaled scores (N, C), NaN where unknown.

        Raises:
            ConfigError: The table lacks a column.
        """
        absent = [name for name in self.columns if name not in table.column_names]
        if absent:
            raise ConfigError(
                f"the scores have no column {absent[0]}",
                "score texts with the signals that the fusion was fitted with",
            )
        found = np.full((table.num_rows, len(self.columns)), np.nan)
        for group, rows in _groups(table):  # narrower groups come later and stand
            for column, name in enumerate(self.columns):
                scale = self.scales.get(group, {}).get(name)
                if scale is not None:
                    values = table[name].to_numpy()[rows].astype(np.float64)
                    found[rows, column] = (values - scale.centre) / scale.spread
        return np.clip(found, -LIMIT, LIMIT)

    def matrix(self, table: pa.Table, *, crossed: bool = False) -> Scores:
        """Return features (N, F): scaled scores, marks of absence, levels.

        Args:
            table: Scores.
            crossed: Whether products of scores and levels follow, so that a score may count more
                at one level than at another.
        """
        scaled = self.scaled(table)
        absent = np.isnan(scaled)
        marks = absent[:, [self.columns.index(name) for name in self.marked]].astype(np.float64)
        filled = np.where(absent, 0.0, scaled)
        level = np.array(table["level"].to_pylist(), dtype=np.str_)
        levels = np.stack([level == name for name in self.levels], axis=1) if self.levels else None
        parts = [filled, marks]
        if levels is not None:
            parts.append(levels.astype(np.float64))
            if crossed:
                parts += [filled * levels[:, [n]] for n in range(levels.shape[1])]
        return np.concatenate(parts, axis=1)


def _columns(table: pa.Table, use: Sequence[str] | None) -> list[str]:
    columns = [name for name in table.column_names if "." in name]
    if use is None:
        return columns
    known = {name.partition(".")[0] for name in columns}
    absent = [name for name in use if name not in known]
    if absent:
        raise ConfigError(
            f"there are no scores of the signal {absent[0]!r}",
            f"choose among {', '.join(sorted(known))}",
        )
    return [name for name in columns if name.partition(".")[0] in use]


def _groups(table: pa.Table) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    """Yield groups and the rows of their texts, each after all wider ones."""
    names = [name for name in GROUPS if name in table.column_names]
    keys = np.full(table.num_rows, "", dtype=object)
    yield "", np.arange(table.num_rows)
    for name in names:
        values = np.array([f"{value}" for value in table[name].to_pylist()], dtype=object)
        keys = keys + "/" + values if len(keys) else keys
        for key in sorted(set(keys)):
            yield str(key), np.flatnonzero(keys == key)


def _known(values: Scores) -> Scores:
    return values[np.isfinite(values)]


def _scale(known: Scores) -> Scale:
    """Return mean and standard deviation of scores whose ends are drawn in."""
    low, high = np.quantile(known, [TAIL, 1.0 - TAIL])
    inner = np.clip(known, low, high)
    spread = float(inner.std()) or float(known.std())
    return Scale(centre=float(inner.mean()), spread=spread or 1.0)
