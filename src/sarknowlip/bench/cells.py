"""One cell of the benchmark: a model, a task, a data set and a seed; kept as files.

A cell is `<task>/<data set>/<model>/seed-<n>.json`, and beside it the scores on draws of groups
(`.npz`), from which intervals and comparisons follow. Beside the first seed's lie pictures of what
was answered best and worst. Cells appear whole; one that is there and tells the same conditions
isn't computed again.
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from pydantic import ValidationError

from sarknowlip.bench.adapter import Adapter, AdapterCard
from sarknowlip.bench.crossed import predict
from sarknowlip.bench.dataset import DataSet, Part
from sarknowlip.bench.gallery import Gallery, gallery
from sarknowlip.bench.measure import draws
from sarknowlip.bench.metrics import BenchError, Floats, resampling_units
from sarknowlip.bench.task import Asking, Task
from sarknowlip.core.config import Config
from sarknowlip.core.files import read_json, write_bytes, write_json
from sarknowlip.core.hashing import digest

RESAMPLES = 1000
SHOWN_SEED = 0
"""Whose answers are shown."""
REMEDY = "delete the file and run the benchmark again"


class Cell(Config):
    """Scores of one cell.

    Attributes:
        task: Name, of version `version`.
        version: Of the task.
        what: What the task asks, one sentence.
        main: Of `names`, the score of the leaderboard.
        dataset: Name.
        model: What stands beside the scores.
        seed: Of heads and draws.
        identity: Digest of all that could move the scores.
        names: Of the scores.
        errors: Those of them of which less is better.
        values: Scores; None where one is not defined.
        chance: What chance scores; None where there is no closed form.
        items: Examples that were asked.
        units: Groups that intervals resample, or items where groups are too few.
        unit: "block" or "query", as `metrics.resampling_units` says.
        seconds: Wall-clock time, features and heads together.
        notes: What a reader must know: of the set, of its audit, of how answers came about.
        shown: What was answered best and worst; of `SHOWN_SEED` only.
    """

    task: str
    version: int
    what: str
    main: str
    dataset: str
    model: AdapterCard
    seed: int
    identity: str
    names: tuple[str, ...]
    errors: tuple[str, ...]
    values: tuple[float | None, ...]
    chance: tuple[float | None, ...]
    items: int
    units: int
    unit: str
    seconds: float
    notes: tuple[str, ...] = ()
    shown: Gallery = Gallery()


def cell_path(out: Path, task: str, dataset: str, model: str, seed: int) -> Path:
    """Return where a cell lies."""
    return out / "cells" / task / dataset / model / f"seed-{seed}.json"


def identity(task: Task, data: DataSet, card: AdapterCard, seed: int) -> str:
    """Return a digest of all that could move the scores of a cell, but for code and hardware."""
    name = task.spec.asks
    told = card.model_dump(mode="json") | {"abilities": sorted(card.abilities)}
    ids = {part: [one.id for one in data.examples(name, part)] for part in get_args(Part)}
    return digest(
        {
            "task": task.spec.model_dump(mode="json"),
            "dataset": data.card.model_dump(mode="json"),
            "examples": digest(ids),
            "model": told,
            "seed": seed,
            "resamples": RESAMPLES,
        }
    )


def kept_cell(path: Path, wanted: str) -> Cell | None:
    """Return the cell that lies at a path, None if there is none of this identity.

    Raises:
        SarKnowlipError: The file is no cell.
    """
    if not path.is_file() or not path.with_suffix(".npz").is_file():
        return None
    try:
        cell = Cell.model_validate(read_json(path, REMEDY))
    except ValidationError as error:
        raise BenchError(f"{path} is no cell of a benchmark: {error}", REMEDY) from error
    return cell if cell.identity == wanted else None


def kept_draws(path: Path) -> Floats:
    """Return the scores on draws of groups (R, K) that lie beside a cell.

    Raises:
        BenchError: The file is absent or damaged.
    """
    beside = path.with_suffix(".npz")
    try:
        with np.load(beside) as stored:
            return np.asarray(stored["draws"], dtype=np.float64)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BenchError(f"cannot read {beside}: {error}", REMEDY) from error


def fill(
    task: Task,
    data: DataSet,
    adapter: Adapter,
    asking: Asking,
    out: Path,
    *,
    notes: Sequence[str] = (),
) -> Cell:
    """Return a cell, computed if it is not there yet.

    Args:
        task: What is asked.
        data: A set that serves it.
        adapter: The model.
        asking: How.
        out: Folder of the benchmark.
        notes: What a reader must know beside what the set and the task tell.

    Raises:
        BenchError: The model lacks an ability, or cannot be scored.
        SarKnowlipError: A picture cannot be read, or the cell not be written.
    """
    spec = task.spec
    lacks = sorted(set(spec.needs) - adapter.card.abilities)
    if lacks:
        raise BenchError(f"{adapter.name} gives no {', '.join(lacks)}", "choose another model")
    path = cell_path(out, spec.name, data.card.name, adapter.name, asking.seed)
    wanted = identity(task, data, adapter.card, asking.seed)
    kept = kept_cell(path, wanted)
    if kept is not None:
        return kept
    begun = time.perf_counter()
    predictions = predict(task, data, adapter, asking)
    measure = task.measure(data, predictions)
    seconds = time.perf_counter() - begun
    clusters_N, unit = resampling_units(measure.groups)
    drawn_RK = draws(measure, clusters_N, seed=0, resamples=RESAMPLES)
    cell = Cell(
        task=spec.name,
        version=spec.version,
        what=spec.what,
        main=spec.main,
        dataset=data.card.name,
        model=adapter.card,
        seed=asking.seed,
        identity=wanted,
        names=measure.names,
        errors=spec.errors,
        values=_told(measure.whole()),
        chance=_told(task.chance(data)),
        items=len(measure.groups),
        units=int(clusters_N.max()) + 1,
        unit=unit,
        seconds=round(seconds, 3),
        notes=(*data.notes, *notes, *getattr(predictions, "notes", ())),
        shown=gallery(task, data, predictions, path.with_suffix(""))
        if asking.seed == SHOWN_SEED
        else Gallery(),
    )
    packed = io.BytesIO()
    np.savez_compressed(packed, draws=drawn_RK)
    write_bytes(path.with_suffix(".npz"), packed.getvalue())
    write_json(path, cell.model_dump(mode="json"))
    return cell


def _told(values_K: Floats) -> tuple[float | None, ...]:
    return tuple(float(value) if np.isfinite(value) else None for value in values_K)
