"""From claims to words: patterns with alternatives, chosen by the claim's own identifier.

A lexicon (`lexicon/<language>/`: words, and a file of patterns for each stage) is data. Its
patterns use

- `[a|b|c]`: one of the alternatives, which may be empty; not nested;
- `{argument}`: the argument's value, as one of its words if the lexicon has words for it;
- `{argument#singular#plural}`: a number, in digits or as a numeral, and the noun's right form.

The same claim gives the same words on every machine; another claim draws other ones.
"""

from __future__ import annotations

import functools
import json
import re
from importlib import resources
from typing import Any

from pydantic import Field

from sarknowlip.annotate.claim import Argument, Claim, Text
from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.hashing import unit_interval

_ALTERNATIVES = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)(?:#([^#}]*)#([^#}]*))?\}")


class Lexicon(Config):
    """The words of one language.

    Attributes:
        words: For an argument, for each of its values, words that mean it.
        numerals: Words for 0, 1, 2, …
        sentences: For a predicate, sentence patterns.
    """

    words: dict[str, dict[str, tuple[str, ...]]]
    numerals: tuple[str, ...]
    sentences: dict[str, tuple[str, ...]] = Field(min_length=1)


class Grammar:
    """Renders claims in one language.

    Args:
        language: BCP 47 tag of a packaged lexicon, "en".

    Raises:
        ConfigError: There is no such lexicon.
    """

    def __init__(self, language: str = "en") -> None:
        self.language = language
        self.lexicon = _lexicon(language)

    def sentence(self, claim: Claim) -> Text:
        """Return a claim as one sentence.

        Raises:
            KeyError: The lexicon has no pattern for the predicate; the contract test of stages
                keeps this from happening.
        """
        draw = _Draw(claim.id, self.language)
        pattern = draw.one(self.lexicon.sentences[claim.predicate])
        chosen = _ALTERNATIVES.sub(lambda match: draw.one(match[1].split("|")), pattern)
        filled = _SLOT.sub(lambda match: self._slot(match, claim, draw), chosen)
        words = " ".join(filled.split()).replace(" ,", ",").replace(" .", ".")
        return Text.of(
            claim.tile_id,
            claim.dimension,
            "sentence",
            words[0].upper() + words[1:],
            claim_ids=[claim.id],
            language=self.language,
        )

    def _slot(self, match: re.Match[str], claim: Claim, draw: _Draw) -> str:
        name, singular, plural = match.groups()
        value = claim.arguments[name]
        if singular is not None:
            return f"{self._number(value, draw)} {singular if value == 1 else plural}"
        words = self.lexicon.words.get(name, {}).get(str(value))
        if words is not None:
            return draw.one(words)
        if isinstance(value, str):
            raise KeyError(f"{self.language} lexicon: no words for {name} = {value}")
        return _digits(value)

    def _number(self, value: Argument, draw: _Draw) -> str:
        numerals = self.lexicon.numerals
        if isinstance(value, int) and 0 < value < len(numerals):
            return draw.one([str(value), numerals[value]])
        return str(value)


class _Draw:
    """A sequence of choices that follows from an identifier."""

    def __init__(self, *key: str) -> None:
        self._key = key
        self._count = 0

    def one(self, options: tuple[str, ...] | list[str]) -> str:
        self._count += 1
        return options[int(unit_interval(*self._key, str(self._count)) * len(options))]


def _digits(value: Argument) -> str:
    text = f"{value:.1f}" if isinstance(value, float) else str(value)
    return text.replace("-", "−")


@functools.cache
def _lexicon(language: str) -> Lexicon:
    folder = resources.files("sarknowlip.annotate").joinpath("lexicon", language)
    if not language.isidentifier() or not folder.is_dir():
        raise ConfigError(f"no lexicon for language {language!r}", "choose en, or add a lexicon")
    joined: dict[str, Any] = {"sentences": {}}
    for part in sorted(folder.iterdir(), key=lambda file: file.name):
        content = json.loads(part.read_text("utf-8"))
        joined["sentences"] |= content.pop("sentences", {})
        joined |= content
    return Lexicon(**joined)
