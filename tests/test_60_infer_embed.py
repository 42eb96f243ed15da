"""Rung 6: embedding a corpus."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from data.bench.make import WORDS, make_corpus, make_model
from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.infer.embed import embed_texts, embed_tiles
from sarknowlip.infer.encoder import ModelEncoder, evaluating, model_folder


@pytest.fixture(scope="module")
def catalog(tmp_path_factory) -> Catalog:
    return Catalog(make_corpus(tmp_path_factory.mktemp("embed")))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def encoder(run) -> ModelEncoder:
    return ModelEncoder.load(run)


def test_images_do_not_depend_on_batches_or_order(catalog: Catalog, encoder: ModelEncoder) -> None:
    """The corpus holds one- and two-channel tiles, so that batches differ in padding too."""
    records = list(catalog.records())
    assert {len(r.acquisition.polarizations) for r in records} == {1, 2}
    whole = embed_tiles(encoder, catalog, records, len(records))
    assert whole.shape == (len(records), 24)
    assert whole.dtype == np.float32
    assert np.allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-5)
    assert np.std(whole, axis=0).max() > 1e-3, "an encoder that sees nothing would pass the rest"
    for batch_size in (1, 3, 7):
        parts = embed_tiles(encoder, catalog, records, batch_size)
        assert np.abs(parts - whole).max() <= 1e-5
    order = np.random.default_rng(0).permutation(len(records))
    turned = embed_tiles(encoder, catalog, [records[i] for i in order], 5)
    assert np.abs(turned - whole[order]).max() <= 1e-5


def test_texts_do_not_depend_on_batches(encoder: ModelEncoder) -> None:
    texts = [*WORDS, " ".join(WORDS), "ships", *WORDS]
    whole = embed_texts(encoder, texts)
    assert np.array_equal(whole[:4], whole[6:]), "equal texts are equal to the last bit"
    for batch_size in (1, 2, 5):
        assert np.abs(embed_texts(encoder, texts, batch_size) - whole).max() <= 1e-5
    assert len(np.unique(whole.round(4), axis=0)) == 6


def test_same_call_same_bits_no_gradient_mode_kept(catalog: Catalog, encoder: ModelEncoder) -> None:
    records = list(catalog.records())[:5]
    first = embed_tiles(encoder, catalog, records, 2)
    encoder.model.train()
    state = torch.get_rng_state()
    assert np.array_equal(embed_tiles(encoder, catalog, records, 2), first)
    assert encoder.model.training, "the caller's mode comes back"
    assert torch.equal(torch.get_rng_state(), state)
    encoder.model.eval()
    embed_tiles(encoder, catalog, records, 2)
    assert not encoder.model.training
    assert all(parameter.grad is None for parameter in encoder.model.parameters())


def test_dropout_is_off(encoder: ModelEncoder) -> None:
    class Forgetful(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop = torch.nn.Dropout(0.5)
            self.scale = torch.nn.Parameter(torch.ones(1))

        def encode_text(self, input_ids, attention_mask):
            return self.drop(self.scale * torch.ones(len(input_ids), 64))

    model = Forgetful().train()
    forgetful = ModelEncoder(model, encoder.processor)  # type: ignore[arg-type]
    assert (embed_texts(forgetful, ["a", "b"]) == 1).all()
    assert (model.encode_text(torch.ones(2, 3), None) == 0).any()


def test_only_one_batch_of_pixels_is_alive(catalog: Catalog) -> None:
    alive: set[str] = set()
    most = 0

    class Watched:
        name = "watched"

        def images(self, tiles):
            nonlocal most
            gc.collect()
            for tile in tiles:
                alive.add(tile.id)
                weakref.finalize(tile, alive.discard, tile.id)
            most = max(most, len(alive))
            return np.ones((len(tiles), 2), dtype=np.float32)

        def texts(self, texts):
            raise AssertionError

    told = []
    records = list(catalog.records())
    embed_tiles(Watched(), catalog, records, 4, progress=lambda *step: told.append(step))
    assert most == 4
    assert [done for done, _, _ in told][:2] == [4, 8]
    assert told[-1] == (len(records), len(records), records[-1].id)


def test_every_text_is_encoded_once() -> None:
    seen: list[str] = []

    class Counted:
        name = "counted"

        def images(self, tiles):
            raise AssertionError

        def texts(self, texts):
            seen.extend(texts)
            return np.array([[len(text), 1] for text in texts], dtype=np.float32)

    rows = embed_texts(Counted(), ["b", "aa", "b", "aa", "ccc"], 2)
    assert seen == ["b", "aa", "ccc"]
    assert rows[:, 0].tolist() == [1, 2, 1, 2, 3]


def test_what_cannot_be_embedded_is_refused(catalog: Catalog, encoder: ModelEncoder) -> None:
    class Short:
        name = "short"

        def images(self, tiles):
            return np.ones((1, 2), dtype=np.float32)

        def texts(self, texts):
            return np.ones(len(texts), dtype=np.float32)

    records = list(catalog.records())
    with pytest.raises(SarKnowlipError, match="nothing to embed"):
        embed_tiles(encoder, catalog, [])
    with pytest.raises(SarKnowlipError, match="batch size 0"):
        embed_tiles(encoder, catalog, records, 0)
    with pytest.raises(SarKnowlipError, match=r"shape \(1, 2\) for 3 items"):
        embed_tiles(Short(), catalog, records, 3)
    with pytest.raises(SarKnowlipError, match=r"shape \(2,\) for 2 items"):
        embed_texts(Short(), ["a", "b"])


def test_a_run_its_model_or_any_folder_with_a_config_will_do(run: Path, tmp_path: Path) -> None:
    assert model_folder(run) == run / "model"
    assert model_folder(run / "model") == run / "model"
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(SarKnowlipError, match=r"no model at .*config\.json.*train --out"):
            model_folder(path)


def test_loaded_weights_are_the_saved_ones(run: Path, tmp_path: Path) -> None:
    first, second = ModelEncoder.load(run), ModelEncoder.load(run / "model")
    other = ModelEncoder.load(make_model(tmp_path / "other", seed=1))
    texts = list(WORDS)
    assert np.array_equal(first.texts(texts), second.texts(texts))
    assert not np.allclose(first.texts(texts), other.texts(texts), atol=1e-3)


def test_incomplete_or_damaged_weights_are_an_error_not_random_numbers(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model = make_model(tmp_path / "run") / "model"
    weights = model / "model.safetensors"
    tensors = load_file(weights)
    dropped = next(name for name in tensors if name.startswith("text."))
    kept = {name: tensor for name, tensor in tensors.items() if name != dropped}
    save_file(kept, weights, metadata={"format": "pt"})
    with pytest.raises(SarKnowlipError, match=f"lacks 1 weights, the first {dropped}"):
        ModelEncoder.load(tmp_path / "run")
    weights.write_bytes(b"torn")
    with pytest.raises(SarKnowlipError, match="cannot read the model at"):
        ModelEncoder.load(tmp_path / "run")
    weights.unlink()
    with pytest.raises(SarKnowlipError, match="cannot read the model at"):
        ModelEncoder.load(tmp_path / "run")
    (model / "config.json").write_text(json.dumps({"model_type": "bert"})[:-1])
    with pytest.raises(SarKnowlipError, match="cannot read the model at"):
        ModelEncoder.load(tmp_path / "run")


def test_each_member_is_back_in_its_own_mode(encoder: ModelEncoder) -> None:
    model = encoder.model
    model.train()
    model.text.eval()
    try:
        with evaluating(model):
            assert not any(member.training for member in model.modules())
        assert model.training
        assert not model.text.training
    finally:
        model.eval()
