"""Rung 4: the grammar has words for all that stages may say, and varies them."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.grammar import Grammar
from sarknowlip.annotate.stages import STAGES


def every_claim() -> list[Claim]:
    """Return a claim for each predicate and each word the lexicon has for its arguments."""
    words = Grammar().lexicon.words
    numbers = {"count": (1, 2, 7, 40), "rank": (2, 3)}
    found = []
    for name in STAGES:
        stage = STAGES[name]()
        for predicate, arguments in stage.predicates.items():
            for k in range(12):
                values = {}
                for argument in sorted(arguments):
                    known = numbers.get(argument) or tuple(words.get(argument, ())) or (k - 12.5,)
                    values[argument] = known[k % len(known)]
                found.append(
                    Claim.of(
                        "tile", stage.dimension, predicate, values, confidence=1.0,
                        stage=name, stage_version="1", rule="r", evidence_ids=[f"e{k}"],
                    )
                )  # fmt: skip
    return found


def test_grammar_has_words_for_everything() -> None:
    grammar = Grammar()
    for claim in every_claim():
        text = grammar.sentence(claim)
        assert not re.search(r"[\[\]{}|#]|  ", text.text), text.text
        assert text.text[0].isupper() or text.text[0].isdigit() or text.text[0] == "−"
        assert text.text.endswith(".")
        assert text.claim_ids == (claim.id,)
        for value in claim.arguments.values():
            if isinstance(value, float):
                assert f"{value:.1f}".replace("-", "−") in text.text
        assert text == grammar.sentence(claim), "the same claim gives the same words"


def test_patterns_name_only_arguments_that_their_predicates_have() -> None:
    known = {p: a for name in STAGES for p, a in STAGES[name].predicates.items()}
    for predicate, patterns in Grammar().lexicon.sentences.items():
        for pattern in patterns:
            slots = set(re.findall(r"\{(\w+)", pattern))
            assert slots <= known[predicate], pattern
            assert slots == known[predicate], f"{pattern} leaves out an argument"
            assert pattern.count("[") == pattern.count("]")


@given(st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_number_agrees_with_its_noun(count: int) -> None:
    claim = Claim.of(
        "tile", "target", "target_count", {"count": count}, confidence=1.0,
        stage="target", stage_version="1", rule="r", evidence_ids=[str(count)],
    )  # fmt: skip
    text = Grammar().sentence(claim).text
    plural = bool(re.search(r"(targets|objects)\b", text))
    assert plural == (count != 1), text


def test_texts_vary() -> None:
    claims = [
        Claim.of(
            f"tile{k}", "landform", "surface_share", {"surface": "water", "share_pct": 30},
            confidence=1.0, stage="landform", stage_version="1", rule="r", evidence_ids=["e"],
        )
        for k in range(200)
    ]  # fmt: skip
    texts = {Grammar().sentence(claim).text for claim in claims}
    assert len(texts) >= 20, "one claim has at least twenty wordings"
