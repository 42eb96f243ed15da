"""Built-in data sets: boxes, draws and answers by hand; then two tiny cities from end to end."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import shapely

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.bench.builtin.aims import clipped
from sarknowlip.bench.builtin.covers import shares
from sarknowlip.bench.builtin.crops import CELL_M, RIM_M, Crop, cell_bounds, crowded_cells
from sarknowlip.bench.builtin.ground import balanced, drawn
from sarknowlip.bench.builtin.language import canonical
from sarknowlip.bench.builtin.make import MANIFEST, BuiltinReport, make_builtin
from sarknowlip.bench.builtin.plan import BuiltinPlan, Most, plan_of
from sarknowlip.bench.builtin.rows import rows_path
from sarknowlip.bench.builtin.sets import (
    CARDS,
    Builtin,
    BuiltinChange,
    BuiltinCover,
    BuiltinDetection,
    BuiltinLanguage,
    BuiltinPolsar,
    BuiltinRecognition,
    BuiltinSegmentation,
)
from sarknowlip.bench.example import Answer, Boxes, Captions, Count, Label, Mask, Region
from sarknowlip.bench.leaks import audit
from sarknowlip.bench.metrics import BenchError
from sarknowlip.core.hashing import file_sha256
from sarknowlip.simulate.city import make_world
from sarknowlip.simulate.world.config import WorldConfig

SETS: tuple[type[Builtin], ...] = (
    BuiltinCover,
    BuiltinRecognition,
    BuiltinDetection,
    BuiltinSegmentation,
    BuiltinChange,
    BuiltinLanguage,
    BuiltinPolsar,
)
TINY = BuiltinPlan(
    train={"Antwerp": 1},
    test={"Genoa": 2},
    size_km=1.5,
    cells=1,
    polsar_cities=1,
    block_km=0.64,
    most=Most(cover=4, recognition=4, questions=3, expressions=2, sentences=3, least=0),
)


def test_a_box_inside_stays_and_one_mostly_outside_goes() -> None:
    box = np.array([[6.0, 2.0], [6.0, 4.0], [2.0, 4.0], [2.0, 2.0]])
    assert clipped(box, (10, 10)) is box
    assert clipped(box - (4.5, 0.0), (10, 10)) is None
    half = clipped(box - (3.5, 0.0), (10, 10))
    assert half is not None
    assert shapely.Polygon(half).bounds == pytest.approx((0.0, 2.0, 2.5, 4.0))


def test_a_slanted_box_is_cut_along_its_own_axes() -> None:
    along, across = np.array([3.0, 3.0]), np.array([-1.0, 1.0])
    origin = np.array([6.0, 6.0])
    box = np.array([origin + along, origin + along + across, origin + across, origin])
    cut = clipped(box, (10, 7))
    assert cut is not None
    sides = cut[0] - cut[3], cut[2] - cut[3]
    assert sides[0] @ sides[1] == pytest.approx(0.0, abs=1e-9)
    assert np.hypot(*sides[1]) == pytest.approx(np.hypot(*across))
    # The picture ends at column 7: the corner at (5, 7) leads along to (7, 9), on its long side.
    assert cut[1] == pytest.approx([7.0, 9.0])


def test_draws_are_equal_by_class_and_do_not_depend_on_order() -> None:
    rows = [[{"id": f"{kind}{n}"} for n in range(size)] for kind, size in (("a", 9), ("b", 6))]
    chosen = balanced(rows, most=8, least=5)
    assert [str(row["id"])[0] for row in chosen] == ["a"] * 6 + ["b"] * 6
    assert balanced([part[::-1] for part in rows], most=8, least=5) == chosen
    assert drawn(rows[0], 4) == sorted(drawn(rows[0], 4), key=lambda row: str(row["id"]))
    with pytest.raises(BenchError, match=r"too little of a class \(9, 6 pictures"):
        balanced(rows, most=8, least=7)


def test_shares_leave_out_what_has_no_class() -> None:
    assert shares(np.array([[0, 10], [10, 50]], np.uint8)) == {10: 2 / 3, 50: 1 / 3}
    assert shares(np.zeros((2, 2), np.uint8)) == {}


@pytest.mark.parametrize(
    ("topic", "text", "arguments", "answer"),
    [
        ("presence", "yes", {}, "yes"),
        ("count", "seven", {"count": 7}, "7"),
        ("count", "405", {"count": 405}, "about 400"),
        ("count", "96", {"count": 96}, "about 100"),
        ("area_share", "around 57 %", {"share_pct": 57}, "60 per cent"),
        ("function", "housing", {"function": "dense_residential"}, "dense residential"),
        ("comparison", "grass cover", {"more": "grassland", "less": "road"}, "grassland"),
        ("distance", "300 m", {"distance_m": 300}, None),
    ],
)
def test_answers_have_one_form(
    topic: str, text: str, arguments: dict[str, str | int], answer: str | None
) -> None:
    claim = Claim.of(
        "t",
        "landform",
        "p",
        arguments,
        confidence=1.0,
        stage="s",
        stage_version="1",
        rule="r",
        evidence_ids=["e"],
    )
    said = Text.of(
        "t",
        "landform",
        "question-answer",
        text,
        claim_ids=[claim.id],
        question="What?",
        topic=topic,
    )
    assert canonical(said, claim) == answer


def test_crowded_cells_lie_within_and_hold_what_counts() -> None:
    world = make_world(WorldConfig(city="Genoa", seed=2, size_km=2.0, coast=True, ships=4.0))
    cells = crowded_cells(world, {"ship": 1.0}, 2)
    assert cells
    assert cells == crowded_cells(world, {"ship": 1.0}, 2)
    targets = world.layers(world.bounds).targets
    ships = targets.take(targets.kind.astype(str) == "ship")
    for cell in cells:
        ground = cell_bounds(cell)
        assert ground.width == CELL_M
        assert ground.holds(ships.x, ships.y).any()
        assert ground.west - RIM_M >= world.bounds.west
    crop = Crop.around(world, cells[0])
    assert not crop.layers(crop.bounds).targets.speed.any()


def test_plans_share_no_city_between_parts() -> None:
    for plan in (plan_of("mini"), plan_of("full")):
        cities = plan.cities()
        assert not set(plan.train) & set(plan.test)
        slugs = [city.world.place.slug for city in cities]
        assert len(set(slugs)) == len(slugs)
        days = {city.view("sentinel1-iw-grd").start for city in cities}
        assert len(days) == len(cities), "two cities are seen at one time, as if in one scene"
        assert {city.part for city in cities if city.polsar} == {"train", "test"}


def test_every_task_is_served_and_cards_are_whole() -> None:
    assert {each.card.name for each in SETS} == set(CARDS)
    assert {task for each in SETS for task in each.tasks} == {
        "classification", "few-shot", "zero-shot", "counting", "captioning", "answering", "search",
        "segmentation", "change", "detection", "grounding", "polsar",
    }  # fmt: skip
    for card in CARDS.values():
        assert not card.prompts or len(card.prompts) == len(card.classes)
        assert not card.codes or len(card.codes) == len(card.classes)
        assert len(card.notes) > 2


def test_an_absent_set_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="make_builtin") as error:
        BuiltinCover.open(tmp_path)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BuiltinReport]:
    data = tmp_path_factory.mktemp("data")
    return data, make_builtin(data / "builtin", TINY)


def test_sets_open_and_truths_lie_in_their_pictures(made: tuple[Path, BuiltinReport]) -> None:
    data, report = made
    kinds = set()
    for each in SETS:
        opened = each.open(data)
        for task in each.tasks:
            parts = {part: opened.examples(task, part) for part in ("train", "test")}  # type: ignore[arg-type]
            for part, examples in parts.items():
                assert report.examples[f"{each.card.name}/{task}/{part}"] == len(examples)
                assert len({example.id for example in examples}) == len(examples)
            groups = [{example.group for example in examples} for examples in parts.values()]
            assert not groups[0] & groups[1]
            for example in [*parts["train"][:2], *parts["test"][:2]]:
                kinds.add(type(example.truth))
                tile = example.image()
                _fits(example.truth, tile.db.shape[1:], len(opened.classes))
                if task == "change":
                    assert example.before is not None
                    assert example.before().geobox == tile.geobox
    assert kinds >= {Boxes, Mask, Count, Captions, Answer}


def _fits(truth: object, shape: tuple[int, ...], classes: int) -> None:
    if isinstance(truth, Label):
        assert 0 <= truth.index < classes
    elif isinstance(truth, Boxes):
        centres = truth.corners.mean(axis=1)
        assert truth.corners.shape == (len(truth.classes), 4, 2)
        assert ((centres > 0) & (centres < shape[::-1])).all()
    elif isinstance(truth, Mask):
        mask = truth.read()
        assert mask.shape == shape
        assert mask.min() >= -1
        assert mask.max() < classes
    elif isinstance(truth, Region):
        assert truth.read is not None
        mask = truth.read()
        left, top, right, bottom = truth.box.astype(int)
        assert mask.shape == shape
        assert mask[top:bottom, left:right].sum() == mask.sum() > 0
    elif isinstance(truth, Captions):
        assert truth.texts


def test_targets_are_brighter_than_what_is_around(made: tuple[Path, BuiltinReport]) -> None:
    data, _ = made
    inside, outside = [], []
    for part in ("train", "test"):
        for example in BuiltinDetection.open(data).examples("detection", part):  # type: ignore[arg-type]
            power = example.image().power[0]
            assert isinstance(example.truth, Boxes)
            y, x = np.indices(power.shape) + 0.5
            held = np.zeros(power.shape, bool)
            for corners in example.truth.corners:
                held |= shapely.contains_xy(shapely.Polygon(corners), x, y)
            inside.append(power[held & np.isfinite(power)])
            outside.append(power[~held & np.isfinite(power)])
    assert np.concatenate(inside).mean() > 4 * np.concatenate(outside).mean()


def test_water_is_darker_than_town_where_masks_say_so(made: tuple[Path, BuiltinReport]) -> None:
    data, _ = made
    opened = BuiltinSegmentation.open(data)
    levels: dict[str, list[float]] = {"water": [], "built-up land": []}
    for example in opened.examples("segmentation", "train"):
        tile = example.image()
        assert isinstance(example.truth, Mask)
        mask = example.truth.read()
        for name, found in levels.items():
            found.extend(tile.power[0][mask == opened.classes.index(name)].tolist())
    assert np.nanmedian(levels["water"]) < 0.5 * np.nanmedian(levels["built-up land"])


def test_nothing_leaks_between_the_parts(made: tuple[Path, BuiltinReport]) -> None:
    data, _ = made
    for each in (BuiltinSegmentation, BuiltinDetection, BuiltinChange, BuiltinPolsar):
        found = audit(each.open(data), each.tasks[0])
        assert found.leaks == ()
        assert found.mapped == found.pictures


def test_made_again_everything_is_kept_and_what_is_lost_comes_back_the_same(
    made: tuple[Path, BuiltinReport],
) -> None:
    data, first = made
    root = data / "builtin"
    assert make_builtin(root, TINY) == first.model_copy(update={"fresh": False})
    files = [rows_path(root, "builtin-language"), root / "sets" / "builtin-change-test.npy"]
    before = [file_sha256(path) for path in files]
    for path in files:
        path.unlink()
    shutil.rmtree(root / "corpora" / "later-test")
    (root / MANIFEST).unlink()
    assert make_builtin(root, TINY) == first
    assert [file_sha256(path) for path in files] == before
    with pytest.raises(BenchError, match="another plan"):
        make_builtin(root, TINY.model_copy(update={"cells": 2}))
