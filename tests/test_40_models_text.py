"""Rung 4: text encoders of other models, from a local folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertModel

from data.bench.make import SIZE
from sarknowlip.core.errors import ConfigError
from sarknowlip.models.config import ModelSize, SarKnowLIPConfig
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.processing import ProcessorConfig, SarProcessor
from sarknowlip.models.tokenizer import Marks, load_tokenizer, make_tokenizer, train_tokenizer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "open", "water", "fields", "and", "."]
TEXTS = ["Open water.", "Fields and open water and fields and water."]


def make_bert(folder: Path, **changes: object) -> Path:
    """Write a tiny BERT as a Hugging Face folder; its tokenizer cuts off and pads, as MiniLM's."""
    tokenizer = BertWordPieceTokenizer({word: index for index, word in enumerate(WORDS)})
    tokenizer.enable_truncation(6)
    tokenizer.enable_padding(length=6)
    values = {
        "vocab_size": 20,
        "hidden_size": 36,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 64,
        "max_position_embeddings": 40,
    }
    torch.manual_seed(3)
    BertModel(BertConfig(**values | changes)).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bert(tmp_path_factory.mktemp("texts") / "tiny-bert")


@pytest.fixture(scope="module")
def size(folder: Path) -> ModelSize:
    return SIZE.model_copy(update={"text_init": str(folder)})


@pytest.fixture(scope="module")
def processor(folder: Path) -> SarProcessor:
    limits = ProcessorConfig(image_px=SIZE.image_px, text_tokens=SIZE.text_tokens)
    return SarProcessor(limits, load_tokenizer(folder))


def test_shapes_and_marks_follow_from_the_folder(size: ModelSize) -> None:
    config = SarKnowLIPConfig.of(size, len(WORDS))
    assert (config.text_width, config.text_depth, config.text_heads) == (36, 2, 3)
    assert (config.vocab_size, config.text_init) == (20, "tiny-bert")
    assert (config.pad_token_id, config.bos_token_id, config.eos_token_id) == (0, 2, 3)
    assert str(Path(str(size.text_init)).parent) not in config.to_json_string()


def test_processor_neither_cuts_nor_pads_as_the_folder_says(processor: SarProcessor) -> None:
    batch = processor.texts(TEXTS)
    assert batch["input_ids"].tolist() == [
        [2, 5, 6, 9, 3, 0, 0, 0, 0, 0, 0],
        [2, 7, 8, 5, 6, 8, 7, 8, 6, 9, 3],
    ]
    assert batch["attention_mask"].sum(dim=1).tolist() == [5, 11]


@torch.no_grad()
def test_tokens_are_those_of_the_folder(
    folder: Path, size: ModelSize, processor: SarProcessor
) -> None:
    model = SarKnowLIP.fresh(size, len(WORDS)).eval()
    batch = processor.texts(TEXTS)
    expected = BertModel.from_pretrained(folder).eval()(**batch).last_hidden_state
    real = batch["attention_mask"].bool()
    assert torch.allclose(model.text_tokens(**batch)[real], expected[real], atol=1e-6)
    assert model.text.tokens.weight.shape == (20, 36)


@torch.no_grad()
def test_saved_model_needs_the_folder_no_more(processor: SarProcessor, tmp_path: Path) -> None:
    source = make_bert(tmp_path / "bert")
    size = SIZE.model_copy(update={"text_init": str(source)})
    model = SarKnowLIP.fresh(size, len(WORDS)).eval()
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    for path in source.iterdir():
        path.unlink()
    again = SarKnowLIP.from_pretrained(tmp_path / "model")
    batch = SarProcessor.from_pretrained(tmp_path / "model").texts(TEXTS)
    assert torch.equal(again.encode_text(**batch), model.encode_text(**batch))
    logits = again.caption_logits(**batch, image_BKD=None)
    assert logits.shape == (2, 11, 20)
    assert "tiny" not in (tmp_path / "model" / "README.md").read_text("utf-8")
    assert "| text encoder | bert, depth 2, width 36" in (
        tmp_path / "model" / "README.md"
    ).read_text("utf-8")


def test_all_its_weights_learn_and_it_compiles(size: ModelSize, processor: SarProcessor) -> None:
    model = SarKnowLIP.fresh(size, len(WORDS)).eval()
    batch = processor.texts(TEXTS)
    torch._dynamo.reset()
    compiled = torch.compile(model.text_tokens, fullgraph=True, backend="eager")
    tokens = compiled(**batch)
    assert torch.allclose(tokens, model.text_tokens(**batch), atol=1e-5)
    (
        tokens.square().sum() + model.caption_logits(**batch, image_BKD=None).square().sum()
    ).backward()
    assert [name for name, p in model.text.named_parameters() if p.grad is None] == []
    model.train().gradient_checkpointing_enable()
    assert torch.isfinite(model.text_tokens(**batch)).all()


def test_what_does_not_fit_is_refused(folder: Path, tmp_path: Path) -> None:
    def start(**changes: object) -> SarKnowLIP:
        return SarKnowLIP.fresh(
            SIZE.model_copy(update={"text_init": str(folder)} | changes), len(WORDS)
        )

    with pytest.raises(ConfigError, match=r"text_tokens=41, but .* takes 40"):
        start(text_tokens=41)
    with pytest.raises(ConfigError, match=r"vocab_size=21, but .* takes 20"):
        SarKnowLIPConfig.of(SIZE.model_copy(update={"text_init": str(folder)}), 21)
    with pytest.raises(ConfigError, match="no text encoder at"):
        start(text_init=str(tmp_path / "absent"))
    poor = make_bert(tmp_path / "poor")
    weights = load_file(poor / "model.safetensors")
    del weights["encoder.layer.1.output.dense.bias"]
    save_file(weights, poor / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"lacks 1 weights, the first encoder\.layer\.1\.output"):
        start(text_init=str(poor))
    damaged = make_bert(tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ConfigError, match="cannot read a text encoder from"):
        start(text_init=str(damaged))
    (damaged / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match=r"cannot read .*tokenizer\.json"):
        start(text_init=str(damaged))


def test_a_model_starts_with_the_tokenizer_of_its_text_encoder(folder: Path) -> None:
    foreign, own = make_tokenizer(TEXTS, 300, str(folder)), make_tokenizer(TEXTS, 300, None)
    assert foreign.to_str() == load_tokenizer(folder).to_str()
    assert own.to_str() == train_tokenizer(TEXTS, 300).to_str()


def test_marks_of_our_tokenizer_are_the_defaults() -> None:
    own, config = Marks.of(train_tokenizer(TEXTS, 300)), SarKnowLIPConfig()
    assert own == (config.pad_token_id, config.bos_token_id, config.eos_token_id)
