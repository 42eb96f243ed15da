"""Rung 4: texts of all levels say what their claims say, and changed ones are told."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import pytest

from data.claims.make import tile_claims, tile_facts
from sarknowlip.annotate.claim import Argument, Claim, Text
from sarknowlip.annotate.compose import LEVELS, Composer, TextConfig
from sarknowlip.annotate.grammar import PLAIN, packaged_grammar
from sarknowlip.annotate.pattern import Draw
from sarknowlip.annotate.questions import TOPICS, questions_of
from sarknowlip.core.errors import ConfigError
from sarknowlip.knowledge.evidence import Evidence

Tile = tuple[dict[str, Claim], list[Evidence], list[Text]]


def tile(seed: int, /, confidence: float | None = None, **config: Any) -> Tile:
    claims = tile_claims(seed, confidence=confidence)
    facts = tile_facts(claims)
    composer = Composer(TextConfig(questions=40, groundings=40, **config))
    return {claim.id: claim for claim in claims}, facts, composer.texts(claims, facts)


@pytest.fixture(scope="module")
def tiles() -> list[Tile]:
    return [tile(seed) for seed in range(12)]


def changed(text: Text, /, **fields: Any) -> Text:
    """Return a text with other fields and a sound identifier."""
    values = {name: getattr(text, name) for name in Text.model_fields if name != "id"} | fields
    first = [values.pop(name) for name in ("tile_id", "dimension", "level", "text")]
    return Text.of(*first, **values)


def test_texts_of_all_levels_are_faithful_and_repeatable(tiles: list[Tile]) -> None:
    composer = Composer(TextConfig(questions=40, groundings=40))
    for claims, facts, texts in tiles:
        assert {text.level for text in texts} == set(LEVELS)
        assert composer.texts(list(claims.values()), facts) == texts
        for text in texts:
            assert composer.fault(text, claims, facts) is None, text
        assert len({text.id for text in texts}) == len(texts)
    assert {text.topic for _, _, texts in tiles for text in texts} == {None, *TOPICS}


def test_redraws_are_accepted() -> None:
    """A thousand texts by other seeds than the composer's own: all are wordings of the claims."""
    composer, count = Composer(), 0
    for seed in range(6):
        claims, facts, texts = tile(100 + seed, seed=7 + seed)
        for text in texts:
            assert composer.fault(text, claims, facts) is None, text
        count += len(texts)
    assert count >= 1000, count


SWAPS = {
    "north": "south", "south": "north", "east": "west", "west": "east", "upper": "lower",
    "lower": "upper", "top": "bottom", "bottom": "top", "left": "right", "right": "left",
    "dB": "m", "decibels": "metres", "m": "km", "km": "m", "metres": "kilometres",
    "kilometres": "metres", "%": "m", "percent": "degrees", "more": "fewer", "yes": "no",
    "no": "yes", "port": "airport", "airport": "port", "harbour": "airfield", "water": "land",
    "land": "water", "forest": "farmland", "farmland": "forest", "industrial": "residential",
    "residential": "industrial", "bright": "dark", "dark": "bright", "crane": "bridge",
    "bridge": "crane", "flat": "hilly", "hilly": "flat", "Westhaven": "Easthaven", "sea": "lake",
    "lake": "sea", "wide": "long", "long": "wide", "inside": "outside", "within": "beside",
    "roads": "railways", "railways": "roads", "a third": "a quarter", "half": "a third",
    "VV": "VH", "HH": "HV", "uniform": "varied", "specular": "diffuse", "facing": "leaving",
    "two": "three", "three": "four", "seven": "eight", "twelve": "eleven", "twice": "half",
}  # fmt: skip


SIDES = ("length_m", "width_m")


def corrupted(words: str, rng: random.Random) -> str | None:
    """Return words with one number, unit, side, name or kind changed so that they are false."""
    numbers = list(re.finditer(r"\d+(?:\.\d+)?", words))
    swaps = [m for key in SWAPS for m in re.finditer(rf"(?<!\w){re.escape(key)}(?!\w)", words)]
    found = [*numbers, *swaps]
    if not found:
        return None
    match = rng.choice(found)
    new = SWAPS.get(match[0])
    if new is None:
        number = float(match[0]) + rng.choice((-7, -1, 1, 2, 10, 0.5, 90))
        new = f"{abs(number):g}"
        if new == match[0]:
            return None
    return words[: match.start()] + new + words[match.end() :]


def corruption(text: Text, rng: random.Random) -> Text | None:
    """Return a text whose truth value differs, or None."""
    if text.level == "question-answer":
        kind = rng.choice(("answer", "question", "choice", "second right", "topic"))
        if kind == "question":
            words = corrupted(text.question or "", rng)
            return None if words is None else changed(text, question=words)
        if kind == "choice" and text.choices:
            wrong = next(choice for choice in text.choices if choice != text.text)
            return changed(text, text=wrong)
        if kind == "second right" and text.choices:
            others = [c for c in text.choices if c != text.text]
            return changed(text, choices=[*others, text.text, text.text])
        if kind == "topic":
            return changed(text, topic=next(t for t in TOPICS if t != text.topic))
        words = corrupted(text.text, rng)
        return None if words is None else changed(text, text=words, choices=())
    if text.level == "grounding" and rng.random() < 0.5:
        x0, y0, x1, y1 = text.boxes_px[0]
        boxes = [(x0 + 1, y0, x1 + 1, y1), *text.boxes_px[1:]]
        return changed(text, boxes_px=boxes) if rng.random() < 0.5 else changed(text, masks_rle=())
    words = corrupted(text.text, rng)
    return None if words is None else changed(text, text=words)


def is_square(claim: Claim) -> bool:
    """Return whether a thing is as long as wide, so that it is true to swap the two."""
    return "width_m" in claim.arguments and len({claim.arguments[k] for k in SIDES}) == 1


def test_a_thousand_corruptions_are_rejected(tiles: list[Tile]) -> None:
    composer, rng = Composer(), random.Random(0)
    kinds: Counter[str] = Counter()
    while sum(kinds.values()) < 1000:
        claims, facts, texts = rng.choice(tiles)
        level = rng.choice(LEVELS)
        text = rng.choice([text for text in texts if text.level == level])
        wrong = corruption(text, rng)
        if (
            wrong is None
            or wrong == text
            or any(map(is_square, (claims[k] for k in text.claim_ids)))
        ):
            continue
        fault = composer.fault(wrong, claims, facts)
        assert fault is not None, (text, wrong, [claims[key] for key in text.claim_ids])
        kinds[text.level] += 1
    assert all(kinds[level] >= 20 for level in LEVELS), kinds


NUMERALS = packaged_grammar().lexicon.numerals


def altered(claim: Claim, name: str, value: Argument) -> Claim:
    """Return a claim with another value of one argument."""
    kept = {key: getattr(claim, key) for key in type(claim).model_fields}
    for key in ("id", "arguments"):
        kept.pop(key)
    first = [kept.pop(key) for key in ("tile_id", "dimension", "predicate")]
    return Claim.of(*first, claim.arguments | {name: value}, **kept)


def others(claim: Claim, words: str = "") -> list[Claim]:
    """Return claims that differ in one value: all words, or the numbers and names in a text."""
    said: list[Argument] = [float(n) for n in re.findall(r"\d+(?:\.\d+)?", words)]
    said += [NUMERALS.index(w) for w in re.findall(r"\w+", words) if w in NUMERALS[1:]]
    said += [-n for n in said if not isinstance(n, str)]
    numbers = {round(n * scale, 6) for n in said for scale in (1, 1000, 0.001)}
    numbers |= {2.0, 10.0, 20.0, 25.0, 33.0, 34.0, 50.0, 67.0, 75.0, 80.0, 90.0}
    lexicon, found = packaged_grammar().words, []
    for name, value in claim.arguments.items():
        if isinstance(value, int | float):
            values: list[Argument] = [n for n in numbers if n != value]
            values += [int(n) for n in numbers if n == int(n) and int(n) != value]
        elif name.endswith(("name", "country")):
            values = re.findall(r"[A-ZÀ-Ý][\w.'’-]*(?: [A-Z0-9]\w*)*", words)
        else:
            table = name.rpartition("_")[2] if name[1:2] == "_" else name
            values = [] if len(name) == 1 else [v for v in lexicon.values(table) if v != value]
        found += [altered(claim, name, other) for other in values if other != value]
    return found


def says(claim: Claim, words: str) -> bool:
    try:
        return len(words) in packaged_grammar().sentence_ends(claim, words, [0])
    except KeyError:  # No words for such a value.
        return False


def test_a_thousand_other_values_are_told(tiles: list[Tile]) -> None:
    """Each text is a wording of the claim with one other value, and of that claim alone."""
    composer, rng, count = Composer(), random.Random(1), 0
    grammar, predicates = packaged_grammar(), Counter[str]()
    while count < 1000:
        claims, facts, texts = rng.choice(tiles)
        text = rng.choice([text for text in texts if text.level == "sentence"])
        claim = claims[text.claim_ids[0]]
        number = next((v for v in claim.arguments.values() if isinstance(v, int | float)), 1)
        choices = others(claim, f"{abs(number) + 3:g} {abs(number) + 40:g} Otherton")
        if not choices:
            continue
        other = rng.choice(choices)
        try:
            words = grammar.sentence(other, Draw(other.id))
        except (KeyError, IndexError):  # No words for such a value.
            continue
        assert says(other, words)
        if says(claim, words):  # "A third" is said of 33 and of 34 %: it has not become false.
            assert re.search("half|third|quarter|fifth|tenth", words, re.IGNORECASE), words
            continue
        assert composer.fault(changed(text, text=words), claims, facts) is not None, words
        predicates[claim.predicate] += 1
        count += 1
    assert len(predicates) >= 40, predicates


def test_edited_sentences_mean_something_else_or_nothing(tiles: list[Tile]) -> None:
    """What edits make of a text is parsed: another value of the claim, or no wording at all."""
    rng, kinds = random.Random(2), Counter[str]()
    while sum(kinds.values()) < 300:
        claims, _, texts = rng.choice(tiles)
        text = rng.choice([text for text in texts if text.level == "sentence"])
        claim, words = claims[text.claim_ids[0]], corrupted(text.text, rng)
        if words is None:
            continue
        assert not says(claim, words), words
        meant = any(says(other, words) for other in others(claim, words))
        kinds["another value" if meant else "no wording"] += 1
    print(dict(kinds))
    assert kinds["another value"] >= 100, kinds
    assert kinds["no wording"] >= 50, kinds


def test_claims_of_others_do_not_make_a_text_true(tiles: list[Tile]) -> None:
    """Every sentence of one tile, put under the same predicate's claim of another tile."""
    composer = Composer()
    (claims, _, texts), (others, facts, _) = tiles[0], tiles[1]
    by_predicate = {claim.predicate: claim for claim in others.values()}
    for text in texts:
        if text.level != "sentence":
            continue
        claim = by_predicate[claims[text.claim_ids[0]].predicate]
        same = claim.arguments == claims[text.claim_ids[0]].arguments
        moved = changed(text, claim_ids=[claim.id])
        assert same or composer.fault(moved, others, facts) is not None, moved


def test_frames_of_texts_are_checked(tiles: list[Tile]) -> None:
    composer = Composer()
    claims, facts, texts = tiles[0]
    sentence = next(text for text in texts if text.level == "sentence")
    faults = {
        "identifier": sentence.model_copy(update={"text": "x"}),
        "does not hold": changed(sentence, claim_ids=["absent"]),
        "it is in": changed(sentence, language="de"),
        "another tile": changed(sentence, tile_id="other"),
        "not of": changed(sentence, dimension="relation"),
        "more than one": changed(
            sentence, claim_ids=list(claims)[:2], dimension="landform"
        ),
        "question": changed(sentence, question="Is it?"),
        "boxes": changed(sentence, boxes_px=[(0, 0, 1, 1)]),
        "something else": changed(sentence, text="It is so."),
    }  # fmt: skip
    for reason, text in faults.items():
        assert reason in str(composer.fault(text, claims, facts)), reason


def test_short_levels_need_some_certainty() -> None:
    _, _, texts = tile(3, confidence=0.5)
    assert {text.level for text in texts} == {"sentence", "paragraph"}


def test_yes_and_no_are_balanced() -> None:
    counts: Counter[str] = Counter()
    for seed in range(60):
        claims = tile_claims(seed, confidence=1.0)
        texts = Composer(TextConfig(levels=("question-answer",))).texts(claims, [])
        counts.update(text.text for text in texts if text.text in ("yes", "no"))
    total = sum(counts.values())
    assert total > 50
    assert abs(counts["yes"] - total / 2) < 1.5 * total**0.5, counts


def test_choices_hold_one_right_answer(tiles: list[Tile]) -> None:
    places: Counter[int] = Counter()
    for _, _, texts in tiles:
        for text in texts:
            if text.choices:
                assert text.choices.count(text.text) == 1
                assert 2 <= len(text.choices) <= 4
                places[text.choices.index(text.text)] += 1
    assert len(places) == 4, "the right answer stands in every place"


@pytest.mark.parametrize("count", [*range(11, 60), 232, 1811])
def test_choices_of_large_counts_lie_far_apart(count: int) -> None:
    claim = Claim.of(
        "tile", "target", "object_count", {"kind": "crane", "count": count}, confidence=1.0,
        stage="target", stage_version="1", rule="r", evidence_ids=["e"],
    )  # fmt: skip
    (asked,) = (q for q in questions_of(claim, [claim], lambda _: ()) if q.topic == "count")
    others = [int(wrong["count"]) for wrong in asked.wrong]
    assert min(others) < count < max(others)
    assert len(set(others)) == len(others) >= 3
    assert all(max(n, count) / min(n, count) >= 1.25 for n in others)


@pytest.mark.parametrize("words", [(20, 30), (40, 120), (100, 150)])
def test_paragraphs_keep_their_length(words: tuple[int, int]) -> None:
    for seed in range(10):
        claims = tile_claims(seed)
        (text,) = Composer(TextConfig(levels=("paragraph",), words=words)).texts(claims, [])
        assert len(text.text.split()) <= words[1]
        assert text.dimension == "summary"
        assert len(text.text.split()) >= words[0] - 20


def hedged(text: str) -> list[str]:
    """Return the hedges of a paragraph, sentence by sentence."""
    return re.findall(
        r"\b(probably|presumably|most likely|possibly|perhaps|it is \w+ that)\b", text.lower()
    )


def test_paragraphs_spare_hedges() -> None:
    for seed in range(40):
        claims = tile_claims(seed)
        composer = Composer(TextConfig(levels=("paragraph",), words=(60, 100)))
        (text,) = composer.texts(claims, [])
        by_id = {claim.id: claim for claim in claims}
        assert composer.fault(text, by_id, []) is None
        told = [by_id[key] for key in text.claim_ids]
        unsure = sum(claim.confidence < PLAIN for claim in told)
        assert len(hedged(text.text)) == unsure <= 1 + len(told) // 3, text.text


def test_paragraphs_vary_their_hedges() -> None:
    composer = Composer(TextConfig(levels=("paragraph",), words=(40, 60)))
    repeated = 0
    for seed in range(40):
        (text,) = composer.texts(tile_claims(seed, confidence=0.7), [])
        first = hedged(text.text)[:3]
        assert len(first) == 3
        repeated += len(set(first)) < 3
    assert repeated <= 2


def test_nothing_to_say() -> None:
    assert Composer().texts([], []) == []


def test_wordings_and_levels_follow_the_configuration() -> None:
    claims = tile_claims(5)
    texts = Composer(TextConfig(levels=("sentence",), wordings=3)).texts(claims, [])
    assert {text.level for text in texts} == {"sentence"}
    assert 2.5 * len(claims) < len(texts) <= 3 * len(claims)
    with pytest.raises(ValueError, match="least and most"):
        TextConfig(words=(50, 20))
    with pytest.raises(ConfigError, match="no lexicon"):
        Composer(TextConfig(language="tlh"))
    assert packaged_grammar("en") is packaged_grammar("en")
