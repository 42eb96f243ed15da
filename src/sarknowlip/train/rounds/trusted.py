"""The trusted set: texts that a person looked at, and what that person found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from sarknowlip.core.errors import ConfigError
from sarknowlip.train.rounds.doubts import SUPPORT

COLUMNS = ("text_id", "bad")
FEW_SILENT = 20
"""Labels of texts on which evidence is silent, below which a person is warned."""
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


def warning_of(table: pa.Table, trusted: Mapping[str, bool]) -> str | None:
    """Return a warning if labels tell little of the texts on which evidence is silent.

    Where it is silent, what a fusion thinks rests on the models and on these labels alone; of one
    kind only, they teach it that silence itself is good or bad.

    Args:
        table: Scores of all texts, as `TextScorer.score` returns them.
        trusted: Whether a text is bad, by identifier, of those that were looked at.
    """
    if SUPPORT not in table.column_names:
        return None
    silent_N = np.isnan(table[SUPPORT].to_numpy())
    texts = table["text_id"].filter(pa.array(silent_N)).to_pylist()
    labels = [trusted[key] for key in texts if key in trusted]
    if len(labels) == len(texts):
        return None
    told = f"evidence is silent on {len(texts)} texts, of which {len(labels)} are trusted"
    if len(labels) < FEW_SILENT:
        return (
            f"{told}: what is thought of the others rests on few labels;"
            " a larger trusted set, drawn at random, would hold more"
        )
    if len(set(labels)) == 1:
        kind = "bad" if labels[0] else "good"
        return (
            f"{told}, all of them {kind}: that the others are {kind} too may be taken for granted"
        )
    return None
