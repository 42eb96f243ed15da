"""Rung 4: patterns render and recognise; the grammar has words for all that may be said."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.claims.make import make_claim, predicates, tile_claims
from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.grammar import Grammar, certainty, packaged_grammar, told
from sarknowlip.annotate.pattern import Bound, Draw, Line, Slot, compile_pattern
from sarknowlip.annotate.questions import ASKS, PRESENCE
from sarknowlip.annotate.stages import STAGES
from sarknowlip.annotate.words import Lexicon, Words, read_lexicon
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.hashing import digest
from sarknowlip.knowledge.vocabulary import COVERS, FUNCTIONS, OBJECTS


def claim_of(predicate: str, confidence: float = 1.0, **arguments: object) -> Claim:
    return Claim.of(
        "tile", "landform", predicate, arguments, confidence=confidence,
        stage="landform", stage_version="1", rule="r", evidence_ids=["e"],
    )  # fmt: skip


def is_sentence(claim: Claim, text: str) -> bool:
    return len(text) in packaged_grammar().sentence_ends(claim, text, [0])


def test_pattern_nests_and_settles_spaces() -> None:
    (line,) = compile_pattern("[a [big|small|] dog|cats] run[| off], [|very] fast [now|]")
    assert set(line.wordings(lambda slot: ())) == {
        f"{who} run{off}, {how}fast{now}"
        for who in ("a big dog", "a small dog", "a dog", "cats")
        for off in ("", " off")
        for how in ("", "very ")
        for now in ("", " now")
    }


def test_pattern_with_slots_is_some_lines() -> None:
    lines = compile_pattern("[<who> {name}|nobody] comes", {"who": "[Mr|Ms]"})
    assert {line.names for line in lines} == {frozenset(), frozenset({"name"})}
    said = {words for line in lines for words in line.wordings(lambda slot: ("X", "Y"))}
    assert said == {"Mr X comes", "Ms X comes", "Mr Y comes", "Ms Y comes", "nobody comes"}


@pytest.mark.parametrize("pattern", ["[a", "a]", "{a", "a}", "{a b}", "<none>", "[a|[b|c]"])
def test_malformed_patterns_are_told(pattern: str) -> None:
    with pytest.raises(ConfigError, match="pattern"):
        compile_pattern(pattern)


WORDS = st.text("ab ,", max_size=4)
PATTERNS = st.recursive(
    WORDS | st.just("{x}"),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda p: f"[{'|'.join(p)}]")
        | st.lists(inner, min_size=1, max_size=3).map(" ".join)
    ),
    max_leaves=8,
)


@given(PATTERNS, st.text(min_size=1, max_size=8))
@settings(max_examples=200, deadline=None)
def test_what_is_rendered_is_recognised(pattern: str, key: str) -> None:
    values = ("one", "two b")
    lines = compile_pattern(pattern)

    def is_wording(line: Line, text: str) -> bool:
        def ends(slot: object, starts: Iterable[int]) -> set[int]:
            return {at + len(v) for at in starts for v in values if text.startswith(v, at)}

        return len(text) in line.ends(text, [0], ends)

    for line in lines:
        text = Bound(line, lambda slot: lambda arguments: values).render({}, Draw(key))
        assert text in set(line.wordings(lambda slot: values))
        assert "  " not in text
        assert is_wording(line, text)
        assert not is_wording(line, text + "z")


def test_draws_are_even_and_stable() -> None:
    counts = [0, 0, 0]
    for number in range(3000):
        counts[Draw("k", str(number)).below(3)] += 1
    assert all(abs(count - 1000) < 100 for count in counts), counts
    draw = Draw("same")
    assert [draw.below(7) for _ in range(5)] == [6, 6, 3, 4, 0]


def test_salted_draws_are_even_and_independent() -> None:
    """By χ² of two salts' first two choices together, 1 % level (35 degrees of freedom: 57.3)."""
    salts = [Draw("salt", str(k)).below(1 << 64) for k in range(2)]
    counts: Counter[tuple[int, ...]] = Counter()
    for number in range(7200):
        draws = [Draw.salted(salt, digest(number)) for salt in salts]
        counts[tuple(draw.below(count) for draw in draws for count in (2, 3))] += 1
    assert len(counts) == 36
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 57.3
    draw = Draw.salted(salts[0], digest(0))
    assert draw.copy().state == draw.state
    assert draw.state.bit_length() > 100


@pytest.mark.parametrize("seed", range(20))
def test_every_predicate_is_said_whole(seed: int) -> None:
    grammar = packaged_grammar()
    for claim in tile_claims(seed):
        text = grammar.sentence(claim, Draw(claim.id))
        assert not re.search(r"[\[\]{}|#<>]|  | [,.]", text), text
        assert text[0] == text[0].upper()
        assert text.endswith(".")
        assert text == grammar.sentence(claim, Draw(claim.id)), "same choices, same words"
        assert is_sentence(claim, text), text
        assert not is_sentence(claim, text + "."), text
        for name, value in claim.arguments.items():
            if name.endswith(("name", "country")):
                assert str(value) in text, text


def test_lexicon_knows_the_vocabulary() -> None:
    words = packaged_grammar().lexicon.words
    assert set(FUNCTIONS) == set(words["function"])
    assert set(COVERS.values()) == set(words["cover"])
    assert set(OBJECTS) | set(FUNCTIONS) | {"ship", "target"} <= set(words["thing"])
    assert all(len(word.split("#")) == 3 for kind in words["thing"].values() for word in kind)


def test_words_of_one_table_mean_one_thing() -> None:
    """A word that meant two values would let a text pass that says the other one."""
    for table, values in packaged_grammar().lexicon.words.items():
        seen: dict[str, str] = {}
        for value, words in values.items():
            for word in words:
                for form in word.split("#"):
                    assert seen.setdefault(form, value) == value, (table, form)


def test_patterns_say_arguments_that_their_predicates_have() -> None:
    """In every language; a sentence says all of them but empty ones."""
    known = {name: set(arguments) for name, (_, arguments) in predicates().items()}
    known = {name: {a.lower() if a in "AB" else a for a in said} for name, said in known.items()}
    grammar = packaged_grammar()
    assert set(grammar.lexicon.sentences) == set(known)
    optional = {"name", "part", "second", "country", "direction"}
    for level in ("sentence", "phrase", "tag"):
        table = grammar._clauses if level == "sentence" else grammar._patterns[level]
        for predicate, lines in table.items():
            for line in (getattr(bound, "line", bound) for bound in lines):
                assert line.names <= known[predicate], (predicate, line.segments)
                if level == "sentence":
                    assert known[predicate] - line.names <= optional, (predicate, line.segments)


def test_stages_state_what_the_table_says() -> None:
    known = {name: set(arguments) for name, (_, arguments) in predicates().items()}
    for name in STAGES:
        for predicate, arguments in STAGES[name].predicates.items():
            roles = {
                a[0].upper() if a[:1] in "ab" and a[1:2] in ("", "_") else a for a in arguments
            }
            assert roles == known[predicate], predicate


def test_every_question_has_words() -> None:
    asked = packaged_grammar().lexicon.questions
    for predicate, asks in ASKS.items():
        for topic, argument, _ in asks:
            assert f"{predicate}/{argument}" in asked
            assert topic != "direction" or f"{predicate}/{argument}?" in asked
    assert {f"presence/{thing}?" for thing, _, _ in PRESENCE.values()} <= set(asked)
    assert all(key in asked for key in ("more_of/more?", "more_objects/more", "larger/a?"))


@given(st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_number_agrees_with_its_noun(count: int) -> None:
    for predicate in ("target_count", "object_count", "ship_count"):
        kind = {"kind": "crane"} if predicate == "object_count" else {}
        claim = claim_of(predicate, count=count, **kind)
        text = packaged_grammar().sentence(claim, Draw(str(count)))
        plural = bool(re.search(r"(targets|objects|cranes|ships|candidates)\b", text))
        assert plural == (count != 1), text


@pytest.mark.parametrize(
    ("share", "fraction", "true"),
    [
        (33, "a third", True), (34, "a third", True), (32, "a third", False),
        (35, "a third", False), (50, "half", True), (52, "half", False), (25, "a quarter", True),
        (28, "a quarter", False), (67, "two thirds", True), (65, "two thirds", False),
    ],
)  # fmt: skip
def test_fractions_only_within_a_point(share: int, fraction: str, true: bool) -> None:
    claim = claim_of("surface_share", surface="water", share_pct=share)
    assert is_sentence(claim, f"About {fraction} of the area is water.") is true
    assert is_sentence(claim, f"About {share} % of the area is water.")
    assert is_sentence(claim, f"Water covers roughly {share} percent of the tile.")
    assert not is_sentence(claim, f"Water covers roughly {share} m of the tile.")


def test_units_convert_only_exactly() -> None:
    claim = claim_of(
        "distance", a="object/00", a_kind="crane", a_name="", a_part="",
        b="region/00", b_kind="port", b_name="Westhaven", b_part="", distance_m=1240,
    )  # fmt: skip
    said = "The crane and the port Westhaven are {} apart."
    assert is_sentence(claim, said.format("1240 m"))
    assert is_sentence(claim, said.format("about 1.24 km"))
    for wrong in ("1.2 km", "1240 km", "124 m", "1.24 m", "1240"):
        assert not is_sentence(claim, said.format(wrong))
    assert not is_sentence(claim, said.format("1240 m").replace("Westhaven", "Easthaven"))
    assert not is_sentence(claim, said.format("1240 m").replace(" Westhaven", ""))


@pytest.mark.parametrize(
    ("confidence", "said"),
    [(1.0, "plain"), (0.9, "plain"), (0.89, "probable"), (0.6, "probable"), (0.59, "possible")],
)
def test_certainty_is_said(confidence: float, said: str) -> None:
    claim = claim_of("surface_share", confidence, surface="water", share_pct=30)
    assert certainty(claim) == said
    for hedge, start in (
        ("plain", "Water"), ("probable", "Water probably"), ("possible", "Water possibly"),
    ):  # fmt: skip
        text = f"{start} covers about 30 % of the scene."
        assert is_sentence(claim, text) is (hedge == said), text


def test_confidence_in_hedges_does_not_mix() -> None:
    grammar = packaged_grammar()
    for seed in range(200):
        claims = [claim_of("no_ship", c) for c in (1.0, 0.7, 0.3)]
        texts = [grammar.sentence(claim, Draw(str(seed))) for claim in claims]
        for claim in claims:
            accepted = [is_sentence(claim, text) for text in texts]
            assert accepted == [certainty(other) == certainty(claim) for other in claims]


HEDGE = r"(probabl[ey]|presumably|likely|possibl[ey]|perhaps)"
NEGATION = r"(no|none|not|hardly|without)"


@pytest.mark.parametrize("predicate", sorted(predicates()))
def test_sentences_hedge_once_and_before_a_negation(predicate: str) -> None:
    """ "no ship is probably seen" is no English; "possibly … a possible ship" hedges twice."""
    grammar, rng = packaged_grammar(), random.Random(predicate)
    for confidence in (0.7, 0.5):
        for seed in range(150):
            claim = make_claim(predicate, rng, confidence=confidence)
            said = grammar.sentence(claim, Draw(str(seed))).lower()
            assert len(re.findall(rf"\b{HEDGE}\b", said)) == 1, said
            assert not re.search(r"\b(may|might|suggests?)\b", said), said
            assert not re.search(rf"\b{NEGATION}\b[^,;:]*\b{HEDGE}\b", said), said


@pytest.mark.parametrize("predicate", sorted(predicates()))
def test_articles_agree_and_images_are_not_ground(predicate: str) -> None:
    grammar, rng = packaged_grammar(), random.Random(predicate)
    for seed in range(300):
        claim = make_claim(predicate, rng, confidence=1.0)
        said = grammar.sentence(claim, Draw(str(seed)))
        assert not re.search(r"\b[Aa] (?!uni|use|one\b|Île)[aeiouAEIOU]", said), said
        assert not re.search(r"\b[Aa]n [^aeiouhAEIOUÅÎ]", said), said
        assert not re.search(r"\b[Ss]ome (1|one)\b", said), said
        if predicate in ("relief", "elevation", "city"):
            assert "image" not in said, said


def test_texts_vary() -> None:
    grammar = packaged_grammar()
    for predicate in predicates():
        rng = random.Random(1)
        claim = make_claim(predicate, rng, confidence=1.0)
        said = {grammar.sentence(claim, Draw(str(k))) for k in range(300)}
        assert len(said) >= 20, (predicate, said)


def test_things_count_as_one() -> None:
    arguments = {"a": "object/00", "a_kind": "crane", "a_name": "", "a_part": "", "name": ""}
    assert told(arguments) == {"a"}


TINY = {
    "words.json": {
        "words": {
            "surface": {"water": ["Wasser#dem Wasser"], "land": ["Land#dem Land"]},
            "thing": {"crane": ["Kran#Kräne"]},
        },
        "numerals": ["kein", "ein", "zwei"],
        "decimal": ",",
        "quantities": {"pct": [{"say": "[rund|etwa] {n} %"}], "db": [{"say": "{n} dB"}]},
        "frames": {
            "plain": ["{clause}."],
            "probable": ["wahrscheinlich: {clause}."],
            "possible": ["vielleicht: {clause}."],
        },
        "links": ["{sentence}"],
        "things": ["der {kind}"],
        "answers": {"yes": ["ja"], "no": ["nein"]},
    },
    "landform.json": {
        "sentences": {
            "surface_share": ["{surface} bedeckt {share_pct} der Szene"],
            "mean_backscatter": ["im Mittel sind es {mean_db} in {polarization.1}"],
            "object_count": ["man zählt {count*kind}"],
        },
        "questions": {"presence/surface?": {"ask": ["gibt es {surface}?"]}},
    },
}


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    folder = tmp_path / "de"
    folder.mkdir()
    for name, content in TINY.items():
        (folder / name).write_text(json.dumps(content), "utf-8")
    return tmp_path


def test_a_language_is_files_alone(tiny: Path) -> None:
    grammar = Grammar("de", tiny)
    claim = claim_of("surface_share", surface="water", share_pct=30)
    said = {grammar.sentence(claim, Draw(str(k))) for k in range(20)}
    assert said == {"Wasser bedeckt rund 30 % der Szene.", "Wasser bedeckt etwa 30 % der Szene."}
    assert all(len(text) in grammar.sentence_ends(claim, text, [0]) for text in said)
    claim = claim_of("object_count", 0.7, kind="crane", count=2)
    texts = {grammar.sentence(claim, Draw(str(k))) for k in range(20)}
    assert texts == {
        "Wahrscheinlich: man zählt 2 Kräne.", "Wahrscheinlich: man zählt zwei Kräne."
    }  # fmt: skip


def test_damaged_lexicons_are_one_line(tiny: Path) -> None:
    for name in ("tlh", "..", ""):
        with pytest.raises(ConfigError, match="no lexicon"):
            Grammar(name, tiny)
    with pytest.raises(KeyError, match="no sentence for relief"):
        Grammar("de", tiny).sentence(claim_of("relief", relief="flat", relief_m=5), Draw("x"))
    (tiny / "de" / "more.json").write_text('{"wrods": {}}')
    with pytest.raises(ConfigError, match=r"wrods.*add-a-language"):
        Grammar("de", tiny)
    (tiny / "de" / "more.json").write_text('{"words": ')
    with pytest.raises(ConfigError, match=r"more\.json is damaged"):
        Grammar("de", tiny)


def test_lexicon_refuses_to_be_empty() -> None:
    with pytest.raises(ValueError, match="sentences"):
        Lexicon(
            words={},
            numerals=(),
            quantities={},
            things=("x",),
            frames={},
            links=("x",),
            sentences={},
        )


def test_what_was_said_before_does_not_matter() -> None:
    """10 equals 10.0 in Python, but is said in other digits."""
    slot, whole, real = Slot("contrast_db"), {"contrast_db": 10}, {"contrast_db": 10.0}
    lexicon = read_lexicon("en")
    first, second = Words(lexicon), Words(lexicon)
    said = first.ways(slot, whole), first.ways(slot, real)
    assert said[::-1] == (second.ways(slot, real), second.ways(slot, whole))
    assert said[0] != said[1]
