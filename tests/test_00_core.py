"""Rung 0: atomic files, digests, lazy tables, one-line errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError, SarKnowlipError, StorageError
from sarknowlip.core.files import (
    TEMPORARY,
    exclusive,
    read_json,
    remove_partials,
    replacing,
    write_bytes,
)
from sarknowlip.core.hashing import digest, tree_sha256, unit_interval
from sarknowlip.core.lazy import LazyTable

SCALARS = st.none() | st.booleans() | st.integers() | st.text()


@given(st.dictionaries(st.text(), SCALARS))
def test_digest_ignores_key_order(value: dict[str, object]) -> None:
    assert digest(value) == digest(dict(reversed(list(value.items()))))


@given(st.text(), st.text())
def test_unit_interval_separates_its_parts(a: str, b: str) -> None:
    assert 0.0 <= unit_interval(a, b) < 1.0
    if b:
        assert unit_interval(a, b) != unit_interval(a + b)


def test_tree_digest_depends_on_names_and_contents(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("x")
    second.write_text("y")
    before = tree_sha256(tmp_path, [first, second])
    assert before == tree_sha256(tmp_path, [second, first])
    second.write_text("z")
    assert tree_sha256(tmp_path, [first, second]) != before
    second.rename(tmp_path / "c")
    (tmp_path / "c").write_text("y")
    assert tree_sha256(tmp_path, [first, tmp_path / "c"]) != before


def test_write_bytes_leaves_equal_files_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    assert write_bytes(path, b"one")
    os.utime(path, (1, 1))
    assert not write_bytes(path, b"one")
    assert path.stat().st_mtime == 1
    assert write_bytes(path, b"two")
    assert path.read_bytes() == b"two"


def test_replacing_keeps_the_old_file_on_failure(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["file"]


def test_unwritable_target_is_one_line_with_a_way_out(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*below.*; free space") as caught:
        write_bytes(blocker / "below", b"x")
    assert "\n" not in str(caught.value)


def test_full_disk_is_a_storage_error_and_leaves_nothing() -> None:
    """/dev/full answers every write with ENOSPC; a tiny file-size limit does the same to a file."""
    code = (
        "import resource, signal, pathlib, sys\n"
        "from sarknowlip.core.files import write_bytes\n"
        "from sarknowlip.core.errors import StorageError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "path = pathlib.Path(sys.argv[1]) / 'big'\n"
        "try:\n    write_bytes(path, bytes(100_000))\n"
        "except StorageError as error:\n    print(error)\n"
        "print(sorted(p.name for p in path.parent.iterdir()))\n"
    )
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code, folder], capture_output=True, text=True, check=True
        )
    first, second = done.stdout.splitlines()
    assert first.startswith("cannot write")
    assert "File too large" in first
    assert second == "[]"


def test_partials_are_swept(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / f"{TEMPORARY}xyz.tif").write_text("")
    (tmp_path / "a" / "tile.tif").write_text("")
    assert remove_partials(tmp_path, deep=False) == 0
    assert remove_partials(tmp_path) == 1
    assert (tmp_path / "a" / "tile.tif").exists()


def test_exclusive_refuses_a_second_holder(tmp_path: Path) -> None:
    with (
        exclusive(tmp_path / "lock"),
        pytest.raises(SarKnowlipError, match="another process"),
        exclusive(tmp_path / "lock"),
    ):
        pass
    with exclusive(tmp_path / "lock"):
        pass


def test_broken_json_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{")
    with pytest.raises(SarKnowlipError, match=r"x\.json.*; do this"):
        read_json(path, "do this")


def test_lazy_table_resolves_names_and_targets() -> None:
    table = LazyTable("thing", {"path": "pathlib:Path"})
    assert table["path"] is Path
    assert table["collections:Counter"].__name__ == "Counter"
    assert list(table) == ["path"]
    with pytest.raises(ConfigError, match="unknown thing 'no'; choose one of: path"):
        table["no"]
    with pytest.raises(ConfigError, match="cannot load thing"):
        table["pathlib:Nothing"]


def test_config_is_frozen_and_strict() -> None:
    class Point(Config):
        x: int = 0

    assert Point(x=1).digest() != Point().digest()
    with pytest.raises(ValueError, match="frozen"):
        Point().x = 2  # type: ignore[misc]
    with pytest.raises(ValueError, match="Extra inputs"):
        Point(y=1)  # type: ignore[call-arg]
