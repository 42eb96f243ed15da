"""Claims by hand: for every predicate of docs/evidence.md, with every kind of value."""

from __future__ import annotations

import functools
import random
import re
from pathlib import Path

from sarknowlip.annotate.claim import Argument, Claim
from sarknowlip.annotate.geometry import WINDS
from sarknowlip.annotate.grammar import packaged_grammar
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.masks import encode_mask
from sarknowlip.knowledge.vocabulary import COVERS, FUNCTIONS, OBJECTS

PAGE = Path(__file__).parents[3] / "docs" / "evidence.md"
NAMES = ("Westhaven", "St. Mary's Dock", "Île-aux-Moines", "Åland 7", "")


@functools.cache
def predicates() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return dimension and arguments of each predicate in the table of claims."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    table = PAGE.read_text("utf-8").partition("| stage | predicate | arguments |")[2]
    stage = ""
    for line in table.partition("\n\n")[0].splitlines()[2:]:
        first, names, arguments = (cell.strip() for cell in line.split("|")[1:4])
        stage = first or stage
        kept = re.sub(r"\([^)]*\)|:.*", "", arguments)
        listed = tuple(name for name in re.findall(r"\w+", kept))
        for name in names.split(", "):
            found[name] = stage, listed
    return found


def value(argument: str, rng: random.Random) -> Argument:
    """Return a random value of an argument."""
    unit = argument.rpartition("_")[2]
    choices: dict[str, tuple[Argument, ...]] = {
        "function": FUNCTIONS,
        "cover": tuple(COVERS.values()),
        "kind": OBJECTS,
        "direction": WINDS,
        "rank": tuple(range(1, 9)),
        "name": NAMES[:-1],
        "country": ("Finland", "Côte d'Ivoire"),
        "main": (*FUNCTIONS, *COVERS.values(), "bright_structure"),
        "second": (*FUNCTIONS, "", "land"),
        "polarization": ("VV", "HH"),
    }
    if argument in choices:
        return rng.choice(choices[argument])
    if unit == "pct":
        return rng.randint(1, 99)
    if unit == "count":
        return rng.choice((1, 2, 3, 7, 12, 13, 40))
    if unit == "deg":
        return 5 * rng.randrange(36)
    if unit == "db":
        return rng.choice((round(rng.uniform(-25, 3), 1), rng.randint(3, 30)))
    if unit == "m":
        return rng.choice((5, 10, 85, 400, 1000, 1240, 2350))
    if unit == "km":
        return rng.choice((0.4, 1.0, 12.0, 7.3))
    if unit == "ratio":
        return rng.choice((1.5, 2.0, 3.0, 4.2))
    return rng.choice(packaged_grammar().words.values(argument))


def thing(role: str, rng: random.Random) -> dict[str, Argument]:
    """Return the arguments that name a thing."""
    kind = rng.choice((*FUNCTIONS[:20], *OBJECTS, "ship", "target", "suburb"))
    parts = ("", *packaged_grammar().lexicon.words["part"])
    return {
        role: f"object/{rng.randrange(99):02d}",
        f"{role}_kind": kind,
        f"{role}_name": rng.choice(NAMES),
        f"{role}_part": rng.choice(parts),
    }


def make_claim(
    predicate: str, rng: random.Random, *, tile: str = "tile", confidence: float | None = None
) -> Claim:
    """Return a claim of a predicate with random arguments."""
    dimension, names = predicates()[predicate]
    arguments: dict[str, Argument] = {}
    for name in names:
        if name in ("A", "B"):
            arguments |= thing(name.lower(), rng)
        else:
            arguments[name] = value(name, rng)
    if predicate in ("more_of", "more_objects"):
        table = OBJECTS if predicate == "more_objects" else FUNCTIONS
        arguments["more"], arguments["less"] = rng.sample(table, 2)
    if predicate == "cross_ratio":
        arguments["polarization"] = rng.choice(("VH/VV", "HV/HH"))
    return Claim.of(
        tile, dimension, predicate, arguments,
        confidence=rng.choice((0.5, 0.75, 0.95, 1.0)) if confidence is None else confidence,
        stage=dimension, stage_version="1", rule="r", evidence_ids=[f"{rng.random()}"],
    )  # fmt: skip


def tile_claims(seed: int, tile: str = "tile", confidence: float | None = None) -> list[Claim]:
    """Return a claim of each predicate."""
    rng = random.Random(seed)
    return [make_claim(name, rng, tile=tile, confidence=confidence) for name in predicates()]


def tile_facts(claims: list[Claim]) -> list[Evidence]:
    """Return facts that place the things of claims, with boxes and masks."""
    import numpy as np

    facts = []

    def fact(subject: str, predicate: str, **more: object) -> None:
        given = {"unit": "1", "source": "s", "source_version": "1", "confidence": 1.0}
        facts.append(Evidence.of("tile", subject, predicate, **given | more))

    fact("image", "rows", value=96)
    fact("image", "columns", value=96)
    for claim in claims:
        for role in ("a", "b"):
            if f"{role}_kind" in claim.arguments:
                subject = str(claim.arguments[role])
                place = int(subject.rpartition("/")[2]) % 80
                mask = np.zeros((96, 96), bool)
                mask[place : place + 5, 3 : 9 + place // 10] = True
                fact(
                    subject, "kind", label=str(claim.arguments[f"{role}_kind"]),
                    bbox_px=(3, place, 9 + place // 10, place + 5), mask_rle=encode_mask(mask),
                )  # fmt: skip
                fact(subject, "column", value=4)
                fact(subject, "row", value=place + 1)
        for argument, prefix in (("surface", ""), ("cover", "cover/"), ("function", "function/")):
            if {argument, "share_pct"} <= set(claim.arguments):
                mask = np.zeros((96, 96), bool)
                mask[: int(claim.arguments["share_pct"]) * 96 // 100 + 1] = True
                fact(
                    f"{prefix}{claim.arguments[argument]}", "share", value=0.5,
                    mask_rle=encode_mask(mask),
                )  # fmt: skip
    return facts
