"""The report of a closed loop tells what was really done, from a loop folder made by hand."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.compose import Composer, TextConfig
from sarknowlip.annotate.lookup import stored
from sarknowlip.annotate.revise import Decision, revise
from sarknowlip.annotate.store import annotation_folder, read_changes, read_texts
from sarknowlip.annotate.tile import recipe_of
from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.core.files import write_json
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.pipeline.scio_report import EXAMPLES, write_scio_report
from sarknowlip.train.rounds.diversity import Diversity
from sarknowlip.train.rounds.record import JUDGED, JUDGED_SCHEMA, ROUND, Round, round_folder

VARIED = Diversity(texts=10, vocabulary=9, distinct_2=0.5)


class Loop(NamedTuple):
    """A loop of two rounds: its folder, its corpus, and texts by what became of them."""

    out: Path
    root: Path
    texts: dict[str, Text]


def decide(text: Text, action: str, **more) -> Decision:
    fields = {"score": 0.9, "reason": f"reason to {action}"} | more
    return Decision(text_id=text.id, tile_id=text.tile_id, action=action, **fields)


def add_round(
    out: Path, read: str, wrote: str | None, texts: Sequence[Text], wanted: Mapping[str, Decision]
) -> Path:
    """Write what a round leaves; texts without a decision get a low score."""
    number = len(list(out.glob("rounds/*"))) + 1
    folder = round_folder(out, number)
    folder.mkdir(parents=True)
    rows = []
    for place, text in enumerate(texts):
        done = wanted.get(text.id)
        rows.append(
            {
                "text_id": text.id, "tile_id": text.tile_id, "level": text.level,
                "text": text.text, "bad": 0.5, "signals": json.dumps({"evidence.support": 0.25}),
                "score": 0.01 * place / len(texts) if done is None else done.score,
                "action": "keep" if done is None else done.action,
                "reason": "" if done is None else done.reason,
            }
        )  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema=JUDGED_SCHEMA), folder / JUDGED)
    one = Round(
        number=number, version=read, revised=wrote, judged=len(rows), actions={"keep": len(rows)},
        followed=0, fusion=None, validation=None, before=VARIED, after=VARIED,
        best=wrote or read, stop=None if wrote else "nothing is to change", seconds=1.0,
    )  # fmt: skip
    write_json(folder / ROUND, one.model_dump(mode="json"))
    return folder


def in_other_words(root: Path, text: Text) -> Text:
    """Return another wording of what a sentence tells."""
    folder = annotation_folder(root)
    held = stored(folder, [text.tile_id])[text.tile_id]
    claims = [claim for claim in held.claims if claim.id in text.claim_ids]
    wordy = recipe_of(folder).texts.model_dump() | {"levels": ("sentence",), "wordings": 3}
    renderings = Composer(TextConfig(**wordy)).texts(claims, held.evidence)
    return next(other for other in renderings if other.text != text.text)


@pytest.fixture(scope="module")
def loop(told: Path, tmp_path_factory) -> Loop:
    """Return a loop: much is done in the first round; in the second a weight stays as it is."""
    folder = tmp_path_factory.mktemp("scio")
    root = Path(shutil.copytree(told, folder / "corpus"))
    train = {record.id for record in Catalog(root).records("train")}
    texts = [t for t in read_texts(annotation_folder(root)) if t.tile_id in train]
    sentences = [text for text in texts if text.level == "sentence"]
    firsts = list({text.tile_id: text for text in sentences}.values())
    paragraph = next(text for text in texts if text.level == "paragraph")
    low, gone, again, late = firsts[:4]
    judged = [*sentences, paragraph]
    chosen = {
        low.id: decide(low, "weight", weight=0.4),
        gone.id: decide(gone, "drop"),
        again.id: decide(again, "replace", score=0.8, replacement=in_other_words(root, again)),
        paragraph.id: decide(paragraph, "rewrite", score=0.95),
    }
    report = revise(root, "v0001", chosen, about={"made_by": "scio", "round": 1})
    assert report is not None
    assert report.actions == {"drop": 1, "replace": 1, "weight": 1}
    add_round(folder / "loop", "v0001", "v0002", judged, chosen)
    after = [t for t in read_texts(annotation_folder(root)) if t.tile_id in train]
    judged = [text for text in after if text.level == "sentence"]
    chosen = {low.id: decide(low, "weight", weight=0.4), late.id: decide(late, "drop")}
    report = revise(root, "v0002", chosen, about={"made_by": "scio", "round": 2})
    assert report is not None
    assert report.actions == {"drop": 1}
    add_round(folder / "loop", "v0002", "v0003", judged, chosen)
    add_round(folder / "loop", "v0003", None, judged, {})
    named = {"low": low, "gone": gone, "again": again, "late": late, "paragraph": paragraph}
    return Loop(folder / "loop", root, named)


@pytest.fixture(scope="module")
def page(loop: Loop) -> str:
    return write_scio_report(loop.out, loop.root).read_text("utf-8")


def parts(page: str, number: int) -> dict[str, list[str]]:
    """Return what the page shows of a round: HTML of each text, by action."""
    section = re.split(r"<h2>Round \d+: ", page)[number].partition("</section>")[0]
    found = re.split(r"<h3>(\w+) ", section)[1:]
    return {
        action: re.split(r'<div class="change">', shown)[1:]
        for action, shown in zip(found[::2], found[1::2], strict=True)
    }


def test_texts_stand_under_what_was_done_to_them(loop: Loop, page: str) -> None:
    shown = parts(page, 1)
    assert {action: len(texts) for action, texts in shown.items()} == {
        "replace": 1, "drop": 1, "weight": 1, "keep": EXAMPLES,
    }  # fmt: skip
    changes = read_changes(annotation_folder(loop.root, "v0002"))
    new = next(c.new_text_id for c in changes if c.action == "replace")
    words = next(t.text for t in read_texts(annotation_folder(loop.root, "v0002")) if t.id == new)
    (replaced,), (dropped,), (weighted,) = (shown[name] for name in ("replace", "drop", "weight"))
    assert f"<del>{loop.texts['again'].text}</del>" in replaced
    assert f"<ins>{words}</ins>" in replaced
    assert "P(bad) 0.800 · reason to replace" in replaced
    assert f"<del>{loop.texts['gone'].text}</del>" in dropped
    assert "<ins>" not in dropped
    assert f"<p>{loop.texts['low'].text}</p>" in weighted
    assert "P(bad) 0.900, weight 0.400 · reason to weight" in weighted
    assert loop.texts["low"].tile_id in weighted
    assert "<td>evidence.support</td>" in weighted


def test_what_was_wanted_and_not_done_is_kept(loop: Loop, page: str) -> None:
    """A paragraph that came out as it was, and in the next round a weight that stays."""
    first, second, third = (parts(page, number) for number in (1, 2, 3))
    assert f"<p>{loop.texts['paragraph'].text}</p>" in first["keep"][0]
    assert set(second) == {"drop", "keep"}
    assert f"<del>{loop.texts['late'].text}</del>" in second["drop"][0]
    assert f"<p>{loop.texts['low'].text}</p>" in second["keep"][0]
    assert "weight 0" not in second["keep"][0]
    assert set(third) == {"keep"}


def test_the_likeliest_bad_ones_of_different_tiles_are_shown(page: str) -> None:
    for number in (1, 2, 3):
        kept = parts(page, number)["keep"]
        scores = [float(re.findall(r"P\(bad\) ([\d.]+)", text)[0]) for text in kept]
        assert scores == sorted(scores, reverse=True)
        assert len({re.findall(r"<code>(.+?)</code>", text)[0] for text in kept}) == EXAMPLES


def test_the_page_has_all_rounds_and_holds_everything(page: str) -> None:
    assert page.count("<section>") == 4
    assert "Stopped: nothing is to change." in page
    sources = re.findall(r'src="(.{10})', page)
    assert len(sources) == 3 + sum(len(s) for n in (1, 2, 3) for s in parts(page, n).values())
    assert set(sources) == {"data:image"}


def test_a_loop_without_a_round_or_with_a_damaged_one_is_refused(
    loop: Loop, tmp_path: Path
) -> None:
    with pytest.raises(SarKnowlipError, match="holds no finished round"):
        write_scio_report(tmp_path, loop.root)
    out = Path(shutil.copytree(loop.out, tmp_path / "loop"))
    (out / "report.html").unlink(missing_ok=True)
    path = round_folder(out, 2) / JUDGED
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SarKnowlipError, match=rf"cannot read {path}"):
        write_scio_report(out, loop.root)
    assert not (out / "report.html").exists()
