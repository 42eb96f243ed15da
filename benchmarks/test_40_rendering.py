"""Rendering claims as sentences, beside a plain loop over compiled Jinja2 templates.

Peer: what a user of Jinja2 would write. The wordings are ours, each pattern a template compiled
once; one is drawn by `random.choice` for each record. Alternatives are constant tuples in the
template, drawn by `choice`; only those that hold a value are written as `if`. Words are looked up
in plain dictionaries, values are formatted by filters, which know one or three ways to say a
quantity (ours has up to 40) and remember nothing (ours does). Templates of a record are looked up
beforehand. The peer says plain claims only, draws from a generator of its own, and need not give
the same words again; ours follows from the claim's identifier, and tells how certain the claim is.

What either writes must be a wording of its claim (the recogniser accepts it) before anything is
timed. Patterns that say a value only in one of their alternatives are left out. Rounds are
interleaved; the ratio is peer time by our time. `texts` is a whole tile with all levels, from
claims to records with identifiers. Rows up to commit 286736a have another peer, which drew from our
own remembered words and by our own calls.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import jinja2

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from data.claims.make import predicates, tile_claims, tile_facts
from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.compose import Composer
from sarknowlip.annotate.grammar import packaged_grammar, told
from sarknowlip.annotate.pattern import Draw, compile_pattern
from sarknowlip.annotate.words import TABLES, UNITS, Lexicon, read_lexicon

ROUNDS, TILES = 9, 40
IMAGES = 120_000
_NUMBERS = itertools.count()
_PIECE = re.compile(r"\[|\]|\||\{[^{}]*\}|[^\[\]|{}]+")
_SLOT = re.compile(r"\{(\w+)(?::(\w+))?(?:\.(\d))?(?:\*(\w+))?(?:#([^#}]*)#([^#}]*))?\}")


def template_of(pattern: str, macros: dict[str, str]) -> str:
    """Return a pattern as Jinja source."""
    while "<" in pattern:
        pattern = re.sub(r"<(\w+)>", lambda match: macros[match[1]], pattern)
    pieces = _PIECE.findall(pattern.replace("~", ""))
    return source_of(iter(pieces))[0]


def source_of(pieces: Iterator[str]) -> tuple[str, list[str]]:
    """Return the source up to the next closing bracket, and the alternatives there."""
    options = [""]
    for piece in pieces:
        if piece == "[":
            _, inner = source_of(pieces)
            if any("{" in option for option in inner):
                name = f"c{next(_NUMBERS)}"
                branches = [f"{{% elif {name} == {k} %}}{o}" for k, o in enumerate(inner)]
                said = "".join(branches).replace("{% elif", "{% if", 1) + "{% endif %}"
                options[-1] += f"{{% set {name} = below({len(inner)}) %}}{said}"
            else:
                options[-1] += f"{{{{ choice({tuple(inner)!r}) }}}}"
        elif piece == "|":
            options.append("")
        elif piece == "]":
            return options[0], options
        elif piece[0] == "{":
            options[-1] += slot_source(*_SLOT.fullmatch(piece).groups())
        else:
            options[-1] += piece
    return options[0], options


def slot_source(
    name: str, table: str | None, form: str | None, noun: str | None, one: str | None,
    many: str | None,
) -> str:  # fmt: skip
    """Return how a template says a value."""
    unit = name.rpartition("_")[2]
    if len(name) == 1:
        return f"{{{{ thing({name}_kind, {name}_name, {name}_part) }}}}"
    if name.endswith(("name", "country")):
        return f"{{{{ {name} }}}}"
    if noun is not None:
        kinds = f"choice(words[0]['thing'][{noun}]), choice(words[1]['thing'][{noun}])"
        return f"{{{{ {name}|count }}}} {{{{ ({kinds})[{name} > 1] }}}}"
    if one is not None:
        return f"{{{{ {name}|count }}}} {{{{ {one!r} if {name} == 1 else {many!r} }}}}"
    if unit in UNITS:
        return f"{{{{ {name}|{unit} }}}}"
    if unit == "count":
        return f"{{{{ {name}|count }}}}"
    key = f"{name}|string" if name == "rank" else name
    return f"{{{{ choice(words[{int(form or 1) - 1}]['{table or name}'][{key}]) }}}}"


class JinjaLoop:
    """Renders plain clauses by templates compiled once."""

    def __init__(self) -> None:
        folder = resources.files("sarknowlip.annotate").joinpath("lexicon", "en")
        lexicon = read_lexicon("en")
        self.choice = choice = random.Random(0).choice
        about = ("about ", "around ", "roughly ", "approximately ")
        numerals = lexicon.numerals

        def count(n: int) -> str:
            return numerals[n] if n < len(numerals) else str(n)

        def filter_of(*ways: str, number: str = "g") -> Callable[[float], str]:
            return lambda n: choice(ways).format(choice(about), format(n, number))

        def thing(kind: str, name: str, part: str) -> str:
            said = "the " + choice(words[0]["thing"][kind])
            said += choice((" named ", " called ", " ")) + name if name else ""
            return said + (choice((" in the ", " at the ")) + choice(words[0]["part"][part])
                           if part else "")  # fmt: skip

        environment = jinja2.Environment(autoescape=False)
        environment.filters |= {
            "pct": filter_of("{0}{1} %", "{0}{1} percent", "{0}{1} per cent"),
            "m": filter_of("{0}{1} m"),
            "km": filter_of("{0}{1} km"),
            "ratio": filter_of("{0}{1} times"),
            "deg": filter_of("{1}°"),
            "db": lambda n: f"{n} {choice(('dB', 'decibels'))}".replace("-", "−"),
            "count": count,
        }
        words = [by_key(lexicon, form) for form in (1, 2, 3)]
        environment.globals |= {
            "choice": choice, "below": random.Random(1).randrange, "words": words, "thing": thing,
        }  # fmt: skip
        self.templates: dict[tuple[str, frozenset[str]], list[jinja2.Template]] = {}
        for part in folder.iterdir():
            sentences = json.loads(part.read_text("utf-8")).get("sentences", {})
            for predicate, patterns in sentences.items():
                for pattern in patterns:
                    names = {line.names for line in compile_pattern(pattern, lexicon.macros)}
                    if len(names) == 1:  # Others leave out a value where they should not.
                        template = environment.from_string(template_of(pattern, lexicon.macros))
                        self.templates.setdefault((predicate, *names), []).append(template)

    def known(self, claim: Claim) -> bool:
        return (claim.predicate, told(claim.arguments)) in self.templates

    def records(self, claims: list[Claim]) -> list[tuple[list[jinja2.Template], dict]]:
        """Return what the loop runs over: templates and arguments, looked up beforehand."""
        return [
            (self.templates[claim.predicate, told(claim.arguments)], claim.arguments)
            for claim in claims
        ]

    def sentence(self, record: tuple[list[jinja2.Template], dict]) -> str:
        templates, arguments = record
        said = " ".join(self.choice(templates).render(arguments).split())
        return said[0].upper() + said[1:].replace(" ,", ",").replace(" :", ":") + "."


def by_key(lexicon: Lexicon, form: int) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the words of all tables in one form, with the tables that arguments share joined."""
    said = {
        table: {
            key: tuple(
                dict.fromkeys((w.split("#") * form)[form - 1] if "#" in w else w for w in ws)
            )
            for key, ws in values.items()
        }
        for table, values in lexicon.words.items()
    }
    for argument, tables in TABLES.items():
        said[argument] = {}
        for table in reversed(tables):
            said[argument] |= said[table]
    return said


def timed(work, records: list) -> float:
    start = time.perf_counter()
    for record in records:
        work(record)
    return time.perf_counter() - start


def test_rendering(record) -> None:
    grammar, loop, composer = packaged_grammar(), JinjaLoop(), Composer()
    tiles = [tile_claims(seed, tile=f"tile{seed}", confidence=1.0) for seed in range(TILES)]
    claims = [claim for tile in tiles for claim in tile if loop.known(claim)]
    assert len({claim.predicate for claim in claims}) >= 0.9 * len(predicates())

    records, salt = loop.records(claims), Draw("en", "0", "sentence0").below(1 << 64)

    def ours(claim: Claim) -> str:
        return grammar.sentence(claim, Draw.salted(salt, claim.id))

    for _ in range(3):
        for claim, said in zip(claims, records, strict=True):
            for text in (ours(claim), loop.sentence(said)):
                assert len(text) in grammar.sentence_ends(claim, text, [0]), text
    pairs = [(timed(loop.sentence, records), timed(ours, claims)) for _ in range(ROUNDS)]
    ratios = sorted(peer / own for peer, own in pairs)
    rate = len(claims) / statistics.median(own for _, own in pairs)
    facts = [tile_facts(tile) for tile in tiles]
    whole, count = [], 0
    for _ in range(ROUNDS):
        start = time.perf_counter()
        count = sum(len(composer.texts(*pair)) for pair in zip(tiles, facts, strict=True))
        whole.append(time.perf_counter() - start)
    tile_s = statistics.median(whole) / TILES
    record(
        "rendering",
        claims=len(claims),
        ratio=f"{statistics.median(ratios):.2f}",
        low=f"{ratios[0]:.2f}",
        high=f"{ratios[-1]:.2f}",
        rounds=ROUNDS,
        records_per_s=f"{rate:.0f}",
        texts_per_tile=f"{count / TILES:.1f}",
        texts_per_s=f"{count / TILES / tile_s:.0f}",
        hours_120000_2_cores=f"{IMAGES * tile_s / 3600 / 2:.3f}",
        hours_120000_64_cores=f"{IMAGES * tile_s / 3600 / 64:.4f}",
    )
