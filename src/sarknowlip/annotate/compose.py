"""From claims about a tile to its texts, and back: whether a text says what its claims say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.grammar import Grammar
from sarknowlip.core.config import Config
from sarknowlip.knowledge.evidence import Evidence


class TextConfig(Config):
    """Which texts are made.

    Attributes:
        language: BCP 47 tag of a packaged lexicon.
    """

    language: str = "en"


class Composer:
    """Makes the texts of a tile.

    Args:
        config: Which texts.

    Raises:
        ConfigError: There is no lexicon of that language.
    """

    version = "1"

    def __init__(self, config: TextConfig | None = None) -> None:
        self.config = config or TextConfig()
        self.grammar = Grammar(self.config.language)

    def texts(self, claims: Sequence[Claim], evidence: Sequence[Evidence]) -> list[Text]:
        """Return the texts of one tile; equal claims and evidence give equal texts.

        Args:
            claims: What is to be said, in the order of the chain.
            evidence: Facts about the tile, for boxes and masks of what is referred to.
        """
        return [self.grammar.sentence(claim) for claim in claims]

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
        if not text.intact:
            return "its identifier is not the digest of its content"
        missing = [key for key in text.claim_ids if key not in claims]
        if missing:
            return f"it rests on claim {missing[0]}, which does not hold"
        if text != self.grammar.sentence(claims[text.claim_ids[0]]):
            return "its words say something else"
        return None
