"""Configurations from what a user writes: "key=value" settings, and errors of one line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError

Made = TypeVar("Made", bound=Config)


def first_problem(error: ValidationError) -> str:
    """Return where the first error of a validation lies, what it is, and a short value: one line.

    For example "optim.lr: Input should be a valid number (given 'fast')".
    """
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    what = f"{where}: {first['msg']}" if where else str(first["msg"])
    given = first["input"]
    short = isinstance(given, int | float) or (isinstance(given, str) and len(given) <= 40)
    return f"{what} (given {given!r})" if short and where else what


def checked(kind: type[Made], values: Mapping[str, Any], what: str, remedy: str) -> Made:
    """Return a configuration made of values.

    Args:
        kind: Its class.
        values: By field.
        what: Name of such a value in the error message ("option", "setting").
        remedy: Where the user finds what is allowed.

    Raises:
        ConfigError: A value is unknown or out of range; the message names it.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"invalid {what} {first_problem(error)}", remedy) from error


def changed(values: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Return nested values with settings put in.

    Args:
        values: Of a configuration.
        settings: "key=value" each, keys dotted ("optim.lr=0.001"), values as JSON or plain words.

    Raises:
        ConfigError: No "=", or an unknown key.
    """
    result = json.loads(json.dumps(values, default=str))
    for setting in settings:
        key, value = parsed(setting)
        _put(result, key, value)
    return dict(result)


def parsed(setting: str) -> tuple[str, Any]:
    """Return key and value of "key=value".

    Raises:
        ConfigError: It has no "=".
    """
    key, equals, raw = setting.partition("=")
    if not equals:
        raise ConfigError(f"setting {setting!r} has no '='", "write key=value")
    try:
        return key.strip(), json.loads(raw)
    except ValueError:
        return key.strip(), raw.strip()


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    place: Any = values
    for part in path:
        place = place.get(part) if isinstance(place, dict) else None
    if not isinstance(place, dict) or last not in place:
        known = place if isinstance(place, dict) else values
        raise ConfigError(f"unknown setting {key!r}", f"choose one of: {', '.join(known)}")
    place[last] = value
