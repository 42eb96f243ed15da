"""Rung 9: the command line: its surface is frozen, errors are one line, JSON is JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer

from data.geotiff.make import make_geotiff
from sarknowlip.cli import app

SURFACE = {
    "quickstart": {"--out", "--input", "--json"},
    "corpus build": {
        "inputs", "--out", "--tile-px", "--gsd", "--placement", "--block-km", "--max-nodata",
        "--quantity", "--units", "--polarizations", "--crs", "--dem", "--dem-geoid-m",
        "--keep-noise", "--speckle", "--looks", "--workers", "--json",
    },
    "corpus validate": {"corpus", "--json"},
    "corpus stats": {"corpus", "--json"},
    "corpus export": {"corpus", "--out", "--format", "--json"},
    "annotate": {"corpus", "--language", "--workers", "--json"},
    "verify": {"corpus", "--version", "--json"},
    "train": {"recipe", "--data", "--out", "--resume", "--set", "--json"},
    "bench run": {
        "task", "--data", "--model", "--out", "--annotations", "--baseline", "--batch-size",
        "--json",
    },
    "bench list": {"--json"},
    "info": {"--json"},
}  # fmt: skip
"""Verbs and their options; a change here is one of the public interface: CHANGELOG says so."""


def surface(command: click.Command, name: str = "") -> dict[str, set[str]]:
    if isinstance(command, click.Group) or hasattr(command, "commands"):
        found: dict[str, set[str]] = {}
        for child, inner in command.commands.items():
            found |= surface(inner, f"{name} {child}".strip())
        return found
    names = set()
    for parameter in command.params:
        longest = max(parameter.opts, key=len)
        if longest != "--help":
            names.add(longest)
    return {name: names}


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sarknowlip", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_surface_is_frozen() -> None:
    assert surface(typer.main.get_command(app)) == SURFACE


def test_help_is_light() -> None:
    code = (
        "import sys; sys.argv = ['sarknowlip', '--help']\n"
        "from sarknowlip.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted(set(sys.modules) & {'torch', 'rasterio', 'pandas'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
    assert "quickstart" in done.stdout


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    make_geotiff(folder / "in" / "scene.tif", shape=(300, 300))
    done = run("corpus", "build", folder / "in", "--out", folder / "corpus", "--tile-px", "64",
               "--block-km", "1", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["scenes"] == 1
    return folder / "corpus"


def test_verbs_of_a_corpus(corpus: Path, tmp_path: Path) -> None:
    done = run("corpus", "validate", corpus)
    assert done.returncode == 0
    assert "0 problems" in done.stdout
    assert json.loads(run("corpus", "stats", corpus, "--json").stdout)["scenes"] == 1
    assert "counts" in run("corpus", "stats", corpus).stdout
    done = run("corpus", "export", corpus, "--format", "geojson", "--out", tmp_path / "t.json")
    assert done.returncode == 0
    assert json.loads((tmp_path / "t.json").read_text())["features"]
    done = run("annotate", corpus, "--json")
    assert json.loads(done.stdout)["version"] == "v0001"
    done = run("verify", corpus, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["claim_precision"] == 1.0


def test_info_lists_what_there_is() -> None:
    values = json.loads(run("info", "--json").stdout)
    assert "sentinel1-safe" in values["sensors"]
    assert "retrieval" in values["tasks"]
    assert values["torch"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["corpus", "build", "absent", "--out", "c"], "no such input: absent; check the path"),
        (["corpus", "build", ".", "--out", "c", "--tile-px", "7"], "tile_px=7 is outside"),
        (["corpus", "build", ".", "--out", "c", "--placement", "x"], "invalid option grid.placem"),
        (["corpus", "validate", "absent"], "no corpus at absent"),
        (["annotate", "absent"], "no corpus at absent"),
        (["verify", "absent"], "no corpus at absent"),
        (["train", "tiny", "--data", "absent", "--out", "r"], "no corpus at absent"),
        (["bench", "run", "chess", "--data", "absent", "--out", "b"], "unknown task 'chess'"),
        (["quickstart", "--input", "absent", "--out", "q"], "no such input: absent"),
    ],
)
def test_errors_are_one_line(arguments, expected: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert expected in lines[0]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_problem_in_a_corpus_sets_the_exit_code(corpus: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(corpus, tmp_path / "copy")
    next((copy / "tiles").rglob("*.tif")).unlink()
    done = run("corpus", "validate", copy)
    assert done.returncode == 1
    assert "is absent" in done.stderr
