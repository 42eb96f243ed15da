"""What a round leaves on disk for people and for the next round: what it did, and of every text.

`round.json` holds a `Round`, `judged.parquet` a row for every text that was judged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from sarknowlip.annotate.store import Change
from sarknowlip.core.config import Config
from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.core.files import read_json, replacing
from sarknowlip.train.rounds.decide import Judged
from sarknowlip.train.rounds.diversity import Diversity
from sarknowlip.train.rounds.fusion import FusionReport
from sarknowlip.train.rounds.validation import Validation

ROUNDS, ROUND, JUDGED = "rounds", "round.json", "judged.parquet"
REMEDY = "delete it and run the loop again"
PART = 65_536
"""Rows that are written together."""

JUDGED_SCHEMA = pa.schema(
    [
        ("text_id", pa.string()),
        ("tile_id", pa.string()),
        ("level", pa.string()),
        ("text", pa.string()),
        ("bad", pa.float64()),
        ("score", pa.float64()),
        ("action", pa.string()),
        ("reason", pa.string()),
        ("signals", pa.string()),
    ]
)
"""Arrow types of `judged.parquet`.

`bad` is what the fusion says of the text itself, `score` after its claims and what a person found;
signals are JSON.
"""


class Round(Config):
    """What a round did.

    Attributes:
        number: From 1.
        version: Of the texts that it read.
        revised: Version that it wrote; None if it changed nothing.
        judged: Texts that were judged.
        actions: Those by what was done, kept ones among them.
        followed: Other texts that changed, since they tell a claim that was found bad.
        fusion: How well it tells the trusted texts apart; None without any.
        validation: On tiles that the loop does not change; None without any.
        before: How varied the texts were.
        after: How varied they are in the version written; None if there is none.
        best: Version to learn from, if the loop ends here.
        stop: Why no further round follows; None if one may.
        seconds: Time this process took for it.
    """

    number: int
    version: str
    revised: str | None
    judged: int
    actions: dict[str, int]
    followed: int
    fusion: FusionReport | None
    validation: Validation | None
    before: Diversity
    after: Diversity | None
    best: str
    stop: str | None
    seconds: float


def round_folder(out: Path, number: int) -> Path:
    """Return the folder of a round in that of a loop."""
    return out / ROUNDS / f"{number:02d}"


def rounds_of(out: Path) -> list[tuple[Path, Round]]:
    """Return the finished rounds of a loop and their folders, in order.

    Raises:
        SarKnowlipError: What a round says of itself is damaged.
    """
    found: list[tuple[Path, Round]] = []
    while (path := round_folder(out, len(found) + 1) / ROUND).is_file():
        try:
            one = Round.model_validate(read_json(path, REMEDY))
        except ValidationError as error:
            raise SarKnowlipError(
                f"cannot read {path}: {error.errors()[0]['msg']}", REMEDY
            ) from error
        found.append((path.parent, one))
    return found


def write_judged(
    path: Path, judged: Sequence[Judged], scores: Sequence[float], done: Mapping[str, Change]
) -> None:
    """Write what was found of texts, and what was done, a part at a time.

    Args:
        path: File.
        judged: Texts and signals.
        scores: How likely each is bad with all that is known.
        done: What became of texts that changed, by identifier; others were kept.

    Raises:
        StorageError: It cannot be written.
    """
    with replacing(path) as partial, pq.ParquetWriter(partial, JUDGED_SCHEMA) as writer:
        for start in range(0, len(judged), PART):
            part = zip(judged[start : start + PART], scores[start : start + PART], strict=True)
            rows = [_row(one, score, done.get(one.text.id)) for one, score in part]
            writer.write_table(pa.Table.from_pylist(rows, schema=JUDGED_SCHEMA))


def _row(one: Judged, score: float, change: Change | None) -> dict[str, Any]:
    return {
        "text_id": one.text.id,
        "tile_id": one.text.tile_id,
        "level": one.text.level,
        "text": one.text.text,
        "bad": one.bad,
        "score": score,
        "action": "keep" if change is None else change.action,
        "reason": "" if change is None else change.reason,
        "signals": json.dumps(dict(one.signals), sort_keys=True),
    }
