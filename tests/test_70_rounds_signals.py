"""Rung 7: what every signal must do, and what each one is."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.annotated.make import make_corpus
from overfitted import Overfitted
from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.pipeline import annotate
from sarknowlip.annotate.store import (
    CLAIMS,
    annotation_folder,
    claims_table,
    read_claims,
    read_texts,
)
from sarknowlip.annotate.tile import AnnotateConfig
from sarknowlip.core.errors import ConfigError, CorpusError
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.infer.encoder import ModelEncoder
from sarknowlip.losses.captioning import caption_nll
from sarknowlip.train.rounds.images import TileTokens
from sarknowlip.train.rounds.regenerate import Regenerator, sentences_of
from sarknowlip.train.rounds.signals import SIGNALS
from sarknowlip.train.rounds.signals.agreement import (
    agreement,
    best_agreement,
    longest_common,
    words_of,
)
from sarknowlip.train.rounds.signals.contrastive import Contrastive
from sarknowlip.train.rounds.signals.evidence import EvidenceSupport
from sarknowlip.train.rounds.signals.matching import Matching
from sarknowlip.train.rounds.signals.reconstruction import Reconstruction
from sarknowlip.train.rounds.signals.regeneration import Regeneration
from sarknowlip.train.rounds.signals.rows import fixed_rows, padded_lengths
from sarknowlip.train.rounds.signals.signal import SignalConfig, View

MODEL_SIGNALS = [name for name in SIGNALS if name != "evidence"]
CONFIG = SignalConfig(others=2, new_tokens=24, continued_tokens=12, batch=8)


@dataclass(frozen=True)
class Case:
    """What a signal is tried on: as many wrong texts as right ones."""

    view: View
    right: list[Text]
    wrong: list[Text]


def view_of(known: Overfitted, folder: Path, config: SignalConfig = CONFIG) -> View:
    images = TileTokens(
        known.model, known.processor, known.catalog, known.records, folder=folder / "tokens"
    )
    return View(known.model, known.processor, images, folder, config)


def said(like: Text, words: str, **changes: object) -> Text:
    """Return a text like another, with other words."""
    values = like.model_dump(exclude={"id", "text"}) | changes
    about = (values.pop("tile_id"), values.pop("dimension"), values.pop("level"))
    return Text.of(*about, words, **values)


@pytest.fixture(scope="module")
def told(overfitted: Overfitted, tmp_path_factory) -> Case:
    """Return what is true of one tile only, and the same texts about other tiles."""
    ids = [record.id for record in overfitted.records]
    right = [text for text in overfitted.texts if "land and water" not in text.text]
    away = {tile_id: ids[(place + 3) % len(ids)] for place, tile_id in enumerate(ids)}
    wrong = [said(text, text.text, tile_id=away[text.tile_id]) for text in right]
    return Case(view_of(overfitted, tmp_path_factory.mktemp("told")), right, wrong)


@pytest.fixture(scope="module")
def known(overfitted: Overfitted, tmp_path_factory) -> Case:
    """Return texts about land cover of a corpus, and the same ones resting on wrong claims."""
    folder = tmp_path_factory.mktemp("known")
    root, options = make_corpus(folder)
    sources = ("image", "landcover")
    annotate(root, AnnotateConfig(sources=sources, options=options))
    first = annotation_folder(root)
    claims = {claim.id: claim for claim in read_claims(first)}
    right = [
        text
        for text in read_texts(first)
        if text.level in ("sentence", "phrase")
        and claims[text.claim_ids[0]].predicate in ("cover_share", "dominant_cover")
    ]
    wrong, planted = [], []
    for text in right:
        claim = claims[text.claim_ids[0]]
        values = claim.model_dump(exclude={"id", "arguments"})
        share = 10 + (int(claim.arguments["share_pct"]) + 30) % 80
        other = Claim.of(**values, arguments=claim.arguments | {"share_pct": share})
        planted.append(other)
        words = text.text.replace(str(claim.arguments["share_pct"]), str(share))
        wrong.append(said(text, words, claim_ids=[other.id]))
    second = first.parent / "v0002"
    shutil.copytree(first, second)
    table = pa.concat_tables([pq.read_table(first / CLAIMS), claims_table(planted)])
    pq.write_table(table.sort_by("tile_id"), second / CLAIMS)
    catalog = Catalog(root)
    records = list(catalog.records())
    images = TileTokens(
        overfitted.model, overfitted.processor, catalog, records, folder=folder / "tokens"
    )
    view = View(overfitted.model, overfitted.processor, images, folder, CONFIG, second)
    return Case(view, right, wrong)


@pytest.fixture(params=list(SIGNALS))
def name(request) -> str:
    return request.param


@pytest.fixture
def case(name: str, told: Case, known: Case) -> Case:
    return known if name == "evidence" else told


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return np.allclose(one, other, rtol=0, atol=1e-6, equal_nan=True)


def test_scores_are_numbers_or_nan_for_every_level(name: str, case: Case) -> None:
    signal = SIGNALS[name](case.view)
    scores = signal.score(case.right)
    assert scores.shape == (len(case.right), len(signal.columns))
    assert scores.dtype == np.float64
    assert not np.isinf(scores).any()
    assert len(set(signal.columns)) == len(signal.columns)
    known = ~np.isnan(scores)
    assert known.any(axis=0).all(), "a column that never says anything"
    long = said(case.right[0], "A sea of type 0 fills the tile. " * 40, level="paragraph")
    odd = said(case.right[0], "§ ?", level="tag")
    others = signal.score([long, odd])
    assert others.shape == (2, len(signal.columns))
    assert not np.isinf(others).any()
    assert signal.score([]).shape == (0, len(signal.columns))


def test_right_texts_score_above_wrong_ones(name: str, case: Case) -> None:
    signal = SIGNALS[name](case.view)
    right, wrong = signal.score(case.right), signal.score(case.wrong)
    for column in range(right.shape[1]):
        both = ~np.isnan(right[:, column]) & ~np.isnan(wrong[:, column])
        assert both.sum() >= 5
        above = right[both, column] > wrong[both, column]
        assert above.mean() >= 0.9, signal.columns[column]
    assert np.array_equal(np.isnan(right), np.isnan(wrong)), "what is unknown tells on texts"


def test_a_score_depends_on_no_other_text(name: str, case: Case) -> None:
    signal = SIGNALS[name](case.view)
    texts = [*case.right, *case.wrong]
    whole = signal.score(texts)
    assert np.array_equal(signal.score(texts), whole, equal_nan=True), (
        "the same call, the same bits"
    )
    order = np.random.default_rng(0).permutation(len(texts))
    assert same(signal.score([texts[place] for place in order]), whole[order])
    for place in (0, len(texts) // 2, len(texts) - 1):
        assert same(signal.score([texts[place]]), whole[[place]])
    assert same(signal.score([texts[0]] * 11), np.repeat(whole[:1], 11, axis=0))


def test_a_signal_made_anew_agrees_and_leaves_the_model_alone(name: str, case: Case) -> None:
    case.view.model.train()
    state = torch.get_rng_state()
    first = SIGNALS[name](case.view).score(case.right)
    assert case.view.model.training
    assert torch.equal(torch.get_rng_state(), state)
    case.view.model.eval()
    assert np.array_equal(SIGNALS[name](case.view).score(case.right), first, equal_nan=True)
    assert SIGNALS[name](case.view).key() == SIGNALS[name](case.view).key()


@pytest.mark.parametrize("name", MODEL_SIGNALS)
def test_a_model_says_nothing_of_groundings_nor_of_other_tiles(name: str, told: Case) -> None:
    signal = SIGNALS[name](told.view)
    box = said(told.right[0], "the sea", level="grounding", boxes_px=[(0, 0, 4, 4)])
    whole = signal.score([told.right[0], box, told.right[1]])
    assert np.isnan(whole[1]).all()
    assert same(whole[[0, 2]], signal.score(told.right[:2]))
    with pytest.raises(CorpusError, match="tile elsewhere has a text"):
        signal.score([said(told.right[0], "A sea.", tile_id="elsewhere")])


def test_batches_have_few_shapes_and_hold_every_text_once(told: Case) -> None:
    texts = [*told.right, *told.wrong]
    limits = padded_lengths(told.view.processor.config.text_tokens)
    seen: list[int] = []
    for rows in fixed_rows(texts, told.view):
        seen += rows.own.tolist()
        assert rows.ids_BL.shape == rows.mask_BL.shape
        assert rows.ids_BL.shape[0] in (4, CONFIG.batch)
        assert rows.ids_BL.shape[1] in limits
        for row, place in enumerate(rows.own):
            text = texts[place]
            asked, given = told.view.processor.asked([text.question or ""], [text.text])
            ids = asked["input_ids"][0]
            assert torch.equal(rows.ids_BL[row][: len(ids)], ids)
            assert rows.mask_BL[row].tolist() == [1] * len(ids) + [0] * (
                rows.ids_BL.shape[1] - len(ids)
            )
            assert int(rows.prefix_B[row]) == int(given[0])
            assert told.view.images.ids[rows.tiles[row]] == text.tile_id
    assert sorted(seen) == list(range(len(texts)))


@given(st.integers(4, 3000))
def test_lengths_to_pad_to(longest: int) -> None:
    lengths = padded_lengths(longest)
    assert lengths == sorted(set(lengths))
    assert lengths[-1] == longest
    assert all(b <= 2 * a for a, b in pairwise(lengths))


def columns(signal, texts: Sequence[Text]) -> dict[str, np.ndarray]:
    return dict(zip(signal.columns, signal.score(texts).T, strict=True))


def test_contrastive_is_what_the_encoder_says(overfitted: Overfitted, told: Case) -> None:
    texts = [text for text in told.right if text.question is None]
    found = columns(Contrastive(told.view), texts)
    encoder = ModelEncoder(overfitted.model, overfitted.processor)
    tiles = encoder.images([overfitted.catalog.image(record) for record in overfitted.records])
    cosines = encoder.texts([text.text for text in texts]) @ tiles.T
    own = told.view.images.places([text.tile_id for text in texts])
    for row, place in enumerate(own):
        others = np.delete(cosines[row], place)
        cosine = cosines[row, place]
        assert found["cosine"][row] == pytest.approx(cosine, abs=1e-5)
        assert found["percentile"][row] == pytest.approx((others < cosine).mean(), abs=1e-9)
        margin = (cosine - others.mean()) / others.std(ddof=1)
        assert found["margin"][row] == pytest.approx(margin, abs=1e-3)


def test_few_tiles_leave_nothing_to_compare_with(overfitted: Overfitted, tmp_path: Path) -> None:
    for count, known in ((1, False), (2, False), (3, True)):
        part = replace(overfitted, records=overfitted.records[:count])
        view = view_of(part, tmp_path / str(count))
        texts = [text for text in overfitted.texts if text.tile_id == part.records[0].id]
        found = columns(Contrastive(view), texts)
        assert not np.isnan(found["cosine"]).any()
        assert np.isnan(found["margin"]).all() == (not known)
        assert np.isnan(found["percentile"]).all() == (not known)
        assert np.isnan(columns(Matching(view), texts)["margin"]).all() == (count == 1)


def test_matching_asks_about_own_and_fixed_other_tiles(told: Case) -> None:
    found = columns(Matching(told.view), told.right)
    images, model = told.view.images, told.view.model
    reference = images.reference(3).tolist()
    for row, text in enumerate(told.right[:12]):
        own = int(images.places([text.tile_id])[0])
        others = [place for place in reference if place != own][:2]
        asked, _ = told.view.processor.asked([text.question or ""], [text.text])
        with torch.inference_mode():
            tokens = model.text_tokens(**asked)
            logits = [
                float(model.match(tokens, asked["attention_mask"], images.tokens(np.array([n]))))
                for n in (own, *others)
            ]
        assert found["logit"][row] == pytest.approx(logits[0], abs=1e-4)
        assert found["margin"][row] == pytest.approx(logits[0] - np.mean(logits[1:]), abs=1e-4)


@torch.inference_mode()
def test_reconstruction_is_the_likelihood_of_what_is_told(told: Case) -> None:
    found = columns(Reconstruction(told.view), told.right)
    images, model = told.view.images, told.view.model
    for row, text in enumerate(told.right):
        asked, given = told.view.processor.asked([text.question or ""], [text.text])
        ids, mask = asked["input_ids"], asked["attention_mask"]
        image = images.tokens(images.places([text.tile_id]))
        nats, count = caption_nll(model.caption_logits(ids, mask, image), ids, mask, given)
        blind, _ = caption_nll(model.caption_logits(ids, mask, None), ids, mask, given)
        assert found["likelihood"][row] == pytest.approx(float(-nats / count), abs=1e-4)
        assert found["gain"][row] == pytest.approx(float((blind - nats) / count), abs=1e-4)
    assert (found["unexpected"] <= 1e-6).all()
    assert (found["worst_token"] <= found["gain"] + 1e-6).all()


def test_one_wrong_word_is_found_as_the_worst(told: Case) -> None:
    """A number that is that of another tile; all other words are right."""
    alike = [
        (one, other)
        for one, other in zip(told.right, told.wrong, strict=True)
        if one.text.startswith(("Stripes", "The dark"))
    ]
    right, wrong = ([pair[kind] for pair in alike] for kind in (0, 1))
    good, bad = (columns(Reconstruction(told.view), texts) for texts in (right, wrong))
    for column in ("worst_token", "worst_word", "unexpected"):
        assert (good[column] > bad[column]).mean() >= 0.75, column
    drop = good["worst_word"] - bad["worst_word"]
    assert np.median(drop) > np.median(good["gain"] - bad["gain"]), "the mean hides it"
    end, bad_end = (
        columns(Regeneration(told.view), texts)["continued"] for texts in (right, wrong)
    )
    assert np.nanmean(end) > np.nanmean(bad_end) + 0.1


def test_words_are_what_the_tokenizer_takes_for_words(told: Case) -> None:
    signal = Reconstruction(told.view)
    texts = [text for text in told.right if text.question] + told.right[:3]
    for rows in fixed_rows(texts, told.view):
        chosen = [texts[place] for place in rows.own]
        words_BT = signal._words([text.text for text in chosen], rows)
        for row, text in enumerate(chosen):
            first, last = int(rows.prefix_B[row]) - 1, int(rows.mask_BL[row].sum()) - 1
            own = words_BT[row, first:last].tolist()
            ids = rows.ids_BL[row, first + 1 : last + 1].tolist()
            parts: dict[int, list[int]] = {}
            for word, token in zip(own, ids, strict=True):
                parts.setdefault(word, []).append(token)
            heard = told.view.processor.batch_decode(list(parts.values()))
            spaced = told.view.processor.tokenizer.pre_tokenizer.pre_tokenize_str(text.text)
            assert [part.strip() for part in heard[:-1]] == [
                part.replace("Ġ", "") for part, _ in spaced
            ]
            assert heard[-1] == "", "the end is a word of its own"


def test_captions_begin_differently_and_are_kept(told: Case, tmp_path: Path) -> None:
    view = replace(told.view, folder=tmp_path)
    ids = list(view.images.ids)
    found = Regenerator(view).captions(ids)
    assert all(len({caption.split()[0] for caption in said}) > 1 for said in found)
    assert all(len(set(said)) == CONFIG.beginnings for said in found)
    some = {text.text for text in told.right if text.tile_id == ids[2]}
    assert some & {caption.strip() for caption in found[2]}, "it knows its tiles by heart"
    assert Regenerator(view).captions([ids[5], ids[2]]) == [found[5], found[2]]
    (path,) = tmp_path.rglob("captions-*.json")
    path.write_text(path.read_text().replace("sea", "moon"))
    assert "moon" in " ".join(Regenerator(view).captions([ids[0]])[0]), "it was made again"


def test_answers_are_asked_for_by_their_questions(told: Case) -> None:
    asked = [text for text in told.right if text.question]
    found = columns(Regeneration(told.view), asked)
    assert np.isnan(found["agreement"]).all()
    assert np.nanmean(found["continued"]) > 0.9
    tags = [text for text in told.right if text.level == "tag"]
    assert np.isnan(columns(Regeneration(told.view), tags)["continued"]).all()


def test_evidence_may_be_hidden_and_must_be_there(known: Case, told: Case) -> None:
    found = EvidenceSupport(known.view).score(known.right)
    assert (found == 1).all()
    assert (EvidenceSupport(known.view).score(known.wrong) == 0).all()
    blind = replace(known.view, hidden=("landcover",))
    assert np.isnan(EvidenceSupport(blind).score(known.right)).all()
    assert EvidenceSupport(blind).key() != EvidenceSupport(known.view).key()
    with pytest.raises(ConfigError, match="evidence needs annotations"):
        EvidenceSupport(told.view)


WORDS = st.lists(st.sampled_from("abcd"), max_size=9)


@given(WORDS, WORDS)
def test_the_longest_common_sequence(one: list[str], other: list[str]) -> None:
    table = np.zeros((len(one) + 1, len(other) + 1), dtype=int)
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            best = max(table[i, j + 1], table[i + 1, j])
            table[i + 1, j + 1] = table[i, j] + 1 if a == b else best
    assert longest_common(one, other) == table[-1, -1]
    f, recall = agreement(one, other)
    assert 0 <= f <= 1
    assert 0 <= recall <= 1
    assert agreement(other, one)[0] == f


def test_agreement_of_known_texts() -> None:
    one, other = words_of("Police killed the gunman."), words_of("police KILL the gunman")
    assert agreement(one, other) == (0.75, 0.75)  # Lin 2004, section 3.1
    assert agreement(one, words_of("the gunman killed police")) == (0.5, 0.5)
    assert agreement(words_of("a lake"), words_of("there is a lake here"))[1] == 1
    assert best_agreement(one, []) == (0.0, 0.0)
    assert best_agreement(one, [other, one]) == (1.0, 1.0)
    assert words_of("At 3.5 km: 1,200 m².") == ["at", "3.5", "km", "1,200", "m²"]
    assert sentences_of("A sea of 3.5 km. Two ships.  At 3. km") == [
        "A sea of 3.5 km.",
        "Two ships.",
        "At 3. km",
    ]


def test_an_unknown_signal_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown signal 'smell'"):
        SIGNALS["smell"]
