"""Annotations on disk: `annotations/vNNNN/{evidence,claims,texts}.parquet` and their manifest.

A version is written beside the others and moved into place whole; it is never changed afterwards.
One that revises another (`annotate.revise`) holds two tables more: `weights.parquet`, how much a
text counts where that is not 1, and `changes.parquet`, what became of the other version's texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.core.config import Config
from sarknowlip.core.errors import CorpusError
from sarknowlip.corpus.catalog import ANNOTATIONS
from sarknowlip.knowledge.store import read_rows

EVIDENCE, CLAIMS, TEXTS = "evidence.parquet", "claims.parquet", "texts.parquet"
WEIGHTS, CHANGES = "weights.parquet", "changes.parquet"
MANIFEST = "annotation.json"

Action = Literal["keep", "weight", "rewrite", "replace", "drop"]
"""What may become of a text: it stays as it was, counts for less or more, gives its place to
another rendering of evidence or to another text, or goes."""

CLAIM_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("tile_id", pa.string()),
        ("dimension", pa.string()),
        ("predicate", pa.string()),
        ("arguments", pa.string()),
        ("confidence", pa.float64()),
        ("stage", pa.string()),
        ("stage_version", pa.string()),
        ("rule", pa.string()),
        ("evidence_ids", pa.list_(pa.string())),
        ("premise_ids", pa.list_(pa.string())),
    ]
)
"""Arrow types of `claims.parquet`; arguments are JSON."""

TEXT_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("tile_id", pa.string()),
        ("dimension", pa.string()),
        ("level", pa.string()),
        ("language", pa.string()),
        ("text", pa.string()),
        ("claim_ids", pa.list_(pa.string())),
        ("question", pa.string()),
        ("topic", pa.string()),
        ("choices", pa.list_(pa.string())),
        ("boxes_px", pa.list_(pa.list_(pa.int32(), 4))),
        ("masks_rle", pa.list_(pa.string())),
    ]
)
"""Arrow types of `texts.parquet`."""

WEIGHT_SCHEMA = pa.schema([("text_id", pa.string()), ("weight", pa.float64())])
"""Arrow types of `weights.parquet`."""

CHANGE_SCHEMA = pa.schema(
    [
        ("text_id", pa.string()),
        ("tile_id", pa.string()),
        ("action", pa.string()),
        ("weight", pa.float64()),
        ("score", pa.float64()),
        ("reason", pa.string()),
        ("new_text_id", pa.string()),
        ("signals", pa.string()),
    ]
)
"""Arrow types of `changes.parquet`; signals are JSON."""


class Change(Config):
    """What became of a text of the version before.

    Attributes:
        text_id: The text there.
        tile_id: Tile it is about.
        action: What was done.
        weight: How much the text, or the one in its place, counts now, 0 < weight ≤ 1.
        score: Probability that the text was bad, 0…1.
        reason: Why, a short sentence.
        new_text_id: The text in its place; None if there is none, or it is the same.
        signals: What the score rests on, by name.
    """

    text_id: str
    tile_id: str
    action: Action
    weight: float = Field(1.0, gt=0.0, le=1.0)
    score: float = Field(ge=0.0, le=1.0)
    reason: str
    new_text_id: str | None = None
    signals: dict[str, float] = Field(default_factory=dict)


def versions(root: Path) -> list[Path]:
    """Return the complete annotation versions of a corpus, oldest first."""
    folder = root / ANNOTATIONS
    found = folder.iterdir() if folder.is_dir() else iter(())
    return sorted(
        path
        for path in found
        if re.fullmatch(r"v\d{4,}", path.name) and (path / MANIFEST).is_file()
    )


def annotation_folder(root: Path, version: str | None = None) -> Path:
    """Return the folder of a version ("v0001"), or of the newest.

    Raises:
        CorpusError: The corpus has no such version.
    """
    known = versions(root)
    chosen = [path for path in known if version is None or path.name == version]
    if not chosen:
        wanted = f"annotations {version}" if version else "annotations"
        names = ", ".join(path.name for path in known)
        raise CorpusError(
            f"{root} has no {wanted}",
            f"choose one of {names}" if names else "run `sarknowlip annotate` first",
        )
    return chosen[-1]


def claims_table(claims: Sequence[Claim]) -> pa.Table:
    """Return claims as an Arrow table of `CLAIM_SCHEMA`, in the order given."""
    rows = [
        claim.model_dump() | {"arguments": json.dumps(claim.arguments, sort_keys=True)}
        for claim in claims
    ]
    return pa.Table.from_pylist(rows, schema=CLAIM_SCHEMA)


def texts_table(texts: Sequence[Text]) -> pa.Table:
    """Return texts as an Arrow table of `TEXT_SCHEMA`, in the order given."""
    return pa.Table.from_pylist([text.model_dump() for text in texts], schema=TEXT_SCHEMA)


def read_claims(folder: Path) -> Iterator[Claim]:
    """Yield the claims of a version in file order.

    Raises:
        CorpusError: The file is absent, damaged, or holds something else.
    """
    return read_rows(folder / CLAIMS, CLAIM_SCHEMA, claim_of)


def claim_of(row: dict[str, Any]) -> Claim:
    """Return the claim of a row of `CLAIM_SCHEMA`.

    Raises:
        ValueError: The row holds something else.
    """
    return Claim(**row | {"arguments": json.loads(row["arguments"])})


def read_texts(folder: Path) -> Iterator[Text]:
    """Yield the texts of a version in file order.

    Raises:
        CorpusError: The file is absent, damaged, or holds something else.
    """
    return read_rows(folder / TEXTS, TEXT_SCHEMA, lambda row: Text(**row))


def weights_table(weights: Mapping[str, float]) -> pa.Table:
    """Return weights by text as an Arrow table of `WEIGHT_SCHEMA`, in the order given."""
    rows = [{"text_id": text_id, "weight": weight} for text_id, weight in weights.items()]
    return pa.Table.from_pylist(rows, schema=WEIGHT_SCHEMA)


def read_weights(folder: Path) -> dict[str, float]:
    """Return the weights of a version's texts that are not 1, by text; none without the file.

    Weights lie in (0, 1].

    Raises:
        CorpusError: The file is damaged, or holds something else.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        return {}
    return dict(read_rows(path, WEIGHT_SCHEMA, _weight_of))


def changes_table(changes: Sequence[Change]) -> pa.Table:
    """Return changes as an Arrow table of `CHANGE_SCHEMA`, in the order given."""
    rows = [
        change.model_dump() | {"signals": json.dumps(change.signals, sort_keys=True)}
        for change in changes
    ]
    return pa.Table.from_pylist(rows, schema=CHANGE_SCHEMA)


def read_changes(folder: Path) -> Iterator[Change]:
    """Yield what a version changed of its parent, in file order; nothing without the file.

    Raises:
        CorpusError: The file is damaged, or holds something else.
    """
    path = folder / CHANGES
    if path.is_file():
        yield from read_rows(path, CHANGE_SCHEMA, _change_of)


def _weight_of(row: dict[str, Any]) -> tuple[str, float]:
    text_id, weight = row["text_id"], row["weight"]
    if text_id is None or weight is None or not 0.0 < weight <= 1.0:
        raise ValueError(f"text {text_id} has weight {weight}, which is not in (0, 1]")
    return str(text_id), float(weight)


def _change_of(row: dict[str, Any]) -> Change:
    return Change(**row | {"signals": json.loads(row["signals"])})
