"""What differs between versions, and going back."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.corrupt.config import CorruptConfig
from sarknowlip.annotate.corrupt.run import corrupt
from sarknowlip.annotate.history import diff, rollback
from sarknowlip.annotate.pipeline import annotate
from sarknowlip.annotate.revise import Decision, revise
from sarknowlip.annotate.store import (
    CHANGES,
    CLAIMS,
    MANIFEST,
    TEXTS,
    WEIGHTS,
    annotation_folder,
    read_changes,
    read_texts,
    read_weights,
    versions,
)
from sarknowlip.annotate.tile import recipe_of
from sarknowlip.core.errors import CorpusError
from sarknowlip.core.files import read_json
from sarknowlip.core.hashing import file_sha256


def decide(text: Text, action: str, **more) -> Decision:
    fields = {"score": 0.9, "reason": f"to {action}"} | more
    return Decision(text_id=text.id, tile_id=text.tile_id, action=action, **fields)


def texts_of(root: Path, version: str) -> dict[str, Text]:
    return {text.id: text for text in read_texts(annotation_folder(root, version))}


@pytest.fixture(scope="module")
def grown(told: Path, tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """Return a corpus of four versions: sound, spoilt, revised, revised again; and the ledger."""
    folder = tmp_path_factory.mktemp("history")
    root = Path(shutil.copytree(told, folder / "corpus"))
    config = CorruptConfig(splits=("train",), share=0.1, levels=("sentence",))
    corrupt(root, config, folder / "ledger.parquet")
    rows = pq.read_table(folder / "ledger.parquet").to_pylist()
    planted = {row["text_id"]: row["original_text_id"] for row in rows}
    spoilt = texts_of(root, "v0002")
    first, second, third = (spoilt[key] for key in list(planted)[:3])
    revise(
        root, "v0002",
        {
            first.id: decide(first, "rewrite"),
            second.id: decide(second, "drop"),
            third.id: decide(third, "weight", weight=0.5),
        },
        about={"made_by": "scio", "round": 1},
    )  # fmt: skip
    return root, planted


@pytest.fixture
def corpus(grown, tmp_path: Path) -> Path:
    return Path(shutil.copytree(grown[0], tmp_path / "corpus"))


def test_a_version_does_not_differ_from_itself(grown) -> None:
    found = diff(grown[0], "v0001", "v0001")
    assert (found.rows, found.hows, found.actions) == ((), {}, {})
    assert found.same == len(texts_of(grown[0], "v0001"))


def test_planted_texts_pair_up_with_those_whose_place_they_took(grown) -> None:
    root, planted = grown
    before, after = texts_of(root, "v0001"), texts_of(root, "v0002")
    found = diff(root, "v0001", "v0002")
    assert found.hows == {"changed": len(planted)}
    assert found.same == len(before) - len(planted)
    assert Counter((row.old, row.new) for row in found.rows) == Counter(
        (before[old].text, after[new].text) for new, old in planted.items()
    )
    assert {(row.level, row.weight, row.reason) for row in found.rows} == {("sentence", 1.0, None)}
    assert len(diff(root, "v0002", "v0001").rows) == len(planted)


def test_what_was_revised_is_told_with_the_reason(grown) -> None:
    root, planted = grown
    before = texts_of(root, "v0002")
    first, second, third = (before[key] for key in list(planted)[:3])
    found = diff(root, "v0002", "v0003")
    assert found.hows == {"changed": 1, "removed": 1, "weighted": 1}
    assert found.actions == {"drop": 1, "rewrite": 1, "weight": 1}
    rows = {row.how: row for row in found.rows}
    assert (rows["changed"].old, rows["changed"].reason) == (first.text, "to rewrite")
    assert rows["changed"].new not in (None, first.text)
    assert (rows["removed"].old, rows["removed"].new) == (second.text, None)
    assert rows["removed"].reason == "to drop"
    assert rows["weighted"].new == rows["weighted"].old == third.text
    assert (rows["weighted"].weight, rows["weighted"].reason) == (0.5, "to weight")


def test_reasons_are_known_over_several_steps(corpus: Path, grown) -> None:
    before = texts_of(corpus, "v0002")
    first = before[next(iter(grown[1]))]
    new = next(row.new for row in diff(corpus, "v0002", "v0003").rows if row.old == first.text)
    text = next(t for t in texts_of(corpus, "v0003").values()
                if (t.text, t.tile_id, t.level) == (new, first.tile_id, first.level))  # fmt: skip
    again = decide(text, "drop", reason="still bad")
    revise(corpus, "v0003", {text.id: again}, about={"made_by": "scio", "round": 2})
    rows = {row.old: row for row in diff(corpus, "v0002", "v0004").rows}
    assert (rows[first.text].how, rows[first.text].reason) == ("removed", "still bad")
    assert {row.reason for row in rows.values()} == {"still bad", "to drop", "to weight"}


def test_words_written_in_one_step_and_weighted_in_the_next(corpus: Path, grown) -> None:
    """The old text still pairs up with the new one, and counts as rewritten."""
    before = texts_of(corpus, "v0002")
    first = before[next(iter(grown[1]))]
    change = next(
        c for c in read_changes(annotation_folder(corpus, "v0003")) if c.text_id == first.id
    )
    new = texts_of(corpus, "v0003")[change.new_text_id or ""]
    low = decide(new, "weight", weight=0.25)
    revise(corpus, "v0003", {new.id: low}, about={"made_by": "scio", "round": 2})
    found = diff(corpus, "v0002", "v0004")
    assert found.hows == {"changed": 1, "removed": 1, "weighted": 1}
    assert found.actions == {"drop": 1, "rewrite": 1, "weight": 1}
    row = next(row for row in found.rows if row.how == "changed")
    assert (row.old, row.new, row.weight) == (first.text, new.text, 0.25)
    assert row.reason == "to rewrite; then to weight"


def test_a_few_rows_are_told_and_all_are_counted(grown) -> None:
    root, _ = grown
    whole = diff(root, "v0002", "v0003")
    for most in (0, 2, 99):
        part = diff(root, "v0002", "v0003", most=most)
        assert part.rows == whole.rows[:most]
        assert part == whole.model_copy(update={"rows": part.rows})


def test_what_was_done_before_going_back_is_found_with_its_reasons(corpus: Path, grown) -> None:
    third = texts_of(corpus, "v0002")[list(grown[1])[2]]
    chosen = {third.id: decide(third, "weight", weight=0.5)}
    about = {"made_by": "scio", "round": 1}
    first = revise(corpus, "v0002", chosen, about=about)
    rollback(corpus, "v0001")
    assert rollback(corpus, first.version) == "v0006"
    again = revise(corpus, "v0002", chosen, about=about)
    assert (again.version, again.fresh) == (first.version, False) == ("v0004", False)
    assert list(read_changes(annotation_folder(corpus, again.version)))


def test_going_back_makes_a_new_version_and_deletes_nothing(corpus: Path) -> None:
    before = {p.name: file_sha256(p / TEXTS) for p in versions(corpus)}
    assert rollback(corpus, "v0001") == "v0004"
    assert diff(corpus, "v0001", "v0004").rows == ()
    after = {p.name: file_sha256(p / TEXTS) for p in versions(corpus)}
    assert after == before | {"v0004": before["v0001"]}
    manifest = read_json(annotation_folder(corpus) / MANIFEST, "")
    assert (manifest["made_by"], manifest["parent"]) == ("rollback", "v0001")
    assert rollback(corpus, "v0001") == "v0004", "a second time nothing is done"
    assert rollback(corpus, "v0004") == "v0004"
    assert len(versions(corpus)) == 4
    folder = annotation_folder(corpus)
    report = annotate(corpus, recipe_of(folder))
    assert (report.version, report.fresh) == ("v0004", False), "it is what annotating would give"


def test_weights_come_back_and_changes_do_not(corpus: Path) -> None:
    rollback(corpus, "v0001")
    name = rollback(corpus, "v0003")
    folder, old = annotation_folder(corpus, name), annotation_folder(corpus, "v0003")
    assert read_weights(folder) == read_weights(old)
    assert (folder / WEIGHTS).is_file()
    assert not (folder / CHANGES).exists()
    assert diff(corpus, "v0003", name).rows == ()
    assert len(diff(corpus, "v0002", name).rows) == 3


def test_going_back_to_what_is_damaged_or_absent_is_refused(corpus: Path) -> None:
    with pytest.raises(CorpusError, match=r"no annotations v0009; choose one of v0001"):
        rollback(corpus, "v0009")
    path = annotation_folder(corpus, "v0001") / CLAIMS
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(CorpusError, match=r"v0001 is damaged.*choose another version"):
        rollback(corpus, "v0001")
    assert len(versions(corpus)) == 3
