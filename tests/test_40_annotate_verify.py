"""Verification: planted corruptions of every kind are rejected, rewordings are not."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from rasterio.transform import Affine

from data.annotated.make import make_corpus
from data.facts.make import scenes
from sarknowlip.annotate import verify as verification
from sarknowlip.annotate.claim import Argument, Claim, Text
from sarknowlip.annotate.compose import Composer, TextConfig
from sarknowlip.annotate.lookup import Stored
from sarknowlip.annotate.pipeline import annotate
from sarknowlip.annotate.stages import STAGES
from sarknowlip.annotate.store import (
    CLAIMS,
    EVIDENCE,
    MANIFEST,
    TEXTS,
    annotation_folder,
    claims_table,
    read_claims,
    read_texts,
    texts_table,
)
from sarknowlip.annotate.tile import AnnotateConfig, derive
from sarknowlip.annotate.verify import _Again, _Tally, verify
from sarknowlip.core.errors import ConfigError, SarKnowlipError
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.knowledge.store import evidence_table, read_evidence
from sarknowlip.knowledge.vocabulary import COVERS, FUNCTIONS, OBJECTS

PARTS = [
    f"{down} {across}".replace("middle centre", "centre")
    for down in ("upper", "middle", "lower")
    for across in ("left", "centre", "right")
]
WINDS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
OTHERS: dict[str, tuple[str, ...]] = {
    "part": tuple(PARTS),
    "direction": WINDS,
    "function": FUNCTIONS,
    "cover": tuple(COVERS.values()),
    "kind": OBJECTS,
    "surface": ("water", "land", "bright_structure"),
    "water": ("sea", "river", "lake", "canal"),
    "relief": ("flat", "rolling", "hilly", "steep"),
    "texture": ("uniform", "varied", "strongly varied"),
    "network": ("roads", "railways"),
    "mechanism": ("specular", "volume", "surface", "double bounce"),
    "tone": ("bright", "dark"),
}
"""Words that may stand in for another in an argument."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an annotated corpus and the land cover that it used."""
    folder = tmp_path_factory.mktemp("verify")
    corpus, options = make_corpus(folder)
    annotate(corpus, AnnotateConfig(options=options))
    return folder


@pytest.fixture
def corpus(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built / "corpus", tmp_path / "corpus")


def corruptions(claim: Claim, chance: random.Random) -> Iterator[dict[str, Argument]]:
    """Yield arguments that say something else: number, unit, word, side, thing."""
    for name, value in claim.arguments.items():
        if isinstance(value, bool):
            continue
        if isinstance(value, int | float):
            for other in (
                value + chance.choice([1, 2, 7, -1]),
                10 * value or 10,
                1000 * value or 3,
            ):
                yield claim.arguments | {name: type(value)(other)}
        stem = name.rpartition("_")[2] if name[:2] in ("a_", "b_") else name
        words = OTHERS.get(stem, FUNCTIONS if stem in ("main", "second", "more", "less") else ())
        rest = [word for word in words if word != value]
        if value != "" and rest:
            yield claim.arguments | {name: chance.choice(rest)}
    if {"a", "b"} <= claim.arguments.keys():
        swapped = {"a": "b", "b": "a"}
        yield {swapped.get(k[0], k[0]) + k[1:] if k[:1] in "ab" and k[1:2] in ("", "_") else k: v
               for k, v in claim.arguments.items()}  # fmt: skip


def changed(claim: Claim, arguments: dict[str, Argument]) -> Claim:
    """Return a claim with other arguments and a sound identifier."""
    rest = claim.model_dump(exclude={"id", "arguments", "tile_id", "dimension", "predicate"})
    return Claim.of(claim.tile_id, claim.dimension, claim.predicate, arguments, **rest)


def spoilt(claims: list[Claim], number: int, chance: random.Random) -> list[Claim]:
    """Return up to as many corrupted claims, each another one, none of which is true."""
    true = {(claim.tile_id, claim.predicate, json.dumps(claim.arguments, sort_keys=True))
            for claim in claims}  # fmt: skip
    found: dict[str, Claim] = {}
    for _ in range(20 * number):
        if len(found) == number:
            break
        claim = chance.choice(claims)
        options = list(corruptions(claim, chance))
        if not options:
            continue
        wrong = changed(claim, chance.choice(options))
        key = wrong.tile_id, wrong.predicate, json.dumps(wrong.arguments, sort_keys=True)
        if key not in true:
            found[wrong.id] = wrong
    return list(found.values())


def again() -> _Again:
    """Return all stages, and sources that have lost their files."""
    lost = dict.fromkeys(("image", "osm", "landcover", "dem", "gazetteer", "zones"))
    return _Again(lost, [STAGES[name]() for name in STAGES], Composer())


def test_a_thousand_corruptions_are_rejected_whatever_they_change() -> None:
    chance = random.Random(20)
    predicates: Counter[str] = Counter()
    rejected = held = 0
    for name, facts in scenes().items():
        claims = derive(again().stages, "tile", facts)
        if not any(claim.arguments for claim in claims):
            continue
        wrong = spoilt(claims, 250, chance)
        predicates.update(claim.predicate for claim in wrong)
        tally = _Tally()
        tally.tile("tile", facts, Stored(facts, [*claims, *wrong], []), again())
        total = sum(n for key, n in tally.totals.items() if key != "stored")
        kept = sum(n for key, n in tally.held.items() if key != "stored")
        assert kept == len(claims), name
        held += kept
        rejected += total - kept
    assert rejected >= 1000
    assert held > 100
    assert len(predicates) > 25


def test_a_thousand_planted_claims_on_disk_are_found_all_and_only(corpus: Path) -> None:
    folder = annotation_folder(corpus)
    claims = list(read_claims(folder))
    wrong = spoilt(claims, 1000, random.Random(3))
    pq.write_table(claims_table([*wrong[:500], *claims, *wrong[500:]]), folder / CLAIMS)
    report = verify(corpus)
    assert len(wrong) == 1000
    assert sum(count.total for count in report.claims.values()) == len(claims) + 1000
    assert sum(count.held for count in report.claims.values()) == len(claims)
    assert report.texts.held == report.texts.total
    assert not report.sound
    assert len(report.problems) == verification.LISTED
    assert all("it does not follow" in problem for problem in report.problems)


def test_planted_texts_are_found_with_the_reason(corpus: Path) -> None:
    folder = annotation_folder(corpus)
    texts = list(read_texts(folder))
    sentences = [k for k, text in enumerate(texts) if text.level == "sentence"]
    first, second, third = sentences[:3]
    fields = texts[first].model_dump(exclude={"id"})
    texts[first] = Text.of(**fields | {"text": "There is an airport."})
    texts[second] = texts[second].model_copy(update={"text": "Ships everywhere."})
    texts[third] = Text.of(**texts[third].model_dump(exclude={"id"}) | {"claim_ids": ["gone"]})
    texts.append(texts[sentences[3]])
    pq.write_table(texts_table(texts), folder / TEXTS)
    report = verify(corpus)
    assert report.texts.total - report.texts.held == 4
    words = "\n".join(report.problems)
    assert len(report.problems) == 4
    assert "There is an airport" in words
    assert "digest of its content: Ships everywhere" in words
    assert "gone" in words
    assert "it stands twice" in words


def test_a_thousand_rewordings_are_accepted(built: Path, tmp_path: Path) -> None:
    folder = annotation_folder(built / "corpus")
    claims, facts = list(read_claims(folder)), list(read_evidence(folder / EVIDENCE))
    known: set[str] = {text.id for text in read_texts(folder)}
    fresh: dict[str, Text] = {}
    for seed in range(1, 200):
        composer = Composer(TextConfig(seed=seed))
        for tile_id in dict.fromkeys(claim.tile_id for claim in claims):
            own = [claim for claim in claims if claim.tile_id == tile_id]
            seen = [fact for fact in facts if fact.tile_id == tile_id]
            fresh |= {text.id: text for text in composer.texts(own, seen) if text.id not in known}
        if len(fresh) >= 1000:
            break
    assert len(fresh) >= 1000
    corpus = shutil.copytree(built / "corpus", tmp_path / "corpus")
    pq.write_table(texts_table(list(fresh.values())), annotation_folder(corpus) / TEXTS)
    report = verify(corpus)
    assert report.problems == ()
    assert report.texts.held == report.texts.total == len(fresh)


def test_the_report_is_the_same_on_any_number_of_processes(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = annotation_folder(corpus)
    claims = list(read_claims(folder))
    pq.write_table(claims_table([*claims, *spoilt(claims, 150, random.Random(1))]), folder / CLAIMS)
    whole = verify(corpus)
    monkeypatch.setattr(verification, "CHUNK", 5)
    seen: list[tuple[int, int]] = []
    assert verify(corpus, progress=lambda done, total, _: seen.append((done, total))) == whole
    assert seen[-1] == (whole.tiles, whole.tiles)
    assert len(seen) > 1
    assert verify(corpus, workers=2) == whole


def test_facts_of_a_lost_file_count_as_stored(built: Path, tmp_path: Path) -> None:
    """They can't be measured again; claims from them may hold, but no altered fact does."""
    corpus, options = make_corpus(tmp_path, 130)
    annotate(corpus, AnnotateConfig(options=options))
    before = verify(corpus)
    assert before.sound
    assert before.stored.total == 0
    moved = options.landcover[0].rename(tmp_path / "elsewhere.tif")
    report = verify(corpus)
    assert report.sound
    assert report.stored.total > 0
    assert report.stored.total + report.evidence.total == before.evidence.total
    assert report.claims == before.claims
    found = verify(corpus, options=SourceOptions(landcover=(moved,)))
    assert found == before
    folder = annotation_folder(corpus)
    facts = list(read_evidence(folder / EVIDENCE))
    where = next(k for k, f in enumerate(facts) if f.source == "landcover" and f.value)
    facts[where] = facts[where].model_copy(update={"value": 0.123})
    pq.write_table(evidence_table(facts), folder / EVIDENCE)
    report = verify(corpus)
    assert report.stored.total - report.stored.held == 1
    assert report.claim_precision is not None
    assert report.claim_precision < 1.0, "what rests on it falls"


def test_a_changed_file_is_found(tmp_path: Path) -> None:
    corpus, options = make_corpus(tmp_path, 130)
    annotate(corpus, AnnotateConfig(options=options))
    with rasterio.open(options.landcover[0], "r+") as raster:
        raster.write(np.full(raster.shape, 10, np.uint8), 1)
    report = verify(corpus)
    assert report.evidence.held < report.evidence.total
    assert report.claim_precision is not None
    assert report.claim_precision < 1.0
    options.landcover[0].write_bytes(b"junk")
    with pytest.raises(SarKnowlipError, match=r"cover.tif"):
        verify(corpus)


def test_a_fact_of_a_source_that_was_not_asked_does_not_hold(corpus: Path) -> None:
    folder = annotation_folder(corpus)
    facts = list(read_evidence(folder / EVIDENCE))
    fields: dict[str, Any] = facts[0].model_dump(exclude={"id"}) | {"source": "rumour"}
    pq.write_table(evidence_table([*facts, Evidence.of(**fields)]), folder / EVIDENCE)
    report = verify(corpus)
    assert report.evidence.total - report.evidence.held == 1
    assert "rumour" in report.source_coverage


def test_what_is_about_no_tile_of_the_corpus_does_not_hold(corpus: Path) -> None:
    folder = annotation_folder(corpus)
    claims = list(read_claims(folder))
    rest = claims[0].model_dump(exclude={"id", "tile_id"})
    pq.write_table(claims_table([*claims, Claim.of("nowhere", **rest)]), folder / CLAIMS)
    report = verify(corpus)
    assert report.problems[0].startswith("nowhere: claim")
    assert "the catalog has no such tile" in report.problems[0]
    assert sum(c.total - c.held for c in report.claims.values()) == 1


def test_coverage_is_told_by_source(built: Path) -> None:
    report = verify(built / "corpus")
    assert set(report.source_coverage) >= {"image", "landcover", "gazetteer"}
    assert all(0.0 <= share <= 1.0 for share in report.source_coverage.values())
    assert report.source_coverage["landcover"] > 0.5
    facts = Counter(f.source for f in read_evidence(annotation_folder(built / "corpus") / EVIDENCE))
    told = sum(report.source_coverage[name] * n for name, n in facts.items())
    assert report.coverage == pytest.approx(told / facts.total())


def test_a_writers_settings_are_not_needed(corpus: Path) -> None:
    """Verifying needs no endpoint and no key: the writer is not made."""
    path = annotation_folder(corpus) / MANIFEST
    manifest = json.loads(path.read_text("utf-8"))
    manifest["recipe"]["writer"] = {"kind": "vlm", "endpoint": "http://127.0.0.1:9", "model": "m"}
    path.write_text(json.dumps(manifest), "utf-8")
    assert verify(corpus).sound


def test_facts_that_are_missing_make_it_unsound(corpus: Path) -> None:
    folder = annotation_folder(corpus)
    facts = list(read_evidence(folder / EVIDENCE))
    claims = list(read_claims(folder))
    cited = {key for claim in claims for key in claim.evidence_ids}
    gone = [fact for fact in facts if fact.id not in cited][:3]
    rest = [fact for fact in facts if fact not in gone]
    pq.write_table(evidence_table(rest), folder / EVIDENCE)
    report = verify(corpus)
    assert report.evidence.held == report.evidence.total == len(rest)
    assert report.missing == 3
    assert not report.sound
    assert f"{gone[0].tile_id}: facts found but not stored" in report.problems[0]
    assert gone[0].predicate in report.problems[0]


def test_a_tile_that_cannot_be_read_makes_it_unsound(tmp_path: Path) -> None:
    """Also if it could not be read when the corpus was annotated, so that nothing is said of it."""
    corpus, _ = make_corpus(tmp_path, 130)
    catalog = Catalog(corpus)
    record = next(catalog.records())
    catalog.tile_path(record).write_bytes(b"not a tile")
    annotate(corpus, AnnotateConfig())
    report = verify(corpus)
    assert report.unread == 1
    assert report.missing == 0
    assert not report.sound
    assert len(report.problems) == 1
    assert report.problems[0].startswith(record.id)


def test_options_given_leave_the_others_as_they_were(tmp_path: Path) -> None:
    corpus, _ = make_corpus(tmp_path, 130)
    heights = tmp_path / "heights.tif"
    with rasterio.open(
        heights, "w", driver="GTiff", width=130, height=130, count=1, dtype="float32",
        crs="EPSG:32633", transform=Affine(10, 0, 500_000, 0, -10, 4_700_000),
    ) as target:  # fmt: skip
        target.write(np.add.outer(np.arange(130.0), np.arange(130.0)), 1)
    options = SourceOptions(landcover=(tmp_path / "cover.tif",), dem=(heights,), dem_geoid_m=40.0)
    annotate(corpus, AnnotateConfig(options=options))
    before = verify(corpus)
    assert before.sound
    assert {"dem", "landcover"} <= before.source_coverage.keys()
    moved = options.landcover[0].rename(tmp_path / "elsewhere.tif")
    assert verify(corpus, options=SourceOptions(landcover=(moved,))) == before
    moved = heights.rename(tmp_path / "mountains.tif")
    found = verify(corpus, options=SourceOptions(dem=(moved,)))
    assert found.evidence.held == found.evidence.total
    assert found.sound
    assert 0 < found.stored.total < before.evidence.total, "of land cover, whose file is gone"


def test_a_file_given_must_be_there(corpus: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    for name in ("osm", "landcover", "dem", "water"):
        with pytest.raises(ConfigError, match=rf"{name}: .*gone is not there; check the path"):
            verify(corpus, options=SourceOptions(**{name: gone}))
