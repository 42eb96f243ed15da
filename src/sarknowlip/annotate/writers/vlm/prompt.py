"""What is said to a model: packaged prompts, versioned, filled with what is known of a tile."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Sequence
from importlib import resources
from string import Template
from typing import Any

from sarknowlip.annotate.grammar import packaged_grammar
from sarknowlip.annotate.stages import STAGES
from sarknowlip.annotate.things import things
from sarknowlip.annotate.words import TABLES
from sarknowlip.annotate.writers import Subject
from sarknowlip.annotate.writers.vlm import picture
from sarknowlip.annotate.writers.vlm.client import Message
from sarknowlip.annotate.writers.vlm.config import VlmConfig
from sarknowlip.annotate.writers.vlm.schema import claims_schema, predicate_list
from sarknowlip.core.hashing import bytes_sha256, digest
from sarknowlip.geo.grid import ground_sample_distance
from sarknowlip.knowledge.evidence import Evidence, Facts
from sarknowlip.sar.tile import TileImage

_MAY_BE_EMPTY = ("part", "second")
_THINGS = ("region/", "object/", "target/", "place/")


class Prompts:
    """Fills the prompts of one version.

    Args:
        config: Version, picture, whether facts are told.

    Attributes:
        predicates: Names of arguments by predicate, of all stages.
        schema: JSON schema of an answer.
    """

    def __init__(self, config: VlmConfig) -> None:
        self._config = config
        read = functools.partial(_read, config.prompts)
        self._ask, self._repair = Template(read("ask.md")), Template(read("repair.md"))
        self.predicates: dict[str, frozenset[str]] = {}
        for name in STAGES:
            self.predicates |= STAGES[name].predicates
        words = _words()
        meanings = json.loads(read("predicates.json"))
        self.schema: dict[str, Any] = claims_schema(self.predicates, words)
        self._system = Template(read("system.md")).substitute(
            predicates=predicate_list(self.predicates, words, meanings)
        )

    @property
    def digest(self) -> str:
        """Digest of all that is the same for every tile."""
        texts = [self._system, self._ask.template, self._repair.template]
        return digest([texts, self.schema, picture.VERSION])

    def ask(self, subject: Subject) -> list[Message]:
        """Return the conversation that asks for claims about a tile."""
        drawn = picture.draw(subject.tile, self._config.image_px)
        text = self._text(subject, drawn.description)
        url = "data:image/png;base64," + base64.b64encode(drawn.png).decode()
        return [
            {"role": "system", "content": self._system},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": url}},
                    {"type": "text", "text": text},
                ],
            },
        ]

    def repair(self, asked: list[Message], answer: str, rejected: str) -> list[Message]:
        """Return the conversation that asks once more for what was rejected."""
        text = self._repair.substitute(rejected=rejected)
        return [
            *asked,
            {"role": "assistant", "content": answer or "{}"},
            {"role": "user", "content": text},
        ]

    def key(self, subject: Subject, messages: list[Message]) -> str:
        """Return the digest of a question: pixels, texts, model and settings.

        The picture counts by the tile's pixels and map grid, not by its PNG, whose bytes depend on
        the libraries that draw it.
        """
        tile, config = subject.tile, self._config
        grid = [str(tile.geobox.crs), list(tile.geobox.affine)[:6], list(tile.db.shape)]
        texts = [
            [message["role"], message["content"][1]["text"]]
            if isinstance(message["content"], list)
            else [message["role"], message["content"]]
            for message in messages
        ]
        return digest(
            {
                "pixels": bytes_sha256(tile.db.tobytes()),
                "grid": grid,
                "picture": [picture.VERSION, config.image_px],
                "texts": texts,
                "schema": self.schema,
                "model": [config.model, config.temperature, config.max_tokens],
            }
        )

    def _text(self, subject: Subject, shown: str) -> str:
        tile, evidence = subject.tile, subject.evidence
        facts = _facts(evidence) if self._config.facts else "not told; look at the picture"
        return self._ask.substitute(
            picture=shown,
            acquisition=_acquisition(tile),
            things=_things(evidence) or "none",
            facts=facts or "none",
        )


def _words() -> dict[str, tuple[str, ...]]:
    """Return the values of each argument that has a closed list of them."""
    tables = packaged_grammar().lexicon.words
    found = {name: tuple(sorted(values)) for name, values in tables.items()}
    for name, shared in TABLES.items():
        found[name] = tuple(sorted({value for table in shared for value in tables[table]}))
    for name in _MAY_BE_EMPTY:
        found[name] = ("", *found[name])
    return found


def _acquisition(tile: TileImage) -> str:
    """Return one line a property of the tile that is known."""
    seen = tile.acquisition
    rows, columns = tile.geobox.shape
    width, height = ground_sample_distance(tile.geobox)
    incidence = None if seen.incidence_angle is None else f"{seen.incidence_angle:.1f}°"
    lines = {
        "size": f"{columns} x {rows} pixels, {columns * width:.0f} x {rows * height:.0f} m",
        "platform": seen.platform,
        "band": seen.frequency_band,
        "polarisations": ", ".join(seen.polarizations),
        "incidence angle": incidence,
        "orbit": seen.orbit_state,
        "looks to the": seen.observation_direction,
        "calibrated": "yes" if tile.radiometry.calibrated else "no",
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items() if value)


def _things(evidence: Sequence[Evidence]) -> str:
    """Return one line a thing: subject, kind, name, part of the image."""
    found = things(Facts(evidence), _THINGS)
    return "\n".join(f"{t.subject} | {t.kind} | {t.name or '-'} | {t.part}" for t in found)


def _facts(evidence: Sequence[Evidence]) -> str:
    """Return one line a fact: subject, predicate, value or label, unit."""
    lines = []
    for fact in Facts(evidence):
        value = fact.label if fact.value is None else f"{fact.value:.6g}"
        label = f" ({fact.label})" if fact.value is not None and fact.label else ""
        lines.append(f"{fact.subject} | {fact.predicate} | {value}{label} | {fact.unit}")
    return "\n".join(sorted(lines))


def _read(version: str, name: str) -> str:
    folder = resources.files("sarknowlip.annotate.writers.vlm").joinpath("prompts", version)
    return folder.joinpath(name).read_text("utf-8")
