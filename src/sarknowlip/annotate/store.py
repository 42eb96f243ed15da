"""Annotations on disk: `annotations/vNNNN/{evidence,claims,texts}.parquet` and their manifest.

A version is written beside the others and moved into place whole; it is never changed afterwards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.core.errors import CorpusError
from sarknowlip.corpus.catalog import ANNOTATIONS
from sarknowlip.knowledge.store import read_rows

EVIDENCE, CLAIMS, TEXTS = "evidence.parquet", "claims.parquet", "texts.parquet"
MANIFEST = "annotation.json"

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
