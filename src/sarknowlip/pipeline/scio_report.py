"""The report of a closed loop: one HTML file with everything inside, opened without a network.

Only the columns and rows that it shows are read: the tables of a large corpus hold millions.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from sarknowlip.annotate.store import CHANGE_SCHEMA, CHANGES, TEXTS, annotation_folder
from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.record import TileRecord
from sarknowlip.pipeline.figures import tile_picture
from sarknowlip.pipeline.page import data_uri, write_page
from sarknowlip.pipeline.scio_figures import actions_chart, probability_chart, round_curves
from sarknowlip.train.rounds.record import JUDGED, Round, rounds_of

EXAMPLES = 4
"""Texts shown of each action and round."""
ACTIONS = ("rewrite", "replace", "drop", "weight", "keep")
REPORT = "report.html"

Row = dict[str, Any]


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
    found = [(one, _examples(corpus, folder / JUDGED, one)) for folder, one in rounds]
    tiles = {row["tile_id"] for _, parts in found for _, rows in parts for row in rows}
    records = {record.id: record for record in catalog.records() if record.id in tiles}
    told = [one for _, one in rounds]
    write_page(
        out / REPORT,
        "scio.html.j2",
        corpus=str(corpus),
        rounds=told,
        actions=[name for name in ACTIONS if any(one.actions.get(name) for one in told)],
        curves=data_uri(round_curves(told), "image/svg+xml"),
        bars=data_uri(actions_chart(told, ACTIONS), "image/svg+xml"),
        histogram=data_uri(
            probability_chart({one.number: _chances(folder / JUDGED) for folder, one in rounds}),
            "image/svg+xml",
        ),
        examples=[
            (one, [(action, [_shown(catalog, records, row) for row in rows])
                   for action, rows in parts])
            for one, parts in found
        ],
    )  # fmt: skip
    return out / REPORT


def _chances(judged: Path) -> npt.NDArray[np.float64]:
    return np.asarray(_read(judged, ["score"])["score"].to_numpy(), dtype=np.float64)


def _examples(corpus: Path, judged: Path, one: Round) -> list[tuple[str, list[Row]]]:
    """Return rows of some texts of each action: the likeliest bad ones, of different tiles."""
    folder = None if one.revised is None else annotation_folder(corpus, one.revised)
    changes = _changes(folder)
    texts = _read(judged, ["text_id", "tile_id", "score"])
    parts: list[tuple[str, list[str]]] = []
    for action in ACTIONS:
        known = changes.filter(pc.equal(changes["action"], action))["text_id"]
        own = pc.is_in(texts["text_id"], value_set=known)
        if action == "keep":
            own = pc.invert(pc.is_in(texts["text_id"], value_set=changes["text_id"]))
        chosen = _likeliest(texts.filter(own), EXAMPLES)
        parts += [(action, chosen)] if chosen else []
    rows = _whole(judged, folder, changes, [key for _, chosen in parts for key in chosen])
    return [(action, [rows[key] for key in chosen]) for action, chosen in parts]


def _changes(folder: Path | None) -> pa.Table:
    """Return what was done to texts that changed, without their signals."""
    names = ["text_id", "action", "weight", "reason", "new_text_id"]
    if folder is None or not (folder / CHANGES).is_file():
        return CHANGE_SCHEMA.empty_table().select(names)
    return _read(folder / CHANGES, names)


def _likeliest(texts: pa.Table, most: int) -> list[str]:
    """Return the likeliest bad texts of different tiles, the likeliest first."""
    firsts: dict[str, str] = {}
    for place in pc.sort_indices(texts, [("score", "descending"), ("text_id", "ascending")]):
        row = texts.slice(place.as_py(), 1).to_pylist()[0]
        firsts.setdefault(row["tile_id"], row["text_id"])
        if len(firsts) == most:
            break
    return list(firsts.values())


def _whole(
    judged: Path, folder: Path | None, changes: pa.Table, text_ids: Sequence[str]
) -> dict[str, Row]:
    """Return all that is known of a few texts, by text: judged, changed, and the words now."""
    rows = {row["text_id"]: row for row in _read(judged, None, ("text_id", text_ids)).to_pylist()}
    chosen = pc.is_in(changes["text_id"], value_set=pa.array(text_ids, pa.string()))
    after = {row["text_id"]: row for row in changes.filter(chosen).to_pylist()}
    new = [row["new_text_id"] for row in after.values() if row["new_text_id"] is not None]
    words: dict[str, str] = {}
    if folder is not None and new:
        table = _read(folder / TEXTS, ["id", "text"], ("id", new))
        words = dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
    for key, row in rows.items():
        change = after.get(key, {})
        row["now"] = words.get(change.get("new_text_id") or "")
        row["weight"] = change.get("weight")
        row["reason"] = change.get("reason") or row["reason"]
    return rows


def _read(
    path: Path, columns: list[str] | None, only: tuple[str, Collection[str]] | None = None
) -> pa.Table:
    """Return columns of a table (None: all), or the rows with one of some values in a column.

    Raises:
        SarKnowlipError: The file is absent or damaged.
    """
    chosen = None if only is None else pc.field(only[0]).isin(list(only[1]))
    try:
        return ds.dataset(path, format="parquet").to_table(columns=columns, filter=chosen)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SarKnowlipError(
            f"cannot read {path}: {error}", "run the loop again in a new folder"
        ) from error


def _shown(catalog: Catalog, records: dict[str, TileRecord], row: Row) -> Row:
    """Return what the page shows of a text."""
    picture = tile_picture(catalog.image(records[row["tile_id"]]))
    return {
        "picture": data_uri(picture, "image/png"),
        "tile": row["tile_id"],
        "words": row["text"],
        "now": row["now"],
        "weight": row["weight"],
        "score": row["score"],
        "reason": row["reason"],
        "signals": json.loads(row["signals"]),
    }
