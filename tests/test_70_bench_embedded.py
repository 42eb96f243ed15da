"""What a frozen model gives for examples: batches, checks, and what is kept on disk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from levelled import LevelAdapter, Levelled
from sarknowlip.bench.embedded import Embedded, source_of
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.task import Asking

DATA = Levelled(per_class=4)
EXAMPLES = DATA.examples("classification", "train")
SOURCE = source_of(DATA, "train")


@pytest.mark.parametrize("kind", ["features", "patches", "images"])
@pytest.mark.parametrize("cached", [False, True])
def test_batches_and_cache_change_nothing(kind, cached, tmp_path) -> None:
    adapter = LevelAdapter()
    plain = getattr(adapter, kind)([example.image() for example in EXAMPLES])
    for size in (1, 5, 100):
        asking = Asking(batch_size=size, cache=tmp_path / str(size) if cached else None)
        rows = getattr(Embedded(adapter, asking), kind)(EXAMPLES, source=SOURCE)
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows, plain)


def test_a_picture_asked_about_twice_is_encoded_once() -> None:
    adapter = LevelAdapter()
    questions = Levelled(per_class=3).examples("answering", "train")
    told = []
    asking = Asking(batch_size=5, progress=lambda *state: told.append(state))
    rows = Embedded(adapter, asking).features(questions)
    assert len(questions) == 3 * adapter.encoded
    for example, row in zip(questions, rows, strict=True):
        np.testing.assert_array_equal(row, adapter.features([example.image()])[0])
    done = [state[0] for state in told]
    assert done == sorted(done)
    assert told[-1][:2] == (len(questions), len(questions))


def test_texts_are_encoded_once_and_given_for_each() -> None:
    rows = Embedded(LevelAdapter(), Asking(batch_size=2)).texts(["town", "water", "town"])
    assert rows.shape == (3, 2)
    np.testing.assert_array_equal(rows[0], rows[2])
    assert not np.array_equal(rows[0], rows[1])


def test_two_dates_are_encoded_apart() -> None:
    pairs = [replace(one, before=EXAMPLES[0].image) for one in EXAMPLES]
    before, after = Embedded(LevelAdapter(), Asking()).pairs(pairs, "patches")
    assert before.shape == after.shape == (len(EXAMPLES), 2, 2, 1)
    assert (before == before[0]).all()
    np.testing.assert_array_equal(after, Embedded(LevelAdapter(), Asking()).patches(EXAMPLES))
    with pytest.raises(BenchError, match="no earlier picture"):
        Embedded(LevelAdapter(), Asking()).pairs(EXAMPLES)


class TestCache:
    @pytest.fixture
    def asking(self, tmp_path) -> Asking:
        return Asking(cache=tmp_path / "cache")

    def file(self, asking):
        (path,) = asking.cache.rglob("*.npy")
        return path

    def encoded_again(self, asking, adapter=None, examples=EXAMPLES, kind="features") -> int:
        adapter = adapter or LevelAdapter()
        rows = getattr(Embedded(adapter, asking), kind)(examples, source=SOURCE)
        count = adapter.encoded
        plain = getattr(adapter, kind)([example.image() for example in examples])
        np.testing.assert_array_equal(rows, plain)
        return count

    def test_what_is_kept_is_mapped_and_looked_at_in_three_places(self, asking) -> None:
        assert self.encoded_again(asking) == len(EXAMPLES)
        assert self.encoded_again(asking) == 3
        rows = Embedded(LevelAdapter(), asking).features(EXAMPLES, source=SOURCE)
        assert isinstance(rows, np.memmap)
        assert not [path for path in asking.cache.rglob("*") if path.name.startswith(".")]

    @pytest.mark.parametrize("damage", ["cut", "flipped", "nonsense", "no note", "bad note"])
    def test_what_is_damaged_is_made_again(self, asking, damage) -> None:
        self.encoded_again(asking)
        path = self.file(asking)
        content = path.read_bytes()
        if damage == "cut":
            path.write_bytes(content[:-8])
        elif damage == "flipped":
            path.write_bytes(content[:-8] + bytes([content[-8] ^ 1]) + content[-7:])
        elif damage == "nonsense":
            path.write_bytes(b"nothing")
        elif damage == "no note":
            path.with_suffix(".json").unlink()
        else:
            path.with_suffix(".json").write_text("[]")
        assert self.encoded_again(asking) == len(EXAMPLES)
        assert self.encoded_again(asking) == 3

    def test_other_weights_under_the_same_name_are_found_out(self, asking) -> None:
        class Other(LevelAdapter):
            def features(self, tiles):
                return super().features(tiles) * np.float32(1.5)

        self.encoded_again(asking)
        assert self.encoded_again(asking, Other()) == 3 + len(EXAMPLES)

    def test_other_examples_kinds_and_seeds_lie_beside(self, asking) -> None:
        self.encoded_again(asking)
        self.encoded_again(asking, examples=EXAMPLES[:5])
        self.encoded_again(asking, kind="images")
        seeded = LevelAdapter()
        seeded.card = seeded.card.model_copy(update={"seeded": True})
        self.encoded_again(asking, seeded)
        self.encoded_again(replace(asking, seed=1), seeded)
        assert len(list(asking.cache.rglob("*.npy"))) == 5

    def test_nothing_is_kept_without_a_name(self, asking) -> None:
        Embedded(LevelAdapter(), asking).features(EXAMPLES)
        assert not asking.cache.exists()


@pytest.mark.parametrize(
    ("kind", "broken", "told"),
    [
        ("features", lambda rows: rows[1:], "of shape"),
        ("features", lambda rows: rows[:, :, None], "of shape"),
        ("features", lambda rows: rows * np.nan, "not finite"),
        ("patches", lambda rows: rows[:, :1], "square"),
        ("patches", lambda rows: rows[:, 0], "of shape"),
        ("images", lambda rows: rows * 1.1, "unit length"),
    ],
)
def test_what_cannot_be_used_is_refused(kind, broken, told) -> None:
    adapter = LevelAdapter()
    whole = getattr(adapter, kind)
    setattr(adapter, kind, lambda tiles: broken(whole(tiles)))
    with pytest.raises(BenchError, match=told) as caught:
        getattr(Embedded(adapter, Asking()), kind)(EXAMPLES)
    assert "level" in str(caught.value)


def test_shapes_may_not_change_from_batch_to_batch() -> None:
    adapter = LevelAdapter()
    adapter.features = lambda tiles: np.ones((len(tiles), len(tiles)), dtype=np.float32)
    with pytest.raises(BenchError, match=r"shape \(7,\), then of \(2,\)"):
        Embedded(adapter, Asking(batch_size=7)).features(EXAMPLES)
    with pytest.raises(BenchError, match="no pictures"):
        Embedded(adapter, Asking()).features([])


def test_as_many_words_as_pictures() -> None:
    adapter = LevelAdapter()
    assert len(Embedded(adapter, Asking(batch_size=3)).captions(EXAMPLES)) == len(EXAMPLES)
    questions = DATA.examples("answering", "train")
    assert Embedded(adapter, Asking(batch_size=3)).answers(questions)[:3] == ["yes", "no", "water"]
    adapter.captions = lambda tiles: ["only one"]
    with pytest.raises(BenchError, match="1 texts for"):
        Embedded(adapter, Asking()).captions(EXAMPLES)
