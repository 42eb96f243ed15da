"""Findings of the leakage audit, kept as files: a set is audited once, not once a model.

Parts of a built-in set share nothing, or it is refused. A published split is what it is: its leaks
are a note on every one of its cells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from sarknowlip.bench.crossed import folds_of
from sarknowlip.bench.dataset import DataSet, Part
from sarknowlip.bench.fingerprint import OCTAVES
from sarknowlip.bench.leaks import ABOVE, ENOUGH, LEAST, Audit, audit
from sarknowlip.bench.metrics import BenchError
from sarknowlip.core.config import Config
from sarknowlip.core.files import read_json, write_json
from sarknowlip.core.hashing import digest
from sarknowlip.core.progress import Progress

FOLDER = "audit"
LISTED = 200
"""Leaks told of one task."""


class LeakError(BenchError):
    """Parts of a set share something that they must not share."""


class Found(Config):
    """A leak; see `leaks.Leak`."""

    kind: str
    train: str
    test: str
    measure: float


class Finding(Config):
    """What the audit of one task's examples found.

    Attributes:
        made_of: Digest of the examples.
        pictures: Different ones by part; of a crossed set summed over folds, as all that follows.
        mapped: Of these, on a map.
        items: Examples asked about.
        touched: Of these, named in a leak.
        counts: Leaks by kind.
        leaks: The first of them.
    """

    made_of: str
    pictures: dict[str, int]
    mapped: dict[str, int]
    items: int
    touched: int
    counts: dict[str, int]
    leaks: tuple[Found, ...]

    @property
    def note(self) -> str | None:
        """What a reader of a score must know, None if nothing was found."""
        if not self.leaks:
            return None
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
        return (
            f"The parts of the published split leak: {kinds}; {self.touched} of {self.items} test "
            "examples are named"
        )


class Findings(Config):
    """Findings of a set by task."""

    dataset: str
    tasks: dict[str, Finding]


def findings_path(out: Path, dataset: str) -> Path:
    """Return where the findings of a set lie."""
    return out / FOLDER / f"{dataset}.json"


def read_findings(path: Path) -> Findings:
    """Return kept findings.

    Raises:
        BenchError: The file tells none.
        SarKnowlipError: It cannot be read.
    """
    remedy = "delete the file and run the benchmark again"
    try:
        return Findings.model_validate(read_json(path, remedy))
    except ValidationError as error:
        raise BenchError(f"{path} holds no findings of an audit", remedy) from error


def audited(
    data: DataSet, tasks: Sequence[str], out: Path, *, progress: Progress | None = None
) -> dict[str, Finding]:
    """Return what the audit finds of some tasks of a set; what is known is not sought again.

    Args:
        data: The set.
        tasks: Names; those that ask about equal examples are audited together.
        out: Folder of the benchmark.
        progress: Of pictures read.

    Raises:
        LeakError: A built-in set leaks.
        SarKnowlipError: A picture or the file cannot be read, or the file not be written.
    """
    name = data.card.name
    path = findings_path(out, name)
    kept = dict(read_findings(path).tasks) if path.is_file() else {}
    for task in tasks:
        made_of = _made_of(data, task)
        same = next((one for one in kept.values() if one.made_of == made_of), None)
        if same is None:
            parts = [audit(fold, task, progress=progress) for fold in folds_of(data)]
            same = _finding(parts, data, made_of)
        kept[task] = same
    write_json(path, Findings(dataset=name, tasks=kept).model_dump(mode="json"))
    found = {task: kept[task] for task in tasks}
    if _is_builtin(data):
        _refuse(found, name, path)
    return found


def _is_builtin(data: DataSet) -> bool:
    from sarknowlip.bench.builtin.sets import Builtin

    return isinstance(data, Builtin)


def _refuse(found: dict[str, Finding], name: str, path: Path) -> None:
    for task, finding in found.items():
        if finding.leaks:
            first = finding.leaks[0]
            raise LeakError(
                f"{name}, {task}: train and test share something: {first.kind} of {first.train} "
                f"and {first.test} (all in {path})",
                "make the built-in sets again in another folder",
            )


def _finding(found: Sequence[Audit], data: DataSet, made_of: str) -> Finding:
    """Return what the audits of a set's folds found, sums over folds."""
    leaks = [
        Found(kind=leak.kind, train=leak.train, test=leak.test, measure=round(leak.measure, 4))
        for one in found
        for leak in one.leaks
    ]
    return Finding(
        made_of=made_of,
        pictures={part: sum(one.pictures[part] for one in found) for part in get_args(Part)},
        mapped={part: sum(one.mapped[part] for one in found) for part in get_args(Part)},
        items=len(data.examples(found[0].task, "test")),
        touched=sum(one.touched for one in found),
        counts=dict(sorted(Counter(leak.kind for leak in leaks).items())),
        leaks=tuple(leaks[:LISTED]),
    )


def _made_of(data: DataSet, task: str) -> str:
    parts: dict[str, Any] = {
        part: [[one.id, one.group] for one in data.examples(task, part)] for part in get_args(Part)
    }
    how = {"octaves": OCTAVES, "least": data.alike, "by_set": (LEAST, ABOVE, ENOUGH)}
    return digest({"set": data.card.model_dump(mode="json"), **how, **parts})
