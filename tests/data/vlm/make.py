"""Tiles to write about, answers that a model might give, and the scripted server in its process."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.tiles.make import coast
from data.vlm.server import tile_key
from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.tile import AnnotateConfig, TileAnnotator
from sarknowlip.annotate.writers import Subject
from sarknowlip.annotate.writers.vlm.config import VlmConfig
from sarknowlip.annotate.writers.vlm.prompt import Prompts
from sarknowlip.annotate.writers.vlm.schema import asked
from sarknowlip.core.files import read_json_lines


def make_subjects(count: int) -> list[Subject]:
    """Return drawn coasts with their facts and claims, each with other speckle."""
    annotator = TileAnnotator(AnnotateConfig())
    found = []
    for seed in range(count):
        tile, _ = coast(seed=seed, size=96)
        evidence = annotator.evidence(tile)
        found.append(Subject(tile, evidence, annotator.derive(tile.id, evidence)))
    return found


def as_answered(claim: Claim) -> dict[str, Any]:
    """Return a derived claim as a model would state it."""
    names = asked(frozenset(claim.arguments))
    return {"predicate": claim.predicate} | {name: claim.arguments[name] for name in names}


def content(claims: list[Any]) -> str:
    return json.dumps({"claims": claims})


def key_of(subject: Subject) -> str:
    """Return what the script calls a tile."""
    prompts = Prompts(VlmConfig(endpoint="http://127.0.0.1/v1", model="scripted"))
    return tile_key(prompts.ask(subject)[1]["content"][1]["text"])


class Scripted:
    """The running server: its address, and what it logged."""

    def __init__(self, port: str, log: Path) -> None:
        self.url, self._log = f"http://127.0.0.1:{port}/v1", log

    def events(self, event: str) -> list[dict[str, Any]]:
        lines = read_json_lines(self._log) if self._log.exists() else []
        return [line for line in lines if line["event"] == event]


@contextlib.contextmanager
def serving(folder: Path, script: dict[str, Any]) -> Iterator[Scripted]:
    """Run the scripted server with a script; its log lies in the folder."""
    file, log = folder / "script.json", folder / "server.jsonl"
    file.write_text(json.dumps(script), "utf-8")
    program = Path(__file__).with_name("server.py")
    command = [sys.executable, str(program), str(file), str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Scripted(process.stdout.readline().strip(), log)
        finally:
            process.kill()
