"""Sentences that a model tells of a tile and that its evidence bears out, as texts.

They take the place of texts of whose kind the evidence derives nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.compose import Composer
from sarknowlip.annotate.lookup import Stored, stored
from sarknowlip.annotate.support import Following, Supporter, content_of
from sarknowlip.annotate.tile import recipe_of
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.train.rounds.decide import Candidate
from sarknowlip.train.rounds.regenerate import sentences_of

CHUNK = 256
"""Tiles whose facts are in memory at once."""


def candidates(
    bad: Iterable[Text],
    captions: Callable[[Sequence[str]], Mapping[str, Sequence[str]]],
    folder: Path,
    *,
    hidden: Collection[str] = (),
) -> dict[str, Candidate]:
    """Return what may take the place of sentences whose kind of statement nothing derives.

    Args:
        bad: Sentences that shall not stay.
        captions: Gives what a model tells of tiles; asked of those with such sentences alone.
        folder: Version that they are of.
        hidden: Names of knowledge sources whose facts are not looked at.

    Returns:
        By identifier of the sentence; no statement twice in a tile.

    Raises:
        ConfigError: `hidden` names a source that was not asked.
        CorpusError: The version is damaged.
    """
    supporter, least = Supporter.of(folder, hidden=hidden), recipe_of(folder).least
    of_tile: dict[str, list[Text]] = defaultdict(list)
    for text in bad:
        of_tile[text.tile_id].append(text)
    tiles = sorted(of_tile)
    found: dict[str, Candidate] = {}
    for start in range(0, len(tiles), CHUNK):
        lost_of: dict[str, tuple[Stored, list[Text], list[Evidence], list[Claim]]] = {}
        for tile_id, held in stored(folder, tiles[start : start + CHUNK]).items():
            facts = [f for f in held.evidence if f.intact and f.source not in supporter.hidden]
            following = Following(supporter.stages, tile_id, facts).claims
            kinds = {claim.predicate for claim in following}
            stated = {claim.id: claim.predicate for claim in held.claims}
            own = of_tile[tile_id]
            lost = [t for t in own if not {stated.get(c, "") for c in t.claim_ids} & kinds]
            if lost:
                lost_of[tile_id] = held, lost, facts, following
        told_of = captions(list(lost_of)) if lost_of else {}
        for tile_id, (held, lost, facts, following) in lost_of.items():
            said = {text.text for text in held.texts}
            sentences = [part for told in told_of[tile_id] for part in sentences_of(told)]
            free = borne_out(
                [part for part in sentences if part not in said],
                [claim for claim in following if claim.confidence >= least],
                facts,
                supporter.composer,
                told=_told(held, {text.id for text in of_tile[tile_id]}),
            )
            found |= {text.id: one for text, one in zip(lost, free, strict=False)}
    return found


def borne_out(
    sentences: Iterable[str],
    following: Sequence[Claim],
    facts: Sequence[Evidence],
    composer: Composer,
    *,
    told: Collection[str] = (),
) -> list[Candidate]:
    """Return the sentences that say a claim which follows from facts about a tile.

    Args:
        sentences: What a model told of the tile.
        following: Claims that the stages derive from the facts, and that are sure enough.
        facts: Facts about the tile.
        composer: Knows which words say what.
        told: What sentences of the tile state already (`content_of`); none is stated twice.
    """
    found = []
    stated = set(told)
    for words in dict.fromkeys(sentence.strip() for sentence in sentences):
        for claim in following if words else ():
            if content_of(claim) in stated:
                continue
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
                stated.add(content_of(claim))
                break
    return found


def _told(held: Stored, gone: Collection[str]) -> set[str]:
    """Return what the sentences of a tile state that are not among those that go."""
    claims = {claim.id: claim for claim in held.claims}
    return {
        content_of(claims[key])
        for text in held.texts
        if text.level == "sentence" and text.id not in gone
        for key in text.claim_ids
        if key in claims
    }
