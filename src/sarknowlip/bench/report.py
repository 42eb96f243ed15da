"""What a benchmark found: rows, notes and conditions, as objects, JSON, CSV and a plain table."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from pydantic import Field

from sarknowlip.core.config import Config
from sarknowlip.core.files import write_bytes, write_json

CSV_COLUMNS = (
    "task",
    "version",
    "model",
    "direction",
    "n_queries",
    "gallery",
    "k",
    "recall",
    "low",
    "high",
    "chance",
    "median_rank",
    "mrr",
    "seeds",
)
"""Columns of the CSV file, one line a row and depth; appended to, never renamed."""


class Row(Config):
    """One encoder in one direction.

    Attributes:
        model: Name of the encoder.
        direction: "text → image" or "image → text".
        n_queries: Queries asked.
        gallery: Items searched.
        scores: Recall, lower and upper end of its 95 % interval, by k.
        chance: Expected recall of a random order, by k.
        median_rank: Median rank of the best right answer.
        mrr: Mean reciprocal rank.
        seeds: Seeds whose mean the scores are; empty for an encoder that has none.
        by_seed: Recall of each seed, in the order of `seeds`, by k.
    """

    model: str
    direction: str
    n_queries: int
    gallery: int
    scores: dict[int, tuple[float, float, float]]
    chance: dict[int, float]
    median_rank: float
    mrr: float
    seeds: tuple[int, ...] = ()
    by_seed: dict[int, tuple[float, ...]] = Field(default_factory=dict)


class BenchReport(Config):
    """The result of a run.

    Attributes:
        task: Name of the task.
        version: Version of the task; scores of different versions don't compare.
        what: What the task measures.
        split: Split that was searched.
        annotations: Text version that was searched.
        blocks: Held-out geographic blocks.
        interval: What the bootstrap resamples: "block" or "query".
        notes: What must be known to read the scores, one sentence each.
        rows: Scores: the model's first, then the baselines'.
        conditions: Versions and device.
    """

    task: str
    version: int
    what: str
    split: str
    annotations: str
    blocks: int
    interval: str
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    conditions: dict[str, str]

    @property
    def note(self) -> str:
        """All notes as one line."""
        return " ".join(self.notes)

    def as_table(self) -> list[dict[str, Any]]:
        """Return rows of `model`, `direction` and `scores`, grouped by direction, chance last.

        `scores` maps k to (recall, low, high); low and high are None for chance, which is exact.
        """
        table: list[dict[str, Any]] = []
        for direction in dict.fromkeys(row.direction for row in self.rows):
            rows = [row for row in self.rows if row.direction == direction]
            chance = {k: (value, None, None) for k, value in rows[0].chance.items()}
            table += [
                {"model": row.model, "direction": direction, "scores": row.scores} for row in rows
            ]
            table.append({"model": "chance", "direction": direction, "scores": chance})
        return table

    def as_csv(self) -> str:
        """Return all rows as CSV, one line a row and depth, columns `CSV_COLUMNS`."""
        text = io.StringIO()
        writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            for k, (recall, low, high) in row.scores.items():
                writer.writerow(
                    {
                        "task": self.task,
                        "version": self.version,
                        "k": k,
                        "recall": f"{recall:.6f}",
                        "low": f"{low:.6f}",
                        "high": f"{high:.6f}",
                        "chance": f"{row.chance[k]:.6f}",
                        "median_rank": f"{row.median_rank:g}",
                        "mrr": f"{row.mrr:.6f}",
                        "seeds": " ".join(map(str, row.seeds)),
                        **row.model_dump(include={"model", "direction", "n_queries", "gallery"}),
                    }
                )
        return text.getvalue()

    def write(self, folder: Path) -> None:
        """Write `<task>.json` and `<task>.csv`, each whole or not at all.

        Raises:
            StorageError: The folder cannot be written.
        """
        write_json(folder / f"{self.task}.json", self.model_dump(mode="json"))
        write_bytes(folder / f"{self.task}.csv", self.as_csv().encode())
