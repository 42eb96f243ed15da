"""Reading a server's reply, which may hold anything at all."""

from __future__ import annotations

import json

from sarknowlip.annotate.writers.vlm.ledger import Answer

_MOST_TOKENS = 10**12
"""A count beyond this is none."""


def read_reply(body: bytes, longest: int) -> Answer:
    """Return what the body of a reply says.

    Text that comes in parts is joined; content that is no text is an empty answer. A token count
    that is no number is 0.

    Args:
        body: The reply, JSON of a chat completion.
        longest: Characters that are read of the text; what follows is cut off.

    Raises:
        ValueError: It is no chat completion.
    """
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError("the reply is not JSON") from error
    message = _at(reply, "choices", 0, "message")
    if not isinstance(message, dict):
        raise ValueError("the reply is no chat completion")
    return Answer(
        encodable(_text(message.get("content"))[:longest]),
        _tokens(_at(reply, "usage", "prompt_tokens")),
        _tokens(_at(reply, "usage", "completion_tokens")),
    )


def encodable(text: str) -> str:
    """Return a text with "?" for halves of surrogate pairs, which UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()


def _at(value: object, *path: str | int) -> object:
    """Return what lies within a JSON value, None if it is not there."""
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def _text(content: object) -> str:
    """Return the text of a message: itself, or its parts joined."""
    parts = content if isinstance(content, list) else [content]
    texts = [part if isinstance(part, str) else _at(part, "text") for part in parts]
    return "".join(text for text in texts if isinstance(text, str))


def _tokens(value: object) -> int:
    try:
        count = int(value) if isinstance(value, int | float | str) else 0
    except (ValueError, OverflowError):
        return 0
    return count if 0 <= count <= _MOST_TOKENS else 0
