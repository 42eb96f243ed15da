"""Rung 4: replies that hold anything: none stops the vlm writer, all are counted."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.vlm.make import as_answered, content, key_of, make_subjects, serving
from sarknowlip.annotate.writers.vlm.check import Verdict, parse, rejections
from sarknowlip.annotate.writers.vlm.config import VlmConfig
from sarknowlip.annotate.writers.vlm.ledger import Answer, Ledger
from sarknowlip.annotate.writers.vlm.reply import encodable, read_reply
from sarknowlip.annotate.writers.vlm.writer import VlmWriter
from sarknowlip.core.errors import ConfigError, SarKnowlipError

(SUBJECT,) = make_subjects(1)
RIGHT = content([as_answered(claim) for claim in SUBJECT.derived])
MALFORMED = {"answered": 2, "sent_back": 1, "dropped.malformed": 1}
FAILED = {"failed_tiles": 1}
ACCEPTED = {"answered": len(SUBJECT.derived), "accepted": len(SUBJECT.derived)}
TOKENS = {"prompt_tokens": 7, "completion_tokens": 5}


def completion(said: object, usage: object = None) -> str:
    return json.dumps({"choices": [{"message": {"content": said}}], "usage": usage})


def claims(text: str) -> str:
    """Return a completion with claims as written, for what `json` does not write."""
    return completion(f'{{"claims": [{text}]}}')


def choices(value: object) -> str:
    return json.dumps({"choices": value})


REPLIES: list[tuple[str, dict[str, int]]] = [
    (completion("\ud800 a ship"), MALFORMED),
    (claims('{"predicate": "\\ud800"}'),
     {"answered": 2, "sent_back": 1, "dropped.unknown_predicate": 1}),
    (claims('{"predicate": "texture", "texture": "\\udfff"}'),
     {"answered": 2, "sent_back": 1, "dropped.wrong_value": 1}),
    (claims('{"predicate": "ship_count", "count": 1' + "0" * 400 + "}"), MALFORMED),
    (claims('{"predicate": "ship_count", "count": 1' + "0" * 5000 + "}"), MALFORMED),
    (claims('{"predicate": "ship_count", "count": 1e999}'), MALFORMED),
    (claims('{"predicate": "ship_count", "count": [null, {"count": null}]}'), MALFORMED),
    (claims("null"), MALFORMED),
    (completion("a ship " * 1_500_000), MALFORMED),
    (completion(None), MALFORMED),
    (completion(3), MALFORMED),
    (completion({"claims": []}), MALFORMED),
    (completion([None, 3, {"text": None}, [RIGHT]]), MALFORMED),
    (completion([{"type": "text", "text": RIGHT[:30]}, RIGHT[30:]]), ACCEPTED),
    (completion("\0" + RIGHT), ACCEPTED),
    (choices("abc"), FAILED),
    (choices({"0": "a"}), FAILED),
    (choices([]), FAILED),
    (choices(["abc"]), FAILED),
    (choices([{"message": "abc"}]), FAILED),
    ("[" * 100_000, FAILED),
    ("[]", FAILED),
    ("null", FAILED),
    ("", FAILED),
    ("<html>\nBad gateway\n</html>", FAILED),
]  # fmt: skip
USAGES: list[tuple[Any, tuple[int, int]]] = [
    ({"prompt_tokens": "7", "completion_tokens": 5.0}, (7, 5)),
    ({"prompt_tokens": None, "completion_tokens": "many"}, (0, 0)),
    ({"prompt_tokens": [7], "completion_tokens": {"all": 5}}, (0, 0)),
    ({"prompt_tokens": 10**30, "completion_tokens": -5}, (0, 0)),
    ({"prompt_tokens": math.nan, "completion_tokens": math.inf}, (0, 0)),
    ([7, 5], (0, 0)),
    ("abc", (0, 0)),
]


def counts_of(folder: Path, step: dict[str, Any]) -> dict[str, float]:
    """Return the counts of a tile about which the server always says the same."""
    with serving(folder, {"steps": {key_of(SUBJECT): [step]}}) as server:
        config = VlmConfig(
            endpoint=server.url, model="scripted", retries=0, ledger=folder / "ledger.sqlite"
        )
        (draft,) = VlmWriter(config).write([SUBJECT])
        (again,) = VlmWriter(config).write([SUBJECT])
    assert list(again.claims) == list(draft.claims), "the ledger keeps what was said"
    ways = "requests", "replayed"
    counts = {name: n for name, n in draft.counts.items() if name not in ways}
    assert counts == {name: n for name, n in again.counts.items() if name not in ways}
    return counts


@pytest.mark.parametrize(("body", "counts"), REPLIES)
def test_no_reply_stops_the_writer(tmp_path: Path, body: str, counts: dict[str, int]) -> None:
    assert counts_of(tmp_path, {"body": body}) == counts


@pytest.mark.parametrize(("usage", "tokens"), USAGES)
def test_token_counts_that_are_none(tmp_path: Path, usage: object, tokens: tuple[int, int]) -> None:
    answer = read_reply(completion(RIGHT, usage).encode(), 10**6)
    assert answer == Answer(RIGHT, *tokens)
    assert all(type(count) is int for count in answer[1:])
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.put("key", answer, "tile", "model")
        assert ledger.get("key") == answer


def test_the_type_that_a_server_states_does_not_matter(tmp_path: Path) -> None:
    step = {"body": completion(RIGHT, TOKENS), "headers": {"Content-Type": "text/plain"}}
    assert counts_of(tmp_path, step) == ACCEPTED | {"tokens_in": 7, "tokens_out": 5}


def test_of_a_long_answer_the_beginning_is_read() -> None:
    assert read_reply(completion("x" * 50).encode(), 20).content == "x" * 20


@pytest.mark.parametrize(("status", "kind"), [(500, SarKnowlipError), (404, ConfigError)])
def test_a_complaint_is_told_on_one_line(
    tmp_path: Path, status: int, kind: type[SarKnowlipError]
) -> None:
    step = {"status": status, "message": "nothing\nhere \ud800"}
    with serving(tmp_path, {"otherwise": step}) as server:
        config = VlmConfig(endpoint=server.url, model="scripted", retries=0, give_up_after=1)
        with pytest.raises(kind, match=f"Error code: {status} - nothing here \\?;"):
            VlmWriter(config).write([SUBJECT])


def test_what_is_nested_as_deep_as_can_be_parsed_is_told_all_the_same() -> None:
    verdict = Verdict(None, False, "malformed", "it is no object")
    parsed = 0
    for depth in range(700, 1000):
        answered = parse('{"claims": [' + "[" * depth + "]" * depth + "]}")
        if answered is not None:
            assert rejections(answered, [verdict]).endswith(": it is no object")
            parsed += 1
    assert 0 < parsed < 300


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | ANY_TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "text", "usage", "prompt_tokens"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(JSON | st.fixed_dictionaries({"choices": st.lists(JSON), "usage": JSON}))
def test_whatever_is_replied_is_an_answer_or_none(reply: object) -> None:
    with contextlib.suppress(ValueError):
        answer = read_reply(json.dumps(reply).encode(), 100)
        assert encodable(answer.content) == answer.content
        assert min(answer[1:]) >= 0


@given(st.binary(max_size=40))
def test_bytes_are_an_answer_or_none(body: bytes) -> None:
    with pytest.raises(ValueError, match="the reply is"):
        read_reply(body, 100)
