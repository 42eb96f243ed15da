"""What takes the place of a text: another rendering of what follows from the evidence.

All that is written here is checked as verification checks it before it is taken.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from sarknowlip.annotate.claim import Argument, Claim, Level, Text
from sarknowlip.annotate.compose import Composer, TextConfig
from sarknowlip.annotate.lookup import Stored
from sarknowlip.annotate.stages import STAGES
from sarknowlip.annotate.support import Following, content_of, hiding
from sarknowlip.annotate.tile import AnnotateConfig
from sarknowlip.knowledge.evidence import Evidence

NAMING = (
    "kind", "surface", "cover", "function", "water", "name", "network", "polarization", "main",
    "more", "less", "rank",
)  # fmt: skip
"""Arguments that tell what a claim is about, beside things in the roles a and b."""


class Mender:
    """Writes texts about tiles from evidence.

    Args:
        recipe: Of the annotations.
        hidden: Names of sources whose facts are not looked at.

    Raises:
        ConfigError: `hidden` names a source that the recipe did not ask.
    """

    def __init__(self, recipe: AnnotateConfig, *, hidden: Collection[str] = ()) -> None:
        self._hidden = hiding(recipe, hidden)
        self._stages = [STAGES[name]() for name in recipe.stages]
        self._least = recipe.least
        self._texts = recipe.texts
        self._composers: dict[str, Composer] = {}

    def draft(self, tile_id: str, held: Stored) -> Draft:
        """Return a tile's texts and claims, to be changed."""
        facts = [f for f in held.evidence if f.intact and f.source not in self._hidden]
        return Draft(self, held, facts, Following(self._stages, tile_id, facts))

    def is_sure(self, claim: Claim) -> bool:
        """Return whether a claim is sure enough to be made."""
        return claim.confidence >= self._least

    def composer(self, level: Level) -> Composer:
        """Return what writes texts of one level by the recipe."""
        if level not in self._composers:
            fields = self._texts.model_dump() | {"levels": (level,), "wordings": 1}
            self._composers[level] = Composer(TextConfig(**fields))
        return self._composers[level]


class Draft:
    """The texts and claims of one tile while they change.

    Args:
        mender: Writes.
        held: What the version holds about the tile.
        facts: The facts that may be used, sound ones.
        following: What follows from them.

    Attributes:
        texts: Texts in file order, by identifier; of one that went None.
        claims: Claims by identifier, those that were added last.
    """

    def __init__(
        self, mender: Mender, held: Stored, facts: Sequence[Evidence], following: Following
    ) -> None:
        self._mender, self._facts, self._following = mender, facts, following
        self.texts: dict[str, Text | None] = {text.id: text for text in held.texts}
        self.claims: dict[str, Claim] = {claim.id: claim for claim in held.claims}
        self._true = {claim.id: claim for claim in following.claims}

    @property
    def left(self) -> list[Text]:
        """The texts that the tile has now."""
        return [text for text in self.texts.values() if text is not None]

    def drop(self, text: Text) -> None:
        """Take a text away."""
        self.texts[text.id] = None

    def replace(self, text: Text, new: Text, claims: Sequence[Claim]) -> str | None:
        """Put a text in the place of another, that rests on these claims or those of the tile.

        They must follow from the facts, be sure enough to be made, and, paragraphs apart, be told
        by no other text of that level.

        Returns:
            Why it may not stand there, None if it was put.
        """
        given = {claim.id: claim for claim in claims}
        known = {key: given.get(key) or self.claims.get(key) for key in new.claim_ids}
        told = {key: claim for key, claim in known.items() if claim is not None}
        if new.tile_id != text.tile_id or new.level != text.level:
            return "it is of another tile or level"
        if len(told) < len(known):
            return "a claim that it rests on is not there"
        others = set() if new.level == "paragraph" else self._told_beside(text)
        for claim in told.values():
            if (fault := self._fault(claim, others)) is not None:
                return fault
        if self._repeats(new, text):
            return "the tile has a text with these words"
        fault = self._mender.composer(new.level).fault(new, self._holding(told), self._facts)
        if fault is None:
            self._put(text, new, told)
        return fault

    def rewrite(self, text: Text, *, widely: bool = False) -> Text | None:
        """Put another rendering of what follows in the place of a text; return it.

        That is of the same predicate about the same subject, if there is one that the tile does
        not tell at that level yet, else of the same dimension; of a text that was or is there only
        if nothing else is left. A paragraph is composed again, and may come out as it was.

        Args:
            text: Text of the tile, or one that went.
            widely: Whether any dimension will do, and the text itself, too.

        Returns:
            None if there is nothing to say, or no words for it.
        """
        composer = self._mender.composer(text.level)
        again: tuple[Text, dict[str, Claim]] | None = None
        for claims in self._offers(text, widely=widely):
            for new in composer.texts(claims, self._facts):
                told = {key: self._true[key] for key in new.claim_ids}
                if self._repeats(new, text) or composer.fault(
                    new, self._holding(told), self._facts
                ):
                    continue
                if new.id not in self.texts:
                    self._put(text, new, told)
                    return new
                again = again or (new, told)
        if again is None or not (widely or text.level == "paragraph"):
            return None
        self._put(text, *again)
        return again[0]

    def settle(self) -> None:
        """Remove claims that do not follow and that nothing which stays rests on; add premises."""
        said = {key for text in self.left for key in text.claim_ids}
        kept = {key: c for key, c in self.claims.items() if key in said or key in self._true}
        known = self._true | self.claims
        open_ends = list(kept.values())
        while open_ends:
            for key in open_ends.pop().premise_ids:
                if key in known and key not in kept:
                    kept[key] = known[key]
                    open_ends.append(known[key])
        self.claims = {key: kept[key] for key in (*self.claims, *kept) if key in kept}

    def derives(self) -> bool:
        """Return whether evidence has anything to say of the tile."""
        return any(map(self._mender.is_sure, self._following.claims))

    def _put(self, text: Text, new: Text, told: Mapping[str, Claim]) -> None:
        self.texts[text.id] = new
        for key, claim in told.items():
            self.claims.setdefault(key, claim)

    def _holding(self, told: Mapping[str, Claim]) -> dict[str, Claim]:
        """Return the tile's claims that follow, and those told: what verification will know."""
        return {key: claim for key, claim in self.claims.items() if key in self._true} | dict(told)

    def _fault(self, claim: Claim, others: Collection[str]) -> str | None:
        """Return why a replacement may not tell a claim; `others`: what texts beside it tell."""
        content = content_of(claim)
        if not claim.intact or claim.id not in self._true:
            return f"it does not follow from evidence: {content}"
        if not self._mender.is_sure(claim):
            return f"it is not sure: {content}"
        return f"the tile tells it already: {content}" if content in others else None

    def _repeats(self, new: Text, text: Text) -> bool:
        """Return whether another text of the tile has the same words, or boxes, at that level."""
        others = (other for key, other in self.texts.items() if key != text.id)
        return any(
            other is not None
            and other.level == new.level
            and (
                (other.text, other.question) == (new.text, new.question)
                or bool(new.boxes_px and other.boxes_px == new.boxes_px)
            )
            for other in others
        )

    def _told_beside(self, text: Text) -> set[str]:
        """Return what other texts of a text's level tell (`content_of`)."""
        return {
            content_of(self.claims[key])
            for place, other in self.texts.items()
            if other is not None and other.level == text.level and place != text.id
            for key in other.claim_ids
            if key in self.claims
        }

    def _offers(self, text: Text, *, widely: bool) -> Iterator[list[Claim]]:
        """Yield claims to be rendered instead of a text, the best first."""
        if text.level == "paragraph":
            left = {key for key in self.claims if key in self._true}
            yield [claim for claim in self._following.claims if claim.id in left]
            return
        told = self._told_beside(text)
        old = self.claims.get(text.claim_ids[0])
        open_to = [
            claim
            for claim in self._following.claims
            if self._mender.is_sure(claim) and content_of(claim) not in told
        ]
        for claim in _nearest(open_to, text, old, widely=widely):
            yield [claim]


def _nearest(
    claims: Iterable[Claim], text: Text, old: Claim | None, *, widely: bool
) -> list[Claim]:
    """Return claims by how near they are to what a text said; others than its dimension last."""

    def distance(claim: Claim) -> int:
        if old is not None and claim.predicate == old.predicate:
            return 0 if subject_of(claim) == subject_of(old) else 1
        return 2 if claim.dimension == text.dimension else 3

    ranked = sorted(claims, key=distance)
    return [claim for claim in ranked if distance(claim) < 3 or widely]


def subject_of(claim: Claim) -> dict[str, Argument]:
    """Return the arguments of a claim that tell what it is about."""
    return {
        name: value
        for name, value in claim.arguments.items()
        if name in NAMING or name.partition("_")[0] in ("a", "b")
    }
