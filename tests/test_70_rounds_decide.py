"""Rung 7: what is done to a text, why, and what a person found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.core.errors import ConfigError
from sarknowlip.train.rounds.config import DecideConfig
from sarknowlip.train.rounds.decide import (
    Candidate,
    Judged,
    Known,
    claim_scores,
    decisions,
    final_scores,
    followers,
    with_claims,
)
from sarknowlip.train.rounds.doubts import doubts
from sarknowlip.train.rounds.trusted import read_trusted


def judged(words: str, bad: float, *claims: str, level: str = "sentence") -> Judged:
    text = Text.of("t", "target", level, words, claim_ids=claims or (words,))
    return Judged(text, bad, {"matching.logit": -1.0}, "it is odd")


def test_texts_of_one_claim_speak_for_it_and_share_in_it() -> None:
    alone = judged("a", 0.9, "x")
    phrase = judged("b", 0.1, "x", level="phrase")
    other = judged("c", 0.2, "y")
    told = [alone, phrase, other]
    assert claim_scores(told) == pytest.approx({"x": 0.5, "y": 0.2})  # log-odds ±2.197
    assert with_claims(told) == pytest.approx([0.75, 0.25, 0.2])


def test_a_text_of_several_claims_is_as_bad_as_its_worst() -> None:
    worst = judged("a", 0.8, "x")
    several = judged("b", 0.3, "x", "y", level="paragraph")
    unknown = judged("c", 0.4, "p", "q", level="paragraph")
    assert with_claims([worst, several, unknown]) == pytest.approx([0.8, 0.8, 0.4])


def test_a_person_has_the_last_word() -> None:
    texts = [judged("a", 0.9), judged("b", 0.1)]
    known = {texts[0].text.id: False, texts[1].text.id: True}
    assert final_scores(texts, known) == [0.0, 1.0]


def test_each_probability_has_its_action() -> None:
    texts = [judged("a", 0.9), judged("b", 0.3), judged("c", 0.1), judged("d", 0.8)]
    claim = Claim.of(
        "t", "target", "ship_count", {"count": 2}, confidence=0.9, stage="target",
        stage_version="1", rule="r", evidence_ids=["e"],
    )  # fmt: skip
    other = Text.of("t", "target", "sentence", "Two ships.", claim_ids=[claim.id])
    found = decisions(
        texts,
        [one.bad for one in texts],
        {texts[3].text.id: Candidate(other, claim)},
        DecideConfig(weigh=0.25, change=0.5),
    )
    actions = {texts[i].text.text: found[texts[i].text.id].action for i in (0, 1, 3)}
    assert actions == {"a": "rewrite", "b": "weight", "d": "replace"}
    assert texts[2].text.id not in found
    weighed = found[texts[1].text.id]
    assert (weighed.weight, weighed.score, weighed.reason) == (0.7, 0.3, "it is odd")
    replaced = found[texts[3].text.id]
    assert (replaced.replacement, replaced.replacement_claims) == (other, (claim,))


@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_changes_are_the_likeliest_and_bounded(
    chances: list[float], one: float, two: float, most: float
) -> None:
    config = DecideConfig(weigh=min(one, two), change=max(one, two), most=most)
    texts = [judged(str(n), chance) for n, chance in enumerate(chances)]
    found = decisions(texts, chances, {}, config)
    changed = [d.score for d in found.values() if d.action == "rewrite"]
    others = [c for t, c in zip(texts, chances, strict=True) if t.text.id not in found]
    weighed = [d for d in found.values() if d.action == "weight"]
    assert len(changed) <= most * len(texts)
    assert all(score >= round(config.change, 5) - 1e-5 for score in changed)
    assert all(chance < config.weigh or round(1 - chance, 4) == 1 for chance in others)
    assert not changed or all(min(changed) >= d.score for d in weighed)
    assert all(0 < d.weight <= 1 for d in weighed)


def test_weights_recover_and_settle() -> None:
    config = DecideConfig(weigh=0.25, change=0.5)
    texts = [judged(words, bad) for words, bad in (("a", 0.3), ("b", 0.1), ("c", 0.1), ("d", 0.9))]
    keys = [one.text.id for one in texts]

    def weights(**now: float) -> dict[str, float]:
        known = {keys["abcd".index(name)]: weight for name, weight in now.items()}
        found = decisions(texts, [one.bad for one in texts], {}, config, known)
        return {texts[keys.index(k)].text.text: d.weight for k, d in found.items()
                if d.action == "weight"}  # fmt: skip

    assert weights() == {"a": 0.7}
    assert weights(b=0.6) == {"a": 0.7, "b": 1.0}, "nothing speaks against it any more"
    assert weights(a=0.7) == weights(a=0.73) == weights(a=0.67) == {}
    assert weights(a=0.6, d=0.6) == {"a": 0.7}


def test_known_values_of_a_row_are_a_mapping() -> None:
    columns = {"a": np.array([1.0, np.nan]), "b": np.array([2.0, 3.0])}
    assert dict(Known(columns, 0)) == {"a": 1.0, "b": 2.0}
    assert dict(Known(columns, 1)) == {"b": 3.0}
    assert len(Known(columns, 1)) == 1
    assert "a" not in Known(columns, 1)


def test_texts_that_were_not_judged_follow_their_claims() -> None:
    texts = [judged("a", 0.9, "x"), judged("b", 0.3, "y"), judged("c", 0.9, "p", "q")]
    config = DecideConfig(most=1.0)
    done = decisions(texts, [one.bad for one in texts], {}, config)
    tags = [
        Text.of("t", "target", "tag", words, claim_ids=claims)
        for words, claims in (("x", ["x"]), ("y", ["y"]), ("p", ["p"]), ("yx", ["y", "x"]))
    ]
    found = followers(tags, texts, done, config)
    assert [found[t.id].action if t.id in found else "" for t in tags] == [
        "rewrite", "", "", "rewrite",
    ]  # fmt: skip
    assert found[tags[0].id].score == 0.9
    assert texts[0].text.id in found[tags[0].id].reason


def test_of_several_bad_claims_the_likeliest_is_the_cause() -> None:
    texts = [judged("a", 0.6, "x"), judged("b", 0.9, "y"), judged("c", 0.8, "x")]
    done = decisions(texts, [one.bad for one in texts], {}, config := DecideConfig(most=1.0))
    tags = [Text.of("t", "target", "tag", w, claim_ids=list(w)) for w in ("x", "xy", "z")]
    found = followers(tags, texts, done, config)
    assert [(found[tag.id].score, tag.text) for tag in tags[:2]] == [(0.8, "x"), (0.9, "xy")]
    assert texts[2].text.id in found[tags[0].id].reason
    assert tags[2].id not in found


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
    st.lists(st.sets(st.integers(0, 24), min_size=1, max_size=3), max_size=30),
    st.floats(0, 1),
)
def test_those_that_follow_are_bounded_and_the_likeliest(
    chances: list[float], told: list[set[int]], most: float
) -> None:
    """By brute force: only of texts that change, likeliest first, none beyond the limit."""
    config = DecideConfig(most=most)
    texts = [judged(f"s{n}", chance, str(n)) for n, chance in enumerate(chances)]
    tags = [
        Text.of("t", "target", "tag", f"t{n}", claim_ids=[str(claim) for claim in sorted(claims)])
        for n, claims in enumerate(told)
    ]
    done = decisions(texts, chances, {}, config)
    changed = {n: done[one.text.id].score for n, one in enumerate(texts)
               if one.text.id in done and done[one.text.id].action == "rewrite"}  # fmt: skip
    assert len(changed) <= most * len(texts)
    worst = {
        tag.id: max(changed[claim] for claim in claims & set(changed))
        for tag, claims in zip(tags, told, strict=True)
        if claims & set(changed)
    }
    found = followers(iter(tags), texts, done, config)
    assert set(found) <= set(worst)
    assert len(found) == min(len(worst), int(most * len(tags)))
    assert all(decision.score == worst[key] for key, decision in found.items())
    left = [score for key, score in worst.items() if key not in found]
    assert not left or not found or max(left) <= min(d.score for d in found.values())


def test_limits_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weigh: 0\.7 is above change: 0\.5"):
        DecideConfig(weigh=0.7)


def test_evidence_comes_first_among_doubts() -> None:
    features = {
        "evidence.support": np.array([1.0, 0.0, np.nan, 1.0]),
        "matching.logit": np.array([5.0, -9.0, 4.0, 4.0]),
        "contrastive.cosine": np.array([0.1, 0.1, 0.1, 0.1]),
        "regeneration.agreement": np.array([np.nan, 0.2, 0.9, np.nan]),
    }
    found = doubts(features, ["sentence"] * 4)
    assert found[1] == "it does not follow from evidence"
    assert found[0] == ""  # above the mean of all that is known of it
    # texts of another group, judged by another model, are no measure
    shifted = {"matching.logit": np.array([5.0, 5.1, -5.0, -5.1])}
    assert doubts(shifted, ["0 tag", "0 tag", "1 tag", "1 tag"])[2] == ""
    # of level tag there is one text: nothing to compare it with
    assert doubts(features, ["sentence", "sentence", "tag", "sentence"])[2] == ""
    assert doubts({"matching.logit": np.array([-3.0, 1.0, 1.0, 1.0])}, ["tag"] * 4) == [
        "matching.logit is 1.7 standard deviations below the mean", "", "", "",
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_trusted_sets_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"trusted{suffix}"
    if suffix == ".csv":
        path.write_text("text_id,bad,who\nabc,yes,me\n12,0,me\n")
    else:
        pq.write_table(pa.table({"text_id": ["abc", "12"], "bad": [True, False]}), path)
    assert read_trusted(path) == {"abc": True, "12": False}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text_id\nabc\n", "lacks the column bad"),
        ("text_id,bad\nabc,perhaps\n", "bad is 'perhaps' of abc"),
        ("text_id,bad\nabc,1\nabc,0\n", "names text abc twice"),
        ("text_id,bad\n", "is empty"),
        ("", "cannot read the trusted set"),
    ],
)
def test_unusable_trusted_sets_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "trusted.csv"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_trusted(path)
    assert str(path) in str(caught.value)
    with pytest.raises(ConfigError, match="cannot read"):
        read_trusted(tmp_path / "absent.parquet")
