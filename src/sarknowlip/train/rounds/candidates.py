"""Sentences that a model tells of a tile and that its evidence bears out, as texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.compose import Composer
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.train.rounds.decide import Candidate


def borne_out(
    sentences: Iterable[str],
    following: Sequence[Claim],
    facts: Sequence[Evidence],
    composer: Composer,
) -> list[Candidate]:
    """Return the sentences that say a claim which follows from facts about a tile.

    Args:
        sentences: What a model told of the tile.
        following: Claims that the stages derive from the facts.
        facts: Facts about the tile.
        composer: Knows which words say what.
    """
    found = []
    for words in dict.fromkeys(sentence.strip() for sentence in sentences):
        for claim in following if words else ():
            text = Text.of(
                claim.tile_id,
                claim.dimension,
                "sentence",
                words,
                claim_ids=[claim.id],
                language=composer.grammar.language,
            )
            if composer.fault(text, {claim.id: claim}, facts) is None:
                found.append(Candidate(text, claim))
                break
    return found
