"""The trusted set: texts that a person looked at, and what that person found."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from sarknowlip.core.errors import ConfigError
from sarknowlip.train.rounds.doubts import SUPPORT

COLUMNS = ("text_id", "bad")
ENOUGH = 20
"""Labels of a kind of text below which a person is warned: as many as a whole trusted set needs."""
_TRUE, _FALSE = {"true", "1", "yes"}, {"false", "0", "no"}


def read_trusted(path: Path) -> dict[str, bool]:
    """Return whether texts are bad, by identifier.

    Args:
        path: CSV or Parquet file with the columns `text_id` and `bad` (true/false, 1/0, yes/no).

    Raises:
        ConfigError: The file is absent, damaged, lacks a column, names a text twice, or a value of
            `bad` is none of these.
    """
    remedy = "give a CSV or Parquet file with the columns text_id and bad (true or false)"
    try:
        table = pq.read_table(path) if path.suffix == ".parquet" else csv.read_csv(path)
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"cannot read the trusted set {path}: {error}", remedy) from error
    absent = [name for name in COLUMNS if name not in table.column_names]
    if absent:
        raise ConfigError(f"the trusted set {path} lacks the column {absent[0]}", remedy)
    found: dict[str, bool] = {}
    for row in table.select(list(COLUMNS)).to_pylist():
        said = str(row["bad"]).strip().lower()
        key = str(row["text_id"])
        if said not in _TRUE | _FALSE:
            raise ConfigError(f"the trusted set {path}: bad is {row['bad']!r} of {key}", remedy)
        if key in found:
            raise ConfigError(f"the trusted set {path} names text {key} twice", "keep one")
        found[key] = said in _TRUE
    if not found:
        raise ConfigError(f"the trusted set {path} is empty", remedy)
    return found


def warning_of(table: pa.Table, trusted: Container[str]) -> str | None:
    """Return a warning if few trusted texts are such that evidence is silent on them.

    Where it is silent, what a fusion thinks rests on these labels and on the models alone.

    Args:
        table: Scores of all texts, as `TextScorer.score` returns them.
        trusted: Identifiers of the trusted set.
    """
    if SUPPORT not in table.column_names:
        return None
    silent_N = np.isnan(table[SUPPORT].to_numpy())
    known = sum(key in trusted for key in table["text_id"].filter(pa.array(silent_N)).to_pylist())
    if not silent_N.any() or known >= ENOUGH:
        return None
    return (
        f"evidence is silent on {silent_N.sum()} texts, of which {known} are trusted: what is"
        f" thought of the others rests on few labels; {ENOUGH} or more would be better"
    )
