"""Jobs that several processes, started alike on one folder, share among them.

A job is done when its table is there, which appears whole; who works on it holds a lock, which the
kernel frees however the process ends. So no job is done twice, and what a killed process left is
taken up by another.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sarknowlip.core.errors import SarKnowlipError, StorageError
from sarknowlip.core.files import exclusive

WAIT_S = 5.0
FAILED = "a process failed: what is done is kept; run again to go on"


@dataclass(frozen=True)
class Job:
    """Something to be done.

    Attributes:
        name: For people.
        table: File that it ends with.
        effort: How long it takes, beside others.
        needs: Tables that must be there before.
    """

    name: str
    table: Path
    effort: float = 1.0
    needs: tuple[Path, ...] = ()

    @property
    def done(self) -> bool:
        """Whether it was done."""
        return self.table.is_file()


def work(jobs: Sequence[Job], do: Callable[[Job], None], wait_s: float = WAIT_S) -> None:
    """Do jobs, in order, that no other process does, until all are done."""
    while left := [job for job in jobs if not job.done]:
        for job in left:
            if not all(path.is_file() for path in job.needs):
                continue
            with claimed(job.table.with_name(f".{job.table.name}.lock")) as mine:
                if mine and not job.done:
                    do(job)
                    break
        else:
            time.sleep(wait_s)


def side_by_side(act: Callable[[], None], count: int) -> bool:
    """Call a function in several processes; return whether all of them ended well."""
    context = multiprocessing.get_context("fork")  # what was imported is shared
    others = [context.Process(target=act) for _ in range(count)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    return not any(other.exitcode for other in others)


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Hold a lock; yield whether it is ours."""
    with contextlib.ExitStack() as held:
        mine = True
        try:
            held.enter_context(exclusive(path))
        except StorageError:
            raise
        except SarKnowlipError:  # another process has it
            mine = False
        yield mine


@contextlib.contextmanager
def alone(path: Path, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold a lock, after all who hold it now."""
    while True:
        with claimed(path) as mine:
            if mine:
                yield
                return
        time.sleep(wait_s)


def minutes_left(jobs: Sequence[Job], took: dict[str, float], unit_s: float) -> float:
    """Return how many minutes one process would need for what is not done.

    Args:
        jobs: All.
        took: Seconds that jobs took which are done, by name.
        unit_s: Seconds for a unit of effort, as long as no job is done.
    """
    done = [job for job in jobs if job.name in took]
    effort = sum(job.effort for job in done)
    pace = sum(took[job.name] for job in done) / effort if effort else unit_s
    return pace * sum(job.effort for job in jobs if not job.done) / 60
