"""Stages made of rules: small functions that look at facts and may state something.

A rule sees the tile through a fresh view of its facts; what it asked for is what its claims cite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from sarknowlip.annotate.claim import Argument, Claim, Dimension
from sarknowlip.knowledge.evidence import Facts


@dataclass(frozen=True)
class Statement:
    """What a rule says.

    Attributes:
        predicate: What is stated.
        arguments: Values by name.
        confidence: How sure the rule is if its facts are right, 0…1.
    """

    predicate: str
    arguments: dict[str, Argument] = field(default_factory=dict)
    confidence: float = 1.0


Rule = Callable[[Facts], Statement | None]


class RuleStage:
    """A stage whose claims follow from facts by rules; subclasses set the class attributes.

    Attributes:
        name: Name in the table of stages, repeated in every claim.
        version: Version of the rules.
        dimension: Dimension of the claims.
        predicates: What the rules may state, with the names of the arguments.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    dimension: ClassVar[Dimension]
    predicates: ClassVar[dict[str, frozenset[str]]]

    def rules(self, facts: Facts, before: Sequence[Claim]) -> Iterable[Rule]:
        """Return the rules to try, in the order in which their claims are told.

        Args:
            facts: Facts of the tile, to find out which things there are.
            before: Claims of the stages before this one.
        """
        raise NotImplementedError

    def claims(self, tile_id: str, facts: Facts, before: Sequence[Claim]) -> list[Claim]:
        """Return what this stage states about a tile; see `stages.Stage`."""
        found = []
        for rule in self.rules(facts, before):
            view = facts.fresh()
            statement = rule(view)
            if statement is None:
                continue
            sure = min(fact.confidence for fact in view.used)
            found.append(
                Claim.of(
                    tile_id,
                    self.dimension,
                    statement.predicate,
                    statement.arguments,
                    confidence=statement.confidence * sure,
                    stage=self.name,
                    stage_version=self.version,
                    evidence_ids=[fact.id for fact in view.used],
                )
            )
        return found
