"""Patterns: many wordings in one line, compiled once, to render and to recognise.

A pattern is text with

- `[a|b|c]`: one of the alternatives, which may be empty, and may hold others;
- `<macro>`: a piece that several patterns share;
- `{argument}`: one of the ways to say a value, in the first of its word's forms;
- `{argument.2}`: in the second form; `{argument:table}`: by the words of another table;
- `{count#ship#ships}`: a number and the noun in the form that agrees with it;
- `{count*kind}`: a number and another argument's word in the form that agrees with it;
- `~ `: where an adverb may stand that tells how certain a clause is (`annotate.sentence`).

It is compiled to lines: sequences of segments, each a set of literal strings or a slot.
Alternatives that hold slots become lines of their own; all others are multiplied out, so that
spacing is settled here and never while rendering.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from sarknowlip.core.errors import ConfigError

MOST_WORDINGS = 20_000
"""Literal alternatives of one segment; more than that is a mistake of the pattern's author."""

MOST_JOINED = 2_000
"""Literal alternatives of two neighbours that are multiplied out when sentences are made."""
MARK = "~ "

_PIECE = re.compile(r"\[|\]|\||\{[^{}]*\}|[^\[\]|{}]+")
_MACRO = re.compile(r"<(\w+)>")
_SLOT = re.compile(
    r"\{(?P<name>\w+)(?::(?P<table>\w+))?(?:\.(?P<form>\d))?"
    r"(?:\*(?P<noun>\w+))?(?:#(?P<one>[^#}]*)#(?P<many>[^#}]*))?\}"
)
_SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC835
"""Odd number whose bits look random: 2¹²⁸ over the golden ratio (Knuth, TAOCP 3, 6.4)."""
_BEFORE_MARK = re.compile(r" +(?=[,.;:?!])")


class Slot(NamedTuple):
    """Where a value is said.

    Attributes:
        name: Argument.
        table: Table of words, "" for the argument's own.
        form: Which form of the word, from 1.
        noun: Argument whose word follows a number, "" for none.
        nouns: Singular and plural that follow a number, or none.
        capital: Whether it begins with a capital.
    """

    name: str
    table: str = ""
    form: int = 1
    noun: str = ""
    nouns: tuple[str, ...] = ()
    capital: bool = False


class Literals(tuple[str, ...]):
    """Alternative strings."""

    __slots__ = ()


Segment = Literals | Slot
Say = Callable[[Slot], Sequence[str]]
"""Gives all ways to say what belongs into a slot."""
Values = Mapping[str, str | int | float | bool]
Reader = Callable[[Values], Sequence[str]]
"""Gives all ways to say what belongs into one slot, from the arguments of a claim."""
SlotEnds = Callable[[Slot, Iterable[int]], set[int]]
"""Gives where a slot's content may end that begins at one of the starts."""


class Line:
    """One sequence of segments.

    Args:
        segments: Literals and slots.

    Attributes:
        names: Arguments it says.
    """

    __slots__ = ("_lengths", "names", "segments")

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = tuple(segments)
        slots = [part for part in segments if isinstance(part, Slot)]
        self.names = frozenset(
            name for slot in slots for name in (slot.name, slot.noun) if name
        )  # fmt: skip
        self._lengths = tuple(
            (tuple({len(text) for text in part}), frozenset(part))
            if isinstance(part, Literals)
            else ((), frozenset[str]())
            for part in segments
        )

    def wordings(self, say: Say) -> Iterable[str]:
        """Yield all wordings."""
        parts = [say(part) if isinstance(part, Slot) else part for part in self.segments]
        return ("".join(choice) for choice in itertools.product(*parts))

    def ends(self, text: str, starts: Iterable[int], slot_ends: SlotEnds) -> set[int]:
        """Return where in `text` a wording may end that begins at one of the starts.

        Args:
            text: Text to recognise.
            starts: Offsets.
            slot_ends: The same for a slot's content.
        """
        at = set(starts)
        for part, (lengths, options) in zip(self.segments, self._lengths, strict=True):
            if not at:
                break
            if isinstance(part, Slot):
                at = slot_ends(part, at)
            else:
                at = {p + n for p in at for n in lengths if text[p : p + n] in options}
        return at


class Bound:
    """A line that knows how its slots are said.

    Args:
        line: The line.
        reader: Gives the reader of a slot.

    Attributes:
        line: The line.
    """

    __slots__ = ("_parts", "line")

    def __init__(self, line: Line, reader: Callable[[Slot], Reader]) -> None:
        self.line = line
        self._parts: tuple[Literals | Reader, ...] = tuple(
            reader(part) if isinstance(part, Slot) else part for part in line.segments
        )

    def render(self, arguments: Values, draw: Draw) -> str:
        """Return one wording."""
        state, said = draw.state, []
        for part in self._parts:
            options = part if part.__class__ is Literals else part(arguments)  # type: ignore[operator]
            count = len(options)
            if count > 1:
                state, place = divmod(state, count)
                said.append(options[place])
            else:
                said.append(options[0])
        draw.state = state
        return "".join(said)

    def wordings(self, arguments: Values) -> Iterable[str]:
        """Yield all wordings, in an order that is the same for like values."""
        parts = [p if isinstance(p, Literals) else p(arguments) for p in self._parts]
        return map("".join, itertools.product(*parts))


class Draw:
    """Choices that follow from identifiers: one digest, read as a mixed-radix number.

    Args:
        key: Identifiers.

    Attributes:
        state: What is left of the number, of 512 bits at first; at 0 every choice is the first.
    """

    __slots__ = ("state",)

    def __init__(self, *key: str) -> None:
        raw = hashlib.blake2b("\x1f".join(key).encode()).digest()
        self.state = int.from_bytes(raw, "big")

    @classmethod
    def salted(cls, salt: int, identifier: str) -> Draw:
        """Return choices that follow from one identifier, a digest in hexadecimal digits.

        Args:
            salt: Digest of what else they follow from, 64 bits; `Draw(…).below(1 << 64)`.
            identifier: It is evenly spread already, so that it need not be hashed again.
        """
        draw = cls.__new__(cls)
        draw.state = (int(identifier, 16) ^ salt) * _SPREAD >> 48
        return draw

    def copy(self) -> Draw:
        """Return the same choices again."""
        draw = Draw.__new__(Draw)
        draw.state = self.state
        return draw

    def one(self, options: Sequence[str]) -> str:
        """Return one of the options; equally likely, up to 2⁻⁵¹² a choice."""
        count = len(options)
        if count == 1:
            return options[0]
        self.state, place = divmod(self.state, count)
        return options[place]

    def below(self, count: int) -> int:
        """Return a whole number from 0 up to `count`, exclusive."""
        self.state, place = divmod(self.state, count)
        return place


def without_marks(line: Line) -> Line:
    """Return a line without marks for adverbs."""
    return Line([_unmarked(part) for part in line.segments])


def marked_lines(line: Line, adverbs: Sequence[str]) -> list[Line]:
    """Return a line with an adverb at one of its marks; none if it has no mark."""
    found = []
    for place, part in enumerate(line.segments):
        marked = [text for text in part if MARK in text] if isinstance(part, Literals) else []
        if marked:
            said = Literals(t.replace(MARK, a + " ", 1) for t in marked for a in adverbs)
            parts = [*line.segments]
            parts[place] = said
            found.append(without_marks(Line(parts)))
    return found


def framed(frame: Line, inner: Line) -> Line:
    """Return a frame with the segments of a line in place of its slot."""
    parts: list[Segment] = []
    for part in frame.segments:
        for new in (part,) if isinstance(part, Literals) else inner.segments:
            last = parts[-1] if parts else None
            if (
                isinstance(new, Literals)
                and isinstance(last, Literals)
                and len(new) * len(last) <= MOST_JOINED
            ):
                parts[-1] = Literals(a + b for a in last for b in new)
            else:
                parts.append(new)
    return Line(parts)


def capitalised(line: Line) -> list[Line]:
    """Return a line with a capital at its beginning; two if it may begin with its second part."""
    if not line.segments:
        return [line]
    first, rest = line.segments[0], line.segments[1:]
    if isinstance(first, Slot):
        return [Line([first._replace(capital=True), *rest])]
    said = Literals(capitalised_word(text) for text in first if text)
    found = [Line([said, *rest])] if said else []
    return found + (capitalised(Line(rest)) if "" in first and rest else [])


def capitalised_word(text: str) -> str:
    """Return a text with a capital first letter."""
    return text[:1].upper() + text[1:]


def _unmarked(part: Segment) -> Segment:
    if isinstance(part, Slot):
        return part
    return Literals(dict.fromkeys(text.replace(MARK, "") for text in part))


def choice_ends(text: str, starts: Iterable[int], options: Iterable[str]) -> set[int]:
    """Return where one of the options may end that begins at one of the starts."""
    found = set()
    for start in starts:
        found |= {start + len(said) for said in options if text.startswith(said, start)}
    return found


def compile_pattern(pattern: str, macros: Mapping[str, str] | None = None) -> tuple[Line, ...]:
    """Return the lines of a pattern.

    Args:
        pattern: As told above.
        macros: Pieces by name; they may use each other.

    Raises:
        ConfigError: A bracket or slot is malformed, a macro is unknown, or alternatives are too
            many.
    """
    text = pattern
    for _ in range(8):
        text = _MACRO.sub(lambda match: _macro(match, macros or {}, pattern), text)
    pieces = _PIECE.findall(text)
    if "".join(pieces) != text:
        raise ConfigError(f"pattern {pattern!r} has a brace without its partner", "close it")
    lines, rest = _alternatives(pieces, 0, pattern)
    if rest != len(pieces):
        raise ConfigError(f"pattern {pattern!r} has a ] without [", "remove it")
    return tuple(Line(_tidy(line)) for line in lines)


def _macro(match: re.Match[str], macros: Mapping[str, str], pattern: str) -> str:
    if match[1] not in macros:
        raise ConfigError(f"pattern {pattern!r} uses an unknown macro <{match[1]}>", "define it")
    return macros[match[1]]


def _alternatives(pieces: list[str], at: int, pattern: str) -> tuple[list[list[Segment]], int]:
    """Return the lines of alternatives up to their closing bracket, and where that is."""
    done: list[list[Segment]] = []
    lines: list[list[Segment]] = [[]]
    while at < len(pieces) and pieces[at] != "]":
        piece = pieces[at]
        at += 1
        if piece == "|":
            done.extend(lines)
            lines = [[]]
        elif piece == "[":
            options, at = _alternatives(pieces, at, pattern)
            if at == len(pieces):
                raise ConfigError(f"pattern {pattern!r} has a [ without ]", "close it")
            at += 1
            lines = [_joined(line, option, pattern) for line in lines for option in options]
        else:
            part: Segment = _slot(piece, pattern) if piece[0] == "{" else Literals((piece,))
            lines = [_joined(line, [part], pattern) for line in lines]
    return _merged(done + lines), at


def _joined(line: list[Segment], more: Sequence[Segment], pattern: str) -> list[Segment]:
    """Return a line and what follows it, with literals that touch multiplied out."""
    joined = list(line)
    for part in more:
        last = joined[-1] if joined else None
        if isinstance(part, Literals) and isinstance(last, Literals):
            product = Literals(a + b for a in last for b in part)
            joined[-1] = product
            if len(product) > MOST_WORDINGS:
                raise ConfigError(f"pattern {pattern!r} has too many alternatives", "split it")
        else:
            joined.append(part)
    return joined


def _merged(lines: list[list[Segment]]) -> list[list[Segment]]:
    """Return lines with those that hold no slot made into one."""
    plain = [line for line in lines if not any(isinstance(part, Slot) for part in line)]
    texts = Literals(
        text
        for line in plain
        for part in line or (Literals(("",)),)
        if isinstance(part, Literals)
        for text in part
    )
    others = [line for line in lines if line not in plain]
    return [[texts], *others] if plain else others


def _slot(piece: str, pattern: str) -> Slot:
    match = _SLOT.fullmatch(piece)
    if match is None:
        raise ConfigError(f"pattern {pattern!r}: {piece} is no slot", "write {argument}")
    nouns = () if match["one"] is None else (match["one"], match["many"])
    form = int(match["form"] or 1)
    return Slot(match["name"], match["table"] or "", form, match["noun"] or "", nouns)


def _tidy(line: list[Segment]) -> list[Segment]:
    """Return a line with single spaces, none at its ends and none before punctuation."""
    tidied: list[Segment] = []
    for place, part in enumerate(line):
        if isinstance(part, Slot):
            tidied.append(part)
            continue
        texts = [_BEFORE_MARK.sub("", re.sub(r"\s+", " ", text)) for text in part]
        if place == 0:
            texts = [text.lstrip() for text in texts]
        if place == len(line) - 1:
            texts = [text.rstrip() for text in texts]
        tidied.append(Literals(dict.fromkeys(texts)))
    return tidied
