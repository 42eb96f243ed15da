"""Shared by all tests: where real data lies, and the tests folder on the import path."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from overfitted import Overfitted

TESTS = Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS))

from torchvision_operators import mend_torchvision  # noqa: E402

mend_torchvision()


def data_root() -> Path:
    """Return the folder of real sample data: $SARKNOWLIP_DATA, or ../shared/data."""
    return Path(os.environ.get("SARKNOWLIP_DATA", TESTS.parent.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Return a function from a sample's name to its path; the test is skipped if it is absent."""

    def find(name: str) -> Path:
        path = data_root() / name
        if not path.exists():
            pytest.skip(f"real sample {name!r} is not at {path.parent}; set SARKNOWLIP_DATA")
        return path

    return find


@pytest.fixture(scope="session")
def overfitted(tmp_path_factory: pytest.TempPathFactory) -> Overfitted:
    """Return a model that knows eight tiles by heart; see tests/overfitted.py."""
    from overfitted import overfit

    return overfit(tmp_path_factory.mktemp("overfitted"))


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a corpus with texts from all sources (`data.told.make`); copy it to change it."""
    from data.told.make import make_told

    return make_told(tmp_path_factory.mktemp("told"))
