"""The leaderboard tells what the cells tell, and holds everything inside one file."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from levelled import LevelAdapter, Levelled
from sarknowlip.bench.adapters.constant import Constant
from sarknowlip.bench.adapters.sheet import Given
from sarknowlip.bench.board import COLUMNS
from sarknowlip.bench.cells import cell_path
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.suite import run_suite
from sarknowlip.bench.tasks.suite import SUITE
from sarknowlip.pipeline.leaderboard import CSV, MARKDOWN, PAGE, write_leaderboard
from sarknowlip.pipeline.leaderboard_figures import model_colours, radar_chart, score_bars

TASKS = ("captioning", "counting", "search")


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("bench")
    models = {
        "level": lambda seed: LevelAdapter(),
        "mute": lambda seed: Constant.make(Given(name="mute")),
    }
    found = run_suite([SUITE[name]() for name in TASKS], [Levelled()], models, out, seeds=(0, 1))
    assert not found.failures
    return out


@pytest.fixture(scope="module")
def written(filled):
    return write_leaderboard(filled)


def test_what_is_written(filled: Path, written) -> None:
    assert (written.models, written.tasks, written.sets) == (
        ("level", "mute"),
        TASKS,
        ("levelled",),
    )
    rows = list(csv.DictReader((filled / CSV).open()))
    assert tuple(rows[0]) == COLUMNS
    main = [row for row in rows if row["main"] == "True"]
    assert len(main) == 6
    text = (filled / MARKDOWN).read_text()
    best = next(row for row in main if row["task"] == "search" and row["best"] == "True")
    assert best["model"] == "level"
    assert f"| level | **{float(best['value']):.3f}** (" in text
    assert text.count("| chance |") == 3


def test_the_page_needs_nothing_else(filled: Path, written) -> None:
    page = (filled / PAGE).read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "<script" not in page
    for word in ("level", "mute", "levelled", "mean_recall", "Leakage audit", *TASKS):
        assert word in page
    assert page.count("data:image/png") == sum(
        len(list(cell_path(filled, task, "levelled", "level", 0).parent.glob("seed-0/*.png")))
        for task in TASKS
    )
    assert "rank of the picture" in page
    backgrounds = set(re.findall(r"background:([^;\"]+)", page.split("</style>")[1]))
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in backgrounds)
    assert len(backgrounds) == 4  # two models, true, told


def test_a_picture_that_is_gone_is_told(filled: Path, written, tmp_path: Path) -> None:
    copy = shutil.copytree(filled, tmp_path / "copy")
    path = cell_path(copy, "counting", "levelled", "level", 0)
    next(path.parent.glob("seed-0/*.png")).unlink()
    with pytest.raises(BenchError, match=r"seed-0/.*\.png.*; delete .*seed-0\.json"):
        write_leaderboard(copy)


def test_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no cells"):
        write_leaderboard(tmp_path)


def test_figures_leave_gaps() -> None:
    models = {"a": (0.2, None, 0.4), "b": (1.0, 0.0, 0.5)}
    colours = model_colours(list(models))
    assert len(set(colours.values())) == 2
    assert b"<svg" in (radar_chart(("x", "y", "z"), models, colours) or b"")
    assert radar_chart(("x", "y"), {"a": (0.2, None)}, colours) is None
    assert np.unique(list(model_colours([str(n) for n in range(30)]).values())).size == 20
    assert np.unique(list(model_colours([str(n) for n in range(10)]).values())).size == 10


def test_bars_stand_without_scores(filled: Path) -> None:
    from sarknowlip.bench.board import lines, read_cells

    main = [line for line in lines(read_cells(filled)) if line.main and line.task == "counting"]
    blank = main[0].model_copy(update={"value": None, "low": None, "high": None})
    assert b"<svg" in score_bars([blank, main[1]], model_colours(["level", "mute"]))
