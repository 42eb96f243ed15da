"""Rung 0: jobs on local processes."""

from __future__ import annotations

import os
import signal

import pytest

from sarknowlip.core.errors import ConfigError, SarKnowlipError
from sarknowlip.core.pool import run_jobs


def squared(value: int) -> int:
    if value == 13:
        raise ConfigError("13 is unlucky", "take 14")
    if value == 99:
        os.kill(os.getpid(), signal.SIGKILL)
    return value * value


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_comes_back_with_its_result(workers: int) -> None:
    assert sorted(run_jobs(squared, range(7), workers)) == [(n, n * n) for n in range(7)]
    assert list(run_jobs(squared, [], workers)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_job_passes_through(workers: int) -> None:
    with pytest.raises(ConfigError, match="13 is unlucky"):
        list(run_jobs(squared, [1, 13, 2], workers))


def test_a_dead_worker_is_one_line() -> None:
    with pytest.raises(SarKnowlipError, match=r"worker process died.*fewer --workers"):
        list(run_jobs(squared, [1, 99, 2], 2))
