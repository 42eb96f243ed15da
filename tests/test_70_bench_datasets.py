"""Contract: what every reader of a public data set keeps, on a small set of its real layout."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.sets.make import MAKERS
from sarknowlip.bench.dataset import DataSet, Part
from sarknowlip.bench.datasets import DATASETS
from sarknowlip.bench.datasets.published import Published
from sarknowlip.bench.example import (
    UNLABELLED,
    Answer,
    Boxes,
    Captions,
    Count,
    Example,
    Label,
    Mask,
    Region,
)
from sarknowlip.bench.metrics import BenchError
from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.sar.tile import TileImage

PAGE = Path(__file__).parent.parent / "docs" / "datasets.md"
HERE = [n for n in DATASETS if DATASETS[n].__module__.startswith("sarknowlip.bench.datasets.")]
PARTS: tuple[Part, ...] = ("train", "test")
TRUTH = {
    "classification": Label,
    "few-shot": Label,
    "zero-shot": Label,
    "detection": Boxes,
    "counting": Count,
    "segmentation": Mask,
    "polsar": Mask,
    "change": Mask,
    "search": Captions,
    "captioning": Captions,
    "answering": Answer,
    "grounding": Region,
}
WORDS = ("search", "captioning", "answering", "grounding")
"""Tasks that need no classes."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sets")


@pytest.fixture(params=HERE)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    if found == "so2sat-lcz42" and importlib.util.find_spec("h5py") is None:
        pytest.skip("h5py is not installed: pip install 'sarknowlip[hdf5]'")
    return found


@pytest.fixture
def dataset(name: str, data: Path) -> Published:
    folder = data / name
    if not folder.exists():
        MAKERS[name](folder)
    opened = DATASETS[name].open(folder)
    assert isinstance(opened, Published)
    return opened


def everything(dataset: DataSet) -> list[tuple[str, Part, Example]]:
    return [
        (task, part, example)
        for task in dataset.tasks
        for part in PARTS
        for example in dataset.examples(task, part)
    ]


def read_all(opening: Callable[[Path], DataSet], folder: Path) -> None:
    for _, _, example in everything(opening(folder)):
        example.image()


def test_every_set_has_a_fixture() -> None:
    assert set(HERE) == set(MAKERS)


def test_the_card_is_complete(name: str, dataset: Published) -> None:
    card = dataset.card
    assert card.name == name
    for field, value in card.model_dump().items():
        assert value or field in ("also", "classes", "prompts", "frequency_band", "window_px",
                                  "gap_px", "block_px", "serials", "scenes",
                                  "kinds"), field  # fmt: skip
    assert "\n" not in "".join((card.title, card.what, card.split, card.pixels, *card.layout))
    assert card.source.startswith("https://")


def test_classes_and_prompts_belong_together(dataset: Published) -> None:
    assert len(set(dataset.classes)) == len(dataset.classes)
    assert dataset.classes or set(dataset.tasks) <= set(WORDS)
    assert len(dataset.prompts) in (0, len(dataset.classes))
    assert all(texts and all(texts) for texts in dataset.prompts)
    assert ("zero-shot" in dataset.tasks) == bool(dataset.prompts)


def test_no_group_is_in_both_parts_and_no_identifier_twice(dataset: Published) -> None:
    for task in dataset.tasks:
        groups = {part: {e.group for e in dataset.examples(task, part)} for part in PARTS}
        assert groups["train"]
        assert groups["test"]
        assert not groups["train"] & groups["test"]
        ids = [e.id for part in PARTS for e in dataset.examples(task, part)]
        assert len(set(ids)) == len(ids)


def test_pictures_and_truths_are_what_they_should_be(dataset: Published) -> None:
    seen: dict[str, TileImage] = {}
    for task, _, example in everything(dataset):
        tile = seen.setdefault(example.id, seen.get(example.id) or example.image())
        assert tile.db.dtype == np.float32
        assert tile.db.ndim == 3
        assert len(tile.db) == len(tile.acquisition.polarizations)
        assert not np.isinf(tile.db).any()
        assert np.isfinite(tile.db).any()
        rows, columns = tile.db.shape[1:]
        assert tile.geobox.shape == (rows, columns)
        if example.before is not None:
            assert example.before().db.shape == tile.db.shape
        assert (example.before is not None) == (task == "change")
        assert isinstance(example.truth, TRUTH[task])
        check(example.truth, (rows, columns), len(dataset.classes))


def check(truth: object, shape: tuple[int, int], classes: int) -> None:
    if isinstance(truth, Label):
        assert 0 <= truth.index < classes
    elif isinstance(truth, Count):
        assert truth.number >= 0
    elif isinstance(truth, Mask):
        mask = truth.read()
        assert mask.shape == shape
        assert mask.dtype == np.int64
        assert mask.min() >= UNLABELLED
        assert mask.max() < classes
    elif isinstance(truth, Captions):
        assert truth.texts
        assert all(text.strip() for text in truth.texts)
    elif isinstance(truth, Answer):
        assert truth.question
        assert truth.text
        assert truth.kind
    elif isinstance(truth, Region):
        left, top, right, bottom = truth.box
        assert truth.expression
        assert truth.box.dtype == np.float64
        assert 0 <= left < right <= shape[1]
        assert 0 <= top < bottom <= shape[0]
    else:
        assert isinstance(truth, Boxes)
        assert truth.corners.shape == (len(truth.classes), 4, 2)
        assert truth.corners.dtype == np.float64
        assert truth.classes.dtype == np.int64
        assert ((truth.classes >= 0) & (truth.classes < classes)).all()
        assert (truth.corners >= 0).all()
        assert (truth.corners <= np.array(shape[::-1])).all()


def test_counts_are_those_of_the_boxes(dataset: Published) -> None:
    if "counting" not in dataset.tasks:
        assert "detection" not in dataset.tasks
        return
    for part in PARTS:
        for box, count in zip(
            dataset.examples("detection", part), dataset.examples("counting", part), strict=True
        ):
            assert isinstance(box.truth, Boxes)
            assert isinstance(count.truth, Count)
            assert (box.id, len(box.truth.classes)) == (count.id, count.truth.number)


def test_the_order_and_the_split_are_stable(name: str, dataset: Published, data: Path) -> None:
    again = DATASETS[name].open(data / name)
    pairs = zip(everything(dataset), everything(again), strict=True)
    for place, ((_, part, first), (_, other, second)) in enumerate(pairs):
        assert (part, first.id, first.group) == (other, second.id, second.group)
        if place < 3:
            np.testing.assert_array_equal(first.image().db, second.image().db)


def test_readers_travel_to_other_processes(dataset: Published) -> None:
    _, _, example = everything(dataset)[0]
    travelled = pickle.loads(pickle.dumps(example))
    np.testing.assert_array_equal(travelled.image().db, example.image().db)


def test_any_group_can_be_left_out(dataset: Published) -> None:
    group = dataset.groups[0]
    other = dataset.leaving_out(group)
    for task in dataset.tasks:
        assert {e.group for e in other.examples(task, "test")} <= {group}
        assert group not in {e.group for e in other.examples(task, "train")}
        count = sum(len(dataset.examples(task, part)) for part in PARTS)
        assert sum(len(other.examples(task, part)) for part in PARTS) == count
    assert other.card.name != dataset.card.name
    assert type(dataset).card.name == dataset.card.name, "the class's own card is as before"
    with pytest.raises(BenchError, match="no group 'nowhere'"):
        dataset.leaving_out("nowhere")
    with pytest.raises(BenchError, match="both parts"):
        dataset.leaving_out(*dataset.groups)


def test_an_unserved_task_is_one_line(dataset: Published) -> None:
    with pytest.raises(BenchError, match=r"has no examples for 'cooking'; it serves \w+") as error:
        dataset.examples("cooking", "test")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("listed", HERE)
@pytest.mark.parametrize("empty", [False, True], ids=["no folder", "empty folder"])
def test_a_missing_set_says_where_to_get_it(listed: str, empty: bool, tmp_path: Path) -> None:
    kind = DATASETS[listed]
    if empty:
        (tmp_path / kind.card.folder).mkdir()
    with pytest.raises(BenchError) as error:
        kind.open(tmp_path)
    told = str(error.value)
    assert "\n" not in told
    for part in (kind.card.title, kind.card.source, kind.card.licence, str(tmp_path)):
        assert part in told


def test_a_damaged_picture_is_one_line(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path)
    for path in tmp_path.rglob("*"):
        labels = "label" in f"{path.parent.name}/{path.name}".lower() or "_gt" in path.name
        if path.suffix in (".jpg", ".png", ".bmp", ".tif", ".tiff") and not labels:
            path.write_bytes(path.read_bytes()[:40])
        elif path.name.startswith("HB"):
            path.write_bytes(path.read_bytes()[:-30])
        elif path.suffix in (".h5", ".zip"):
            path.write_bytes(b"\0" * 40)
    with pytest.raises(SarKnowlipError) as error:
        read_all(DATASETS[name].open, tmp_path)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("listed", HERE)
def test_the_page_has_a_row_as_the_card_says(listed: str) -> None:
    card = DATASETS[listed].card
    row = next(
        (
            line
            for line in PAGE.read_text(encoding="utf-8").splitlines()
            if f"| `{listed}` " in line
        ),
        "",
    )
    for value in (card.title, card.size, card.licence, card.citation, card.source, card.folder):
        assert value in row, f"docs/datasets.md, row {listed}: {value}"
    assert ", ".join(DATASETS[listed].tasks) in row
