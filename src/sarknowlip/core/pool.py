"""Independent jobs on local processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from sarknowlip.core.errors import SarKnowlipError

Job = TypeVar("Job")
Result = TypeVar("Result")

Chunk = tuple[int, int, int]
"""Number of a chunk, its first row of a table, and the row after its last."""


def chunks_of(rows: int, size: int) -> list[Chunk]:
    """Return the chunks of a table of so many rows, `size` rows each but the last."""
    starts = range(0, rows, size)
    return [(number, start, min(start + size, rows)) for number, start in enumerate(starts)]


def run_jobs(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, Result]]:
    """Yield each job with its result when it is done: in order on one worker, else as they end.

    Args:
        function: Importable function of one picklable job.
        jobs: What to do.
        workers: Processes; 1 works in this one.

    Raises:
        SarKnowlipError: A worker died (killed, or out of memory). What a job raises passes through.
    """
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield job, function(job)
        return
    context = multiprocessing.get_context("spawn")
    count = min(workers, len(jobs))
    with ProcessPoolExecutor(count, context, initializer=_die_quietly) as pool:
        with _interrupts_ignored():
            pending: dict[Future[Result], Job] = {pool.submit(function, job): job for job in jobs}
        try:
            while pending:
                finished, _ = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield pending.pop(future), future.result()
        except BrokenProcessPool as error:
            raise SarKnowlipError(
                "a worker process died, probably for lack of memory",
                "run again with fewer --workers; what is finished is kept",
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C here and in processes started meanwhile, until `_die_quietly` runs in them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _die_quietly() -> None:
    """Let Ctrl-C end a worker without a traceback; the main process tells what happened."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
