"""Planting one error into one text of a tile.

A planted text is coherent: its words are a wording of its claims, its identifiers are sound, and
the evidence is as it was. But one of its claims does not follow from the evidence, and its words
are none of those of any claim that does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sarknowlip.annotate.claim import Argument, Claim, Text
from sarknowlip.annotate.compose import Composer, TextConfig, shuffled
from sarknowlip.annotate.corrupt.config import Kind
from sarknowlip.annotate.corrupt.pool import Donor, Pool, Target
from sarknowlip.annotate.corrupt.wrong import WrongWords, present_grounds
from sarknowlip.annotate.grammar import PROBABLE, certainty, packaged_grammar
from sarknowlip.annotate.lookup import Stored
from sarknowlip.annotate.pattern import Draw
from sarknowlip.annotate.stages import STAGES
from sarknowlip.annotate.stages.target import LEAST_WATER
from sarknowlip.annotate.support import Following
from sarknowlip.knowledge.evidence import Evidence, Facts
from sarknowlip.knowledge.vocabulary import WATERS

TRIES = 24
"""Donors, or wrong variants, that are tried for a text."""
EVERYWHERE = ("ship", "aircraft", "storage_tank", "bridge")
"""Targets that may be made up though none of the corpus is known."""
USUAL_COUNTS, USUAL_CONFIDENCE = (1, 2, 3, 4), 0.8
"""Numbers and confidence of such targets; the confidence is that of a count on a map."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Planted:
    """A wrong text, the one whose place it takes, and the claims that it rests on."""

    kind: Kind
    original: Text
    text: Text
    claims: tuple[Claim, ...]


@dataclass
class Ground:
    """A tile that errors are planted in.

    Attributes:
        held: What the version holds about it.
        facts: Its facts.
        following: What follows from these.
        said: Words of its texts by level, those planted included.
        claims: Its claims by identifier.
        present: Kinds of ground that it has, by maps.
    """

    held: Stored
    facts: list[Evidence]
    following: Following
    said: dict[str, set[str]] = field(default_factory=dict)
    claims: dict[str, Claim] = field(init=False)
    present: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        for text in self.held.texts:
            self.note(text)
        self.claims = {claim.id: claim for claim in self.held.claims}
        self.present = present_grounds(self.facts)

    def note(self, text: Text) -> None:
        """Note the words of a text."""
        self.said.setdefault(text.level, set()).add(_words(text))

    def is_said(self, text: Text) -> bool:
        """Return whether the tile has a text of that level with the same words."""
        return _words(text) in self.said.get(text.level, ())


class Planter:
    """Plants errors.

    Args:
        texts: Configuration of the texts of the version.
        pool: What other tiles give.
        seed: Of all choices.
    """

    def __init__(self, texts: TextConfig, pool: Pool, seed: int) -> None:
        self._texts, self._pool, self._seed = texts, pool, seed
        self._composers: dict[str, Composer] = {}
        self._grammar = packaged_grammar(texts.language)
        self._ways: dict[Kind, Callable[[Ground, Text, Draw], Iterator[Planted]]] = {
            "shuffled": self._shuffled,
            "hallucinated": self._hallucinated,
            "count": lambda *asked: self._altered("count", *asked),
            "direction": lambda *asked: self._altered("direction", *asked),
            "function": lambda *asked: self._altered("function", *asked),
        }

    def plant(self, kind: Kind, ground: Ground, text: Text) -> Planted | None:
        """Return an error of a kind in the place of a text; None if it has no room for one.

        Args:
            kind: Error.
            ground: The tile.
            text: One of its texts; one that does not follow from evidence is left alone.
        """
        own = [ground.claims.get(key) for key in text.claim_ids]
        if not ground.facts or any(c is None or not ground.following.holds(c) for c in own):
            return None
        draw = Draw("corrupt", str(self._seed), kind, text.id)
        for tried, planted in enumerate(self._ways[kind](ground, text, draw)):
            if self._is_wrong(ground, planted):
                ground.note(planted.text)
                return planted
            if tried == TRIES:
                return None
        return None

    def _altered(self, kind: Kind, ground: Ground, text: Text, draw: Draw) -> Iterator[Planted]:
        """Yield texts one of whose claims is altered."""
        words = WrongWords(ground.following, ground.present, self._pool, self._grammar)
        own = [ground.claims[key] for key in text.claim_ids]
        for place in shuffled(range(len(own)), draw):
            for wrong in words.variants(kind, own[place], draw):
                claims = [*own[:place], wrong, *own[place + 1 :]]
                yield from self._rendered(kind, ground, text, (claims, wrong))

    def _hallucinated(self, ground: Ground, text: Text, draw: Draw) -> Iterator[Planted]:
        """Yield texts on targets that are not there; in a paragraph one claim gives its place."""
        own = [ground.claims[key] for key in text.claim_ids]
        for target in self._absent(ground, draw):
            wrong = _made(ground, target)
            place = draw.below(len(own))
            claims = [*own[:place], wrong, *own[place + 1 :]]
            yield from self._rendered("hallucinated", ground, text, (claims, wrong))

    def _absent(self, ground: Ground, draw: Draw) -> Iterator[Target]:
        """Yield targets that the tile does not have, of kinds in a drawn order."""
        view = Facts(ground.facts)
        kinds = sorted({*self._pool.targets, *EVERYWHERE})
        there = {view.label(subject, "kind") for subject in view.subjects("object/")}
        for kind in shuffled(kinds, draw):
            known = self._pool.targets.get(kind)
            count = _one(USUAL_COUNTS, draw)
            if kind == "ship":
                if view.value("ships", "count") != 0 or not _has_water(view):
                    continue
                usual = Target("ship_count", {"count": count}, USUAL_CONFIDENCE)
            else:
                if view.value(f"objects/{kind}", "count") or kind in there:
                    continue
                arguments: dict[str, Argument] = {"kind": kind, "count": count}
                usual = Target("object_count", arguments, USUAL_CONFIDENCE)
            yield _one(known, draw) if known else usual

    def _shuffled(self, ground: Ground, text: Text, draw: Draw) -> Iterator[Planted]:
        """Yield texts of other tiles, of the same level and dimension if there are any."""
        donors = self._pool.donors.get((text.level, text.dimension), [])
        for _ in range(TRIES if donors else 0):
            donor = _one(donors, draw)
            if donor.text.tile_id != text.tile_id:
                yield _moved(ground, text, donor)

    def _rendered(
        self, kind: Kind, ground: Ground, text: Text, told: tuple[list[Claim], Claim]
    ) -> Iterator[Planted]:
        """Yield renderings of claims that say the wrong one, of a text's level."""
        claims, wrong = told
        rendered = claims if text.level == "paragraph" else [wrong]
        found = self._composer(text.level).texts(rendered, ground.facts)
        for new in sorted(found, key=lambda other: other.topic != text.topic):
            if wrong.id in new.claim_ids:
                told_of = {claim.id: claim for claim in claims}
                yield Planted(kind, text, new, tuple(told_of[key] for key in new.claim_ids))

    def _is_wrong(self, ground: Ground, planted: Planted) -> bool:
        """Return whether a text is new and wrong: its words are no wording of what follows.

        Of a paragraph of another tile at least half of the claims are wrong.
        """
        text, claims = planted.text, planted.claims
        wrong = [claim for claim in claims if not ground.following.holds(claim)]
        least = len(claims) / 2 if planted.kind == "shuffled" else 1
        if ground.is_said(text) or len(wrong) < max(1, least):
            return False
        if text.level == "paragraph":
            return True
        short = text.level in ("phrase", "tag")
        alike = (
            claim
            for claim in ground.following.claims
            if claim.predicate == wrong[0].predicate or (short and claim.confidence >= PROBABLE)
        )
        return not any(self._says(text, claim, ground.facts) for claim in alike)

    def _says(self, text: Text, claim: Claim, facts: Sequence[Evidence]) -> bool:
        """Return whether a text's words are a wording of a claim, whatever choices it offers."""
        composer = self._composer(text.level)
        if text.level in ("phrase", "tag"):
            return composer.grammar.is_said(text.level, claim.predicate, claim.arguments, text.text)
        other = Text.of(
            claim.tile_id, claim.dimension, text.level, text.text, claim_ids=[claim.id],
            language=text.language, question=text.question, topic=text.topic,
        )  # fmt: skip
        return composer.fault(other, {claim.id: claim}, facts) is None

    def _composer(self, level: str) -> Composer:
        if level not in self._composers:
            fields = self._texts.model_dump() | {"levels": (level,), "wordings": 1}
            fields["seed"] = self._texts.seed + self._seed + 1
            self._composers[level] = Composer(TextConfig(**fields))
        return self._composers[level]


def _one(items: Sequence[Item], draw: Draw) -> Item:
    return items[draw.below(len(items))]


def _words(text: Text) -> str:
    return f"{text.question or ''}\n{text.text}"


def _has_water(view: Facts) -> bool:
    subjects = ("water", "cover/water", *(f"function/{name}" for name in WATERS))
    return any((view.value(subject, "share") or 0.0) >= LEAST_WATER for subject in subjects)


def _made(ground: Ground, target: Target) -> Claim:
    stage = STAGES["target"]
    return Claim.of(
        ground.facts[0].tile_id, "target", target.predicate, target.arguments,
        confidence=target.confidence, stage="target", stage_version=stage.version,
        rule=target.predicate, evidence_ids=_basis(ground, target.predicate),
    )  # fmt: skip


def _moved(ground: Ground, text: Text, donor: Donor) -> Planted:
    """Return another tile's text as one of this tile, with its claims."""
    claims = []
    for claim in donor.claims:
        fields = claim.model_dump(exclude={"id", "tile_id", "premise_ids", "evidence_ids"})
        moved = Claim.of(
            text.tile_id, **fields, evidence_ids=_basis(ground, claim.predicate)
        )  # fmt: skip
        same = ground.following.same(moved)
        alike = same is not None and certainty(same) == certainty(moved)
        claims.append(same if same is not None and alike else moved)
    fields = donor.text.model_dump(exclude={"id", "tile_id", "claim_ids"})
    new = Text.of(text.tile_id, **fields, claim_ids=[claim.id for claim in claims])
    return Planted("shuffled", text, new, tuple(claims))


def _basis(ground: Ground, predicate: str) -> list[str]:
    """Return facts that a wrong claim cites: those of a right one alike, else of the image."""
    for claim in ground.following.claims:
        if claim.predicate == predicate:
            return list(claim.evidence_ids)
    seen = [fact.id for fact in ground.facts if fact.subject in ("image", "targets", "ships")]
    return seen or [ground.facts[0].id]
