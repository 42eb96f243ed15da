"""From claims about a tile to its texts, and back: whether a text says what its claims say."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TypeVar

from pydantic import Field, model_validator

from sarknowlip.annotate.claim import Claim, Level, Text
from sarknowlip.annotate.faithful import Check, dimension_of
from sarknowlip.annotate.grammar import PROBABLE, Arguments, Grammar, packaged_grammar
from sarknowlip.annotate.grounding import references_of
from sarknowlip.annotate.paragraph import Length, chosen_claims
from sarknowlip.annotate.pattern import Draw
from sarknowlip.annotate.questions import TOPICS, Question, questions_of
from sarknowlip.core.config import Config
from sarknowlip.knowledge.evidence import Evidence, Facts

LEVELS: tuple[Level, ...] = (
    "sentence", "phrase", "tag", "paragraph", "question-answer", "grounding",
)  # fmt: skip
CHOICES = 3
"""False answers offered at most."""
REDRAWS = 40
"""Wordings tried for a sentence of a paragraph, so that it does not repeat a hedge."""

Item = TypeVar("Item")


class TextConfig(Config):
    """Which texts are made.

    Attributes:
        language: BCP 47 tag of a packaged lexicon.
        levels: Forms of text.
        wordings: Sentences for a claim.
        words: Least and most words of the paragraph; the number aimed at is drawn between them.
        questions: Questions about a tile at most.
        groundings: Grounding expressions at most.
        seed: Of all choices of words.
    """

    language: str = "en"
    levels: tuple[Level, ...] = Field(LEVELS, min_length=1)
    wordings: int = Field(1, ge=1)
    words: tuple[int, int] = (40, 120)
    questions: int = Field(8, ge=0)
    groundings: int = Field(8, ge=0)
    seed: int = 0

    @model_validator(mode="after")
    def _ordered(self) -> TextConfig:
        if not 0 < self.words[0] <= self.words[1]:
            raise ValueError(f"words: {self.words} is not least and most")
        return self


class Composer:
    """Makes the texts of a tile.

    Sentences and paragraphs say how certain a claim is; the other levels have no room for it, and
    are made of claims only that are at least probable.

    Args:
        config: Which texts.
        grammar: Words; None for those of the configured language.

    Raises:
        ConfigError: There is no lexicon of that language, or it is malformed.
    """

    version = "4"

    def __init__(self, config: TextConfig | None = None, grammar: Grammar | None = None) -> None:
        self.config = config or TextConfig()
        self.grammar = grammar or packaged_grammar(self.config.language)
        self._check = Check(self.grammar)
        self._salt = functools.cache(lambda kind: self._drawn(kind).below(1 << 64))

    def texts(self, claims: Sequence[Claim], evidence: Sequence[Evidence]) -> list[Text]:
        """Return the texts of one tile; equal claims and evidence give equal texts.

        Args:
            claims: What is to be said, in the order of the chain.
            evidence: Facts about the tile, for boxes and masks of what is referred to.
        """
        found: list[Text] = []
        for level in self.config.levels:
            if level == "sentence":
                found.extend(self._sentences(claims))
            elif level == "paragraph":
                found.extend(self._paragraph(claims))
            elif level == "question-answer":
                found.extend(self._questions(claims))
            elif level == "grounding":
                found.extend(self._groundings(claims, Facts(evidence)))
            else:
                found.extend(self._short(level, claims))
        return found

    def fault(
        self, text: Text, claims: Mapping[str, Claim], evidence: Sequence[Evidence]
    ) -> str | None:
        """Return why a text does not say what its claims say, None if it does.

        Any wording that the grammar can make of the claims is faithful, not only the one that
        `texts` would choose.

        Args:
            text: What was written.
            claims: Claims about the tile that hold, by identifier.
            evidence: Facts about the tile that hold.
        """
        return self._check.fault(text, claims, evidence)

    def _draw(self, kind: str, identifier: str) -> Draw:
        return Draw.salted(self._salt(kind), identifier)

    def _drawn(self, *key: str) -> Draw:
        return Draw(self.grammar.language, str(self.config.seed), *key)

    def _sentences(self, claims: Sequence[Claim]) -> Iterator[Text]:
        language = self.grammar.language
        for claim in claims:
            said = (
                self.grammar.sentence(claim, self._draw(f"sentence{number}", claim.id))
                for number in range(self.config.wordings)
            )
            for words in dict.fromkeys(said):
                yield Text.of(
                    claim.tile_id, claim.dimension, "sentence", words,
                    claim_ids=[claim.id], language=language,
                )  # fmt: skip

    def _short(self, level: Level, claims: Sequence[Claim]) -> Iterator[Text]:
        """Yield phrases or tags; what two claims would say alike is said once."""
        seen: set[str] = set()
        for claim in claims:
            if claim.confidence < PROBABLE:
                continue
            draw = self._draw(level, claim.id)
            words = self.grammar.say(level, claim.predicate, claim.arguments, draw)
            if words is not None and words not in seen:
                seen.add(words)
                yield Text.of(
                    claim.tile_id, claim.dimension, level, words,
                    claim_ids=[claim.id], language=self.grammar.language,
                )  # fmt: skip

    def _paragraph(self, claims: Sequence[Claim]) -> Iterator[Text]:
        """Yield a paragraph (`annotate.paragraph`)."""
        if len(claims) < 2:
            return
        draw = self._drawn("paragraph", *(claim.id for claim in claims))
        least, most = self.config.words
        chosen = chosen_claims(
            claims, lambda claim: self._said(claim, linked=False), Length(least, most, draw)
        )
        if not chosen:
            return
        link = draw.below(2 * len(chosen))
        said, used = list[str](), set[str]()
        for place, claim in enumerate(chosen):
            said.append(self._fresh(claim, used, linked=place == link > 1))
            used |= self.grammar.hedges(claim, said[-1])
        yield Text.of(
            claims[0].tile_id, dimension_of(chosen), "paragraph", " ".join(said),
            claim_ids=[claim.id for claim in chosen], language=self.grammar.language,
        )  # fmt: skip

    def _said(self, claim: Claim, *, linked: bool, turn: int = 0) -> str:
        draw = self._draw(f"paragraph{turn or ''}", claim.id)
        return self.grammar.sentence(claim, draw, linked=linked)

    def _fresh(self, claim: Claim, used: Collection[str], *, linked: bool) -> str:
        """Return a sentence whose hedge the paragraph has not used yet, if one is soon found."""
        first = self._said(claim, linked=linked)
        if not self.grammar.hedges(claim, first) & set(used):
            return first
        for turn in range(1, REDRAWS):
            other = self._said(claim, linked=linked, turn=turn)
            shorter = len(other.split()) <= len(first.split())
            if shorter and not self.grammar.hedges(claim, other) & set(used):
                return other
        return first

    def _questions(self, claims: Sequence[Claim]) -> Iterator[Text]:
        if not claims:
            return
        said = [claim.id for claim in claims]
        values = self.grammar.words.values
        asked = [
            question
            for claim in claims
            if claim.confidence >= PROBABLE
            for question in questions_of(claim, claims, values)
        ]
        seen: set[tuple[str, str]] = set()
        for question in varied(asked, lambda topic: self._drawn(topic, *said)):
            key = question.claim.id, question.key.rstrip("?")
            if len(seen) == self.config.questions:
                return
            text = None if key in seen else self._asked(question)
            if text is not None:
                seen.add(key)
                yield text

    def _asked(self, question: Question) -> Text | None:
        """Return a question and its answer; None if the lexicon has no words for it."""
        claim, key = question.claim, question.key
        draw = self._draw(key, claim.id)
        ask = self.grammar.say("ask", key, question.given, draw)
        if ask is None:
            return None
        choices: list[str] = []
        if question.answers is None:
            answer = draw.one(self.grammar.lexicon.answers["yes" if question.holds else "no"])
        else:
            offered = draw.below(2) == 1
            wrong = shuffled(question.wrong, draw)[:CHOICES] if offered else []
            said = self._answers(question, [question.answers, *wrong], ask, draw)
            if not said:
                return None
            answer = said[0]
            if len(said) > 1 and len(set(said)) == len(said):
                choices = shuffled(said, draw)
        return Text.of(
            claim.tile_id, claim.dimension, "question-answer", answer,
            claim_ids=[claim.id], language=self.grammar.language,
            question=ask[0].upper() + ask[1:], topic=question.topic, choices=choices,
        )  # fmt: skip

    def _answers(
        self, question: Question, values: Sequence[Arguments], ask: str, draw: Draw
    ) -> list[str]:
        """Return answers of one form; what the question names in the question's words."""
        if question.topic != "comparison":
            return self.grammar.alike("answer", question.key, values, draw)
        said = []
        for value in values:
            ways = self.grammar.wordings("answer", question.key, value)
            echoes = [words for words in ways if f" {words}" in ask]
            said.append(max(echoes, key=len, default=""))
        return said if all(said) else []

    def _groundings(self, claims: Sequence[Claim], facts: Facts) -> Iterator[Text]:
        seen: set[tuple[tuple[int, ...], ...]] = set()
        for claim in claims:
            if claim.confidence < PROBABLE:
                continue
            for number, meant in enumerate(references_of(claim, facts)):
                if meant.boxes in seen or len(seen) == self.config.groundings:
                    continue
                draw = self._draw(f"grounding{number}", claim.id)
                words = self.grammar.say("grounding", meant.key, meant.arguments, draw)
                if words is None:
                    continue
                seen.add(meant.boxes)
                yield Text.of(
                    claim.tile_id, claim.dimension, "grounding", words,
                    claim_ids=[claim.id], language=self.grammar.language,
                    boxes_px=meant.boxes, masks_rle=meant.masks,
                )  # fmt: skip


def varied(questions: Sequence[Question], draws: Callable[[str], Draw]) -> Iterator[Question]:
    """Yield questions of all topics by turns, in a drawn order.

    Of those with yes or no for an answer, both follow each other by turns, the first one drawn; a
    topic that has only one of the two gives one.
    """
    queues: list[list[Question]] = []
    for topic in TOPICS:
        draw = draws(topic)
        alike = shuffled([q for q in questions if q.topic == topic], draw)
        yes, no = ([q for q in alike if q.holds is holds] for holds in (True, False))
        most = max(1, min(len(yes), len(no)))
        first, second = (yes, no) if draw.below(2) else (no, yes)
        turns = [q for place in range(most) for part in (first, second) for q in part[place:][:1]]
        free = [q for q in alike if q.holds is None]
        queues.append(list(_by_turns([free, turns])))
    yield from _by_turns(queues)


def _by_turns(queues: Sequence[Sequence[Item]]) -> Iterator[Item]:
    for place in range(max(map(len, queues), default=0)):
        for queue in queues:
            if place < len(queue):
                yield queue[place]


def shuffled(items: Sequence[Item], draw: Draw) -> list[Item]:
    """Return items in a drawn order (Fisher–Yates)."""
    left = list(items)
    for last in range(len(left) - 1, 0, -1):
        other = draw.below(last + 1)
        left[last], left[other] = left[other], left[last]
    return left
