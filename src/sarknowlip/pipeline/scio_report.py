"""The report of a closed loop: one HTML file with everything inside, opened without a network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from jinja2 import Environment, PackageLoader, select_autoescape

from sarknowlip.annotate.store import annotation_folder, read_changes, read_texts
from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.core.files import write_bytes
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.record import TileRecord
from sarknowlip.pipeline.figures import tile_picture
from sarknowlip.pipeline.report import data_uri
from sarknowlip.pipeline.scio_figures import actions_chart, probability_chart, round_curves
from sarknowlip.train.rounds.record import JUDGED, Round, rounds_of

EXAMPLES = 4
"""Texts shown of each action and round."""
ACTIONS = ("rewrite", "replace", "drop", "weight", "keep")
REPORT = "report.html"


def write_scio_report(out: Path, corpus: Path) -> Path:
    """Write `report.html` into the folder of a loop and return where it lies.

    Args:
        out: Folder of the loop, with one finished round at least.
        corpus: Corpus it was about; for pictures and words.

    Raises:
        SarKnowlipError: There is no finished round, or a file is damaged.
        CorpusError: The corpus or a version of its texts cannot be read.
        StorageError: The file cannot be written.
    """
    rounds = rounds_of(out)
    if not rounds:
        raise SarKnowlipError(f"{out} holds no finished round", "run `sarknowlip scio` first")
    catalog = Catalog(corpus)
    chances = {one.number: _column(folder / JUDGED, "score") for folder, one in rounds}
    environment = Environment(
        loader=PackageLoader("sarknowlip.pipeline", "."),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    told = [one for _, one in rounds]
    html = environment.get_template("scio.html.j2").render(
        corpus=str(corpus),
        rounds=told,
        actions=[name for name in ACTIONS if any(one.actions.get(name) for one in told)],
        curves=data_uri(round_curves(told), "image/svg+xml"),
        bars=data_uri(actions_chart(told, ACTIONS), "image/svg+xml"),
        histogram=data_uri(probability_chart(chances), "image/svg+xml"),
        examples=[(one, _examples(catalog, corpus, folder, one)) for folder, one in rounds],
    )
    path = out / REPORT
    write_bytes(path, html.encode())
    return path


def _column(path: Path, name: str) -> list[float]:
    found: list[float] = pq.read_table(path, columns=[name])[name].to_pylist()
    return found


def _examples(
    catalog: Catalog, corpus: Path, folder: Path, one: Round
) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return some texts of each action: the likeliest bad ones, and of the kept the likeliest."""
    rows = pq.read_table(folder / JUDGED).to_pylist()
    became = _became(corpus, one)
    found = []
    for action in ACTIONS:
        some = [row for row in rows if became.get(row["text_id"], row)["action"] == action]
        some.sort(key=lambda row: (-row["score"], row["text_id"]))
        shown = _apart(some, EXAMPLES)
        if shown:
            records = {r.id: r for r in _records(catalog, {row["tile_id"] for row in shown})}
            found.append((action, [_shown(catalog, records, row, became) for row in shown]))
    return found


def _apart(rows: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Return the first rows of different tiles."""
    firsts: dict[str, dict[str, Any]] = {}
    for row in rows:
        firsts.setdefault(row["tile_id"], row)
        if len(firsts) == most:
            break
    return list(firsts.values())


def _became(corpus: Path, one: Round) -> dict[str, dict[str, Any]]:
    """Return what was really done to texts that changed: action, reason and words now."""
    if one.revised is None:
        return {}
    folder = annotation_folder(corpus, one.revised)
    changes = {change.text_id: change for change in read_changes(folder)}
    wanted = {change.new_text_id for change in changes.values() if change.new_text_id}
    words = {text.id: text.text for text in read_texts(folder) if text.id in wanted}
    return {
        key: {
            "action": change.action,
            "reason": change.reason,
            "now": words.get(change.new_text_id or ""),
            "weight": change.weight,
        }
        for key, change in changes.items()
    }


def _records(catalog: Catalog, wanted: set[str]) -> list[TileRecord]:
    return [record for record in catalog.records() if record.id in wanted]


def _shown(
    catalog: Catalog,
    records: dict[str, TileRecord],
    row: dict[str, Any],
    became: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    after = became.get(row["text_id"], {})
    return {
        "picture": data_uri(tile_picture(catalog.image(records[row["tile_id"]])), "image/png"),
        "tile": row["tile_id"],
        "words": row["text"],
        "now": after.get("now"),
        "weight": after.get("weight"),
        "score": row["score"],
        "reason": after.get("reason") or row["reason"],
        "signals": json.loads(row["signals"]),
    }
