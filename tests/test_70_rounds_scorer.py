"""Rung 7: scoring texts: what is kept is not computed again, and is what would be computed."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from overfitted import Overfitted
from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.store import annotation_folder, read_texts
from sarknowlip.core.errors import ConfigError, CorpusError, ProductError, SarKnowlipError
from sarknowlip.core.files import exclusive
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.train.rounds import images as images_module
from sarknowlip.train.rounds.images import TileTokens, model_digest
from sarknowlip.train.rounds.scorer import ABOUT, ScoreConfig, TextScorer
from sarknowlip.train.rounds.scores import ScoreCache
from sarknowlip.train.rounds.signals.signal import SignalConfig

HOW = SignalConfig(others=2, new_tokens=24, continued_tokens=12, batch=8)
ASKED = ScoreConfig(
    signals=("contrastive", "matching", "reconstruction", "regeneration"), how=HOW, part=10
)


def scorer(known: Overfitted, folder: Path, config: ScoreConfig = ASKED, **changes) -> TextScorer:
    values = {"model": known.model, "records": known.records} | changes
    return TextScorer(
        values["model"], known.processor, known.catalog, values["records"], folder=folder,
        annotation=values.get("annotation"), config=config,
    )  # fmt: skip


def counted(asked: TextScorer) -> dict[str, list[str]]:
    """Return, by signal, what it will have scored."""
    seen: dict[str, list[str]] = {}
    for name, signal in asked._signals.items():
        seen[name] = []

        def score(texts: Sequence[Text], into=seen[name], of=signal.score):
            into.extend(text.id for text in texts)
            return of(texts)

        signal.score = score  # type: ignore[method-assign]
    return seen


def values(table: pa.Table) -> np.ndarray:
    names = [name for name in table.column_names if name not in ABOUT]
    return np.stack([table[name].to_numpy() for name in names], axis=1)


@pytest.fixture(scope="module")
def whole(overfitted: Overfitted, tmp_path_factory) -> tuple[Path, pa.Table]:
    folder = tmp_path_factory.mktemp("scores")
    return folder, scorer(overfitted, folder).score(overfitted.texts)


def test_a_table_says_what_each_text_is_about(overfitted: Overfitted, whole) -> None:
    _, table = whole
    assert table.column_names[: len(ABOUT)] == list(ABOUT) == [
        "text_id", "tile_id", "level", "dimension",
    ]  # fmt: skip
    assert table["text_id"].to_pylist() == [text.id for text in overfitted.texts]
    assert table["tile_id"].to_pylist() == [text.tile_id for text in overfitted.texts]
    assert table["level"].to_pylist() == [text.level for text in overfitted.texts]
    assert {str(table.schema.field(name).type) for name in table.column_names[4:]} == {"double"}
    assert {name.split(".")[0] for name in table.column_names[4:]} == set(ASKED.signals)
    assert table["contrastive.cosine"].null_count == 0
    assert np.isnan(table["regeneration.agreement"].to_numpy()).any()


def test_a_few_changed_texts_are_all_that_is_scored_again(
    overfitted: Overfitted, whole, tmp_path: Path
) -> None:
    folder, table = whole
    texts = list(overfitted.texts)
    changed = {3, 20, 41}
    for place in changed:
        fields = texts[place].model_dump(exclude={"id", "text"})
        about = (fields.pop("tile_id"), fields.pop("dimension"), fields.pop("level"))
        texts[place] = Text.of(*about, "A desert of type 3 fills the tile.", **fields)
    asked = scorer(overfitted, folder)
    seen = counted(asked)
    again = asked.score(texts)
    new = [texts[place].id for place in sorted(changed)]
    assert all(sorted(ids) == sorted(new) for ids in seen.values())
    anew = scorer(overfitted, tmp_path).score(texts)
    assert again.schema == anew.schema
    assert again.select(ABOUT) == anew.select(ABOUT)
    assert np.allclose(values(again), values(anew), rtol=0, atol=1e-6, equal_nan=True)
    kept = [place for place in range(len(texts)) if place not in changed]
    assert np.array_equal(values(again)[kept], values(table)[kept], equal_nan=True)
    assert not np.array_equal(values(again)[3], values(table)[3], equal_nan=True)


def test_order_parts_and_repeats_change_nothing(
    overfitted: Overfitted, whole, tmp_path: Path
) -> None:
    _, table = whole
    texts = list(overfitted.texts)
    random.Random(1).shuffle(texts)
    texts += texts[:5]
    found = scorer(overfitted, tmp_path, ASKED.model_copy(update={"part": 7})).score(texts)
    place = {text_id: row for row, text_id in enumerate(table["text_id"].to_pylist())}
    rows = [place[text.id] for text in texts]
    assert np.allclose(values(found), values(table)[rows], rtol=0, atol=1e-6, equal_nan=True)


def test_a_killed_scoring_goes_on(overfitted: Overfitted, whole, tmp_path: Path) -> None:
    _, table = whole
    told: list[tuple[int, int, str]] = []

    def stop_in_the_middle(done: int, total: int, item: str) -> None:
        told.append((done, total, item))
        if item == "matching" and len([name for *_, name in told if name == "matching"]) == 2:
            raise KeyboardInterrupt

    count, signals = len(overfitted.texts), len(ASKED.signals)
    with pytest.raises(KeyboardInterrupt):
        scorer(overfitted, tmp_path).score(overfitted.texts, stop_in_the_middle)
    assert told[0] == (10, count * signals, "contrastive")
    assert told[-1] == (count + 20, count * signals, "matching")
    (tmp_path / "scores" / ".partial-left").write_bytes(b"torn")
    asked = scorer(overfitted, tmp_path)
    seen = counted(asked)
    found = asked.score(overfitted.texts, lambda *step: told.append(step))
    assert {name: len(ids) for name, ids in seen.items()} == {
        "contrastive": 0, "matching": count - 20, "reconstruction": count, "regeneration": count,
    }  # fmt: skip
    assert told[-1][:2] == (count * signals, count * signals)
    assert np.allclose(values(found), values(table), rtol=0, atol=1e-6, equal_nan=True)
    assert not list(tmp_path.rglob(".partial-*"))


def test_a_signal_may_be_added_or_left_out(overfitted: Overfitted, whole) -> None:
    folder, table = whole
    asked = scorer(overfitted, folder, ASKED.model_copy(update={"signals": ("matching",)}))
    seen = counted(asked)
    found = asked.score(overfitted.texts)
    assert seen == {"matching": []}
    assert found.column_names == [*ABOUT, "matching.logit", "matching.margin"]
    assert found["matching.logit"] == table["matching.logit"]
    for signals, said in ((("smell",), "unknown signal"), (("evidence",), "needs annotations")):
        with pytest.raises(ConfigError, match=said):
            scorer(overfitted, folder, ASKED.model_copy(update={"signals": signals}))


def test_what_scores_depend_on_is_part_of_their_key(overfitted: Overfitted, whole) -> None:
    folder, table = whole
    other = copy.deepcopy(overfitted.model)
    with torch.no_grad():
        other.fusion.head.bias += 1.0
    fewer = overfitted.records[:-1]
    texts = [text for text in overfitted.texts if text.tile_id != overfitted.records[-1].id]
    how = HOW.model_copy(update={"others": 1})
    asked = (
        scorer(overfitted, folder, model=other),
        scorer(overfitted, folder, records=fewer),
        scorer(overfitted, folder, ASKED.model_copy(update={"how": how})),
    )
    scored = [counted(one) for one in asked]
    tables = [one.score(texts) for one in asked]
    assert [len(seen["matching"]) for seen in scored] == [len(texts)] * 3
    assert [len(seen["reconstruction"]) for seen in scored] == [len(texts), len(texts), 0]
    place = {text_id: row for row, text_id in enumerate(table["text_id"].to_pylist())}
    rows = [place[text.id] for text in texts]
    before = table["matching.logit"].to_numpy()[rows]
    assert np.allclose(tables[0]["matching.logit"].to_numpy(), before + 1, atol=1e-5)
    again = scorer(overfitted, folder)
    seen = counted(again)
    assert np.array_equal(values(again.score(overfitted.texts)), values(table), equal_nan=True)
    assert not any(seen.values()), "the first model's scores are still there"


def test_the_digest_of_a_model(overfitted: Overfitted, tmp_path: Path) -> None:
    model, processor = overfitted.model, overfitted.processor
    first = model_digest(model, processor)
    model.save_pretrained(tmp_path / "model")
    loaded = SarKnowLIP.from_pretrained(tmp_path / "model")
    assert model_digest(loaded, processor) == first, "wherever it lies"
    loaded.config.run = {"steps": 1}
    assert model_digest(loaded.train(), processor) == first
    with torch.no_grad():
        loaded.logit_scale.add_(1e-6)
    assert model_digest(loaded, processor) != first, "one weight"


def test_texts_about_other_tiles_are_refused_before_work(
    overfitted: Overfitted, tmp_path: Path
) -> None:
    few = scorer(overfitted, tmp_path, records=overfitted.records[:2])
    with pytest.raises(CorpusError, match="is not among the 2 tiles to score"):
        few.score(overfitted.texts)
    assert not (tmp_path / "tokens").exists()
    table = few.score([])
    assert table.num_rows == 0
    assert table.column_names == [*ABOUT, *few.columns]


def test_damage_and_a_second_process_are_told(overfitted: Overfitted, tmp_path: Path) -> None:
    asked = ASKED.model_copy(update={"signals": ("contrastive",)})
    texts = overfitted.texts[:12]
    scorer(overfitted, tmp_path, asked).score(texts)
    with (
        exclusive(tmp_path / ".lock"),
        pytest.raises(SarKnowlipError, match="another process is writing"),
    ):
        scorer(overfitted, tmp_path, asked).score(texts)
    part = sorted(tmp_path.rglob("part-*.parquet"))[0]
    whole_part = part.read_bytes()
    for content in (b"torn", whole_part[:-9]):
        part.write_bytes(content)
        with pytest.raises(SarKnowlipError, match=f"cannot read .*{part.name}.*; delete it"):
            scorer(overfitted, tmp_path, asked).score(texts)
    part.unlink()
    assert scorer(overfitted, tmp_path, asked).score(texts).num_rows == 12
    tokens = next(tmp_path.rglob("tokens-*.npy"))
    tokens.write_bytes(tokens.read_bytes()[:50])
    with pytest.raises(SarKnowlipError, match=f"cannot read .*{tokens.name}.*; delete it"):
        scorer(overfitted, tmp_path, ASKED).score(texts)


def test_tokens_are_the_models_own_in_half_precision(
    overfitted: Overfitted, tmp_path: Path
) -> None:
    tiles = TileTokens(
        overfitted.model, overfitted.processor, overfitted.catalog, overfitted.records,
        folder=tmp_path,
    )  # fmt: skip
    inputs = overfitted.processor.images(
        [overfitted.catalog.image(record) for record in overfitted.records]
    )
    with torch.inference_mode():
        tokens = overfitted.model.image_tokens(**inputs)
        embeds = overfitted.model.project_image(tokens)
    places = tiles.places([record.id for record in overfitted.records])
    assert torch.allclose(tiles.tokens(places), tokens, atol=5e-3)
    assert tiles.tokens(places).dtype == torch.float32
    assert torch.allclose(tiles.embeds(places), embeds, atol=1e-5)
    assert torch.equal(tiles.tokens(places[[3, 3, 0]]), tiles.tokens(places)[[3, 3, 0]])
    assert isinstance(tiles._chunks[0], np.memmap)
    assert len(set(tiles.reference(100))) == len(tiles)
    assert tiles.reference(3).tolist() == tiles.reference(5).tolist()[:3]


def test_encoding_goes_on_and_fails_in_one_line(
    overfitted: Overfitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images_module, "CHUNK", 3)

    def tiles(records=overfitted.records) -> TileTokens:
        return TileTokens(
            overfitted.model, overfitted.processor, overfitted.catalog, records, folder=tmp_path
        )

    def stop(done: int, total: int, item: str) -> None:
        assert (total, item) == (8, overfitted.records[done - 1].id)
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiles().make(stop)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    assert len(before) == 4
    whole = tiles()
    found = whole.tokens(np.arange(8))
    assert found.shape[0] == 8
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    assert len(after) == 6
    assert all(after[path] == time for path, time in before.items())
    assert torch.equal(whole.tokens(np.array([7, 0])), found[[7, 0]])
    lost = overfitted.records[1]
    storage = lost.storage.model_copy(update={"href": "tiles/absent.tif"})
    with pytest.raises(ProductError, match=r"absent\.tif"):
        tiles([lost.model_copy(update={"storage": storage, "id": "lost"})]).make()


def test_a_cache_keeps_what_it_is_given(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path, ["a", "b"])
    assert cache.scores(["x"]).shape == (1, 2)
    assert np.isnan(cache.scores(["x"])).all()
    cache.add(["x", "y"], np.array([[1.0, np.nan], [0.1, -np.inf]]))
    cache.add(["z"], np.array([[3.0, 4.0]]))
    again = ScoreCache(tmp_path, ["a", "b"])
    assert len(again) == 3
    assert again.places(["z", "w", "x"]).tolist() == [2, -1, 0]
    expected = np.array([[3.0, 4.0], [np.nan, np.nan], [1.0, np.nan], [0.1, -np.inf]])
    assert np.array_equal(again.scores(["z", "w", "x", "y"]), expected, equal_nan=True)
    with pytest.raises(SarKnowlipError, match="cannot read"):
        ScoreCache(tmp_path, ["a", "other"])


def test_captions_are_those_of_the_regenerator(overfitted: Overfitted, whole) -> None:
    folder, _ = whole
    before = sorted(folder.rglob("captions-*.json"))
    found = scorer(overfitted, folder).captions([overfitted.records[4].id])
    assert len(found) == 1
    assert len(found[0]) == HOW.beginnings
    assert sorted(folder.rglob("captions-*.json")) == before


def test_models_may_judge_only_what_evidence_is_silent_on(
    overfitted: Overfitted, told: Path, tmp_path: Path
) -> None:
    """Silent it is where the source that a text rests on is hidden."""
    everything = ScoreConfig(signals=("matching", "evidence"), how=HOW, hidden=("landcover",))
    frugal = everything.model_copy(update={"models": "silent"})
    catalog, folder = Catalog(told), annotation_folder(told)
    records = list(catalog.records())[:6]
    texts = [t for t in read_texts(folder) if t.tile_id in {r.id for r in records}][:60]

    def asked(config: ScoreConfig, name: str) -> TextScorer:
        return TextScorer(
            overfitted.model, overfitted.processor, catalog, records, folder=tmp_path / name,
            annotation=folder, config=config,
        )  # fmt: skip

    table = asked(everything, "all").score(texts)
    silent = np.isnan(table["evidence.support"].to_numpy())
    assert 0 < silent.sum() < len(silent)
    one, steps = asked(frugal, "silent"), []
    seen = counted(one)
    found = one.score(texts, lambda *step: steps.append(step))
    ids = [text.id for text in texts]
    assert set(seen["matching"]) == {key for key, none in zip(ids, silent, strict=True) if none}
    assert seen["evidence"] == list(dict.fromkeys(ids))
    assert steps[-1][:2] == (2 * len(set(ids)), 2 * len(set(ids)))
    assert found.column_names == table.column_names
    expected = np.where(silent, table["matching.logit"].to_numpy(), np.nan)
    logit = found["matching.logit"].to_numpy()
    assert np.allclose(logit, expected, atol=1e-6, equal_nan=True)
    both = (part["evidence.support"].to_numpy() for part in (found, table))
    assert np.array_equal(*both, equal_nan=True)
    # what is kept of an earlier scoring of all is not told either
    again = asked(frugal, "all").score(texts)
    assert np.array_equal(again["matching.logit"].to_numpy(), expected, equal_nan=True)
    with pytest.raises(ValueError, match="needs the signal evidence"):
        ScoreConfig(signals=("matching",), models="silent")
