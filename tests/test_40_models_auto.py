"""Rung 4: a saved model is used as others of Hugging Face are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import BertWordPieceTokenizer
from transformers import AutoConfig, AutoModel, AutoProcessor, AutoTokenizer
from transformers.feature_extraction_utils import BatchFeature
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.clip import CLIPConfig, CLIPModel

import sarknowlip.models.auto  # noqa: F401
from data.bench.make import SIZE, WORDS, make_model
from data.tiles.make import make_tile, speckled
from sarknowlip.models.config import SarKnowLIPConfig
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.processing import ProcessorConfig, SarProcessor

TEXTS = [WORDS[0], "Fields, calm."]
TILES = [
    make_tile(speckled(np.full((2, 40, 40), 0.1), 4.0, 1), polarizations=("VV", "VH")),
    make_tile(speckled(np.full((1, 64, 64), 0.2), 4.0, 2), polarizations=("HH",)),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("run")) / "model"


def test_auto_classes_read_a_saved_model(folder: Path) -> None:
    assert isinstance(AutoConfig.from_pretrained(folder), SarKnowLIPConfig)
    assert isinstance(AutoModel.from_pretrained(folder), SarKnowLIP)
    processor = AutoProcessor.from_pretrained(folder)
    assert isinstance(processor, SarProcessor)
    assert processor.config == SarProcessor.from_pretrained(folder).config


def test_auto_tokenizer_pads_and_gives_the_same_ids(folder: Path) -> None:
    words, processor = AutoTokenizer.from_pretrained(folder), SarProcessor.from_pretrained(folder)
    assert (words.pad_token_id, words.bos_token_id, words.eos_token_id) == processor.marks
    assert words.model_max_length == SIZE.text_tokens
    theirs, ours = words(TEXTS, padding=True, return_tensors="pt"), processor.texts(TEXTS)
    assert set(theirs) == set(ours)
    assert 0 in ours["attention_mask"]
    for name, value in ours.items():
        assert torch.equal(theirs[name], value)
    assert words.batch_decode(theirs["input_ids"], skip_special_tokens=True) == (
        processor.batch_decode(ours["input_ids"].tolist())
    )


def test_auto_tokenizer_of_a_foreign_text_encoder(tmp_path: Path) -> None:
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "calm", "water", "fields", "."]
    foreign = BertWordPieceTokenizer({word: index for index, word in enumerate(names)})
    processor = SarProcessor(ProcessorConfig(image_px=32, text_tokens=16), foreign._tokenizer)
    processor.save_pretrained(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)(TEXTS, padding=True, return_tensors="pt")
    for name, value in processor.texts(TEXTS).items():
        assert torch.equal(theirs[name], value)


@torch.no_grad()
def test_processor_and_model_go_together(folder: Path) -> None:
    model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    inputs = processor(images=TILES, text=TEXTS, return_tensors="pt")
    assert isinstance(inputs, BatchFeature)
    assert inputs.to(torch.device("cpu"))["pixel_values"].dtype == torch.float32
    out = model(**inputs)
    for name, found, expected, tokens in (
        (
            "image_embeds",
            model.get_image_features(**processor(images=TILES)),
            model.encode_image(**processor.images(TILES)),
            model.image_tokens(**processor.images(TILES)),
        ),
        (
            "text_embeds",
            model.get_text_features(**processor(text=TEXTS)),
            model.encode_text(**processor.texts(TEXTS)),
            model.text_tokens(**processor.texts(TEXTS)),
        ),
    ):
        assert torch.equal(out[name], expected)
        assert torch.equal(found.pooler_output, expected)
        assert torch.equal(found.last_hidden_state, tokens)
        assert torch.allclose(found.pooler_output.norm(dim=1), torch.ones(2), atol=1e-6)


@torch.no_grad()
def test_features_have_the_form_of_clip(folder: Path) -> None:
    size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    size["num_attention_heads"] = 2
    clip = CLIPModel(
        CLIPConfig(
            text_config=size | {"vocab_size": 9, "eos_token_id": 2},
            vision_config=size | {"image_size": 8, "patch_size": 8},
        )
    )
    theirs = clip.get_image_features(torch.zeros(2, 3, 8, 8))
    model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    ours = model.get_image_features(**processor(images=TILES))
    assert type(ours) is type(theirs) is BaseModelOutputWithPooling
    assert set(ours) == set(theirs)


def test_one_tile_or_text_is_a_batch_of_one(folder: Path) -> None:
    processor = SarProcessor.from_pretrained(folder)
    one = processor(TILES[0], TEXTS[0])
    assert len(one["pixel_values"]) == len(one["input_ids"]) == 1
    with pytest.raises(ValueError, match="give images, text or both"):
        processor()
    with pytest.raises(ValueError, match="return_tensors='np'"):
        processor(text=TEXTS, return_tensors="np")


def test_nothing_needs_torchvision(folder: Path) -> None:
    code = f"""
import sys
folder = {str(folder)!r}
sys.modules["torchvision"] = None  # any import of it fails
sys.path[:0] = {sys.path!r}
from transformers import AutoModel, AutoProcessor, AutoTokenizer
import sarknowlip.models.auto
from test_40_models_auto import TEXTS, TILES
model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
model(**processor(images=TILES, text=TEXTS, return_tensors="pt"))
words = AutoTokenizer.from_pretrained(folder)
model.get_text_features(**words(TEXTS, padding=True, return_tensors="pt"))
print([name for name in sys.modules if name.startswith("torchvision.")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
