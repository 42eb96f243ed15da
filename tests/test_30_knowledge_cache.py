"""Rung 3: cached evidence is what the source would find, or it is found anew."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from data.tiles.make import PLACE, make_tile
from sarknowlip.core.errors import ConfigError
from sarknowlip.knowledge.cache import FILE, EvidenceCache, entry_key
from sarknowlip.knowledge.evidence import Evidence


class Counted:
    """A source that tells all it may look at, and counts how often it was asked."""

    name: ClassVar[str] = "counted"

    def __init__(self, looks_at: str = "known", version: str = "1") -> None:
        self.looks_at, self.version, self.asked = looks_at, version, 0

    def evidence(self, tile, known=()) -> list[Evidence]:
        self.asked += 1
        told = {"x": tile.geobox.affine.c, "size": tile.geobox.shape[0]}
        if self.looks_at != "nothing":
            told["heading"] = tile.acquisition.heading or 0.0
        if self.looks_at in ("pixels", "known"):
            told["mean"] = float(np.nan_to_num(tile.db).mean())
        if self.looks_at == "known":
            told["before"] = sum(fact.value or 0 for fact in known)
        return [fact(tile.id, subject=name, value=value) for name, value in told.items()]


def fact(tile_id="t", subject="s", value=1.0, label=None, **more) -> Evidence:
    given_ = {"unit": "1", "source": "counted", "source_version": "1", "confidence": 0.5} | more
    return Evidence.of(tile_id, subject, "is", value=value, label=label, **given_)


def tile_of(level=0.1, x=0, heading=0.0, name="tile"):
    tile = make_tile(
        np.full((1, 8, 8), level), transform=PLACE @ Affine.translation(x, 0), name=name
    )
    looking = tile.acquisition.model_copy(update={"heading": heading})
    return replace(tile, acquisition=looking)


tiles = st.builds(
    tile_of,
    st.sampled_from([0.1, 0.2, float("nan")]),
    st.integers(0, 2),
    st.sampled_from([0.0, 10.0]),
    st.sampled_from(["a", "b"]),
)
known_facts = st.lists(st.builds(fact, value=st.sampled_from([1.0, 2.0])), max_size=2).map(tuple)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["nothing", "acquisition", "pixels", "known"]),
            st.sampled_from(["1", "2"]),
            tiles,
            known_facts,
        ),
        min_size=1,
        max_size=12,
    )
)
def test_cached_is_fresh_whatever_was_asked_before(tmp_path_factory, calls) -> None:
    cache = EvidenceCache(tmp_path_factory.mktemp("cache"))
    for looks_at, version, tile, known in calls:
        for _ in range(2):
            source = Counted(looks_at, version)
            assert cache.evidence(source, tile, known) == Counted(looks_at, version).evidence(
                tile, known
            )
        assert source.asked == 0, "the second time it is there"
    cache.close()


@given(
    st.lists(
        st.builds(
            fact,
            value=st.one_of(st.none(), st.floats(-1e9, 1e9)),
            label=st.text(max_size=9),
            unit=st.sampled_from(["m", "class"]),
            source_time=st.one_of(st.none(), st.just("2021-01-01T00:00:00Z")),
            bbox_px=st.one_of(st.none(), st.just((0, 1, 2, 3))),
            mask_rle=st.one_of(st.none(), st.text("0123o\\", max_size=9)),
        ),
        max_size=5,
    )
)
@settings(max_examples=40, deadline=None)
def test_facts_come_back_as_they_were(tmp_path_factory, facts) -> None:
    source = Counted()
    source.evidence = lambda tile, known=(): facts
    cache = EvidenceCache(tmp_path_factory.mktemp("cache"))
    tile = tile_of(name="t")
    cache.evidence(source, tile)
    source.evidence = None
    assert cache.evidence(source, tile) == facts
    assert all(found.intact for found in cache.evidence(source, replace(tile, id="other")))
    cache.close()


def test_keys_tell_apart_what_matters_and_nothing_else() -> None:
    tile = tile_of()
    changes = {
        "nothing": tile_of(name="other"),
        "acquisition": tile_of(heading=10.0),
        "pixels": tile_of(level=0.2),
    }
    levels = ["nothing", "acquisition", "pixels", "known"]
    for looks_at in levels:
        source = Counted(looks_at)
        for least, other in changes.items():
            same = entry_key(source, other) == entry_key(source, tile)
            matters = least != "nothing" and levels.index(looks_at) >= levels.index(least)
            assert same != matters
        same = entry_key(source, tile, [fact()]) == entry_key(source, tile)
        assert same == (looks_at != "known")
        moved = replace(tile, geobox=GeoBox((8, 8), PLACE, "EPSG:32634"))
        for other in (tile_of(x=1), moved):
            assert entry_key(source, other) != entry_key(source, tile)
        assert entry_key(Counted(looks_at, "2"), tile) != entry_key(source, tile)
    uncalibrated = replace(
        tile, radiometry=tile.radiometry.model_copy(update={"calibrated": False})
    )
    assert entry_key(Counted(), uncalibrated) != entry_key(Counted(), tile)
    with pytest.raises(ConfigError, match="looks at 'stars'"):
        entry_key(Counted("stars"), tile)


def test_a_changed_entry_is_found_anew(tmp_path, caplog) -> None:
    cache, source, tile = EvidenceCache(tmp_path), Counted(), tile_of()
    right = cache.evidence(source, tile)
    with sqlite3.connect(tmp_path / FILE) as other:
        (packed,) = other.execute("SELECT facts FROM evidence").fetchone()
        other.execute("UPDATE evidence SET facts = ?", (packed[:-1] + b"\0",))
    assert cache.evidence(source, tile) == right
    assert FILE in caplog.text
    assert source.asked == 2
    assert cache.evidence(source, tile) == right
    assert source.asked == 2, "the entry was mended"


@pytest.mark.parametrize("trouble", ["text", "truncated", "garbled", "folder", "no place"])
def test_a_file_that_cannot_be_used_is_told_once(trouble, tmp_path, caplog) -> None:
    path, source = tmp_path / FILE, Counted()
    expected = [Counted().evidence(tile_of(x=x)) for x in range(40)]
    cache = EvidenceCache(tmp_path)
    if trouble in ("truncated", "garbled"):
        for x in range(40):
            cache.evidence(source, tile_of(x=x))
        cache.close()
        content = path.read_bytes()
        half = len(content) // 2
        path.write_bytes(content[:half] + (b"" if trouble == "truncated" else os.urandom(half)))
    elif trouble == "text":
        path.write_text("This is no database. " * 100)
    elif trouble == "folder":
        path.mkdir()
    else:
        (tmp_path / "file").write_text("")
        cache = EvidenceCache(tmp_path / "file" / "below")
    for x in range(40):
        assert cache.evidence(source, tile_of(x=x)) == expected[x]
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING and "not used" in r.msg]
    assert len(warnings) <= 1
    if trouble != "garbled":  # pages may be garbled of which each entry's checksum tells
        assert len(warnings) == 1
    assert str(cache.path) in caplog.text
    cache.close()


def test_a_full_disk_stops_nothing(tmp_path, caplog) -> None:
    cache, source = EvidenceCache(tmp_path), Counted()
    cache.evidence(source, tile_of())
    cache._open().execute("PRAGMA max_page_count = 3")  # SQLite's own "disk is full"
    for x in range(1, 200):
        tile = tile_of(x=x)
        assert cache.evidence(source, tile) == Counted().evidence(tile)
    assert "full" in caplog.text
    assert caplog.text.count("not used") == 1


def test_a_locked_file_stops_nothing(tmp_path, caplog, monkeypatch) -> None:
    monkeypatch.setattr("sarknowlip.knowledge.cache.LOCKED_S", 0.1)
    EvidenceCache(tmp_path).evidence(Counted(), tile_of())
    with sqlite3.connect(tmp_path / FILE, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        cache, tile = EvidenceCache(tmp_path), tile_of(x=1)
        assert cache.evidence(Counted(), tile) == Counted().evidence(tile)
        other.execute("ROLLBACK")
    assert "locked" in caplog.text


def work(folder: Path, start: int, count: int) -> None:
    logging.basicConfig(filename=folder / f"log-{start}-{os.getpid()}")
    cache = EvidenceCache(folder)
    for x in range(start, start + count):
        tile = tile_of(x=x % 50)
        assert cache.evidence(Counted(), tile) == Counted().evidence(tile)


def test_processes_share_it_and_may_be_killed(tmp_path) -> None:
    context = multiprocessing.get_context("fork")
    victim = context.Process(target=work, args=(tmp_path, 0, 1_000_000))
    others = [context.Process(target=work, args=(tmp_path, 10 * n, 200)) for n in range(4)]
    for process in (victim, *others):
        process.start()
    time.sleep(0.3)
    os.kill(victim.pid, signal.SIGKILL)
    for process in others:
        process.join(60)
        assert process.exitcode == 0
    assert "".join(log.read_text() for log in tmp_path.glob("log-*")) == ""
    with sqlite3.connect(tmp_path / FILE) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    cache, source = EvidenceCache(tmp_path), Counted()
    for x in range(50):
        assert cache.evidence(source, tile_of(x=x)) == Counted().evidence(tile_of(x=x))
    assert source.asked == 0
