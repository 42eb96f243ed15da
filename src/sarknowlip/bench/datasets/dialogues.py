"""Texts about pictures, from the files in which vision–language sets publish them.

Three shapes of record are read, each naming a picture:

- a dialogue of `messages` (`role` user or assistant, `content`), as the trainer ms-swift takes it;
- a dialogue of `conversations` (`from` human or gpt, `value`), as LLaVA takes it;
- a plain record with a caption, or with a question and its answer.

Files are JSON lists, read one record after the other so that a set of millions costs no memory, or
tables with a header, parted by tabs or commas.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sarknowlip.bench.metrics import BenchError

PICTURE = ("images", "image", "filename", "filepath", "image_path", "image_name")
QUESTION = ("question", "query")
ANSWER = ("answer", "caption", "response")
"""Keys of a record, in the order in which they are sought."""

TABLES = (".csv", ".tsv")
ENDINGS = (".json", *TABLES)
"""Of files that are read, the preferred one first."""

CHUNK = 2**20
"""Characters read at a time."""

AGAIN = "fetch the set again, or tell us if it was published in another form"
_BETWEEN = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class Shape:
    """How a dialogue is told.

    Attributes:
        turns: Key of its turns.
        who: Key of who speaks.
        what: Key of what is said.
        asking: Name of who asks.
        answering: Name of who answers.
    """

    turns: str
    who: str
    what: str
    asking: str
    answering: str


SHAPES = (
    Shape("messages", "role", "content", "user", "assistant"),
    Shape("conversations", "from", "value", "human", "gpt"),
)


@dataclass(frozen=True)
class Saying:
    """What is said of a picture.

    Attributes:
        picture: Its file, as the set names it.
        question: What was asked; empty of a caption alone.
        answer: What was said.
    """

    picture: str
    question: str
    answer: str


def sayings(path: Path) -> Iterator[Saying]:
    """Yield what a file says, in its order.

    Raises:
        BenchError: The file cannot be read, or a record lacks a key; the message names file, record
            and keys.
    """
    records = _table(path) if path.suffix.lower() in TABLES else _streamed(path)
    for number, record in enumerate(records, start=1):
        yield from _said(record, f"{path}, record {number}")


def _said(record: Any, where: str) -> Iterator[Saying]:
    if not isinstance(record, dict):
        raise BenchError(f"{where}: not a record with keys", AGAIN)
    named = _sought(record, PICTURE, where)
    picture = named[0] if isinstance(named, list) and named else named
    if not isinstance(picture, str):
        raise BenchError(f"{where}: names no picture but {picture!r}", AGAIN)
    for shape in SHAPES:
        if shape.turns in record:
            for question, answer in _turns(record[shape.turns], shape, where):
                yield Saying(picture, question, answer)
            return
    question = next((record[key] for key in QUESTION if record.get(key)), "")
    yield Saying(picture, _plain(question), _plain(_sought(record, ANSWER, where)))


def _turns(turns: Any, shape: Shape, where: str) -> Iterator[tuple[str, str]]:
    asked = ""
    try:
        for turn in turns:
            if turn[shape.who] == shape.asking:
                asked = _plain(turn[shape.what])
            elif turn[shape.who] == shape.answering:
                yield asked, _plain(turn[shape.what])
    except (KeyError, TypeError) as error:
        raise BenchError(
            f"{where}: {shape.turns} without {shape.who} and {shape.what} each", AGAIN
        ) from error


def _sought(record: Mapping[Any, Any], keys: Sequence[str], where: str) -> Any:
    for key in keys:
        if record.get(key) is not None:
            return record[key]
    held = ", ".join(str(key) for key in record if key is not None) or "none"
    raise BenchError(f"{where}: has none of the keys {', '.join(keys)} but {held}", AGAIN)


def _plain(text: Any) -> str:
    """Return a text without the mark that stands for the picture."""
    return " ".join(str(text).replace("<image>", " ").split())


def _table(path: Path) -> Iterator[Mapping[Any, Any]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            delimiter = "\t" if "\t" in handle.readline() else ","
            handle.seek(0)
            yield from csv.DictReader(handle, delimiter=delimiter)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BenchError(f"cannot read {path}: {error}", AGAIN) from error


def _streamed(path: Path) -> Iterator[Any]:
    """Yield the elements of a JSON list."""
    decoder = json.JSONDecoder()
    try:
        with path.open(encoding="utf-8-sig") as handle:
            text = handle.read(CHUNK)
            place = _between(text, 0) + 1
            if text[place - 1 : place] != "[":
                raise BenchError(f"{path}: not a JSON list of records", AGAIN)
            while True:
                place = _between(text, place)
                if text.startswith("]", place):
                    return
                try:
                    value, place = decoder.raw_decode(text, place)
                except ValueError as error:
                    more = handle.read(CHUNK)
                    if not more:
                        raise BenchError(f"{path}: cut off or not JSON: {error}", AGAIN) from error
                    text, place = text[place:] + more, 0
                    continue
                yield value
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"cannot read {path}: {error}", AGAIN) from error


def _between(text: str, place: int) -> int:
    """Return the next place that is neither blank nor a comma."""
    found = _BETWEEN.match(text, place)
    return found.end() if found else place
