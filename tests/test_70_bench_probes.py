"""Heads on frozen features: standardising, folds, logistic regression, neighbours, ridge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as PeerRidge

from sarknowlip.bench.probes import linear as linear_module
from sarknowlip.bench.probes import neighbours as neighbours_module
from sarknowlip.bench.probes import standard as standard_module
from sarknowlip.bench.probes.folds import deal, splits
from sarknowlip.bench.probes.linear import LinearConfig, fit_linear
from sarknowlip.bench.probes.neighbours import NeighbourConfig, Neighbours
from sarknowlip.bench.probes.ridge import RidgeConfig, fit_ridge
from sarknowlip.bench.probes.standard import Standard


def blobs(count: int, width: int, classes: int, seed: int = 0, apart: float = 1.0):
    """Return features of unequal scale that overlap, and their classes."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=count)
    centres = np.random.default_rng(99).normal(size=(classes, width)) * apart
    mix = np.random.default_rng(98).normal(size=(width, width)) / np.sqrt(width)
    x = (centres[labels] + generator.normal(size=(count, width))) @ mix
    scale = np.logspace(-2, 2, width)
    return (x * scale + 10 * scale).astype(np.float32), labels.astype(np.int64)


def each_its_own(count: int) -> list[str]:
    return [f"g{number}" for number in range(count)]


class TestStandard:
    def test_training_rows_have_mean_0_and_spread_1(self) -> None:
        x, _ = blobs(200, 7, 3)
        z = Standard.fit(x)(x)
        assert z.dtype == np.float32
        np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-5)

    def test_by_hand_and_for_any_axes(self) -> None:
        standard = Standard.fit(np.array([[[1.0, 5.0]], [[3.0, 5.0]]], dtype=np.float32))
        told = standard(np.array([4.0, 9.0], dtype=np.float32))
        np.testing.assert_allclose(told, [2.0, 0.0])

    def test_what_differs_by_rounding_alone_is_flat(self) -> None:
        x = np.full((1000, 2), 1000.0, dtype=np.float32)
        x[:, 1] += np.arange(1000) / 100
        x[::2, 0] = np.nextafter(np.float32(1000.0), np.float32(2000.0))
        z = Standard.fit(x)(x)
        assert not z[:, 0].any()
        np.testing.assert_allclose(z[:, 1].std(), 1, atol=1e-3)

    def test_chunks_change_nothing(self, monkeypatch) -> None:
        x, _ = blobs(101, 5, 3)
        whole = Standard.fit(x)(x)
        monkeypatch.setattr(standard_module, "CHUNK_VALUES", 11)
        np.testing.assert_allclose(Standard.fit(x)(x), whole, atol=1e-6)


class TestFolds:
    @given(st.lists(st.integers(0, 12), min_size=2, max_size=60), st.integers(2, 5))
    @settings(max_examples=60)
    def test_groups_stay_whole_in_any_order(self, members, folds) -> None:
        groups = [f"g{member}" for member in members]
        labels = np.array([member % 3 for member in members])
        fold = deal(groups, labels, folds)
        of_group = dict(zip(groups, fold.tolist(), strict=True))
        assert [of_group[group] for group in groups] == fold.tolist()
        order = np.random.default_rng(0).permutation(len(groups))
        again = deal([groups[place] for place in order], labels[order], folds)
        assert np.array_equal(again, fold[order])

    def test_classes_are_spread(self) -> None:
        groups = [f"g{number // 4:02}" for number in range(200)]
        labels = np.repeat(np.arange(5), 40)
        fold = deal(groups, labels, 5)
        counts = np.array([[np.sum(fold[labels == k] == f) for f in range(5)] for k in range(5)])
        assert (counts == 8).all()

    def test_parts_are_a_partition_and_one_group_gives_none(self) -> None:
        groups = [f"g{number % 3}" for number in range(30)]
        looks = [look for _, look in splits(groups, np.zeros(30, dtype=np.int64), 5)]
        assert len(looks) == 3
        assert np.array_equal(np.sort(np.concatenate(looks)), np.arange(30))
        assert list(splits(["one"] * 4, np.zeros(4, dtype=np.int64), 5)) == []


class TestLinear:
    @pytest.mark.parametrize(("count", "width"), [(300, 12), (40, 90)])
    @pytest.mark.parametrize("strength", [1e-2, 1e-4, 1e-6])
    def test_minimum_is_that_of_scikit_learn(self, count, width, strength) -> None:
        x, labels = blobs(count, width, 4, apart=0.5)
        config = LinearConfig(strengths=(strength,), iterations=500, tolerance=1e-6)
        ours = fit_linear(x, labels, each_its_own(count), classes=4, config=config)
        z = ours.standard(x).astype(np.float64)
        penalty = strength * width
        peer = LogisticRegression(C=1 / (penalty * count), tol=1e-7, max_iter=5000).fit(z, labels)

        def loss(weight, bias) -> float:
            logits = z @ weight.T + bias
            logits -= logits.max(axis=1, keepdims=True)
            log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            own = log_p[np.arange(count), labels].mean()
            return -own + penalty / 2 * np.square(weight).sum()

        mine = loss(ours.weight.astype(np.float64), ours.bias.astype(np.float64))
        assert mine == pytest.approx(loss(peer.coef_, peer.intercept_), rel=1e-4, abs=5e-6)
        if count < width and strength < 1e-5:
            return  # classes come apart: the minimum is too flat to compare weights
        told = ours.scores(x) - ours.scores(x).mean(axis=1, keepdims=True)
        expected = peer.decision_function(z)
        expected -= expected.mean(axis=1, keepdims=True)
        assert np.abs(told - expected).max() < 0.01 * np.abs(expected).max()

    def test_it_starts_elsewhere_and_ends_there(self) -> None:
        x, labels = blobs(200, 10, 3, apart=0.5)
        config = LinearConfig(strengths=(1e-4,), iterations=500, tolerance=1e-6)
        alone = fit_linear(x, labels, each_its_own(200), classes=3, config=config)
        z, y = torch.from_numpy(alone.standard(x)), torch.from_numpy(labels)
        problem = linear_module._Problem(linear_module._Turned.of(z), z, y, config)
        path = problem.path((1e-1, 1e-2, 1e-3, 1e-4))
        np.testing.assert_allclose(path[-1][0], alone.weight, atol=0.01)

    def test_strength_follows_from_groups_left_out(self) -> None:
        # Each group has features of its own that tell its class, and says nothing of others.
        generator = np.random.default_rng(0)
        member = np.repeat(np.arange(24), 10)
        labels = np.repeat(np.arange(24) % 2, 10).astype(np.int64)
        own = generator.normal(size=(24, 30))[member] * 3
        true = generator.normal(size=(240, 4)) * 0.9 + labels[:, None]
        x = np.concatenate([own, true], axis=1).astype(np.float32)
        by_group = fit_linear(x, labels, [f"g{one}" for one in member], classes=2)
        by_row = fit_linear(x, labels, each_its_own(240), classes=2)
        assert by_group.strength > by_row.strength

    def test_classes_without_rows_are_never_told(self) -> None:
        x, labels = blobs(60, 5, 2)
        few = LinearConfig(strengths=(1e-2, 1e-4), folds=2)
        probe = fit_linear(x, labels * 2 + 1, each_its_own(60), classes=5, config=few)
        assert set(probe.classes(x)) == {1, 3}
        assert np.isneginf(probe.scores(x)[:, [0, 2, 4]]).all()
        assert (probe.classes(x) == labels * 2 + 1).mean() > 0.8

    def test_one_class_one_group_one_row(self) -> None:
        x, labels = blobs(30, 5, 3)
        only = fit_linear(x, np.full(30, 2), each_its_own(30), classes=3)
        assert (only.classes(x) == 2).all()
        grouped = fit_linear(x, labels, ["same"] * 30, classes=3)
        assert grouped.strength == LinearConfig().alone
        assert (fit_linear(x[:1], labels[:1], ["a"], classes=3).classes(x) == labels[0]).all()

    def test_flat_features_tell_the_most_frequent_class(self) -> None:
        x, labels = np.ones((50, 4), dtype=np.float32), np.repeat([0, 1, 1, 1, 2], 10)
        probe = fit_linear(x, labels, each_its_own(50), classes=3)
        assert (probe.classes(x) == 1).all()
        shares = np.exp(probe.bias) / np.exp(probe.bias).sum()
        np.testing.assert_allclose(shares, [0.2, 0.6, 0.2], atol=1e-3)

    def test_the_same_again_and_rows_in_parts(self, monkeypatch) -> None:
        x, labels = blobs(150, 8, 3, apart=0.5)
        config = LinearConfig(strengths=(1e-2, 1e-3), folds=2)
        first = fit_linear(x, labels, each_its_own(150), classes=3, config=config)
        again = fit_linear(x, labels, each_its_own(150), classes=3, config=config)
        assert np.array_equal(first.weight, again.weight)
        monkeypatch.setattr(linear_module, "ROWS", 17)
        parts = fit_linear(x, labels, each_its_own(150), classes=3, config=config)
        assert parts.strength == first.strength
        np.testing.assert_allclose(parts.scores(x), first.scores(x), atol=0.01)


class TestNeighbours:
    def test_votes_are_those_of_brute_force(self, monkeypatch) -> None:
        x, labels = blobs(80, 6, 3)
        query, _ = blobs(33, 6, 3, seed=1)
        config = NeighbourConfig(count=7)
        near = Neighbours.fit(x)
        unit = near.standard(x) / np.linalg.norm(near.standard(x), axis=1, keepdims=True)
        asked = near.standard(query)
        asked /= np.linalg.norm(asked, axis=1, keepdims=True)
        cosine = asked @ unit.T
        order = np.argsort(-cosine, axis=1)[:, :7]
        votes = np.zeros((33, 3))
        for row in range(33):
            for place in order[row]:
                votes[row, labels[place]] += np.exp(cosine[row, place] / 0.07)
        places, found = near.nearest(query, 7)
        assert np.array_equal(places, order)
        np.testing.assert_allclose(found, np.take_along_axis(cosine, order, axis=1), atol=1e-5)
        assert np.array_equal(near.classes(query, labels, config), votes.argmax(axis=1))
        monkeypatch.setattr(neighbours_module, "CHUNK", 100)
        assert np.array_equal(near.nearest(query, 7)[0], order)

    def test_more_neighbours_than_rows(self) -> None:
        x, labels = blobs(5, 4, 2)
        assert Neighbours.fit(x).nearest(x, 20)[0].shape == (5, 5)
        assert np.array_equal(Neighbours.fit(x).nearest(x, 1)[0][:, 0], np.arange(5))
        flat = np.ones((5, 4), dtype=np.float32)
        assert np.isfinite(Neighbours.fit(flat).nearest(flat, 2)[1]).all()
        assert set(Neighbours.fit(flat).classes(flat, labels)) <= {0, 1}


class TestRidge:
    @pytest.mark.parametrize(("count", "width"), [(120, 9), (30, 70)])
    @pytest.mark.parametrize("strength", [1.0, 1e-3])
    def test_values_are_those_of_scikit_learn(self, count, width, strength) -> None:
        x, labels = blobs(count, width, 5)
        y = np.stack([labels + 0.5, np.sin(labels)], axis=1)
        config = RidgeConfig(strengths=(strength,))
        ours = fit_ridge(x, y, each_its_own(count), config)
        z = ours.standard(x).astype(np.float64)
        peer = PeerRidge(alpha=strength * width * count).fit(z, y)
        np.testing.assert_allclose(ours.values(x), peer.predict(z), atol=1e-6)

    def test_strength_follows_from_groups_left_out(self) -> None:
        generator = np.random.default_rng(0)
        x = generator.normal(size=(200, 20)).astype(np.float32)
        exact = (x @ generator.normal(size=(20, 1))).astype(np.float64) + 3.0
        noise = generator.normal(size=(200, 1))
        assert fit_ridge(x, exact, each_its_own(200)).strength == 1e-6
        assert fit_ridge(x, noise, each_its_own(200)).strength == 1.0
        one = fit_ridge(x, exact, ["same"] * 200)
        assert one.strength == RidgeConfig().alone

    def test_flat_features_tell_the_mean(self) -> None:
        x, y = np.ones((10, 3), dtype=np.float32), np.arange(10.0)[:, None]
        np.testing.assert_allclose(fit_ridge(x, y, each_its_own(10)).values(x), 4.5)
