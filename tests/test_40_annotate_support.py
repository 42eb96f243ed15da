"""The evidence signal: 1 for what follows, 0 for what does not, NaN where sources are silent."""

from __future__ import annotations

import functools
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.facts.make import TILE, scenes
from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.corrupt.config import CorruptConfig
from sarknowlip.annotate.corrupt.run import corrupt
from sarknowlip.annotate.lookup import Stored, stored
from sarknowlip.annotate.settled import ABOUT, Told
from sarknowlip.annotate.stages import STAGES
from sarknowlip.annotate.store import annotation_folder
from sarknowlip.annotate.support import Following, Support, Supporter
from sarknowlip.core.errors import ConfigError
from sarknowlip.corpus.catalog import Catalog

SCENES = scenes()
CLEAN = "clean"


def all_supports(folder: Path, root: Path, hidden: Iterable[str] = ()) -> dict[str, Support]:
    supporter = Supporter.of(folder, hidden=tuple(hidden))
    held = stored(folder, Catalog(root).identifiers())
    return {key: value for tile in held.values() for key, value in supporter.texts(tile).items()}


@pytest.fixture(scope="module")
def spoilt(told: Path, tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """Return a corpus whose newest version is spoilt, and the kinds of what was planted."""
    folder = tmp_path_factory.mktemp("support")
    root = Path(shutil.copytree(told, folder / "corpus"))
    corrupt(root, CorruptConfig(), folder / "ledger.parquet")
    rows = pq.read_table(folder / "ledger.parquet").to_pylist()
    return root, {row["text_id"]: row["kind"] for row in rows}


def by_kind(found: dict[str, Support], kinds: dict[str, str]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for key, support in found.items():
        counts[kinds.get(key, CLEAN)][str(support.value)] += 1
    return counts


def test_all_texts_of_an_unspoilt_version_are_supported(told: Path) -> None:
    found = all_supports(annotation_folder(told), told)
    assert len(found) > 1000
    assert {support.value for support in found.values()} == {1.0}
    assert {value for s in found.values() for value in s.claim_values.values()} == {1.0}


def test_what_was_planted_is_contradicted_and_nothing_else(spoilt) -> None:
    root, kinds = spoilt
    counts = by_kind(all_supports(annotation_folder(root), root), kinds)
    assert set(counts) == {CLEAN, "shuffled", "count", "direction", "function", "hallucinated"}
    assert set(counts[CLEAN]) == {"1.0"}
    for kind in set(counts) - {CLEAN}:
        assert set(counts[kind]) == {"0.0"}, kind


@pytest.mark.parametrize("hidden", [("osm", "water"), ("landcover",), ("dem", "gazetteer")])
def test_without_a_source_its_statements_are_open_and_none_is_wrongly_judged(
    spoilt, hidden: tuple[str, ...]
) -> None:
    root, kinds = spoilt
    counts = by_kind(all_supports(annotation_folder(root), root, hidden), kinds)
    assert set(counts[CLEAN]) == {"1.0", "nan"}
    planted = sum((counts[kind] for kind in set(counts) - {CLEAN}), Counter())
    assert planted["1.0"] == 0
    assert planted["0.0"] > 50
    assert planted["nan"] > 10


def test_reasons_tell_what_is_wrong(told: Path) -> None:
    folder = annotation_folder(told)
    name = Catalog(told).identifiers()[12]
    held = stored(folder, [name])[name]
    text = next(text for text in held.texts if text.level == "sentence")
    fields = text.model_dump(exclude={"id"})
    other = Text.of(**fields | {"text": "There is an airport."})
    lost = Text.of(**fields | {"claim_ids": ["gone"]})
    claim = next(claim for claim in held.claims if claim.id == text.claim_ids[0])
    altered = claim.model_copy(update={"id": "0123456789abcdef"})
    unsound = Text.of(**fields | {"claim_ids": [altered.id]})
    spoilt = Stored(held.evidence, [*held.claims, altered], [text, other, lost, unsound])
    found = Supporter.of(folder).texts(spoilt)
    assert found[text.id] == Support(1.0, {claim.id: 1.0}, "follows from evidence")
    assert found[other.id].reason == "its words say something else"
    assert found[lost.id].reason == "does not follow from evidence: claim gone is not there"
    assert found[unsound.id].value == 0.0
    with pytest.raises(ConfigError, match=r"source 'rumour' can be hidden.*choose among gazet"):
        Supporter.of(folder, hidden=["rumour"])


def test_a_fact_that_was_altered_supports_nothing(told: Path) -> None:
    folder, name = annotation_folder(told), Catalog(told).identifiers()[0]
    held = stored(folder, [name])[name]
    facts = [fact.model_copy(update={"value": 0.5}) if fact.value else fact
             for fact in held.evidence]  # fmt: skip
    found = Supporter.of(folder).texts(Stored(facts, held.claims, held.texts))
    whole = Supporter.of(folder).texts(held)
    assert {support.value for support in whole.values()} == {1.0}
    assert sum(support.value != 1.0 for support in found.values()) > len(found) / 2


@pytest.mark.parametrize("name", SCENES)
def test_what_follows_from_facts_is_settled_by_them(name: str) -> None:
    stages = [STAGES[stage]() for stage in STAGES]
    facts = SCENES[name]
    following, known = Following(stages, TILE, facts), Told.of(facts)
    assert [claim for claim in following.claims if not known.settles(claim)] == []
    assert all(following.holds(claim) for claim in following.claims)


def test_every_statement_of_the_stages_is_about_something() -> None:
    """Of things in roles and of words for ground it follows from the arguments."""
    roles = {"object_size", "object_height", "object_axis", "direction", "distance", "adjacent",
             "inside", "crosses", "nearest", "larger", "position"}  # fmt: skip
    summary = {"headline", "more_of", "more_objects"}
    predicates = {p for name in STAGES for p in STAGES[name].predicates}
    assert set(ABOUT) | roles | summary == predicates


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SCENES)), st.sets(st.sampled_from(["osm", "landcover", "image"])))
def test_facts_that_are_hidden_settle_nothing_more(name: str, hidden: set[str]) -> None:
    facts = SCENES[name]
    seen = [fact for fact in facts if fact.source not in hidden]
    part, whole = Told.of(seen, (f for f in facts if f.source in hidden)), Told.of(facts)
    for claim in claims_of(name):
        assert whole.settles(claim) or not part.settles(claim)


@functools.cache
def claims_of(name: str) -> list[Claim]:
    """Return the claims that follow in any scene as claims about this one: many are wrong here."""
    stages = [STAGES[stage]() for stage in STAGES]
    return [
        claim
        for other in {name, sorted(SCENES)[0], sorted(SCENES)[-1]}
        for claim in Following(stages, TILE, SCENES[other]).claims
    ]


def test_a_statement_of_a_stage_that_is_not_known_is_open_if_anything_is_hidden() -> None:
    facts = next(iter(SCENES.values()))
    claim = Claim.of(
        TILE, "target", "rumour", {}, confidence=0.9, stage="mine", stage_version="1", rule="r",
        evidence_ids=["e"],
    )  # fmt: skip
    assert Told.of(facts).settles(claim)
    assert not Told.of(facts[1:], facts[:1]).settles(claim)
