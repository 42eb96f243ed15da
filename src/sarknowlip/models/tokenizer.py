"""Byte-level BPE (Sennrich et al. 2016; Radford et al. 2019), trained on the corpus' own texts.

Any string can be encoded: bytes that were not seen in training are tokens of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from sarknowlip.core.errors import ConfigError
from sarknowlip.core.files import write_bytes, write_json

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"


def train_tokenizer(texts: Iterable[str], vocab_size: int = 2048) -> Tokenizer:
    """Return a tokenizer whose padding has id 0.

    Args:
        texts: Training texts; the result depends on how often words occur, not on their order.
        vocab_size: Largest number of tokens, at least the 256 bytes and 3 marks.

    Raises:
        ConfigError: The vocabulary is too small.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    if vocab_size < len(alphabet) + 3:
        raise ConfigError(f"vocab_size={vocab_size} is too small", "give at least 259")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in (BOS, EOS)],
    )
    return tokenizer


class Marks(NamedTuple):
    """Ids of tokens that are no words.

    Attributes:
        pad: Padding.
        begin: First token of every text.
        end: Last token of every text.
    """

    pad: int
    begin: int
    end: int

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Marks:
        """Return the marks of a tokenizer, ours or that of a foreign text encoder.

        Raises:
            ConfigError: It has no padding, or does not put one token before and one after a text.
        """
        pads = [tokenizer.token_to_id(name) for name in (PAD, "[PAD]")]
        pad = next((found for found in pads if found is not None), None)
        around = tokenizer.encode("").ids
        if pad is None or len(around) != 2:
            raise ConfigError(
                f"the tokenizer has padding {pad} and puts tokens {around} around a text",
                "take one of an encoder like BERT: one token before a text, one after it",
            )
        return cls(pad, *around)


def make_tokenizer(texts: Iterable[str], vocab_size: int, text_init: str | None) -> Tokenizer:
    """Return the tokenizer that a model starts with.

    Args:
        texts: Training texts for a tokenizer of our own.
        vocab_size: Its largest number of tokens.
        text_init: Folder of a foreign text encoder, whose tokenizer is taken; None for our own.

    Raises:
        ConfigError: The vocabulary is too small, or the folder has no tokenizer.
    """
    if text_init is not None:
        return load_tokenizer(Path(text_init))
    return train_tokenizer(texts, vocab_size)


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read tokenizer.json, ours or that of a foreign text encoder, to neither pad nor cut off.

    Raises:
        ConfigError: It is absent or damaged.
    """
    path = folder / TOKENIZER
    try:
        tokenizer = Tokenizer.from_str(path.read_text("utf-8"))
    except Exception as error:  # the library raises nothing narrower
        raise ConfigError(f"cannot read {path}: {error}", "save the model again") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, text_tokens: int) -> None:
    """Write tokenizer.json, and tokenizer_config.json for `AutoTokenizer` of `transformers`.

    Args:
        tokenizer: Ours or that of a foreign text encoder.
        folder: Folder.
        text_tokens: Longest text of the model.

    Raises:
        ConfigError: The tokenizer has no marks.
        StorageError: The folder cannot be written.
    """
    pad, begin, end = (tokenizer.id_to_token(mark) for mark in Marks.of(tokenizer))
    write_bytes(folder / TOKENIZER, tokenizer.to_str(pretty=True).encode())
    about = {
        "bos_token": begin,
        "clean_up_tokenization_spaces": False,
        "eos_token": end,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": text_tokens,
        "pad_token": pad,
        "padding_side": "right",
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    write_json(folder / TOKENIZER_CONFIG, about)
