"""Whether a text says what its claims say: any wording of the grammar does, nothing else.

A question must be one that its claim answers, its answer right, and each other choice false by the
claims (`annotate.questions`). An expression must have exactly the boxes and masks that the evidence
gives for what it refers to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sarknowlip.annotate.claim import Claim, Dimension, Text
from sarknowlip.annotate.grammar import PROBABLE, Arguments, Grammar
from sarknowlip.annotate.grounding import references_of
from sarknowlip.annotate.questions import Question, questions_of
from sarknowlip.knowledge.evidence import Evidence, Facts

OTHER_WORDS = "its words say something else"


class Check:
    """Checks texts.

    Args:
        grammar: Words of the language that the texts are in.
    """

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar

    def fault(
        self, text: Text, claims: Mapping[str, Claim], evidence: Sequence[Evidence]
    ) -> str | None:
        """Return why a text is not faithful, None if it is; see `Composer.fault`."""
        if not text.intact:
            return "its identifier is not the digest of its content"
        missing = [key for key in text.claim_ids if key not in claims]
        if missing:
            return f"it rests on claim {missing[0]}, which does not hold"
        told = [claims[key] for key in text.claim_ids]
        fault = self._frame_fault(text, told)
        if fault is not None:
            return fault
        if text.level == "question-answer":
            return self._question_fault(text, told[0], claims)
        if text.level == "grounding":
            return self._grounding_fault(text, told[0], Facts(evidence))
        return None if self._said(text, told) else OTHER_WORDS

    def _frame_fault(self, text: Text, told: Sequence[Claim]) -> str | None:
        """Return what is wrong with anything but the words."""
        several, asks = text.level == "paragraph", text.level == "question-answer"
        places = text.level == "grounding"
        hedged = text.level in ("sentence", "paragraph")
        wrong = {
            f"it is in {text.language}": text.language != self._grammar.language,
            "it is about another tile than its claims": any(
                claim.tile_id != text.tile_id for claim in told
            ),
            f"its claims are not of {text.dimension}": text.dimension != dimension_of(told),
            "it rests on more than one claim": len(told) > 1 and not several,
            "it says a claim twice": len(set(text.claim_ids)) != len(told),
            "its claim is too uncertain to be said plainly": not hedged
            and min(claim.confidence for claim in told) < PROBABLE,
            "only answers have a question": not asks
            and (text.question is not None or text.topic is not None or bool(text.choices)),
            "only expressions have boxes": not places and bool(text.boxes_px or text.masks_rle),
        }
        return next((reason for reason, is_so in wrong.items() if is_so), None)

    def _said(self, text: Text, told: Sequence[Claim]) -> bool:
        words = text.text
        if text.level not in ("sentence", "paragraph"):
            claim = told[0]
            return self._grammar.is_said(text.level, claim.predicate, claim.arguments, words)
        ends, starts = set[int](), {0}
        for number, claim in enumerate(told):
            ends = self._grammar.sentence_ends(claim, words, starts, linked=number > 0)
            starts = {end + 1 for end in ends if words[end : end + 1] == " "}
        return len(words) in ends

    def _question_fault(self, text: Text, claim: Claim, claims: Mapping[str, Claim]) -> str | None:
        asked = text.question or ""
        if asked[:1] != asked[:1].upper():
            return "its question does not begin with a capital"
        spoken = {asked, asked[:1].lower() + asked[1:]}
        fault = "its claim does not answer its question"
        for question in questions_of(claim, claims.values(), self._grammar.words.values):
            if question.topic == text.topic and any(
                self._grammar.is_said("ask", question.key, question.given, words)
                for words in spoken
            ):
                if self._answered(text, question):
                    return None
                fault = "its answer or choices are wrong"
        return fault

    def _answered(self, text: Text, question: Question) -> bool:
        """Return whether a text's answer is right, and of its choices only that."""
        if question.answers is None:
            right = self._grammar.lexicon.answers["yes" if question.holds else "no"]
            return text.text in right and not text.choices
        if not self._means(question, question.answers, text.text):
            return False
        others = [choice for choice in text.choices if choice != text.text]
        if len(others) != max(0, len(text.choices) - 1):
            return False
        free = list(question.wrong)
        for choice in others:
            match = [wrong for wrong in free if self._means(question, wrong, choice)]
            if not match or self._means(question, question.answers, choice):
                return False
            free.remove(match[0])
        return len(text.choices) != 1

    def _means(self, question: Question, arguments: Arguments, words: str) -> bool:
        return self._grammar.is_said("answer", question.key, arguments, words)

    def _grounding_fault(self, text: Text, claim: Claim, facts: Facts) -> str | None:
        meant = [
            reference
            for reference in references_of(claim, facts)
            if self._grammar.is_said("grounding", reference.key, reference.arguments, text.text)
        ]
        if not meant:
            return "its words refer to nothing that its claim is about"
        if (text.boxes_px, text.masks_rle) not in [(m.boxes, m.masks) for m in meant]:
            return "its boxes or masks are not those of what its words refer to"
        return None


def dimension_of(claims: Sequence[Claim]) -> Dimension:
    """Return the dimension of a text that renders these claims: theirs, "summary" if mixed."""
    dimensions = {claim.dimension for claim in claims}
    return dimensions.pop() if len(dimensions) == 1 else "summary"
