"""What a model may answer: a JSON schema of claims, made from the stages' predicates.

The schema keeps to what strict structured output allows (all properties required, none additional;
no lengths, no patterns). A thing is named by its subject alone; its kind, name and part follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NUMBERS = ("_pct", "_db", "_m", "_km", "_deg", "count", "rank", "ratio")
"""Ends of the names of arguments that are numbers."""


def is_number(argument: str) -> bool:
    """Tell whether an argument is a number, from its name."""
    return argument.endswith(_NUMBERS)


def roles(arguments: frozenset[str]) -> tuple[str, ...]:
    """Return the arguments that are subjects of things ("a", "b"), sorted."""
    return tuple(sorted(name for name in arguments if f"{name}_kind" in arguments))


def asked(arguments: frozenset[str]) -> tuple[str, ...]:
    """Return the arguments a model is asked for, sorted: all but what a thing's subject implies."""
    implied = {f"{role}_{part}" for role in roles(arguments) for part in ("kind", "name", "part")}
    return tuple(sorted(arguments - implied))


def claims_schema(
    predicates: Mapping[str, frozenset[str]], words: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    """Return the JSON schema of an answer, `{"claims": [{"predicate": …, …}, …]}`.

    Args:
        predicates: Names of arguments by predicate.
        words: Allowed values of arguments that have a closed list of them.
    """
    claims = []
    for predicate, arguments in predicates.items():
        things = roles(arguments)
        values: dict[str, Any] = {"predicate": {"type": "string", "enum": [predicate]}}
        for name in asked(arguments):
            closed = words.get(name) if name not in things else None
            values[name] = {"type": "number" if is_number(name) else "string"}
            if closed and not is_number(name):
                values[name]["enum"] = list(closed)
        claims.append(_object(values))
    return _object({"claims": {"type": "array", "items": {"anyOf": claims}}})


def predicate_list(
    predicates: Mapping[str, frozenset[str]],
    words: Mapping[str, tuple[str, ...]],
    meanings: Mapping[str, str],
) -> str:
    """Return one line a predicate, its arguments and meaning, and one line a list of words."""
    lines, used = [], set()
    for predicate, arguments in predicates.items():
        things = roles(arguments)
        parts = []
        for name in asked(arguments):
            closed = name in words and name not in things and not is_number(name)
            used |= {name} if closed else set()
            kind = "number" if is_number(name) else "thing" if name in things else "text"
            parts.append(f"{name}: {'word' if closed else kind}")
        meaning = meanings.get(predicate, "")
        lines.append(f"- {predicate}({', '.join(parts)}): {meaning}".rstrip(": "))
    lines += ["", "Words:"]
    lines += [f"- {name}: {', '.join(words[name])}" for name in sorted(used)]
    return "\n".join(lines)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
