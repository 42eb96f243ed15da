"""Rung 9: the command line: its surface is frozen, errors are one line, JSON is JSON."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from affine import Affine
from rich.console import Console

from data.geotiff.make import make_geotiff
from sarknowlip.annotate.truth.report import TruthTally, Verdict
from sarknowlip.cli import app
from sarknowlip.cli.annotate import _truth_table
from sarknowlip.cli.output import emit

SURFACE = {
    "quickstart": {"--out", "--input", "--json"},
    "simulate": {
        "--out", "--city", "--osm", "--sensor", "--seed", "--size-km", "--orbit-state", "--look",
        "--incidence", "--polarizations", "--covariance", "--change", "--relations", "--set",
        "--workers", "--json",
    },
    "corpus build": {
        "inputs", "--out", "--tile-px", "--gsd", "--placement", "--block-km", "--max-nodata",
        "--quantity", "--units", "--polarizations", "--crs", "--dem", "--dem-geoid-m",
        "--keep-noise", "--speckle", "--looks", "--workers", "--json",
    },
    "corpus validate": {"corpus", "--json"},
    "corpus stats": {"corpus", "--texts", "--version", "--json"},
    "corpus export": {"corpus", "--out", "--format", "--json"},
    "corpus shards": {"corpus", "--version", "--workers", "--json"},
    "annotate": {
        "corpus", "--writer", "--osm", "--landcover", "--dem", "--dem-geoid-m", "--water",
        "--endpoint", "--model", "--language", "--set", "--workers", "--json",
    },
    "verify": {
        "corpus", "--version", "--truth", "--osm", "--landcover", "--dem", "--dem-geoid-m",
        "--water", "--workers", "--json",
    },
    "describe": {"tile", "--corpus", "--version", "--trace", "--json"},
    "train": {"recipe", "--data", "--out", "--resume", "--set", "--json"},
    "scio run": {"recipe", "--data", "--out", "--trusted", "--resume", "--set", "--json"},
    "scio report": {"out", "--data", "--json"},
    "scio diff": {"corpus", "before", "after", "--shown", "--json"},
    "scio rollback": {"corpus", "version", "--json"},
    "scio corrupt": {
        "corpus", "--ledger", "--version", "--share", "--kind", "--level", "--split", "--seed",
        "--workers", "--json",
    },
    "bench run": {
        "--out", "--suite", "--data", "--tasks", "--sets", "--models", "--seeds", "--batch-size",
        "--workers", "--json",
    },
    "bench report": {"out", "--json"},
    "bench list": {"--data", "--json"},
    "bench corpus": {
        "corpus", "--out", "--task", "--model", "--annotations", "--baseline", "--batch-size",
        "--json",
    },
    "info": {"--json"},
}  # fmt: skip
"""Verbs and their options; a change here is one of the public interface: CHANGELOG says so."""


def surface(command: Any, name: str = "") -> dict[str, set[str]]:
    if hasattr(command, "commands"):
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
    told = json.loads(run("corpus", "stats", corpus, "--texts", "--json").stdout)
    assert told["tiles"] > 0
    assert told["sentences"]["unique_share"] > 0
    tile = next((corpus / "tiles").rglob("*.tif"))
    done = run("describe", tile, "--trace")
    assert done.returncode == 0, done.stderr
    assert "confidence" in done.stdout
    told = json.loads(run("describe", tile.stem, "--corpus", corpus, "--trace", "--json").stdout)
    assert told["texts"]
    assert all(reason["evidence"] or reason["premises"] for reason in told["claims"])
    ledger = tmp_path / "ledger.parquet"
    done = run("scio", "corrupt", corpus, "--ledger", ledger, "--level", "sentence", "--json")
    planted = json.loads(done.stdout)
    assert planted["version"] == "v0002"
    told = json.loads(run("scio", "diff", corpus, "v0001", "v0002", "--json").stdout)
    assert told["hows"] == {"changed": sum(planted["planted"].values())}
    assert "changed" in run("scio", "diff", corpus, "v0001", "v0002").stdout
    assert json.loads(run("scio", "rollback", corpus, "v0001", "--json").stdout) == {
        "version": "v0003"
    }


def test_verdicts_of_truth_are_a_table() -> None:
    tally = TruthTally()
    key = "function", "function_appearances"
    tally.tiles[True] = 3
    for right in (True, True, False, None):
        tally.verdict(key, Verdict(right), "")
    for is_said in (True, False, False, False):
        tally.truth(key, is_said, "")
    screen = Console(width=80, record=True, file=io.StringIO())
    screen.print(_truth_table(tally.report()))
    lines = [line.split() for line in screen.export_text().splitlines()]
    rows = {name: told for name, *told in filter(None, lines)}
    told = ["2", "1", "1", "0.667", "4", "1", "0.250"]
    assert rows["all"] == rows["function"] == rows["function_appearances"] == told


@pytest.mark.parametrize("verb", [("corpus", "build", "i", "--out", "c"), ("annotate", "c"),
                                  ("verify", "c"), ("simulate", "--out", "s")])  # fmt: skip
def test_there_is_one_worker_at_least(verb: tuple[str, ...]) -> None:
    done = run(*verb, "--workers", "0")
    assert done.returncode == 2
    assert "--workers" in done.stderr


def test_the_example_in_the_help_of_simulate_works(tmp_path: Path) -> None:
    done = run("simulate", "--city", "Lagos", "--size-km", "1", "--sensor", "gaofen3-fsii", "--set",
               "world.relief_m=30", "--set", "view.conditions.wind_speed=9", "--out", tmp_path,
               "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    asked = json.loads((tmp_path / "simulation.json").read_text())["config"]
    assert asked["world"]["relief_m"] == 30
    assert asked["views"][0]["conditions"]["wind_speed"] == 9
    assert Path(json.loads(done.stdout)["products"][0]).is_file()


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
        (["describe", "x", "--corpus", "absent"], "absent has no annotations"),
        (["describe", "file"], "file lies in no corpus; name its tile and --corpus"),
        (["annotate", "c", "--writer", "bard"], "invalid option writer"),
        (["annotate", "c", "--writer", "vlm"], "needs --endpoint and --model"),
        (["annotate", "c", "--model", "m"], "are for --writer vlm"),
        (["annotate", "c", "--set", "writer.mos=3"], "unknown setting 'writer.mos'"),
        (["train", "tiny", "--data", "absent", "--out", "r"], "no corpus at absent"),
        (["scio", "nano", "--data", "absent", "--out", "l"], "no corpus at absent"),
        (["scio", "run", "mega", "--data", "in", "--out", "l"], "unknown closed loop 'mega'"),
        (["scio", "nano", "--data", "in", "--out", "l", "--set", "a=1"], "unknown setting 'a'"),
        (["scio", "report", "in", "--data", "absent"], "in holds no finished round"),
        (["scio", "corrupt", "absent", "--ledger", "l", "--kind", "x"], "option kinds.0: "),
        (["scio", "corrupt", "absent", "--ledger", "l", "--split", "x"], "option splits.0: "),
        (["bench", "corpus", "absent", "--task", "chess", "--out", "b"], "unknown task 'chess'"),
        (["bench", "run", "--tasks", "chess", "--out", "b"], "unknown task 'chess'"),
        (
            ["bench", "run", "--models", "deep-thought", "--out", "b"],
            "unknown model 'deep-thought'",
        ),
        (["bench", "run", "--sets", "moon", "--out", "b"], "unknown data set 'moon'"),
        (["bench", "run", "--suite", "maxi", "--out", "b"], "no suite 'maxi'; choose one of: mini"),
        (["bench", "run", "--seeds", "a", "--out", "b"], "no seeds: 'a'"),
        (["bench", "run", "--sets", "mstar", "--tasks", "change", "--out", "b"], "none of the cho"),
        (["bench", "run", "--sets", "mstar", "--tasks", "few-shot", "--out", "b"], "get it from"),
        (["bench", "run", "--data", "absent", "--out", "b"], "no data set for these tasks in abs"),
        (["bench", "report", "absent"], "no cells in absent; run `sarknowlip bench run` first"),
        (["quickstart", "--input", "absent", "--out", "q"], "no such input: absent"),
        (["quickstart", "--out", "file/q"], "cannot write file/q"),
        (["corpus", "build", "in", "--out", "file/c"], "cannot write file/c/.build/lock: Not a di"),
        (["simulate", "--out", "s"], "nothing to simulate; name a --city or an --osm extract"),
        (["simulate", "--city", "Rom", "--out", "s"], "the gazetteer has no 'Rom'; perhaps"),
        (["simulate", "--city", "Rome", "--sensor", "x", "--out", "s"], "no simulated sensor 'x'"),
        (["simulate", "--city", "Rome", "--set", "view.x=1", "--out", "s"], "unknown setting"),
        (["simulate", "--city", "Rome", "--change", "flood=1", "--out", "s"], "invalid change flo"),
        (["simulate", "--city", "Rome", "--set", "truth_gsd_m=abc", "--out", "s"], "truth_gsd_m"),
        (["simulate", "--city", "Rome", "--set", "view.tile_px=1000000", "--out", "s"], "tile_px"),
        (["simulate", "--city", "Rome", "--set", "later_days=1e9", "--out", "s"], "later_days"),
        (["simulate", "--city", "Rome", "--set", "view.start=1600-01-01", "--out", "s"], "out of"),
        (["simulate", "--osm", "absent.pbf", "--out", "s"], "absent.pbf"),
        (["simulate", "--osm", "file", "--out", "s"], "file"),
        (["simulate", "--city", "Rome", "--size-km", "99", "--out", "s"], "invalid option size_km"),
        (["train", "os:getcwd", "--data", "in", "--out", "r"], "os:getcwd gives no TrainConfig"),
    ],
)
def test_errors_are_one_line(arguments, expected: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no folder")
    make_geotiff(tmp_path / "in" / "scene.tif", shape=(64, 64))
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
    assert run("annotate", copy, "--json").returncode == 0
    done = run("verify", copy, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["unread"] == 1
    done = run("verify", copy, "--osm", "absent.osm.pbf")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line == "error: osm: absent.osm.pbf is not there; check the path"


def test_rejections_are_one_line_whatever_the_name(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100) / "a[" / "b]"
    make_geotiff(folder / "good.tif", shape=(130, 130))
    (folder / "zero.tif").write_bytes(b"")
    done = run("corpus", "build", folder, "--out", tmp_path / "c", "--tile-px", "64")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("rejected")]
    assert line.startswith(f"rejected zero.tif: {folder}/zero.tif is empty (0 bytes)")


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_says_how_to_go_on(workers: int, tmp_path: Path) -> None:
    for index in range(4):
        place = Affine(10, 0, 500_000 + 9000 * index, 0, -10, 4_700_000)
        make_geotiff(tmp_path / "in" / f"s{index}.tif", shape=(450, 450), transform=place)
    command = [sys.executable, "-m", "sarknowlip", "corpus", "build", str(tmp_path / "in"), "--out",
               str(tmp_path / "c"), "--tile-px", "64", "--workers", str(workers)]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while process.poll() is None and not list((tmp_path / "c").glob("tiles/*/*/*.tif")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.rstrip().endswith("interrupted; run the same command again to go on")
    assert "Traceback" not in said
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert run("corpus", "validate", tmp_path / "c").returncode == 0


def test_tables_are_for_people_and_json_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"share": 1 / 3, "area": 123456.7, "claims": {"a": {"n": 1}, "b": {"n": 2}}}
    emit(value, False, "title")
    table = capsys.readouterr().out
    assert "0.3333 " in table
    assert "123457 " in table
    assert [line for line in table.splitlines() if "a: n: 1" in line and "b:" not in line]
    emit(value, True, "title")
    assert json.loads(capsys.readouterr().out) == value
