"""The words of one language: a lexicon, and all the ways in which it says a value.

A lexicon is a folder of JSON files (docs/add-a-language.md); none of its content is in the code.
How an argument is said follows from its name: `…name` verbatim, `…_pct`, `…_m`, `…_km`, `…_db`,
`…_deg` as a quantity, one with an `…_kind` beside it as a thing, the others by a table of words.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from pydantic import Field, ValidationError

from sarknowlip.annotate.claim import Argument
from sarknowlip.annotate.pattern import (
    Line,
    Reader,
    Slot,
    Values,
    capitalised_word,
    compile_pattern,
    without_marks,
)
from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError

TABLES: dict[str, tuple[str, ...]] = {
    "main": ("surface", "cover", "function"),
    "second": ("surface", "cover", "function"),
    "more": ("surface", "cover", "function", "thing"),
    "less": ("surface", "cover", "function", "thing"),
    "one": ("surface", "cover", "function", "thing"),
    "other": ("surface", "cover", "function", "thing"),
    "kind": ("thing",),
    "water": ("function",),
}
"""Tables in which an argument's words are sought, where it has none of its own name. What the image
shows comes first: its words claim least of what a map may know, too ("water", not "permanent")."""
UNITS = ("pct", "m", "km", "db", "deg", "ratio")
"""Last parts of names of arguments that are quantities; all other numbers are counts."""

MOST_REMEMBERED = 1 << 14
"""Values whose ways to say them are remembered, for each slot."""

PROPER = ("name", "country")
"""Ends of names of arguments that are said as they are."""


class Quantity(Config):
    """One way to say a quantity.

    Attributes:
        say: Pattern with `{n}` (digits), `{w}` (numeral), or neither.
        scale: Factor from the argument to the number that is said; a number that needs more than
            three decimals is not said this way.
        least: Smallest value that may be said this way.
        most: Largest value.
        decimals: Least decimals of a number that is not whole by its type.
    """

    say: str
    scale: float = 1.0
    decimals: int = 0
    least: float = -1e9
    most: float = 1e9


class Asking(Config):
    """A question.

    Attributes:
        ask: Patterns of the question.
        answer: Patterns of the answer; none: just the value that is asked for.
    """

    ask: tuple[str, ...] = Field(min_length=1)
    answer: tuple[str, ...] = ()


class Lexicon(Config):
    """The words of one language.

    Attributes:
        words: For a table, for each value, words that mean it; forms of a word are parted by "#".
        numerals: Words for 0, 1, 2, …; that for 0 is not used.
        decimal: Decimal mark.
        minus: Sign of negative numbers.
        quantities: Ways to say a quantity, by unit.
        things: Patterns that name a thing, with `{kind}`, `{name}`, `{part}`.
        macros: Pieces of patterns.
        frames: Patterns that make a clause a sentence, by certainty ("plain", "probable",
            "possible"), with `{clause}`.
        hedges: Adverbs that stand at the marks "~" of a clause, by certainty.
        links: Patterns that make a sentence follow another in a paragraph, with `{sentence}`.
        sentences: For a predicate, patterns of clauses.
        phrases: The same for noun phrases.
        tags: The same for tags.
        questions: By "predicate/asked argument" or "presence/…"; those of yes or no end in "?".
        answers: Words for "yes" and "no".
        grounding: Patterns of expressions that refer to several things or a surface.
    """

    words: dict[str, dict[str, tuple[str, ...]]]
    numerals: tuple[str, ...]
    decimal: str = "."
    minus: str = "−"
    quantities: dict[str, tuple[Quantity, ...]]
    things: tuple[str, ...] = Field(min_length=1)
    macros: dict[str, str] = Field(default_factory=dict)
    frames: dict[str, tuple[str, ...]]
    hedges: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    links: tuple[str, ...] = Field(min_length=1)
    sentences: dict[str, tuple[str, ...]] = Field(min_length=1)
    phrases: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    tags: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    questions: dict[str, Asking] = Field(default_factory=dict)
    answers: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    grounding: dict[str, tuple[str, ...]] = Field(default_factory=dict)


def read_lexicon(language: str, folder: Traversable | None = None) -> Lexicon:
    """Return the lexicon of a language; tables that several files hold are joined.

    Args:
        language: BCP 47 tag, the folder's name.
        folder: Where the languages lie; None for the packaged ones.

    Raises:
        ConfigError: There is none, or a file is malformed.
    """
    home = folder or resources.files("sarknowlip.annotate").joinpath("lexicon")
    place = home.joinpath(language)
    if not language.replace("-", "_").isidentifier() or not place.is_dir():
        raise ConfigError(f"no lexicon for language {language!r}", "choose en, or add a lexicon")
    joined: dict[str, Any] = {}
    for part in sorted(place.iterdir(), key=lambda file: file.name):
        try:
            content = json.loads(part.read_text("utf-8"))
            joined = _merged(joined, content)
        except (ValueError, AttributeError, TypeError) as error:
            raise ConfigError(f"lexicon {part} is damaged: {error}", "write valid JSON") from error
    try:
        return Lexicon(**joined)
    except (ValidationError, TypeError) as error:
        first = str(error).replace("\n", " ")[:200]
        raise ConfigError(f"lexicon {place}: {first}", "see docs/add-a-language.md") from error


class Words:
    """All the ways in which a lexicon says a value.

    Args:
        lexicon: The language.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self._quantities = {
            unit: [(form, self.compiled([form.say])) for form in forms]
            for unit, forms in lexicon.quantities.items()
        }
        self._things = self.compiled(lexicon.things)
        self._word = functools.lru_cache(1 << 12)(self._find_word)
        self._readers: dict[Slot, Reader] = {}

    def compiled(self, patterns: Iterable[str], *, marked: bool = False) -> tuple[Line, ...]:
        """Return the lines of patterns.

        Args:
            patterns: Patterns.
            marked: Whether marks for adverbs are kept.

        Raises:
            ConfigError: A pattern is malformed.
        """
        lines = (
            line
            for pattern in patterns
            for line in compile_pattern(pattern, self.lexicon.macros)
        )  # fmt: skip
        return tuple(lines if marked else map(without_marks, lines))

    def ways(self, slot: Slot, arguments: Values) -> Sequence[str]:
        """Return all ways to say what belongs into a slot.

        Raises:
            KeyError: The lexicon has no words for the value.
        """
        return self.reader(slot)(arguments)

    def reader(self, slot: Slot) -> Reader:
        """Return what gives all ways to say what belongs into a slot; it remembers."""
        if slot not in self._readers:
            make = (
                self._thing_reader if len(slot.name) == 1
                else _proper_reader if slot.name.endswith(PROPER)
                else self._counted_reader if slot.noun
                else self._value_reader
            )  # fmt: skip
            self._readers[slot] = make(slot)
        return self._readers[slot]

    def _thing_reader(self, slot: Slot) -> Reader:
        kind, name, part = (slot.name + end for end in ("_kind", "_name", "_part"))
        known: dict[tuple[Argument, ...], Sequence[str]] = {}

        def read(arguments: Values) -> Sequence[str]:
            key = arguments[kind], arguments[name], arguments[part]
            said = known.get(key)
            if said is None:
                said = self._find_thing(*map(str, key))
                _remember(known, key, said := _begun(said, slot))
            return said

        return read

    def _counted_reader(self, slot: Slot) -> Reader:
        name, noun = slot.name, slot.noun
        known: dict[tuple[Argument, Argument], Sequence[str]] = {}

        def read(arguments: Values) -> Sequence[str]:
            key = arguments[name], arguments[noun]
            said = known.get(key)
            if said is None:
                said = _begun(self._find_number(slot, key[0], str(key[1])), slot)  # type: ignore[arg-type]
                _remember(known, key, said)
            return said

        return read

    def _value_reader(self, slot: Slot) -> Reader:
        name = slot.name
        reals: dict[Argument, Sequence[str]] = {}
        others: dict[Argument, Sequence[str]] = {}

        def read(arguments: Values) -> Sequence[str]:
            value = arguments[name]
            known = reals if value.__class__ is float else others  # 10 is not said as 10.0
            said = known.get(value)
            if said is None:
                said = (
                    self._word(slot, value)
                    if isinstance(value, str)
                    else self._find_number(slot, value, None)
                )
                said = _begun(said, slot)
                _remember(known, value, said)
            return said

        return read

    def values(self, argument: str) -> tuple[str, ...]:
        """Return the values that an argument's table has words for."""
        tables = TABLES.get(argument, (argument,))
        return tuple(key for table in tables for key in self.lexicon.words.get(table, {}))

    def _find_word(self, slot: Slot, value: str) -> tuple[str, ...]:
        tables = (slot.table,) if slot.table else (slot.name, *TABLES.get(slot.name, ()))
        for table in tables:
            found = self.lexicon.words.get(table, {}).get(value)
            if found is not None:
                return tuple(dict.fromkeys(_form(word, slot.form) for word in found))
        raise KeyError(f"no words for {slot.name} = {value} (tables {', '.join(tables)})")

    def _find_number(self, slot: Slot, value: int | float, noun: str | None) -> tuple[str, ...]:
        if slot.nouns or noun is not None:
            form = 1 if value == 1 else 2
            nouns: Sequence[str] = (
                [slot.nouns[form - 1]]
                if noun is None
                else self._word(Slot(slot.noun, slot.table, form), noun)
            )
            return tuple(f"{n} {word}" for n in self._count(value) for word in nouns)
        found = self.lexicon.words.get(slot.name, {}).get(str(value))
        if found is not None:
            return found
        unit = slot.table or slot.name.rpartition("_")[2]
        if unit not in UNITS:
            return self._count(value)
        said: list[str] = []
        for form_of, lines in self._quantities[unit]:
            if form_of.least <= value <= form_of.most:
                said.extend(self._quantity(value, form_of, lines))
        return tuple(dict.fromkeys(said))

    def _quantity(self, value: int | float, form: Quantity, lines: Iterable[Line]) -> Iterable[str]:
        number = round(value * form.scale, 9)
        if abs(round(number, 3) - number) > 1e-9:
            return
        decimals = form.decimals if isinstance(value, float) else 0
        said = {"n": (self._digits(number, decimals),), "w": (self._numeral(number),)}
        for line in lines:
            if all(said[name][0] for name in line.names):
                yield from line.wordings(lambda slot: said[slot.name])

    def _count(self, value: int | float) -> tuple[str, ...]:
        numeral = self._numeral(value)
        return (self._digits(value), numeral) if numeral else (self._digits(value),)

    def _numeral(self, value: int | float) -> str:
        numerals = self.lexicon.numerals
        whole = int(value)
        return numerals[whole] if whole == value and 0 < whole < len(numerals) else ""

    def _digits(self, value: int | float, decimals: int = 0) -> str:
        """Return a number in digits, with as many decimals as it has, three at most."""
        text = f"{value:.3f}".rstrip("0").rstrip(".")
        text = f"{value:.{decimals}f}" if len(text.partition(".")[2]) < decimals else text
        return self._marked(text)

    def _marked(self, text: str) -> str:
        return text.replace(".", self.lexicon.decimal).replace("-", self.lexicon.minus)

    def _find_thing(self, kind: str, name: str, part: str) -> tuple[str, ...]:
        arguments = {"kind": kind, "name": name, "part": part}
        told = {key for key, value in arguments.items() if value}
        found: list[str] = []
        for line in self._things:
            if line.names == told:
                found.extend(line.wordings(lambda slot: self.ways(slot, arguments)))
        if not found:
            raise KeyError(f"no pattern for a thing with {', '.join(sorted(told))}")
        return tuple(dict.fromkeys(found))


def _proper_reader(slot: Slot) -> Reader:
    name = slot.name
    if slot.capital:
        return lambda arguments: (capitalised_word(str(arguments[name])),)
    return lambda arguments: (str(arguments[name]),)


def _begun(said: Sequence[str], slot: Slot) -> Sequence[str]:
    """Return ways to say a value, at the beginning of a sentence without digits if possible."""
    if not slot.capital:
        return said
    spelt = [words for words in said if not words[:1].isdigit()]
    return tuple(map(capitalised_word, spelt or said))


def _remember(known: dict[Any, Any], key: Any, said: Any) -> None:
    if len(known) >= MOST_REMEMBERED:
        known.clear()
    known[key] = said


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return nested tables joined; of two other values the new one."""
    both = {
        key: _merged(old[key], new[key])
        for key in old.keys() & new.keys()
        if isinstance(old[key], dict) and isinstance(new[key], dict)
    }
    return old | new | both


def _form(word: str, form: int) -> str:
    """Return a form of a word; the first where it has no such form."""
    forms = word.split("#")
    return forms[form - 1] if form <= len(forms) else forms[0]
