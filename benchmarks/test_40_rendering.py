"""Rendering claims as sentences, beside a plain loop over compiled Jinja2 templates.

Peer: the same patterns as templates, precompiled, one drawn for each record; alternatives, words
and forms of numbers are drawn inside the template. What either writes must be a wording of its
claim (the recogniser accepts it) before anything is timed. Patterns that say a value only in one of
their alternatives are left out. Rounds are interleaved; the ratio is peer time
by our time. `texts` is a whole tile with all levels, from claims to records with identifiers.
"""

from __future__ import annotations

import json
import random
import re
import statistics
import sys
import time
from importlib import resources
from pathlib import Path

import jinja2

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from data.claims.make import predicates, tile_claims, tile_facts
from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.compose import Composer
from sarknowlip.annotate.grammar import packaged_grammar, told
from sarknowlip.annotate.pattern import Draw, Slot, compile_pattern

ROUNDS, TILES = 9, 40
IMAGES = 120_000
_PIECE = re.compile(r"\[|\]|\||\{[^{}]*\}|[^\[\]|{}]+")
_SLOT = re.compile(r"\{(\w+)(?::(\w+))?(?:\.(\d))?(?:\*(\w+))?(?:#([^#}]*)#([^#}]*))?\}")


def template_of(pattern: str, macros: dict[str, str]) -> str:
    """Return a pattern as Jinja source: alternatives drawn by `pick`, slots said by `say`."""
    while "<" in pattern:
        pattern = re.sub(r"<(\w+)>", lambda match: macros[match[1]], pattern)
    pieces = _PIECE.findall(pattern)
    depth, number, out, counts = [], 0, [], {}
    for piece in pieces:
        if piece == "[":
            number += 1
            depth.append(number)
            counts[number] = 1
            out.append(f"{{% set c{number} = pick(@{number}@) %}}{{% if c{number} == 0 %}}")
        elif piece == "|":
            out.append(f"{{% elif c{depth[-1]} == {counts[depth[-1]]} %}}")
            counts[depth[-1]] += 1
        elif piece == "]":
            depth.pop()
            out.append("{% endif %}")
        elif piece[0] == "{":
            given = ", ".join(repr(part or "") for part in _SLOT.fullmatch(piece).groups())
            out.append(f"{{{{ say({given}) }}}}")
        else:
            out.append(piece)
    source = "".join(out)
    for key, count in counts.items():
        source = source.replace(f"@{key}@", str(count))
    return source


class JinjaLoop:
    """Renders plain clauses by templates compiled once."""

    def __init__(self) -> None:
        folder = resources.files("sarknowlip.annotate").joinpath("lexicon", "en")
        self.grammar = packaged_grammar()
        self.rng = random.Random(0)
        environment = jinja2.Environment(autoescape=False)
        environment.globals["pick"] = self.rng.randrange
        macros = self.grammar.lexicon.macros
        self.templates = {}
        for part in folder.iterdir():
            sentences = json.loads(part.read_text("utf-8")).get("sentences", {})
            for predicate, patterns in sentences.items():
                for pattern in patterns:
                    template = environment.from_string(template_of(pattern, macros))
                    names = {line.names for line in compile_pattern(pattern, macros)}
                    if len(names) == 1:  # Others leave out a value where they should not.
                        self.templates.setdefault((predicate, *names), []).append(template)

    def known(self, claim: Claim) -> bool:
        return (claim.predicate, told(claim.arguments)) in self.templates

    def sentence(self, claim: Claim) -> str:
        choice, words, arguments = self.rng.choice, self.grammar.words, claim.arguments

        def say(name: str, table: str, form: str, noun: str, one: str, many: str) -> str:
            slot = Slot(name, table, int(form or 1), noun, (one, many) if one else ())
            return choice(words.ways(slot, arguments))

        template = choice(self.templates[claim.predicate, told(arguments)])
        said = " ".join(template.render(say=say).split()).replace(" ,", ",").replace(" :", ":")
        return said[0].upper() + said[1:] + "."


def timed(work, claims: list[Claim]) -> float:
    start = time.perf_counter()
    for claim in claims:
        work(claim)
    return time.perf_counter() - start


def test_rendering(record) -> None:
    grammar, loop, composer = packaged_grammar(), JinjaLoop(), Composer()
    tiles = [tile_claims(seed, tile=f"tile{seed}", confidence=1.0) for seed in range(TILES)]
    claims = [claim for tile in tiles for claim in tile if loop.known(claim)]
    assert len({claim.predicate for claim in claims}) >= 0.9 * len(predicates())

    def ours(claim: Claim) -> str:
        return grammar.sentence(claim, Draw("en", "0", "sentence", claim.id, "0"))

    for claim in claims:
        for text in (ours(claim), loop.sentence(claim)):
            assert len(text) in grammar.sentence_ends(claim, text, [0]), text
    pairs = [(timed(loop.sentence, claims), timed(ours, claims)) for _ in range(ROUNDS)]
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
