"""Rung 4: annotating with all sources, killed at any moment or with the disk full."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.geotiff.make import make_geotiff
from data.knowledge.make import GRID, make_options
from sarknowlip.annotate import pipeline
from sarknowlip.annotate.pipeline import annotate
from sarknowlip.annotate.store import EVIDENCE, MANIFEST, versions
from sarknowlip.annotate.tile import AnnotateConfig
from sarknowlip.core.hashing import file_sha256
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.catalog import ANNOTATIONS
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.geo.grid import GridConfig

CHUNK = 2
PROGRAM = """
import resource, signal, sys
from pathlib import Path
from sarknowlip.annotate import pipeline
from sarknowlip.core.errors import SarKnowlipError
pipeline.CHUNK = 2
if __name__ == "__main__":
    limit = int(sys.argv[4])
    if limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    config = pipeline.AnnotateConfig.model_validate_json(sys.argv[2])
    try:
        pipeline.annotate(Path(sys.argv[1]), config, workers=int(sys.argv[3]))
    except SarKnowlipError as error:
        sys.exit(f"told: {error}")
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, AnnotateConfig]:
    """Return a corpus, and a recipe of all sources without a cache."""
    folder = tmp_path_factory.mktemp("resume")
    make_geotiff(folder / "in" / "s.tif", shape=GRID.shape, transform=GRID.affine)
    config = BuildConfig(grid=GridConfig(tile_px=64), split=SplitConfig(block_km=1.0))
    build([folder / "in"], folder / "corpus", config)
    (folder / "program.py").write_text(PROGRAM)
    return folder / "corpus", AnnotateConfig(options=make_options(folder))


def with_cache(config: AnnotateConfig, root: Path) -> AnnotateConfig:
    options = config.options.model_copy(update={"cache": root / ANNOTATIONS / ".cache"})
    return config.model_copy(update={"options": options})


def start(root: Path, config: AnnotateConfig, workers: int, limit: int = 0) -> subprocess.Popen:
    program = [sys.executable, "program.py", str(root), with_cache(config, root).model_dump_json()]
    return subprocess.Popen(
        [*program, str(workers), str(limit)], cwd=root.parent, start_new_session=True,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def copied(made: tuple[Path, AnnotateConfig], folder: Path, name: str) -> Path:
    shutil.copy(made[0].parent / "program.py", folder)
    return shutil.copytree(made[0], folder / name)


def content(root: Path) -> dict[str, str]:
    """Return digests of the tables; the manifest tells where the cache lay."""
    (version,) = versions(root)
    return {p.name: file_sha256(p) for p in version.iterdir() if p.name != MANIFEST}


@pytest.fixture(scope="module")
def whole(made: tuple[Path, AnnotateConfig], tmp_path_factory) -> Path:
    """Return the corpus annotated at one go on one process."""
    root = copied(made, tmp_path_factory.mktemp("whole"), "corpus")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "CHUNK", CHUNK)
        annotate(root, with_cache(made[1], root))
    return root


def test_kill_nine_of_all_processes_at_any_time(made, whole: Path, tmp_path: Path) -> None:
    """Killed while the map is indexed, facts are cached, or tables are joined."""
    root, chance = copied(made, tmp_path, "corpus"), random.Random(3)
    killed, marks = 0, (".cache/.partial*", ".cache/evidence.sqlite", ".build/*/*/*.parquet")
    for mark in marks:
        process = start(root, made[1], workers=2)
        while process.poll() is None and not list((root / ANNOTATIONS).glob(mark)):
            time.sleep(0.001)
        time.sleep(chance.uniform(0.0, 0.05))
        os.killpg(process.pid, signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        assert versions(root) == [] or content(root) == content(whole)
    assert killed >= 2
    assert start(root, made[1], workers=2).wait() == 0
    assert content(root) == content(whole)
    assert not list(root.rglob(".partial-v*"))


def test_a_full_disk_at_each_stage(made, whole: Path, tmp_path: Path) -> None:
    """No file may grow beyond a limit: the index, the cache, a chunk, the joined tables."""
    cache = whole / ANNOTATIONS / ".cache"
    (index,) = cache.glob("map-*")
    joined = (versions(whole)[0] / EVIDENCE).stat().st_size
    for name, limit, kept in (
        ("index", index.stat().st_size // 2, False),
        ("chunk", 2000, True),
        ("joined", joined - 100, True),
    ):
        root = copied(made, tmp_path, name)
        if kept:
            place = root / ANNOTATIONS / ".cache"
            place.mkdir(parents=True)
            shutil.copy(index, place)
        process = start(root, made[1], 1, limit)
        _, told = process.communicate()
        lines = [line for line in told.splitlines() if line.startswith("told: ")]
        assert process.returncode == 1, f"{name}: {told}"
        assert len(lines) == 1, f"{name}: {told}"
        assert "Traceback" not in told
        assert str(root) in lines[0], f"{name}: the file is named"
        assert not list(root.rglob(".partial-*"))
        assert versions(root) == []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pipeline, "CHUNK", CHUNK)
            annotate(root, with_cache(made[1], root))
        assert content(root) == content(whole)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
