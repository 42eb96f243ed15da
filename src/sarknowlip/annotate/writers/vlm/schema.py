"""What a model may answer: a JSON schema of claims, made from the stages' predicates.

The schema keeps to what strict structured output allows (all properties required, none additional;
no lengths, no patterns). A thing is named by its subject alone; its kind, name and part follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Predicates = Mapping[str, frozenset[str]]
Words = Mapping[str, tuple[str, ...]]

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


def closed(argument: str, arguments: frozenset[str], words: Words) -> bool:
    """Tell whether an argument's value is one of a list of words."""
    return argument in words and not is_number(argument) and argument not in roles(arguments)


def claims_schema(predicates: Predicates, words: Words) -> dict[str, Any]:
    """Return the JSON schema of an answer, `{"claims": [{"predicate": …, …}, …]}`.

    Args:
        predicates: Names of arguments by predicate.
        words: Allowed values of arguments that have a closed list of them.
    """
    claims, used = [], set()
    for predicate, arguments in predicates.items():
        values: dict[str, Any] = {"predicate": {"type": "string", "enum": [predicate]}}
        for name in asked(arguments):
            if closed(name, arguments, words):
                used.add(name)
                values[name] = {"$ref": f"#/$defs/{name}"}
            else:
                values[name] = {"type": "number" if is_number(name) else "string"}
        claims.append(_object(values))
    lists = {name: {"type": "string", "enum": list(words[name])} for name in sorted(used)}
    return _object({"claims": {"type": "array", "items": {"anyOf": claims}}}) | {"$defs": lists}


def predicate_list(predicates: Predicates, words: Words, meanings: Mapping[str, str]) -> str:
    """Return one line a predicate, its arguments and meaning, then one line a list of words."""
    lines, used = [], set()
    for predicate, arguments in predicates.items():
        parts = []
        for name in asked(arguments):
            kind = "number" if is_number(name) else "text"
            if closed(name, arguments, words):
                used.add(name)
                kind = "word"
            elif name in roles(arguments):
                kind = "thing"
            parts.append(f"{name}: {kind}")
        lines.append(f"- {predicate}({', '.join(parts)}): {meanings.get(predicate, '')}")
    lines += ["", "Words:"]
    lists: dict[str, list[str]] = {}
    for name in sorted(used):
        lists.setdefault(", ".join(filter(None, words[name])), []).append(name)
    lines += [f"- {', '.join(names)}: {listed}" for listed, names in lists.items()]
    return "\n".join(lines)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
