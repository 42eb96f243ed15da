"""Describing a tile: what is said, and why, as stored; names by their start."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from data.annotated.make import make_corpus
from sarknowlip.annotate.lookup import stored
from sarknowlip.annotate.pipeline import annotate
from sarknowlip.annotate.store import CLAIMS, annotation_folder, read_claims, read_texts
from sarknowlip.annotate.tile import AnnotateConfig
from sarknowlip.annotate.trace import Reason, describe, fact_line, render, statement
from sarknowlip.core.errors import CorpusError
from sarknowlip.corpus.catalog import Catalog


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    corpus, options = make_corpus(tmp_path_factory.mktemp("trace"))
    annotate(corpus, AnnotateConfig(options=options))
    return corpus


def names(corpus: Path) -> list[str]:
    return [record.id for record in Catalog(corpus).records()]


def printed(corpus: Path, tile_id: str, trace: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, width=240, force_terminal=False)
    console.print(render(describe(corpus, tile_id), trace))
    return out.getvalue()


def test_a_description_holds_all_of_the_tile_and_nothing_else(corpus: Path) -> None:
    folder = annotation_folder(corpus)
    for name in names(corpus)[:3]:
        found = describe(corpus, name)
        assert found.record.id == name
        assert found.version == "v0001"
        assert list(found.texts) == [t for t in read_texts(folder) if t.tile_id == name]
        claims = [claim for claim in read_claims(folder) if claim.tile_id == name]
        assert [reason.claim for reason in found.reasons] == claims
        assert claims


def cited(reason: Reason) -> set[str]:
    own = {fact.id for fact in reason.evidence}
    return own.union(*(cited(premise) for premise in reason.premises))


def test_every_fact_and_premise_of_a_claim_is_told(corpus: Path) -> None:
    reasons = [reason for name in names(corpus) for reason in describe(corpus, name).reasons]
    for reason in reasons:
        assert cited(reason) == set(reason.claim.evidence_ids)
        assert {p.claim.id for p in reason.premises} == set(reason.claim.premise_ids)
    assert any(reason.premises for reason in reasons)


def test_people_read_claim_rule_facts_source_version_and_confidence(corpus: Path) -> None:
    name = names(corpus)[0]
    short, long = printed(corpus, name, trace=False), printed(corpus, name, trace=True)
    for text in describe(corpus, name).texts[:5]:
        assert text.text[:40] in short
    assert "rule:" not in short
    assert name in short
    assert "VV, VH" in short
    for reason in describe(corpus, name).reasons:
        assert statement(reason.claim) in long
        assert f"rule: {reason.claim.rule} of stage {reason.claim.stage}" in long
        for fact in reason.evidence:
            assert fact_line(fact) in long
            assert f"{fact.source} {fact.source_version}" in fact_line(fact)
            assert f"{fact.confidence:.2f}" in fact_line(fact)


def test_the_start_of_a_name_suffices_if_it_is_the_only_one(corpus: Path) -> None:
    all_names = names(corpus)
    name = all_names[0]
    length = next(n for n in range(1, len(name) + 1)
                  if sum(other.startswith(name[:n]) for other in all_names) == 1)  # fmt: skip
    assert describe(corpus, name[:length]).record.id == name
    with pytest.raises(
        CorpusError, match=rf"\d+ tiles of .* start with '{name[:3]}'; such as {name}"
    ):
        describe(corpus, name[:3])


def test_an_unknown_tile_is_one_line_with_near_ones(corpus: Path) -> None:
    name = names(corpus)[0]
    with pytest.raises(CorpusError, match=r"has no tile .*; the nearest are ") as error:
        describe(corpus, f"x{name[:-1]}")
    assert name in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(CorpusError, match="has no annotations v0009; choose one of v0001"):
        describe(corpus, name, "v0009")


def test_damage_is_one_line(corpus: Path, tmp_path: Path) -> None:
    folder = annotation_folder(corpus)
    for part in folder.iterdir():
        content = part.read_bytes()
        (tmp_path / part.name).write_bytes(content[:-40] if part.name == CLAIMS else content)
    with pytest.raises(CorpusError, match=r"cannot read .*claims.parquet: .*; annotate the corpus"):
        stored(tmp_path, names(corpus)[:1])
