"""The report: one HTML file with everything inside, to be opened without a network."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.record import TileRecord
from sarknowlip.corpus.stats import CorpusStats
from sarknowlip.pipeline.figures import (
    SPLIT_COLOURS,
    loss_curve,
    scene_map,
    tile_picture,
    world_map,
)
from sarknowlip.pipeline.page import data_uri, write_page

SCENES = 8
"""Scenes whose pictures are shown."""
SAMPLES = 6
"""Tiles shown with evidence and text."""
SHOWN = 2
"""Sentences of one dimension shown of a tile."""


@dataclass(frozen=True)
class Step:
    """One stage of the run: name, seconds, and what came of it in a few words."""

    name: str
    seconds: float
    outcome: str


@dataclass(frozen=True)
class Findings:
    """What the report tells.

    Attributes:
        source: Where the pixels are from, one line.
        knowledge: What the texts rest on, in a few words.
        corpus: Corpus folder.
        annotations: Folder of the text version shown.
        stats: Counts of the corpus.
        rejected: Inputs that gave no tile: name and reason.
        problems: What validation found.
        verification: What verifying the text found, label and value.
        log: Lines of the training log.
        retrieval: Rows of the retrieval table.
        retrieval_note: What was searched in what, one line.
        steps: Stages in order.
        versions: Software and hardware.
    """

    source: str
    knowledge: str
    corpus: Path
    annotations: Path
    stats: CorpusStats
    rejected: Sequence[tuple[str, str]]
    problems: Sequence[str]
    verification: Mapping[str, str]
    log: Sequence[Mapping[str, float | None]]
    retrieval: Sequence[Mapping[str, Any]]
    retrieval_note: str
    steps: Sequence[Step]
    versions: Mapping[str, str]


def write_report(path: Path, findings: Findings) -> None:
    """Write the report.

    Raises:
        CorpusError: The corpus cannot be read.
        StorageError: The file cannot be written.
    """
    catalog = Catalog(findings.corpus)
    records = list(catalog.records())
    scenes: dict[str, list[TileRecord]] = defaultdict(list)
    for record in records:
        scenes[record.scene].append(record)
    write_page(
        path,
        "report.html.j2",
        findings=findings,
        colours=SPLIT_COLOURS,
        world=data_uri(world_map(records), "image/svg+xml"),
        scenes=[
            (name, rows, data_uri(scene_map(catalog, rows), "image/png"))
            for name, rows in sorted(scenes.items())[:SCENES]
        ],
        samples=_samples(catalog, records, findings.annotations),
        curve=data_uri(loss_curve(findings.log), "image/svg+xml") if findings.log else None,
    )


def _samples(
    catalog: Catalog, records: Sequence[TileRecord], annotations: Path
) -> list[dict[str, Any]]:
    """Return pictures, claims with their evidence, and texts of a few tiles."""
    chosen = _spread_by_water(records, annotations / "evidence.parquet")
    only = [("tile_id", "in", [record.id for record in chosen])]
    tables = {
        name: pq.read_table(annotations / f"{name}.parquet", filters=only).to_pylist()
        for name in ("evidence", "claims", "texts")
    }
    evidence = {row["id"]: row for row in tables["evidence"]}
    samples = []
    for record in chosen:
        image = catalog.image(record)
        claims = [
            {
                **claim,
                "arguments": json.loads(claim["arguments"]),
                "evidence": [evidence[key] for key in claim["evidence_ids"] if key in evidence],
            }
            for claim in tables["claims"]
            if claim["tile_id"] == record.id
        ]
        samples.append(
            {
                "record": record,
                "picture": data_uri(tile_picture(image), "image/png"),
                "claims": claims,
                **_shown([row for row in tables["texts"] if row["tile_id"] == record.id]),
            }
        )
    return samples


def _shown(texts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the texts of a tile that are shown: its paragraph, and the first of other levels."""

    def first(level: str, most: int) -> list[Mapping[str, Any]]:
        told: Counter[str] = Counter()
        picked = []
        for text in texts:
            told[text["dimension"]] += text["level"] == level
            if text["level"] == level and told[text["dimension"]] <= most:
                picked.append(text)
        return picked

    return {
        "total": len(texts),
        "paragraphs": first("paragraph", 1),
        "sentences": first("sentence", SHOWN),
        "questions": first("question-answer", 1),
        "groundings": first("grounding", 1),
    }


def _spread_by_water(records: Sequence[TileRecord], evidence: Path) -> list[TileRecord]:
    """Return tiles from the driest to the wettest; without that evidence, spread by name."""
    wanted = [("subject", "==", "water"), ("predicate", "==", "share")]
    rows = pq.read_table(evidence, columns=["tile_id", "value"], filters=wanted).to_pylist()
    share = {row["tile_id"]: row["value"] for row in rows}
    ordered = sorted(records, key=lambda record: (share.get(record.id, 0.0), record.id))
    count = min(SAMPLES, len(ordered))
    if count == 1:
        return list(ordered)
    return [ordered[round(i * (len(ordered) - 1) / (count - 1))] for i in range(count)]
