"""Revising from decisions: each is carried out, nothing else changes, and versions are whole."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.compose import Composer, TextConfig
from sarknowlip.annotate.corrupt.config import CorruptConfig
from sarknowlip.annotate.corrupt.run import corrupt
from sarknowlip.annotate.lookup import stored
from sarknowlip.annotate.mend import Mender
from sarknowlip.annotate.revise import Decision, RevisionReport, revise
from sarknowlip.annotate.store import (
    CHANGES,
    EVIDENCE,
    MANIFEST,
    WEIGHTS,
    annotation_folder,
    read_changes,
    read_claims,
    read_texts,
    read_weights,
    versions,
    weights_table,
)
from sarknowlip.annotate.support import Supporter
from sarknowlip.annotate.tile import recipe_of
from sarknowlip.annotate.verify import verify
from sarknowlip.core.errors import ConfigError, CorpusError
from sarknowlip.core.files import read_json
from sarknowlip.core.hashing import file_sha256
from sarknowlip.corpus.catalog import ANNOTATIONS, Catalog
from sarknowlip.knowledge.store import read_evidence

ABOUT = {"made_by": "scio", "round": 1}
PROGRAM = """
import json, sys
from pathlib import Path
from sarknowlip.annotate import revise
revise.CHUNK = 2
if __name__ == "__main__":
    rows = json.loads(Path(sys.argv[2]).read_text())
    decisions = {row["text_id"]: revise.Decision(**row) for row in rows}
    revise.revise(Path(sys.argv[1]), "v0002", decisions, about={"made_by": "scio", "round": 1})
"""


def decide(text: Text, action: str, **more) -> Decision:
    fields = {"score": 0.9, "reason": "test", "signals": {"evidence": 0.0}} | more
    return Decision(text_id=text.id, tile_id=text.tile_id, action=action, **fields)


@pytest.fixture(scope="module")
def spoilt(told: Path, tmp_path_factory) -> tuple[Path, tuple[str, ...]]:
    """Return a corpus whose version v0002 is spoilt in split train, and the wrong texts."""
    folder = tmp_path_factory.mktemp("revise")
    root = Path(shutil.copytree(told, folder / "corpus"))
    corrupt(root, CorruptConfig(splits=("train",)), folder / "ledger.parquet")
    return root, tuple(pq.read_table(folder / "ledger.parquet")["text_id"].to_pylist())


@pytest.fixture
def corpus(spoilt, tmp_path: Path) -> Path:
    return Path(shutil.copytree(spoilt[0], tmp_path / "corpus"))


@pytest.fixture(scope="module")
def texts(spoilt) -> dict[str, Text]:
    return {text.id: text for text in read_texts(annotation_folder(spoilt[0], "v0002"))}


@pytest.fixture(scope="module")
def of_train(spoilt, texts) -> list[Text]:
    train = {record.id for record in Catalog(spoilt[0]).records("train")}
    return [text for text in texts.values() if text.tile_id in train]


def content(folder: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in folder.iterdir()}


def made(root: Path, report: RevisionReport) -> dict[str, Text]:
    found = list(read_texts(annotation_folder(root, report.version)))
    assert len({text.id for text in found}) == len(found) == report.texts
    return {text.id: text for text in found}


def rows_of_others(root: Path, version: str) -> list[dict]:
    """Return the rows of texts of the splits val and test."""
    others = {record.id for record in Catalog(root).records() if record.split != "train"}
    table = pq.read_table(annotation_folder(root, version) / "texts.parquet")
    return [row for row in table.to_pylist() if row["tile_id"] in others]


def test_rewriting_all_that_is_wrong_makes_a_sound_version(corpus: Path, spoilt, texts) -> None:
    wrong = spoilt[1]
    report = revise(
        corpus, "v0002", {key: decide(texts[key], "rewrite") for key in wrong}, about=ABOUT
    )
    assert report.version == "v0003"
    assert report.actions["rewrite"] > 0.7 * len(wrong), "few tiles have other targets to tell of"
    assert sum(report.actions.values()) == len(wrong)
    assert report.fell.get("rewrite → drop", 0) == report.actions.get("drop", 0)
    after = made(corpus, report)
    assert verify(corpus, "v0003").problems == ()
    held = stored(annotation_folder(corpus, "v0003"), Catalog(corpus).identifiers())
    supporter = Supporter.of(annotation_folder(corpus, "v0003"))
    for tile in held.values():
        assert {support.value for support in supporter.texts(tile).values()} <= {1.0}
    changes = {change.text_id: change for change in read_changes(annotation_folder(corpus))}
    assert set(changes) == set(wrong)
    for key, change in changes.items():
        old, new = texts[key], after.get(change.new_text_id or "")
        assert (new is None) == (change.action == "drop")
        assert key not in after
        assert change.signals == {"evidence": 0.0}
        if new is not None:
            assert (new.tile_id, new.level) == (old.tile_id, old.level)
            same_dimension = new.dimension == old.dimension
            assert same_dimension or new.level in ("paragraph", "sentence"), change
        else:
            assert change.reason == "test; evidence has nothing else to say"
    words = Counter((t.tile_id, t.level, t.question, t.text) for t in after.values())
    assert max(words.values()) == 1
    assert rows_of_others(corpus, "v0003") == rows_of_others(corpus, "v0002")
    manifest = read_json(annotation_folder(corpus) / MANIFEST, "")
    assert {name: manifest[name] for name in ("made_by", "round", "parent")} == {
        **ABOUT, "parent": "v0002",
    }  # fmt: skip
    assert set(manifest["files"]) == {path.name for path in annotation_folder(corpus).iterdir()} - {
        MANIFEST
    }


def test_the_same_predicate_and_subject_come_first(corpus: Path, spoilt, texts) -> None:
    """A wrong number is put right where nobody else tells the right one."""
    claims = {claim.id: claim for claim in read_claims(annotation_folder(corpus, "v0002"))}
    ledger = pq.read_table(spoilt[0].parent / "ledger.parquet").to_pylist()
    counted = [row["text_id"] for row in ledger if row["kind"] == "count"]
    wrong = [texts[key] for key in counted if texts[key].level == "sentence"]
    report = revise(corpus, "v0002", {t.id: decide(t, "rewrite") for t in wrong}, about=ABOUT)
    after = made(corpus, report)
    right = {claim.id: claim for claim in read_claims(annotation_folder(corpus, "v0003"))}
    new = {c.text_id: c.new_text_id for c in read_changes(annotation_folder(corpus))}
    same = [
        right[after[new[text.id]].claim_ids[0]].predicate == claims[text.claim_ids[0]].predicate
        for text in wrong if new[text.id]
    ]  # fmt: skip
    assert sum(same) > 0.7 * len(same)
    assert len(same) > 20


def sources_of_new_texts(root: Path, report: RevisionReport) -> set[str]:
    """Return the sources of the facts that the texts rest on which a revision wrote."""
    after, folder = made(root, report), annotation_folder(root, report.version)
    new = {change.new_text_id for change in read_changes(folder)} - {None}
    facts = {fact.id: fact.source for fact in read_evidence(folder / EVIDENCE)}
    claims = {claim.id: claim for claim in read_claims(folder)}
    told = {key for text_id in new for key in after[text_id].claim_ids}
    return {facts[key] for claim in told for key in claims[claim].evidence_ids}


def test_nothing_is_written_from_hidden_facts(corpus: Path, spoilt, texts) -> None:
    chosen = {key: decide(texts[key], "rewrite") for key in spoilt[1]}
    hidden = ("image", "osm")
    whole = revise(corpus, "v0002", chosen, about=ABOUT)
    assert set(hidden) <= sources_of_new_texts(corpus, whole)
    partial = revise(corpus, "v0002", chosen, about=ABOUT, hidden=hidden)
    assert (partial.version, partial.fresh) == ("v0004", True)
    told = sources_of_new_texts(corpus, partial)
    assert told
    assert not told & set(hidden)
    claims = {claim.id: claim for claim in read_claims(annotation_folder(corpus))}
    assert {key for claim in claims.values() for key in claim.premise_ids} <= claims.keys()
    assert partial.actions["drop"] > whole.actions.get("drop", 0)
    assert read_json(annotation_folder(corpus) / MANIFEST, "")["hidden"] == ["image", "osm"]
    again = revise(corpus, "v0002", chosen, about=ABOUT, hidden=hidden[::-1])
    assert again == partial.model_copy(update={"fresh": False})
    with pytest.raises(ConfigError, match="no facts of source 'rumour' can be hidden"):
        revise(corpus, "v0002", chosen, about=ABOUT, hidden=("rumour",))


def test_claims_that_nobody_says_and_that_do_not_follow_are_gone(
    corpus: Path, spoilt, texts
) -> None:
    wrong = spoilt[1]
    report = revise(
        corpus, "v0002", {key: decide(texts[key], "drop") for key in wrong}, about=ABOUT
    )
    assert report.actions["drop"] + report.actions.get("rewrite", 0) == len(wrong)
    sound = {claim.id for claim in read_claims(annotation_folder(corpus, "v0001"))}
    left = {claim.id for claim in read_claims(annotation_folder(corpus, "v0003"))}
    assert left >= sound
    added = {key for text in made(corpus, report).values() for key in text.claim_ids} - sound
    assert left - sound == added


def test_weights_carry_on_and_change(corpus: Path, of_train: list[Text]) -> None:
    one, two, three = of_train[:3]
    first = revise(
        corpus, "v0002",
        {one.id: decide(one, "weight", weight=0.5), two.id: decide(two, "weight", weight=0.25)},
        about=ABOUT,
    )  # fmt: skip
    folder = annotation_folder(corpus)
    assert read_weights(folder) == {one.id: 0.5, two.id: 0.25}
    assert (first.actions, first.fell) == ({"weight": 2}, {})
    assert [change.new_text_id for change in read_changes(folder)] == [None, None]
    second = revise(
        corpus, "v0003",
        {
            one.id: decide(one, "keep", weight=0.9),
            two.id: decide(two, "weight", weight=1.0),
            three.id: decide(three, "rewrite", weight=0.75),
        },
        about=ABOUT,
    )  # fmt: skip
    folder = annotation_folder(corpus)
    changes = {change.text_id: change for change in read_changes(folder)}
    assert set(changes) == {two.id, three.id}
    assert read_weights(folder) == {one.id: 0.5, changes[three.id].new_text_id: 0.75}
    assert second.texts == first.texts
    last = revise(corpus, "v0004", {one.id: decide(one, "drop")}, about=ABOUT)
    assert one.id not in read_weights(annotation_folder(corpus))
    assert last.version == "v0005"


def test_tables_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    assert read_weights(tmp_path) == {}
    assert list(read_changes(tmp_path)) == []
    for weight in (0.0, 1.5, float("nan"), -1.0):
        pq.write_table(weights_table({"a": 0.5, "b": weight}), tmp_path / WEIGHTS)
        with pytest.raises(CorpusError, match=r"weights.parquet: text b has weight"):
            read_weights(tmp_path)
    (tmp_path / CHANGES).write_bytes(b"junk")
    with pytest.raises(CorpusError, match=r"changes.parquet"):
        list(read_changes(tmp_path))


def test_a_replacement_must_hold(corpus: Path, of_train: list[Text]) -> None:
    """One that does is taken; of others the text is rewritten, with the reason."""
    folder = annotation_folder(corpus, "v0001")
    claims = {claim.id: claim for claim in read_claims(folder)}
    originals = {text.id: text for text in read_texts(folder)}
    sentences = [text for text in of_train if text.level == "sentence"]
    said = {(text.tile_id, text.text) for text in sentences}
    free = {
        text.tile_id: text for text in originals.values()
        if text.level == "sentence" and (text.tile_id, text.text) not in said
    }  # fmt: skip
    good = next(text for text in sentences if text.tile_id in free)
    new = free[good.tile_id]
    other = next(text for text in sentences if text.tile_id != good.tile_id)
    claim = claims.get(other.claim_ids[0]) or next(iter(claims.values()))
    false = Claim.of(
        other.tile_id, claim.dimension, "dominant_surface", {"surface": "water", "share_pct": 99},
        confidence=0.95, stage="landform", stage_version="3", rule="dominant_surface",
        evidence_ids=claim.evidence_ids,
    )  # fmt: skip
    wrong = Text.of(
        other.tile_id, "landform", "sentence", "Most of the scene is water: 99 %.",
        claim_ids=[false.id],
    )  # fmt: skip
    report = revise(
        corpus, "v0002",
        {
            good.id: decide(
                good, "replace", replacement=new, replacement_claims=(claims[new.claim_ids[0]],)
            ),
            other.id: decide(other, "replace", replacement=wrong, replacement_claims=(false,)),
        },
        about=ABOUT,
    )  # fmt: skip
    assert report.actions == {"replace": 1, "rewrite": 1}
    assert report.fell == {"replace → rewrite": 1}
    changes = {change.text_id: change for change in read_changes(annotation_folder(corpus))}
    assert changes[good.id].new_text_id == new.id
    assert "the replacement does not hold: it does not follow" in changes[other.id].reason
    after = made(corpus, report)
    assert new.id in after
    assert wrong.id not in after


def test_a_replacement_says_something_new_and_sure(told: Path) -> None:
    """It holds in the place of another text only if no text beside it tells the same."""
    folder = annotation_folder(told)
    recipe = recipe_of(folder)
    tile = Catalog(told).identifiers()[0]
    held = stored(folder, [tile])[tile]
    sentences = [text for text in held.texts if text.level == "sentence"]
    claims = {claim.id: claim for claim in held.claims}
    old, other = sentences[:2]
    wordy = recipe.texts.model_dump() | {"levels": ("sentence",), "wordings": 3}
    renderings = Composer(TextConfig(**wordy)).texts([claims[other.claim_ids[0]]], held.evidence)
    new = next(text for text in renderings if text.text != other.text)
    draft = Mender(recipe).draft(tile, held)
    assert (draft.replace(old, new, ()) or "").startswith("the tile tells it already: ")
    assert draft.texts[old.id] == old
    draft.drop(other)
    doubtful = Mender(recipe.model_copy(update={"least": 1.0})).draft(tile, held)
    doubtful.drop(other)
    assert (doubtful.replace(old, new, ()) or "").startswith("it is not sure: ")
    assert draft.replace(old, new, ()) is None
    assert draft.texts[old.id] == new


def test_a_tile_keeps_a_sentence(corpus: Path, of_train: list[Text]) -> None:
    tile = of_train[0].tile_id
    own = [text for text in of_train if text.tile_id == tile]
    report = revise(corpus, "v0002", {t.id: decide(t, "drop") for t in own}, about=ABOUT)
    left = [text for text in made(corpus, report).values() if text.tile_id == tile]
    assert [text.level for text in left if text.level != "grounding"] == ["sentence"]
    assert len(left) == 1
    assert sum(report.fell.values()) == 1
    (fell,) = report.fell
    assert fell in ("drop → rewrite", "drop → keep")
    folder = annotation_folder(corpus)
    found = Supporter.of(folder).texts(stored(folder, [tile])[tile])
    assert [support.value for support in found.values()] == [1.0]


def test_a_paragraph_that_evidence_would_compose_again_is_kept(
    corpus: Path, of_train: list[Text], spoilt
) -> None:
    old = {text.id for text in read_texts(annotation_folder(corpus, "v0001"))}
    own = [text for text in of_train if text.level == "paragraph" and text.id in old]
    report = revise(corpus, "v0002", {t.id: decide(t, "rewrite") for t in own}, about=ABOUT)
    assert (report.version, report.parent) == ("v0002", "v0002")
    assert [path.name for path in versions(corpus)] == ["v0001", "v0002"]
    assert report.fell == {"rewrite → keep": len(own)}
    assert report.actions == {}


def test_decisions_that_change_nothing_make_no_version(corpus: Path, of_train: list[Text]) -> None:
    one, two = of_train[:2]
    low = {one.id: decide(one, "weight", weight=0.5)}
    revise(corpus, "v0002", low, about=ABOUT)
    before = content(annotation_folder(corpus))
    again = low | {two.id: decide(two, "weight", weight=1.0)}

    def accept(folder: Path) -> bool:
        raise AssertionError(f"{folder} is nothing to accept")

    report = revise(corpus, "v0003", again, about=ABOUT | {"round": 2}, accept=accept)
    assert (report.version, report.parent, report.fresh) == ("v0003", "v0003", False)
    assert (report.actions, report.fell) == ({}, {})
    assert content(annotation_folder(corpus)) == before
    assert [path.name for path in versions(corpus)] == ["v0001", "v0002", "v0003"]
    assert not list((corpus / ANNOTATIONS).glob(".partial*"))
    back = {one.id: decide(one, "weight", weight=1.0)}
    assert revise(corpus, "v0003", back, about=ABOUT).actions == {"weight": 1}
    assert read_weights(annotation_folder(corpus)) == {}


def test_the_same_decisions_make_no_second_version(corpus: Path, of_train: list[Text]) -> None:
    decisions = {text.id: decide(text, "drop") for text in of_train[3:60:4]}
    first = revise(corpus, "v0002", decisions, about=ABOUT)
    before = content(annotation_folder(corpus))
    backwards = dict(reversed(decisions.items()))
    again = revise(corpus, "v0002", backwards, about=ABOUT)
    assert again == first.model_copy(update={"fresh": False})
    assert [path.name for path in versions(corpus)] == ["v0001", "v0002", "v0003"]
    assert content(annotation_folder(corpus)) == before
    other = revise(corpus, "v0002", decisions, about=ABOUT | {"round": 2})
    assert other.version == "v0004"
    none = revise(corpus, "v0002", {}, about=ABOUT)
    assert (none.version, none.fresh, none.actions) == ("v0002", False, {})
    assert len(versions(corpus)) == 4


def test_what_may_not_be_decided_is_refused(corpus: Path, texts, of_train: list[Text]) -> None:
    train = {text.tile_id for text in of_train}
    other = next(text for text in texts.values() if text.tile_id not in train)
    with pytest.raises(ConfigError, match=r"of split '(val|test)', which never changes"):
        revise(corpus, "v0002", {other.id: decide(other, "drop")}, about=ABOUT)
    lost = decide(of_train[0], "drop").model_copy(update={"text_id": "gone"})
    with pytest.raises(ConfigError, match=r"v0002 has no text gone about"):
        revise(corpus, "v0002", {"gone": lost}, about=ABOUT)
    with pytest.raises(ValueError, match="do not go together"):
        decide(of_train[0], "replace")
    with pytest.raises(ValueError, match="finite"):
        decide(of_train[0], "drop", signals={"evidence": float("nan")})
    assert len(versions(corpus)) == 2
    assert not list((corpus / ANNOTATIONS).glob(".partial*"))


def test_kill_nine_at_any_time_leaves_whole_versions(
    corpus: Path, texts, spoilt, tmp_path: Path
) -> None:
    decisions: Mapping[str, Decision] = {key: decide(texts[key], "rewrite") for key in spoilt[1]}
    whole = Path(shutil.copytree(corpus, tmp_path / "whole"))
    revise(whole, "v0002", decisions, about=ABOUT)
    rows = [decision.model_dump_json() for decision in decisions.values()]
    (tmp_path / "decisions.json").write_text(f"[{','.join(rows)}]")
    (tmp_path / "program.py").write_text(PROGRAM)
    chance, killed = random.Random(2), 0
    for mark in (".partial-*", ".partial-*/texts.parquet"):
        command = [sys.executable, "program.py", str(corpus), "decisions.json"]
        process = subprocess.Popen(command, cwd=tmp_path)
        while process.poll() is None and not list((corpus / ANNOTATIONS).glob(mark)):
            time.sleep(0.001)
        time.sleep(chance.uniform(0.0, 0.2))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        names = [path.name for path in versions(corpus)]
        assert names == ["v0001", "v0002"] or content(versions(corpus)[-1]) == content(
            versions(whole)[-1]
        )
    assert killed >= 1
    revise(corpus, "v0002", decisions, about=ABOUT)
    one, other = content(versions(corpus)[-1]), content(versions(whole)[-1])
    assert {CHANGES, "texts.parquet"} <= one.keys()
    assert one == other
    assert not list((corpus / ANNOTATIONS).glob(".partial*"))
    assert WEIGHTS not in one
