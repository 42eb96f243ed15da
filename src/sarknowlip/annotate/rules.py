"""Stages made of rules: small functions that look at facts and may state something.

A rule sees the tile through a fresh view of its facts; what it asked for is what its claims cite. A
rule that draws on claims of earlier stages names them as premises; their evidence becomes its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from sarknowlip.annotate.claim import Argument, Claim, Dimension
from sarknowlip.knowledge.evidence import Evidence, Facts


@dataclass(frozen=True)
class Statement:
    """What a rule says.

    Attributes:
        predicate: What is stated.
        arguments: Values by name.
        confidence: How sure the rule is if its facts and premises are right, 0…1.
        premises: Earlier claims that it rests on.
    """

    predicate: str
    arguments: dict[str, Argument] = field(default_factory=dict)
    confidence: float = 1.0
    premises: tuple[Claim, ...] = ()


Rule = Callable[[Facts], Statement | None]
"""Its `__name__` is the rule's name in claims: name functions and closures so that they tell."""


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

        Rules state all that follows, without a limit on what is worth telling: claims of others
        (a model's) are held against them. Of each predicate the more important come first; the
        writer takes its pick from the front.

        Args:
            facts: Facts of the tile, to find out which things there are.
            before: Claims so far: of the stages before, and of this one as they are drawn.
        """
        raise NotImplementedError

    def claims(self, tile_id: str, facts: Facts, before: Sequence[Claim]) -> list[Claim]:
        """Return what this stage states about a tile; see `stages.Stage`."""
        so_far = list(before)
        said: set[tuple[object, ...]] = set()
        for rule in self.rules(facts, so_far):
            view = facts.fresh()
            statement = rule(view)
            if statement is None:
                continue
            words = (statement.predicate, *sorted(statement.arguments.items()))
            if words not in said:  # two things may look the same in rounded numbers
                said.add(words)
                so_far.append(self._claim(tile_id, rule.__name__, statement, view.used))
        return so_far[len(before) :]

    def _claim(
        self, tile_id: str, rule: str, statement: Statement, used: Sequence[Evidence]
    ) -> Claim:
        sure = [*(fact.confidence for fact in used), *(c.confidence for c in statement.premises)]
        evidence = [fact.id for fact in used]
        for premise in statement.premises:
            evidence.extend(premise.evidence_ids)
        return Claim.of(
            tile_id,
            self.dimension,
            statement.predicate,
            statement.arguments,
            confidence=statement.confidence * min(sure),
            stage=self.name,
            stage_version=self.version,
            rule=rule,
            evidence_ids=evidence,
            premise_ids=[premise.id for premise in statement.premises],
        )
