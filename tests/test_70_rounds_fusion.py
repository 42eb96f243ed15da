"""Rung 7: from signals to P(bad): it finds bad texts, is calibrated, and is JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import norm
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from sarknowlip.core.errors import ConfigError, SarKnowlipError
from sarknowlip.train.rounds import classifiers, views
from sarknowlip.train.rounds.calibration import (
    Isotonic,
    Platt,
    auroc,
    auroc_interval,
    brier_score,
    calibration_error,
    log_loss,
)
from sarknowlip.train.rounds.classifiers import Labelled, Trees, fit_linear, fit_trees, splits
from sarknowlip.train.rounds.features import Features
from sarknowlip.train.rounds.fusion import Fusion

MODEL = ("contrastive", "matching", "reconstruction")


def world(count: int = 3000, *, seed: int = 0, share: float = 0.3) -> tuple[pa.Table, np.ndarray]:
    """Return scores of texts and which are bad.

    Scores depend on level and dimension, more than on truth; one is unknown for tags; evidence
    knows half of the texts, and is wrong about three in a hundred.
    """
    rng = np.random.default_rng(seed)
    bad = rng.random(count) < share
    level = rng.choice(["sentence", "tag", "phrase"], count, p=[0.6, 0.2, 0.2])
    dimension = rng.choice(["landform", "target"], count)
    base = 3.0 * (level == "tag") + 1.5 * (dimension == "target")
    sign = np.where(bad, -1.0, 1.0)
    worst = -1.0 * bad * rng.gamma(2.0, 1.0, count) + 0.6 * rng.normal(size=count)
    support = np.where(bad != (rng.random(count) < 0.03), 0.0, 1.0)
    table = {
        "text_id": [f"text{n}" for n in range(count)],
        "tile_id": [f"tile{n // 20}" for n in range(count)],
        "level": level,
        "dimension": dimension,
        "contrastive.cosine": base + 0.4 * sign + rng.normal(size=count),
        "matching.logit": 2 * base + 0.8 * sign + rng.normal(size=count),
        "reconstruction.worst_word": np.where(level == "tag", np.nan, worst),
        "reconstruction.constant": np.ones(count),
        "evidence.support": np.where(rng.random(count) < 0.5, np.nan, support),
    }
    return pa.table(table), bad


def trusted(bad: np.ndarray, count: int, seed: int = 1) -> dict[str, bool]:
    drawn = np.random.default_rng(seed).choice(len(bad), count, replace=False)
    return {f"text{n}": bool(bad[n]) for n in drawn}


@pytest.fixture(scope="module")
def known() -> tuple[pa.Table, np.ndarray]:
    return world()


@pytest.fixture(scope="module")
def fitted(known) -> Fusion:
    table, bad = known
    return Fusion.fit(table, trusted(bad, 120))


def test_bad_texts_are_found_and_probabilities_hold(known, fitted: Fusion) -> None:
    table, bad = known
    probability = fitted.probability(table)
    assert probability.shape == (len(bad),)
    assert ((probability >= 0) & (probability <= 1)).all()
    rest = np.array([f"text{n}" not in trusted(bad, 120) for n in range(len(bad))])
    assert roc_auc_score(bad[rest], probability[rest]) > 0.93
    assert calibration_error(probability[rest], bad[rest]) < 0.08
    raw = max(roc_auc_score(~bad, table[f"{n}"].to_numpy()) for n in table.column_names[4:6])
    assert roc_auc_score(bad[rest], probability[rest]) > raw + 0.1, "better than one score alone"


def test_the_report_is_of_texts_not_seen(known, fitted: Fusion) -> None:
    table, bad = known
    report = fitted.report
    assert report is not None
    labels = trusted(bad, 120)
    assert (report.labels, report.bad, report.absent) == (120, sum(labels.values()), 0)
    assert 0.5 < report.auroc_low < report.auroc < report.auroc_high <= 1
    probability = fitted.probability(table)
    rest = np.array([f"text{n}" not in labels for n in range(len(bad))])
    truth = roc_auc_score(bad[rest], probability[rest])
    assert report.auroc_low - 0.02 <= truth <= report.auroc_high + 0.02
    assert report.brier < 0.6 * report.brier_constant
    assert report.calibration_error < 0.15
    assert report.calibration in ("platt", "isotonic")
    noise = np.random.default_rng(3).permutation(list(labels.values()))
    nothing = Fusion.fit(table, dict(zip(labels, map(bool, noise), strict=True))).report
    assert nothing is not None
    assert nothing.auroc_low < 0.5, "labels without sense can't be told held out"
    assert nothing.brier > 0.95 * nothing.brier_constant


def test_a_fusion_is_json(known, fitted: Fusion, tmp_path: Path) -> None:
    table, bad = known
    path = tmp_path / "fusion.json"
    many = Fusion.fit(table, trusted(bad, 40, seed=5), use=MODEL)
    for fusion in (fitted, many, Fusion.unsupervised(table)):
        fusion.save(path)
        again = Fusion.load(path)
        assert again == fusion
        assert np.array_equal(again.probability(table), fusion.probability(table))
    json.loads(path.read_text())
    path.write_text('{"kind": "trusted"}')
    with pytest.raises(ConfigError, match=r"fusion\.json holds no fusion"):
        Fusion.load(path)
    path.write_text("{")
    with pytest.raises(SarKnowlipError, match="cannot read"):
        Fusion.load(path)


def test_a_text_is_judged_by_its_own_row(known, fitted: Fusion) -> None:
    table, _ = known
    whole = fitted.probability(table)
    order = np.random.default_rng(0).permutation(table.num_rows)
    assert np.array_equal(fitted.probability(table.take(order)), whole[order])
    assert np.allclose(fitted.probability(table.slice(7, 1)), whole[7:8], rtol=0, atol=1e-12)
    assert fitted.probability(table.slice(0, 0)).shape == (0,)


def test_signals_can_be_left_out(known, fitted: Fusion) -> None:
    table, bad = known
    labels = trusted(bad, 60)
    fusion = Fusion.fit(table, labels, use=("matching", "reconstruction"))
    assert fusion.use == ("matching", "reconstruction")
    assert fusion.features.columns == ("matching.logit", "reconstruction.worst_word")
    other = table.set_column(
        table.column_names.index("evidence.support"), "evidence.support", pa.array([0.5] * len(bad))
    )
    assert np.array_equal(fusion.probability(other), fusion.probability(table))
    with pytest.raises(ConfigError, match="no scores of the signal 'smell'; choose among contra"):
        Fusion.fit(table, labels, use=("smell",))
    with pytest.raises(ConfigError, match=r"the scores have no column matching\.logit"):
        fusion.probability(table.drop_columns("matching.logit"))
    assert fitted.use == ("contrastive", "matching", "reconstruction", "evidence")


def test_unknown_scores_are_average_and_marked(known, fitted: Fusion) -> None:
    table, _ = known
    assert "reconstruction.constant" not in fitted.features.columns
    assert set(fitted.features.marked) == {"reconstruction.worst_word", "evidence.support"}
    none = table
    for name in ("contrastive.cosine", "matching.logit", "evidence.support"):
        empty = pa.array(np.full(table.num_rows, np.nan))
        none = none.set_column(none.column_names.index(name), name, empty)
    assert np.isfinite(fitted.probability(none)).all()
    matrix = fitted.features.matrix(none)
    assert np.isfinite(matrix).all()
    assert (matrix[:, fitted.features.columns.index("matching.logit")] == 0).all()


def test_scores_are_scaled_within_fold_level_and_dimension(known) -> None:
    table, _ = known
    far = table["matching.logit"].to_numpy() * np.where(np.arange(table.num_rows) % 2, 7.0, 1.0)
    folds = table.set_column(5, "matching.logit", pa.array(far)).append_column(
        "fold", pa.array(np.arange(table.num_rows) % 2)
    )
    scaled = Features.of(folds, ["matching"]).scaled(folds)[:, 0]
    fold, level = folds["fold"].to_numpy(), np.array(folds["level"].to_pylist())
    dimension = np.array(folds["dimension"].to_pylist())
    for one in (0, 1):
        for tag in ("tag", "sentence"):
            for part in ("landform", "target"):
                own = scaled[(fold == one) & (level == tag) & (dimension == part)]
                assert abs(own.mean()) < 0.05
                assert own.std() == pytest.approx(1, abs=0.06)
    of_all = Features.of(table, ["evidence"])
    assert list(of_all.scales) == [""], "evidence means the same everywhere"
    assert np.isnan(of_all.scaled(table)[:, 0]).mean() == pytest.approx(0.5, abs=0.05)


def test_an_unseen_group_has_the_scale_of_the_wider_one(known, fitted: Fusion) -> None:
    table, _ = known
    odd = pa.array(["paragraph"] * table.num_rows)
    other = table.set_column(table.column_names.index("level"), "level", odd)
    scale = fitted.features.scales[""]["matching.logit"]
    column = fitted.features.columns.index("matching.logit")
    expected = (table["matching.logit"].to_numpy() - scale.centre) / scale.spread
    assert np.allclose(fitted.features.scaled(other)[:, column], np.clip(expected, -5, 5))


@pytest.mark.parametrize("count", [0, 19])
def test_too_few_labels_are_refused(known, count: int) -> None:
    table, bad = known
    labels = trusted(bad, count) | {"gone": True, "lost": False}
    with pytest.raises(
        ConfigError,
        match=f"^{count} trusted texts are too few; 2 more are of texts that were not scored; look",
    ):
        Fusion.fit(table, labels)


@pytest.mark.parametrize(("good", "few", "needed"), [(0, 30, 3), (2, 18, 3), (18, 2, 20)])
def test_too_few_good_labels_are_refused(known, good: int, few: int, needed: int) -> None:
    table, bad = known
    labels = {f"text{n}": False for n in np.flatnonzero(~bad)[:good]}
    labels |= {f"text{n}": True for n in np.flatnonzero(bad)[:few]}
    with pytest.raises(
        ConfigError,
        match=f"{few} are bad and {good} good: {needed} good ones are needed; look at more",
    ):
        Fusion.fit(table, labels)


@pytest.mark.parametrize("few", [0, 2])
def test_clean_texts_are_as_bad_as_the_trusted_set_says(known, tmp_path: Path, few: int) -> None:
    table, bad = known
    labels = {f"text{n}": False for n in np.flatnonzero(~bad)[:30]}
    labels |= {f"text{n}": True for n in np.flatnonzero(bad)[:few]}
    fusion = Fusion.fit(table, labels)
    assert fusion.probability(table) == pytest.approx((few + 1) / (30 + few + 2))
    assert fusion.report is not None
    assert (fusion.report.classifier, fusion.report.bad) == ("constant", few)
    assert fusion.at_share_of(table) == fusion, "nothing is known of the share"
    fusion.save(tmp_path / "fusion.json")
    assert Fusion.load(tmp_path / "fusion.json") == fusion


def normal_world(count: int, share: float, seed: int) -> tuple[pa.Table, np.ndarray]:
    """Return one score, good and bad texts two standard deviations apart, and which are bad."""
    rng = np.random.default_rng(seed)
    bad = rng.random(count) < share
    names = [f"{seed}-{n}" for n in range(count)]
    table = pa.table(
        {
            "text_id": names,
            "tile_id": names,
            "level": ["sentence"] * count,
            "matching.logit": rng.normal(size=count) - 2.0 * bad,
        }
    )
    return table, bad


@pytest.mark.parametrize("now", [0.03, 0.6])
def test_probabilities_are_those_of_texts_as_they_are_now(
    now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(  # the slow part, of the report alone
        "sarknowlip.train.rounds.fusion.held_out_probabilities",
        lambda some: np.full(len(some), 0.3),
    )
    first, was_bad = normal_world(400, 0.3, seed=1)
    table, bad = normal_world(4000, now, seed=2)
    labels = dict(zip(first["text_id"].to_pylist(), map(bool, was_bad), strict=True))
    fusion = Fusion.fit(pa.concat_tables([table, first]), labels)
    assert fusion.report is not None
    before = fusion.probability(table)
    moved = fusion.at_share_of(table)
    after = moved.probability(table)
    assert moved.report is not None
    assert moved.report.share == pytest.approx(now, abs=0.06)
    assert fusion.report.share == pytest.approx(was_bad.mean())
    # first fitted where three in ten are bad, it calls too many or too few bad
    assert calibration_error(after, bad) < 0.4 * calibration_error(before, bad)
    assert abs((after > 0.5).mean() - now) < abs((before > 0.5).mean() - now)
    assert bad[after > 0.5].mean() > 0.8
    assert roc_auc_score(bad, after) == pytest.approx(roc_auc_score(bad, before))
    # from any share it comes to the same
    again = moved.at_share_of(table)
    assert again.shift == pytest.approx(moved.shift, abs=1e-3)
    assert moved.at_share_of(table.slice(0, 0)) == moved


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_twenty_labels_of_few_tiles_will_do(known, share: float) -> None:
    table, bad = known
    rng = np.random.default_rng(2)
    few, many = np.flatnonzero(bad == (share < 0.5)), np.flatnonzero(bad == (share > 0.5))
    drawn = [*rng.choice(few, 3, replace=False), *rng.choice(many, 17, replace=False)]
    one_tile = table.set_column(1, "tile_id", pa.array(["tile"] * table.num_rows))
    for scores in (table, one_tile):
        fusion = Fusion.fit(scores, {f"text{n}": bool(bad[n]) for n in drawn} | {"gone": True})
        assert fusion.report is not None
        assert fusion.report.absent == 1
        assert np.isfinite(fusion.probability(scores)).all()


def test_nothing_that_differs_is_refused(known) -> None:
    table, bad = known
    flat = table.append_column("constant.one", pa.array(np.ones(table.num_rows)))
    with pytest.raises(ConfigError, match="no score of constant differs"):
        Fusion.fit(flat, trusted(bad, 40), use=("constant",))


def two_views(bad: np.ndarray, support: np.ndarray, apart: float, *, seed: int = 3) -> pa.Table:
    """Return what three signals and evidence say of texts.

    Args:
        bad: Which ones look bad to the models.
        support: What evidence says.
        apart: Of each signal, in standard deviations.
        seed: Of the noise.
    """
    rng = np.random.default_rng(seed)
    count = len(bad)
    names = ("contrastive.cosine", "matching.logit", "reconstruction.gain")
    return pa.table(
        {
            "text_id": [f"text{n}" for n in range(count)],
            "tile_id": [f"tile{n // 20}" for n in range(count)],
            "level": ["sentence"] * count,
            **{name: rng.normal(size=count) - apart * bad for name in names},
            "evidence.support": support,
        }
    )


def drawn(share: float, seed: int, count: int = 3000) -> np.ndarray:
    return np.random.default_rng(seed).random(count) < share


def test_without_labels_what_evidence_contradicts_is_bad() -> None:
    """Though the models' signals, of one mode, call nothing bad."""
    bad = drawn(0.3, 0)
    for apart in (0.0, 0.5, 1.0):
        table = two_views(bad, np.where(bad != drawn(0.01, 1), 0.0, 1.0), apart)
        fusion = Fusion.unsupervised(table)
        assert (fusion.kind, fusion.report) == ("unsupervised", None)
        assert fusion.use == ("contrastive", "matching", "reconstruction", "evidence")
        assert fusion.at_share_of(table) == fusion
        probability = fusion.probability(table)
        assert roc_auc_score(bad, probability) > 0.985
        called = probability > 0.5
        assert bad[called].mean() > 0.97
        assert called[bad].mean() > 0.97
        assert (fusion.calibrator(np.array([-5.0, 5.0])) < 0.001).all()


def test_models_that_were_not_asked_say_nothing() -> None:
    """Of what evidence speaks on; the others are told as if they were alone."""
    bad = drawn(0.3, 0)
    silent = drawn(0.2, 5)
    table = two_views(bad, np.where(silent, np.nan, np.where(bad, 0.0, 1.0)), 4.0)
    for place, name in enumerate(table.column_names):
        if "." in name and name != "evidence.support":
            asked = np.where(silent, table[name].to_numpy(), np.nan)
            table = table.set_column(place, name, pa.array(asked))
    probability = Fusion.unsupervised(table).probability(table)
    assert ((probability > 0.5) == bad)[~silent].all()
    assert ((probability > 0.5) == bad)[silent].mean() > 0.98
    spoken = table.filter(pa.array(~silent))
    alone = Fusion.unsupervised(spoken)
    assert alone.use == ("evidence",), "no text was left for the models"
    assert ((alone.probability(spoken) > 0.5) == bad[~silent]).all()
    labels = trusted(bad, 200)
    fitted = Fusion.fit(table, labels).probability(table)
    assert roc_auc_score(bad[silent], fitted[silent]) > 0.98
    assert roc_auc_score(bad[~silent], fitted[~silent]) > 0.999


@pytest.mark.parametrize("count", [1, 2, 3, 5, 19])
def test_of_few_texts_nothing_stands_apart(count: int) -> None:
    rng = np.random.default_rng(count)
    for _ in range(5):
        assert (views.apart(rng.normal(size=count))(np.array([-9.0, 9.0])) < 0.001).all()
    assert (
        views.apart(np.repeat([0.0, 9.0], 10) + 0.1 * rng.normal(size=20))(np.array([9.0])) > 0.5
    ).all()


def test_few_contradicted_texts_are_believed_to_be_bad() -> None:
    bad = np.arange(3000) % 300 == 7
    called = Fusion.unsupervised(table := two_views(bad, 1.0 - bad, 0.0)).probability(table) > 0.5
    assert np.array_equal(called, bad)


def test_without_labels_evidence_is_authority() -> None:
    """Good texts that it contradicts, and in which models see nothing, are called bad."""
    good = np.zeros(3000, dtype=bool)
    erring = np.arange(3000) % 20 == 3
    table = two_views(good, np.where(erring, 0.0, 1.0), 0.0)
    called = Fusion.unsupervised(table).probability(table) > 0.5
    assert called.mean() <= 0.05
    assert not called[~erring].any()
    assert called[erring].mean() > 0.9, "as the docstring says"


@pytest.mark.parametrize("errs", [0.05, 0.15])
def test_models_that_speak_clearly_correct_evidence(errs: float) -> None:
    bad = drawn(0.3, 5)
    support = np.where(bad != drawn(errs, 6), 0.0, 1.0)
    table = two_views(bad, support, 2.5)
    probability = Fusion.unsupervised(table).probability(table)
    assert roc_auc_score(bad, probability) > 0.99 > roc_auc_score(bad, -support) + errs / 2
    called = probability > 0.5
    assert (called != bad).mean() < 0.03 < (support == bad).mean(), "evidence alone errs more"


def test_two_modes_that_have_nothing_to_do_with_evidence_do_not_move_it() -> None:
    bad, other = drawn(0.3, 7), drawn(0.4, 8)
    table = two_views(other, 1.0 - bad, 3.0)
    assert np.array_equal(Fusion.unsupervised(table).probability(table) > 0.5, bad)


@pytest.mark.parametrize("apart", [0.0, 1.0, 2.5])
def test_where_evidence_is_silent_models_must_see_two_modes(apart: float) -> None:
    bad, silent = drawn(0.3, 9), drawn(0.4, 10)
    table = two_views(bad, np.where(silent, np.nan, 1.0 - bad), apart)
    probability = Fusion.unsupervised(table).probability(table)
    assert np.array_equal(probability[~silent] > 0.5, bad[~silent]) or apart > 2
    assert ((probability > 0.5) == bad)[~silent].mean() > 0.99
    if apart > 2:
        assert ((probability > 0.5) == bad)[silent].mean() > 0.97
    else:
        assert (probability[silent] < 0.001).all()
    if apart > 0:
        assert roc_auc_score(bad[silent], probability[silent]) > 0.85, "their order is kept"


def test_where_nothing_is_wrong_hardly_anything_is_called_bad() -> None:
    clean, _ = world(share=0.0)  # of which evidence contradicts 1.5 %
    assert 0.0 < (Fusion.unsupervised(clean).probability(clean) > 0.25).mean() <= 0.02
    good = np.zeros(3000, dtype=bool)
    for support in (np.ones(3000), np.where(drawn(0.5, 4), np.nan, 1.0)):
        table = two_views(good, support, 0.0)
        assert (Fusion.unsupervised(table).probability(table) < 0.001).all()


def test_where_most_are_bad_only_contradicted_texts_are_called_so() -> None:
    bad, silent = drawn(0.7, 11), drawn(0.3, 12)
    table = two_views(bad, np.where(silent, np.nan, 1.0 - bad), 3.0)
    probability = Fusion.unsupervised(table).probability(table)
    assert (probability[silent | ~bad] < 0.001).all()
    assert (probability[bad & ~silent] > 0.5).mean() > 0.99


def test_without_labels_and_evidence_what_stands_apart_is_bad(known) -> None:
    bad = drawn(0.3, 13)
    table = two_views(bad, 1.0 - bad, 2.5)
    fusion = Fusion.unsupervised(table, use=MODEL)
    assert (fusion.use, fusion.views) == (MODEL, None)
    assert Fusion.unsupervised(table.drop_columns("evidence.support")) == fusion
    nothing = pa.array(np.full(3000, np.nan))
    assert Fusion.unsupervised(table.set_column(6, "evidence.support", nothing)) == fusion
    probability = fusion.probability(table)
    assert roc_auc_score(bad, probability) > 0.99
    assert (probability > 0.5).mean() == pytest.approx(bad.mean(), abs=0.03)
    one_mode, _ = known
    assert (Fusion.unsupervised(one_mode, use=MODEL).probability(one_mode) < 0.001).all()
    with pytest.raises(ConfigError, match="19 texts are too few"):
        Fusion.unsupervised(table.slice(0, 19))


def test_evidence_may_be_all_there_is() -> None:
    bad, silent = drawn(0.3, 14), drawn(0.3, 15)
    table = two_views(bad, np.where(silent, np.nan, 1.0 - bad), 3.0)
    fusion = Fusion.unsupervised(table, use=("evidence",))
    assert fusion.use == ("evidence",)
    probability = fusion.probability(table.select(["text_id", "level", "evidence.support"]))
    assert np.array_equal(probability > 0.5, bad & ~silent)
    with pytest.raises(ConfigError, match=r"the scores have no column evidence\.support"):
        fusion.probability(table.drop_columns("evidence.support"))
    with pytest.raises(ConfigError, match="no scores of the signal 'evidence'"):
        Fusion.unsupervised(table.drop_columns("evidence.support"), use=("evidence",))


def test_classes_are_those_of_largest_posterior() -> None:
    """Against the density, written out, and a maximiser that knows nothing of classes."""
    bad = drawn(0.3, 16, count=400)
    average = np.random.default_rng(17).normal(size=400) + 1.5 * bad
    against = bad != drawn(0.1, 18, count=400)
    right, few, overall = views.RIGHT, views.FEW, average.mean()

    def unlikely(values: np.ndarray) -> float:
        share, caught, wronged = expit(values[:3])
        worse, better = values[3:5]
        spread = np.exp(values[5])
        of_bad = norm.pdf(average, worse, spread) * np.where(against, caught, 1 - caught)
        of_good = norm.pdf(average, better, spread) * np.where(against, wronged, 1 - wronged)
        likelihood = np.log(share * of_bad + (1 - share) * of_good).sum()
        priors = 400 * (right * np.log(caught) + (1 - right) * np.log(1 - caught))
        priors += 400 * ((1 - right) * np.log(wronged) + right * np.log(1 - wronged))
        priors += norm.logpdf([worse, better], overall, spread / np.sqrt(few)).sum()
        return -(likelihood + priors)

    start = np.array([-1.0, 4.0, -4.0, 1.0, 0.0, 0.0])
    share, caught, wronged, worse, better, spread = minimize(unlikely, start, tol=1e-9).x
    classes = views.fitted(average, against)
    assert classes.share == pytest.approx(expit(share), abs=1e-4)
    assert classes.slope == pytest.approx((worse - better) / np.exp(2 * spread), rel=1e-3)
    assert classes.middle == pytest.approx((worse + better) / 2, abs=1e-3)
    told = np.log(expit(caught) / expit(wronged)), np.log(expit(-caught) / expit(-wronged))
    assert (classes.contradicted, classes.supported) == pytest.approx(told, rel=1e-3)


@pytest.mark.parametrize("shape", [4.0, 6.0, 10.0, 30.0])
def test_a_tail_of_good_texts_does_not_stand_apart(shape: float) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        names = [f"text{n}" for n in range(2000)]
        scores = -rng.gamma(shape, 1.0, len(names))
        table = pa.table(
            {"text_id": names, "tile_id": names, "level": ["tag"] * 2000, "matching.logit": scores}
        )
        assert (Fusion.unsupervised(table).probability(table) < 0.001).all()


def labelled(count: int, seed: int = 0) -> Labelled:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, 4))
    bad = features[:, 0] * features[:, 1] + 0.3 * rng.normal(size=count) > 0.3
    return Labelled(features, features, bad, tuple(f"tile{n // 5}" for n in range(count)))


def test_trees_are_those_of_the_library_and_are_chosen_where_they_help() -> None:
    some = labelled(200)
    ours = fit_trees(some)
    theirs = GradientBoostingClassifier(
        n_estimators=60, max_depth=2, learning_rate=0.1, min_samples_leaf=10, random_state=0
    ).fit(some.plain_NF, some.bad_N)
    new = labelled(300, seed=1)
    assert np.allclose(ours.decision(new.plain_NF), theirs.decision_function(new.plain_NF))
    assert Trees.model_validate_json(ours.model_dump_json()) == ours
    model, calibrator = classifiers.chosen(some)
    assert model.kind == "boosting", "no weighted sum tells a product"
    found = calibrator(model.decision(new.plain_NF))
    assert roc_auc_score(new.bad_N, found) > 0.75
    assert classifiers.chosen(some.rows(np.arange(100)))[0].kind == "logistic", "too few labels"


def test_texts_of_a_tile_stay_together_and_every_part_has_both_kinds() -> None:
    some = labelled(100)
    seen: list[int] = []
    for train, held in splits(some):
        assert not {some.tiles[row] for row in train} & {some.tiles[row] for row in held}
        assert 0 < some.bad_N[train].sum() < len(train)
        seen += held.tolist()
    assert sorted(seen) == list(range(100))


def test_a_penalty_draws_weights_in() -> None:
    some = labelled(100)
    weak, strong = (fit_linear(some, strength, crossed=False) for strength in (3.0, 0.003))
    assert np.linalg.norm(strong.weights) < 0.3 * np.linalg.norm(weak.weights)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 4.0), st.floats(-2.0, 2.0))
def test_calibration_rises_with_the_decision(seed: int, slope: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    decision = rng.normal(size=80)
    bad = rng.random(80) < 1 / (1 + np.exp(-slope * decision - offset))
    bad[:2] = True, False
    grid = np.linspace(-10, 10, 200)
    for kind in (Platt, Isotonic):
        fitted = kind.fitted(decision, bad)
        found = fitted(grid)
        assert (np.diff(found) >= -1e-12).all()
        assert ((found >= 0) & (found <= 1)).all()
        assert fitted(decision).mean() == pytest.approx(bad.mean(), abs=0.06)
    assert (Platt.fitted(decision, bad)(decision) < 1).all()


def test_calibrators_find_the_truth() -> None:
    rng = np.random.default_rng(0)
    decision = rng.normal(size=20_000)
    bad = rng.random(20_000) < 1 / (1 + np.exp(-2 * decision + 1))
    platt = Platt.fitted(decision, bad)
    assert platt.slope == pytest.approx(2, abs=0.1)
    assert platt.offset == pytest.approx(-1, abs=0.1)
    free = Isotonic.fitted(decision, bad)
    assert np.abs(free(decision) - platt(decision)).mean() < 0.02
    away = Platt.fitted(-decision, bad)
    assert away.slope == 0
    assert away(decision)[0] == pytest.approx(bad.mean(), abs=0.01)


def test_measures_of_known_cases() -> None:
    bad = np.array([True, True, False, False])
    assert brier_score(np.array([1.0, 0.0, 0.0, 1.0]), bad) == 0.5
    assert log_loss(np.array([0.5] * 4), bad) == pytest.approx(np.log(2))
    assert log_loss(np.array([0.0, 1.0, 0.0, 0.0]), bad) == pytest.approx(-np.log(1e-4) / 4, 1e-4)
    assert calibration_error(np.array([0.5] * 4), bad, bins=1) == 0
    assert calibration_error(np.array([0.9, 0.9, 0.1, 0.1]), bad, bins=2) == pytest.approx(0.1)
    assert auroc(np.array([0.3, 0.2, 0.2, 0.1]), bad) == 0.875


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_auroc_is_that_of_the_library(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score, bad = rng.integers(0, 6, 30).astype(float), rng.random(30) < 0.4
    bad[:2] = True, False
    assert auroc(score, bad) == pytest.approx(roc_auc_score(bad, score))


def test_intervals_widen_where_texts_depend_on_each_other() -> None:
    rng = np.random.default_rng(0)
    tile = np.repeat(np.arange(40), 10)
    bad = (rng.random(40) < 0.5)[tile]
    score = bad + (1.5 * rng.normal(size=40))[tile]
    alone = auroc_interval(score, bad, [str(n) for n in range(400)])
    together = auroc_interval(score, bad, [str(n) for n in tile])
    assert together[0] < auroc(score, bad) < together[1]
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])
    assert auroc_interval(score, bad, [str(n) for n in tile]) == together
