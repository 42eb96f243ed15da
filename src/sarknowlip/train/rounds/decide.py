"""What is done to a text, from how likely it is bad and how likely its claims are.

Texts that rest on one claim alone speak for that claim: its log-odds are the mean of theirs, and a
text of several shares in it by the mean of both. A text that tells several claims is as bad as its
worst one, if that is worse than itself.

Above `DecideConfig.change` a text is replaced by one that the model tells and the evidence bears
out, if evidence derives nothing of the kind that the text states; otherwise it is rewritten from
evidence, which drops what nothing can take the place of. Between `weigh` and `change` it is drawn
less often. Below, it is kept, and one that counted for less counts in full again.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.revise import Decision
from sarknowlip.train.rounds.config import DecideConfig

EDGE = 1e-4
"""Probabilities are kept this far from 0 and 1 where their log-odds are averaged."""
STEP = 0.05
"""A text that counts for less goes on with its weight where the new one differs by less."""


class Known(Mapping[str, float]):
    """The values of one row of columns, those that are known; it holds none of its own.

    Args:
        columns: Numbers (N,) by name.
        row: Which.
    """

    __slots__ = ("_columns", "_row")

    def __init__(self, columns: Mapping[str, npt.NDArray[np.float64]], row: int) -> None:
        self._columns, self._row = columns, row

    def __getitem__(self, name: str) -> float:
        value = float(self._columns[name][self._row])
        if not math.isfinite(value):
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (n for n, v in self._columns.items() if math.isfinite(v[self._row]))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True)
class Judged:
    """A text and what the signals make of it.

    Attributes:
        text: The text.
        bad: Probability that it is bad, 0…1.
        signals: Features it rests on, those that are known.
        doubt: The feature that speaks most against it, in words.
    """

    text: Text
    bad: float
    signals: Mapping[str, float]
    doubt: str = ""


@dataclass(frozen=True)
class Candidate:
    """A sentence that the model told of a tile and that its evidence bears out."""

    text: Text
    claim: Claim


def claim_scores(judged: Iterable[Judged]) -> dict[str, float]:
    """Return how likely claims are bad, 0…1, by identifier; of claims that a text tells alone."""
    odds: dict[str, list[float]] = defaultdict(list)
    for one in judged:
        if len(one.text.claim_ids) == 1:
            odds[one.text.claim_ids[0]].append(_odds(one.bad))
    return {claim: _chance(float(np.mean(values))) for claim, values in odds.items()}


def with_claims(judged: Sequence[Judged]) -> list[float]:
    """Return how likely each text is bad, 0…1, its claims taken into account."""
    claims = claim_scores(judged)
    found = []
    for one in judged:
        ids = one.text.claim_ids
        if len(ids) == 1:
            found.append(_chance((_odds(one.bad) + _odds(claims[ids[0]])) / 2))
        else:
            found.append(max([one.bad, *(claims[claim] for claim in ids if claim in claims)]))
    return found


def final_scores(judged: Sequence[Judged], known: Mapping[str, bool]) -> list[float]:
    """Return how likely each text is bad, 0…1, with its claims and with what a person found.

    Args:
        judged: Texts of one version.
        known: Whether a person found a text bad, by identifier: that decides.
    """
    return [
        float(known[one.text.id]) if one.text.id in known else score
        for one, score in zip(judged, with_claims(judged), strict=True)
    ]


def decisions(
    judged: Sequence[Judged],
    scores: Sequence[float],
    candidates: Mapping[str, Candidate],
    config: DecideConfig,
    weights: Mapping[str, float] | None = None,
) -> dict[str, Decision]:
    """Return what is done to texts, by identifier; those that stay as they are are left out.

    Args:
        judged: Texts of one version.
        scores: How likely each is bad, 0…1.
        candidates: What may take a text's place where evidence derives nothing of its kind, by
            identifier of the text.
        config: Where the limits are.
        weights: How much texts count now, by identifier, those that count for less than 1.
    """
    order = sorted(range(len(judged)), key=lambda i: (-scores[i], judged[i].text.id))
    most = math.floor(config.most * len(judged))
    changed = [i for i in order if scores[i] >= config.change][:most]
    rest = set(order) - set(changed)
    found = {}
    for i in changed:
        one = judged[i]
        other = candidates.get(one.text.id)
        found[one.text.id] = _decision(
            one,
            scores[i],
            action="rewrite" if other is None else "replace",
            replacement=None if other is None else other.text,
            replacement_claims=() if other is None else (other.claim,),
        )
    for i in (i for i in order if i in rest):
        key, light = judged[i].text.id, scores[i] >= config.weigh
        now = (weights or {}).get(key, 1.0)
        weight = round(max(1.0 - scores[i], EDGE), 4) if light else 1.0
        small = STEP if light and now < 1.0 else 0.0
        if weight == now or abs(weight - now) < small:
            continue
        reason = {} if light else {"reason": "nothing speaks against it any more"}
        found[key] = _decision(judged[i], scores[i], action="weight", weight=weight, **reason)
    return found


def followers(
    texts: Iterable[Text],
    judged: Sequence[Judged],
    done: Mapping[str, Decision],
    config: DecideConfig,
) -> dict[str, Decision]:
    """Return what is done to texts that were not judged, and tell a claim that was found bad.

    A claim is found bad if a text that tells it alone is changed. Of the texts at most the share
    `most` changes, too, those of the likeliest bad claims first; the others stay as they are.

    Args:
        texts: Texts that were not judged.
        judged: Texts that were.
        done: What is done to those, by identifier.
        config: Where the limits are.
    """
    bad: dict[str, Decision] = {}
    for one in judged:
        cause = done.get(one.text.id)
        if cause is None or cause.action == "weight" or len(one.text.claim_ids) != 1:
            continue
        claim = one.text.claim_ids[0]
        bad[claim] = min(cause, bad.get(claim, cause), key=_likeliest)
    count, found = 0, []
    for text in texts:
        count += 1
        causes = [bad[claim] for claim in text.claim_ids if claim in bad]
        if causes:
            found.append(_following(text, min(causes, key=_likeliest)))
    most = math.floor(config.most * count)
    return {one.text_id: one for one in sorted(found, key=_likeliest)[:most]}


def _likeliest(decision: Decision) -> tuple[float, str]:
    return -decision.score, decision.text_id


def _following(text: Text, cause: Decision) -> Decision:
    return Decision(
        text_id=text.id,
        tile_id=text.tile_id,
        action="rewrite",
        score=cause.score,
        reason=f"it tells what text {cause.text_id} tells: {cause.reason}",
    )


def _decision(one: Judged, score: float, **values: object) -> Decision:
    return Decision.model_validate(
        {
            "text_id": one.text.id,
            "tile_id": one.text.tile_id,
            "score": round(score, 5),
            "reason": one.doubt or "the signals together speak against it",
            "signals": dict(one.signals),
            **values,
        }
    )


def _odds(chance: float) -> float:
    kept = min(max(chance, EDGE), 1.0 - EDGE)
    return math.log(kept / (1.0 - kept))


def _chance(odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-odds))
