"""From claims to words and back: renders clauses, sentences, phrases and tags, and recognises them.

All choices of a text follow from one digest of what it renders, so that the same claim gives the
same words on every machine. Recognition runs through the same patterns with the claim's own values:
a text is faithful if it is *some* wording of its claims.

Certainty is said: a claim of confidence below 0.9 is "probable", below 0.6 "possible", and its
sentence must say so.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources.abc import Traversable

from sarknowlip.annotate.claim import Argument, Claim
from sarknowlip.annotate.pattern import Draw, Line, SlotEnds, choice_ends
from sarknowlip.annotate.words import Asking, Words, read_lexicon

PLAIN, PROBABLE = 0.9, 0.6
"""Confidences from which a statement is made plainly, and as probable."""

Lines = Sequence[Line]
Arguments = Mapping[str, Argument]


class Grammar:
    """Says claims in one language.

    Args:
        language: BCP 47 tag of a lexicon, "en".
        folder: Where lexicons lie; None for the packaged ones.

    Raises:
        ConfigError: There is no such lexicon, or it is malformed.
    """

    def __init__(self, language: str = "en", folder: Traversable | None = None) -> None:
        self.language = language
        self.lexicon = read_lexicon(language, folder)
        self.words = words = Words(self.lexicon)
        lexicon, asked = self.lexicon, self.lexicon.questions.items()
        tables: dict[str, Mapping[str, Sequence[str]]] = {
            "sentence": lexicon.sentences,
            "phrase": lexicon.phrases,
            "tag": lexicon.tags,
            "grounding": lexicon.grounding,
            "ask": {key: asking.ask for key, asking in asked},
            "answer": {key: _answers(key, asking) for key, asking in asked},
        }
        self._patterns = {
            level: {key: words.compiled(patterns) for key, patterns in table.items()}
            for level, table in tables.items()
        }
        self._frames = {key: words.compiled(text) for key, text in self.lexicon.frames.items()}
        self._links = words.compiled(self.lexicon.links)
        self._full = functools.lru_cache(1 << 12)(self._full_lines)
        self._filled = functools.lru_cache(1 << 12)(self._filled_lines)

    def sentence(self, claim: Claim, draw: Draw, *, linked: bool = False) -> str:
        """Return a claim as one sentence.

        Args:
            claim: What is said.
            draw: Choices.
            linked: Whether it follows another in a paragraph.

        Raises:
            KeyError: The lexicon has no pattern for the predicate, or no words for a value.
        """
        lines = self._clauses(claim)
        said = _pick(lines, draw).render(lambda slot: self.words.ways(slot, claim.arguments), draw)
        framed = _pick(self._frames[certainty(claim)], draw).render(lambda slot: (said,), draw)
        if linked:
            framed = _pick(self._links, draw).render(lambda slot: (framed,), draw)
        return framed[0].upper() + framed[1:]

    def sentence_ends(
        self, claim: Claim, text: str, starts: Iterable[int], *, linked: bool = False
    ) -> set[int]:
        """Return where in a text a sentence for a claim may end that begins at one of the starts.

        Args:
            claim: What is to be said.
            text: Text.
            starts: Offsets in it.
            linked: Whether it may be linked to one before it.
        """
        clauses, frames = self._clauses(claim), self._frames[certainty(claim)]

        def clause(text: str, at: Iterable[int]) -> set[int]:
            return self._ends(clauses, claim.arguments, text, at)

        def framed(text: str, at: Iterable[int]) -> set[int]:
            return _any_ends(frames, text, at, lambda _, inner: clause(text, inner))

        def whole(text: str, at: Iterable[int]) -> set[int]:
            if not linked:
                return framed(text, at)
            return _any_ends(self._links, text, at, lambda _, inner: framed(text, inner))

        found: set[int] = set()
        for start in starts:
            first = text[start : start + 1]
            if first and first == first.upper():
                small = text[:start] + first.lower() + text[start + 1 :]
                found |= whole(text, [start]) | (whole(small, [start]) if small != text else set())
        return found

    def say(self, level: str, key: str, arguments: Arguments, draw: Draw) -> str | None:
        """Return one wording of a phrase, tag, question, answer or expression.

        Args:
            level: "phrase", "tag", "ask", "answer" or "grounding".
            key: Key of the patterns.
            arguments: Values; each line that says none but these may be taken. Questions say all.
            draw: Choices.

        Returns:
            None if there is no pattern.
        """
        lines = self._fitting(level, key, arguments)
        if not lines:
            return None
        return _pick(lines, draw).render(lambda slot: self.words.ways(slot, arguments), draw)

    def is_said(self, level: str, key: str, arguments: Arguments, text: str) -> bool:
        """Return whether a text is one of the wordings that `say` draws from."""
        lines = self._fitting(level, key, arguments)
        return len(text) in self._ends(lines, arguments, text, [0])

    def _fitting(self, level: str, key: str, arguments: Arguments) -> Lines:
        if level == "ask":
            return self._full(level, key, told(arguments))
        filled = told(arguments)
        lines = self._patterns[level].get(key, ())
        return [line for line in lines if line.names <= filled]

    def _clauses(self, claim: Claim) -> Lines:
        """Return the clauses that say all arguments of a claim."""
        arguments = claim.arguments
        empty = "" in arguments.values()
        lines = (
            self._full("sentence", claim.predicate, told(arguments))
            if empty
            else self._filled(claim.predicate, tuple(arguments))
        )
        if not lines:
            raise KeyError(
                f"{self.language} lexicon: no sentence for {claim.predicate} that says "
                + ", ".join(sorted(told(claim.arguments)))
            )
        return lines

    def _filled_lines(self, predicate: str, names: tuple[str, ...]) -> Lines:
        """Return the clauses that say all arguments of these names, none of which is empty."""
        return self._full("sentence", predicate, told(dict.fromkeys(names, True)))

    def _full_lines(self, level: str, key: str, names: frozenset[str]) -> Lines:
        return tuple(line for line in self._patterns[level].get(key, ()) if line.names == names)

    def _ends(self, lines: Lines, arguments: Arguments, text: str, at: Iterable[int]) -> set[int]:
        return _any_ends(
            lines,
            text,
            at,
            lambda slot, inner: choice_ends(text, inner, self.words.ways(slot, arguments)),
        )


@functools.cache
def packaged_grammar(language: str = "en") -> Grammar:
    """Return the grammar of a packaged lexicon, compiled once a process.

    Raises:
        ConfigError: There is no such lexicon, or it is malformed.
    """
    return Grammar(language)


def certainty(claim: Claim) -> str:
    """Return how a claim must be said: "plain", "probable" or "possible"."""
    if claim.confidence >= PLAIN:
        return "plain"
    return "probable" if claim.confidence >= PROBABLE else "possible"


def told(arguments: Arguments) -> frozenset[str]:
    """Return the names of arguments that have something to say; a thing counts as one."""
    return frozenset(
        name
        for name, value in arguments.items()
        if value != "" and not (name[1:2] == "_" and name[0] in arguments)
    )  # fmt: skip


def _answers(key: str, asking: Asking) -> Sequence[str]:
    """Return the patterns of an answer; without any, the value that the key names."""
    if key.endswith("?"):
        return ()
    return asking.answer or ["{" + key.partition("/")[2] + "}"]


def _pick(lines: Lines, draw: Draw) -> Line:
    return lines[draw.below(len(lines))] if len(lines) > 1 else lines[0]


def _any_ends(
    lines: Lines, text: str, at: Iterable[int], slot_ends: SlotEnds
) -> set[int]:  # fmt: skip
    starts = list(at)
    found: set[int] = set()
    for line in lines:
        found |= line.ends(text, starts, slot_ends)
    return found
