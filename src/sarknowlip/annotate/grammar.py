"""From claims to words and back: renders clauses, sentences, phrases and tags, and recognises them.

All choices of a text follow from one digest of what it renders, so that the same claim gives the
same words on every machine. Recognition runs through the same patterns with the claim's own values:
a text is faithful if it is *some* wording of its claims.

Certainty is said: a claim of confidence below 0.9 is "probable", below 0.6 "possible", and its
sentence must say so: by an adverb at a mark of the clause, or by a frame around it. Sentences are
put together from clauses, frames, adverbs and links once, when a predicate is first said.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources.abc import Traversable

from sarknowlip.annotate.claim import Argument, Claim
from sarknowlip.annotate.pattern import (
    Bound,
    Draw,
    Line,
    Literals,
    Slot,
    capitalised,
    choice_ends,
    framed,
    marked_lines,
    without_marks,
)
from sarknowlip.annotate.words import Asking, Words, read_lexicon

PLAIN, PROBABLE = 0.9, 0.6
"""Confidences from which a statement is made plainly, and as probable."""

Lines = Sequence[Bound]
Arguments = Mapping[str, Argument]
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


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
            "phrase": lexicon.phrases,
            "tag": lexicon.tags,
            "grounding": lexicon.grounding,
            "ask": {key: asking.ask for key, asking in asked},
            "answer": {key: _answers(key, asking) for key, asking in asked},
        }
        self._patterns = {
            level: {key: self._bound(words.compiled(said)) for key, said in table.items()}
            for level, table in tables.items()
        }
        self._clauses = {
            key: words.compiled(said, marked=True) for key, said in lexicon.sentences.items()
        }
        self._frames = {key: words.compiled(text) for key, text in lexicon.frames.items()}
        self._hedges = {
            key: tuple(said for line in words.compiled(texts) for said in line.wordings(_nothing))
            for key, texts in lexicon.hedges.items()
        }
        self._links = words.compiled(lexicon.links)
        self._sentences = functools.lru_cache(1 << 12)(self._sentence_lines)
        self._fit = functools.lru_cache(1 << 12)(self._fitting_lines)

    def sentence(self, claim: Claim, draw: Draw, *, linked: bool = False) -> str:
        """Return a claim as one sentence.

        Args:
            claim: What is said.
            draw: Choices.
            linked: Whether it follows another in a paragraph.

        Raises:
            KeyError: The lexicon has no pattern for the predicate, or no words for a value.
        """
        said, sure = claim.arguments, claim.confidence
        names = tuple(said) if "" not in said.values() else _named(said)
        certain = "plain" if sure >= PLAIN else "probable" if sure >= PROBABLE else "possible"
        lines = self._sentences(claim.predicate, names, certain, linked)
        count = len(lines)
        draw.state, place = divmod(draw.state, count)
        return lines[place].render(said, draw)

    def hedges(self, claim: Claim, text: str) -> set[str]:
        """Return the adverbs in a claim's sentence, or the frame's beginning, that hedge it."""
        certain, words = certainty(claim), text.lower()
        if certain == "plain":
            return set()
        frames = {
            said.strip(" ,.")
            for frame in self._frames[certain]
            if isinstance(frame.segments[0], Literals)
            for said in frame.segments[0]
        }
        return {said for said in {*self._hedges.get(certain, ()), *frames} if said in words}

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
        lines = self._lines(claim, False)
        if linked:
            lines = [*lines, *self._lines(claim, True)]
        return self._ends(lines, claim.arguments, text, starts)

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
        return lines[draw.below(len(lines))].render(arguments, draw)

    def alike(self, level: str, key: str, values: Sequence[Arguments], draw: Draw) -> list[str]:
        """Return one wording for each of several values, all of one form.

        That is, of one line and alike but for numbers and words: "about 30 %", "about 45 %".

        Args:
            level: As of `say`.
            key: Key of the patterns.
            values: Arguments; the first gives the form.
            draw: Choices.

        Returns:
            Empty if there is no pattern.
        """
        lines = self._fitting(level, key, values[0]) if values else ()
        if not lines:
            return []
        line = lines[draw.below(len(lines))]
        if len(values) > 1:
            ways = [{_form(said): said for said in line.wordings(each)} for each in values]
            common = [form for form in ways[0] if all(form in said for said in ways)]
            if common:
                form = draw.one(common)
                return [said[form] for said in ways]
        return [line.render(arguments, draw.copy()) for arguments in values]

    def wordings(self, level: str, key: str, arguments: Arguments) -> Iterable[str]:
        """Yield all wordings that `say` draws from."""
        for line in self._fitting(level, key, arguments):
            yield from line.wordings(arguments)

    def is_said(self, level: str, key: str, arguments: Arguments, text: str) -> bool:
        """Return whether a text is one of the wordings that `say` draws from."""
        lines = self._fitting(level, key, arguments)
        return len(text) in self._ends(lines, arguments, text, [0])

    def _fitting(self, level: str, key: str, arguments: Arguments) -> Lines:
        return self._fit(level, key, _named(arguments))

    def _fitting_lines(self, level: str, key: str, names: tuple[str, ...]) -> Lines:
        filled = told(dict.fromkeys(names, True))
        lines = self._patterns[level].get(key, ())
        if level == "ask":
            return tuple(bound for bound in lines if bound.line.names == filled)
        return tuple(bound for bound in lines if bound.line.names <= filled)

    def _lines(self, claim: Claim, linked: bool) -> Lines:
        """Return the sentences that say all arguments of a claim, and how certain it is."""
        return self._sentences(
            claim.predicate, _named(claim.arguments), certainty(claim), linked
        )  # fmt: skip

    def _sentence_lines(
        self, predicate: str, names: tuple[str, ...], certain: str, linked: bool
    ) -> Lines:
        """Return sentences; clauses with marks have an adverb there, others get a frame."""
        said = told(dict.fromkeys(names, True))
        clauses = [line for line in self._clauses.get(predicate, ()) if line.names == said]
        light, heavy = list[Line](), list[Line]()
        for clause in clauses:
            if certain == "plain":
                light.append(without_marks(clause))
            else:
                marked = marked_lines(clause, self._hedges.get(certain, ()))
                light.extend(marked)
                heavy.extend([] if marked else [without_marks(clause)])
        light = _all_framed(self._frames["plain"], light)
        heavy = _all_framed(self._frames[certain], heavy)
        if linked:
            light, heavy = _all_framed(self._links, light or heavy), []
        lines = self._bound(new for line in light + heavy for new in capitalised(line))
        if not lines:
            raise KeyError(
                f"{self.language} lexicon: no sentence for {predicate} that says "
                + ", ".join(sorted(said))
            )
        return lines

    def _bound(self, lines: Iterable[Line]) -> Lines:
        return tuple(Bound(line, self.words.reader) for line in lines)

    def _ends(self, lines: Lines, arguments: Arguments, text: str, at: Iterable[int]) -> set[int]:
        def ends(slot: Slot, starts: Iterable[int]) -> set[int]:
            return choice_ends(text, starts, self.words.ways(slot, arguments))

        starts = list(at)
        found: set[int] = set()
        for line in dict.fromkeys(bound.line for bound in lines):
            found |= line.ends(text, starts, ends)
        return found


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


def _all_framed(frames: Iterable[Line], lines: Sequence[Line]) -> list[Line]:
    return [framed(frame, line) for frame in frames for line in lines]


def _named(arguments: Arguments) -> tuple[str, ...]:
    """Return the names of arguments that are not empty."""
    if "" in arguments.values():
        return tuple([name for name, value in arguments.items() if value != ""])
    return tuple(arguments)


def _form(words: str) -> str:
    """Return a text without its numbers, by which answers of one form are told."""
    return _NUMBER.sub("#", words)


def _nothing(slot: Slot) -> Sequence[str]:
    return ()
