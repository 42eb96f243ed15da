"""Planting errors: as many as asked, hard, sound, only where asked; the same on every machine."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.corrupt import run
from sarknowlip.annotate.corrupt.config import KINDS, CorruptConfig, CorruptReport
from sarknowlip.annotate.corrupt.run import corrupt
from sarknowlip.annotate.grammar import PROBABLE, packaged_grammar
from sarknowlip.annotate.lookup import stored
from sarknowlip.annotate.stages import STAGES
from sarknowlip.annotate.store import (
    EVIDENCE,
    MANIFEST,
    annotation_folder,
    read_claims,
    read_texts,
    versions,
)
from sarknowlip.annotate.support import Following
from sarknowlip.annotate.verify import verify
from sarknowlip.core.errors import CorpusError
from sarknowlip.core.files import read_json
from sarknowlip.core.hashing import file_sha256
from sarknowlip.corpus.catalog import ANNOTATIONS, Catalog
from sarknowlip.knowledge.store import read_evidence

CONFIG = CorruptConfig(seed=4, splits=("train", "val"))


def copied(told: Path, folder: Path) -> Path:
    return Path(shutil.copytree(told, folder / "corpus"))


def rows(ledger: Path) -> list[dict[str, str]]:
    return pq.read_table(ledger).to_pylist()


def content(folder: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def spoilt(told: Path, tmp_path_factory) -> tuple[Path, Path, CorruptReport]:
    """Return a corpus with a spoilt version beside the sound one, its ledger and its report."""
    folder = tmp_path_factory.mktemp("spoilt")
    root, ledger = copied(told, folder), folder / "ledger.parquet"
    return root, ledger, corrupt(root, CONFIG, ledger)


@pytest.fixture(scope="module")
def before(spoilt) -> dict[str, Text]:
    return {text.id: text for text in read_texts(annotation_folder(spoilt[0], "v0001"))}


@pytest.fixture(scope="module")
def after(spoilt) -> dict[str, Text]:
    return {text.id: text for text in read_texts(annotation_folder(spoilt[0], "v0002"))}


@pytest.fixture(scope="module")
def claims(spoilt) -> dict[str, Claim]:
    return {claim.id: claim for claim in read_claims(annotation_folder(spoilt[0], "v0002"))}


def test_the_share_is_exact_and_kinds_are_even(spoilt, before) -> None:
    root, ledger, report = spoilt
    splits = {record.id: record.split for record in Catalog(root).records()}
    open_to = [
        text
        for text in before.values()
        if text.level in CONFIG.levels and splits[text.tile_id] in CONFIG.splits
    ]
    assert report.texts == len(open_to)
    assert sum(report.planted.values()) + report.unplaced == round(0.3 * len(open_to))
    assert report.unplaced == 0
    assert set(report.planted) == set(KINDS)
    assert max(report.planted.values()) - min(report.planted.values()) <= 1
    assert Counter(row["kind"] for row in rows(ledger)) == report.planted
    assert {splits[row["tile_id"]] for row in rows(ledger)} == {"train", "val"}
    manifest = read_json(annotation_folder(root) / MANIFEST, "")
    assert (manifest["made_by"], manifest["parent"]) == ("corrupt", "v0001")


def test_what_is_held_out_stays_as_it_is_unless_it_is_asked_for(told: Path, tmp_path: Path) -> None:
    root, ledger = copied(told, tmp_path), tmp_path / "ledger.parquet"
    report = corrupt(root, CorruptConfig(levels=("phrase",)), ledger)
    splits = {record.id: record.split for record in Catalog(root).records()}
    assert set(splits.values()) == {"train", "val", "test"}
    assert {splits[row["tile_id"]] for row in rows(ledger)} == {"train"}
    one, two = (list(read_texts(annotation_folder(root, v))) for v in ("v0001", "v0002"))
    held_out = [[t for t in texts if splits[t.tile_id] != "train"] for texts in (one, two)]
    assert held_out[0] == held_out[1] != []
    assert sum(report.planted.values()) == len(set(two) - set(one)) > 0


def test_each_takes_the_place_of_a_text_and_all_else_is_as_it_was(spoilt, before, after) -> None:
    root, ledger, _ = spoilt
    instead = {row["original_text_id"]: row["text_id"] for row in rows(ledger)}
    assert [instead.get(key, key) for key in before] == list(after)
    assert all(after[key] == text for key, text in before.items() if key not in instead)
    for old, new in instead.items():
        assert (before[old].tile_id, before[old].level) == (after[new].tile_id, after[new].level)
        assert after[new].intact
    words = Counter((t.tile_id, t.level, t.question, t.text) for t in after.values())
    assert max(words.values()) == 1, "no text is said twice of a tile"
    paths = [annotation_folder(root, name) / EVIDENCE for name in ("v0001", "v0002")]
    assert len({file_sha256(path) for path in paths}) == 1


def test_verification_finds_what_was_planted_and_nothing_else(spoilt, claims) -> None:
    root, ledger, _ = spoilt
    true = {claim.id for claim in read_claims(annotation_folder(root, "v0001"))}
    report = verify(root, "v0002")
    assert report.texts.total - report.texts.held == len(rows(ledger))
    wrong = sum(count.total - count.held for count in report.claims.values())
    fresh = [claim for key, claim in claims.items() if key not in true]
    assert all(claim.intact for claim in fresh)
    assert 0 < wrong <= len(fresh), "a shuffled paragraph may rest on claims that hold, too"
    assert wrong >= 0.95 * len(fresh)
    assert report.evidence.held == report.evidence.total
    assert not report.missing
    assert all("does not follow" in line or "which does not hold" in line
               for line in report.problems), report.problems  # fmt: skip


def test_an_altered_claim_differs_in_one_argument_of_its_kind(
    spoilt, before, after, claims
) -> None:
    seen: Counter[str] = Counter()
    for row in rows(spoilt[1]):
        old, new = before[row["original_text_id"]], after[row["text_id"]]
        kind = row["kind"]
        if kind not in ("count", "direction", "function") or old.level == "paragraph":
            continue
        one, other = claims[old.claim_ids[0]], claims[new.claim_ids[0]]
        assert (one.predicate, one.evidence_ids) == (other.predicate, other.evidence_ids)
        (name,) = (key for key in one.arguments if one.arguments[key] != other.arguments[key])
        number = isinstance(other.arguments[name], int | float)
        assert number is (kind == "count" or name == "bearing_deg")
        assert (name in ("direction", "part", "bearing_deg")) is (kind == "direction")
        seen[kind] += 1
    assert min(seen[kind] for kind in ("count", "direction", "function")) > 20


def test_what_is_made_up_is_a_target_that_no_fact_tells_of(spoilt, after, claims) -> None:
    facts = {
        (fact.tile_id, fact.subject): fact.value
        for fact in read_evidence(annotation_folder(spoilt[0]) / EVIDENCE)
        if fact.predicate == "count"
    }
    made = [after[row["text_id"]] for row in rows(spoilt[1]) if row["kind"] == "hallucinated"]
    for text in made:
        if text.level == "paragraph":
            continue
        claim = claims[text.claim_ids[0]]
        assert claim.predicate in ("object_count", "ship_count")
        kind = claim.arguments.get("kind")
        subject = "ships" if kind is None else f"objects/{kind}"
        assert not facts.get((text.tile_id, subject))
    assert len(made) > 50


def test_what_is_shuffled_is_said_of_another_tile(spoilt, before, after) -> None:
    said = {(text.level, text.question, text.text, text.tile_id) for text in before.values()}
    shuffled = [after[row["text_id"]] for row in rows(spoilt[1]) if row["kind"] == "shuffled"]
    words = {key[:3] for key in said}
    for text in shuffled:
        assert (text.level, text.question, text.text) in words
        assert (text.level, text.question, text.text, text.tile_id) not in said
    assert len(shuffled) > 50


def test_short_texts_say_nothing_that_follows(spoilt, after) -> None:
    """A phrase without the number that is wrong would be right."""
    root = spoilt[0]
    folder, grammar = annotation_folder(root, "v0002"), packaged_grammar()
    stages = [STAGES[name]() for name in STAGES]
    held = stored(folder, Catalog(root).identifiers(), tables=(EVIDENCE,))
    true = {
        name: Following(stages, name, tile.evidence).claims for name, tile in held.items()
    }  # fmt: skip
    short = [
        text
        for text in (after[row["text_id"]] for row in rows(spoilt[1]))
        if text.level in ("phrase", "tag")
    ]
    assert len(short) > 100
    for text in short:
        assert not any(
            grammar.is_said(text.level, claim.predicate, claim.arguments, text.text)
            for claim in true[text.tile_id]
            if claim.confidence >= PROBABLE
        ), text


def test_bytes_depend_on_the_seed_alone(
    told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither on the number of processes nor on being interrupted."""
    monkeypatch.setattr(run, "CHUNK", 8)
    made = {}
    for name, workers, seed in (("one", 1, 4), ("two", 2, 4), ("other", 1, 5)):
        root, ledger = copied(told, tmp_path / name), tmp_path / f"{name}.parquet"
        config = CorruptConfig(seed=seed, levels=("tag",))
        if name == "one":
            with pytest.raises(KeyboardInterrupt):
                corrupt(root, config, ledger, progress=interrupted)
            assert len(versions(root)) == 1
            assert not ledger.exists()
        corrupt(root, config, ledger, workers=workers)
        made[name] = content(annotation_folder(root, "v0002")) | {"": file_sha256(ledger)}
        assert [path.name for path in (root / ANNOTATIONS / ".build").iterdir()] == ["lock"]
    assert made["one"] == made["two"]
    assert made["one"] != made["other"]


def interrupted(done: int, total: int, name: str) -> None:
    raise KeyboardInterrupt


def test_a_second_time_nothing_is_done_but_a_lost_ledger_is_written_again(
    told: Path, tmp_path: Path
) -> None:
    root, ledger = copied(told, tmp_path), tmp_path / "ledger.parquet"
    config = CorruptConfig(levels=("tag",), kinds=("shuffled", "hallucinated"))
    first = corrupt(root, config, ledger)
    digest = file_sha256(ledger)
    again = corrupt(root, config, ledger, version="v0001")
    assert first.fresh
    assert again == first.model_copy(update={"fresh": False})
    ledger.unlink()
    assert not corrupt(root, config, ledger, version="v0001").fresh
    assert file_sha256(ledger) == digest
    assert [path.name for path in versions(root)] == ["v0001", "v0002"]


def test_what_finds_no_room_is_counted(told: Path, tmp_path: Path) -> None:
    root = copied(told, tmp_path)
    config = CorruptConfig(share=1.0, kinds=("direction",), levels=("tag", "sentence"))
    report = corrupt(root, config, tmp_path / "ledger.parquet")
    assert report.planted["direction"] > 0
    assert report.unplaced > 0
    assert report.planted["direction"] + report.unplaced == report.texts
    with pytest.raises(CorpusError, match=r"lies in the corpus.*name a file outside it"):
        corrupt(root, config, root / "ledger.parquet")
