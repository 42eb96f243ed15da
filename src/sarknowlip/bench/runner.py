"""One run of one task: the model, then the baselines, through the same path."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sarknowlip import __version__
from sarknowlip.annotate.store import annotation_folder
from sarknowlip.bench.baselines import BASELINES
from sarknowlip.bench.metrics import (
    MIN_CLUSTERS,
    BenchError,
    bootstrap_interval,
    resampling_units,
)
from sarknowlip.bench.protocol import Baseline, Outcome, Setting, Task
from sarknowlip.bench.report import BenchReport, Row
from sarknowlip.bench.tasks import TASKS
from sarknowlip.core.progress import Progress
from sarknowlip.infer.encoder import ModelEncoder
from sarknowlip.infer.ranking import chance_recall, hits, mean_reciprocal_rank

__all__ = ["DEFAULT_BASELINES", "SEEDS", "BenchReport", "Row", "run"]

DEFAULT_BASELINES = ("random", "majority", "untrained")
SEEDS = (0, 1, 2)


def run(
    task: str,
    corpus: Path,
    model: Path | None,
    out: Path,
    *,
    baselines: Sequence[str] = DEFAULT_BASELINES,
    seeds: Sequence[int] = SEEDS,
    annotations: str | None = None,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> BenchReport:
    """Score a model and baselines on a task; write `<task>.csv` and `<task>.json`.

    Args:
        task: Name in `TASKS`, or "module:Class".
        corpus: Corpus folder, annotated.
        model: Training run or model folder; None scores the baselines alone.
        out: Folder of the results.
        baselines: Names in `BASELINES`, or "module:Class".
        seeds: Seeds of the baselines that draw at random; their scores are averaged.
        annotations: Text version ("v0001"); None takes the newest.
        batch_size: Tiles encoded together; does not change scores.
        progress: Told after every batch, for each encoder anew.

    Raises:
        ConfigError: No such task or baseline.
        BenchError: The question cannot be asked fairly; see the task.
        SarKnowlipError: Corpus or model cannot be read, results not written.
    """
    kind: type[Task] = TASKS[task]
    chosen: dict[str, type[Baseline]] = {name: BASELINES[name] for name in baselines}
    if not seeds and any(baseline.seeded for baseline in chosen.values()):
        raise BenchError("random baselines need a seed", "give at least one")
    version = annotation_folder(corpus, annotations).name
    setting = Setting(corpus, version, model)
    encoder = None if model is None else ModelEncoder.load(model, name=_model_name(model))
    opened = kind.open(setting)
    left_out = [name for name, one in chosen.items() if one.needs_model and model is None]
    scored: list[_Scored] = []
    if encoder is not None:
        found = [opened.evaluate(encoder, batch_size, progress=progress)]
        scored.append(_Scored(encoder.name, (), found))
    for name, baseline in chosen.items():
        if name in left_out:
            continue
        own = tuple(dict.fromkeys(seeds)) if baseline.seeded else ()
        found = [
            opened.evaluate(baseline.make(setting, seed), batch_size, progress=progress)
            for seed in own or (0,)
        ]
        scored.append(_Scored(name, own, found))
    if not scored:
        raise BenchError("nothing to score", "give a model, or a baseline that needs none")
    report = _report(opened, version, scored, left_out)
    report.write(out)
    return report


@dataclass(frozen=True)
class _Scored:
    """Outcomes of one encoder: one list of directions a seed."""

    name: str
    seeds: tuple[int, ...]
    runs: Sequence[Sequence[Outcome]]

    def rows(self, ks: Sequence[int]) -> Iterator[Row]:
        """Yield one row a direction; scores are means over seeds, query by query."""
        for outcomes in zip(*self.runs, strict=True):
            first = outcomes[0]
            hits_SQK = np.stack([hits(outcome.ranks.rank, ks) for outcome in outcomes])
            ranks = np.concatenate([outcome.ranks.rank for outcome in outcomes])
            clusters, _ = resampling_units(first.blocks)
            hits_QK = hits_SQK.mean(axis=0)
            low, high = bootstrap_interval(hits_QK, clusters)
            value, by_seed_SK = hits_QK.mean(axis=0), hits_SQK.mean(axis=1)
            known = first.ranks
            yield Row(
                model=self.name,
                direction=first.direction,
                n_queries=len(known.rank),
                gallery=known.gallery,
                scores={k: (value[i], low[i], high[i]) for i, k in enumerate(ks)},
                chance={k: chance_recall(known.positives, known.gallery, k) for k in ks},
                median_rank=float(np.median(ranks)),
                mrr=mean_reciprocal_rank(ranks),
                seeds=self.seeds,
                by_seed={k: tuple(by_seed_SK[:, i]) for i, k in enumerate(ks)}
                if self.seeds
                else {},
            )


def _report(
    task: Task, annotations: str, scored: Sequence[_Scored], left_out: Sequence[str]
) -> BenchReport:
    spec = task.spec
    rows = tuple(row for one in scored for row in one.rows(spec.k))
    blocks = scored[0].runs[0][0].blocks
    _, unit = resampling_units(blocks)
    notes = [*task.notes, *_interval_notes(rows, len(set(blocks)), unit), *_depth_notes(rows)]
    notes += [f"Baseline {name} needs a model and is left out." for name in left_out]
    return BenchReport(
        task=spec.name,
        version=spec.version,
        what=spec.what,
        split=spec.split,
        annotations=annotations,
        blocks=len(set(blocks)),
        interval=unit,
        notes=tuple(notes),
        rows=rows,
        conditions={
            "sarknowlip": __version__,
            "torch": importlib.metadata.version("torch"),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        },
    )


def _interval_notes(rows: Sequence[Row], blocks: int, unit: str) -> Iterator[str]:
    if unit == "block":
        yield (
            f"95 % intervals resample the {blocks} blocks, not single queries; gallery and seeds "
            "stay as they are."
        )
    else:
        yield (
            f"Only {blocks} held-out block(s), fewer than {MIN_CLUSTERS}: 95 % intervals resample "
            "queries as if they were independent and are too narrow."
        )
    if any(low == high for row in rows for _, low, high in row.scores.values()):
        yield (
            "An interval without width means that every block (or query) scored the same; it is no "
            "certainty."
        )


def _depth_notes(rows: Sequence[Row]) -> Iterator[str]:
    for direction in dict.fromkeys(row.direction for row in rows):
        row = next(row for row in rows if row.direction == direction)
        shallow = [f"R@{k}" for k in row.scores if k >= row.gallery]
        if shallow:
            yield (
                f"{direction}: the gallery holds {row.gallery} item(s), so that "
                f"{' and '.join(shallow)} would be 1 for any order without ties."
            )


def _model_name(model: Path) -> str:
    folder = model.resolve()
    return f"trained ({folder.parent.name if folder.name == 'model' else folder.name})"
