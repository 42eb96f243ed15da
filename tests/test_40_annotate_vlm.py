"""Rung 4: the vlm writer against a scripted server: answers, faults, retries, ledger, kill −9."""

from __future__ import annotations

import math
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from data.geotiff.make import make_geotiff
from data.vlm.make import as_answered, content, key_of, make_subjects, serving
from sarknowlip.annotate import pipeline
from sarknowlip.annotate.store import annotation_folder, read_claims
from sarknowlip.annotate.store import versions as annotation_versions
from sarknowlip.annotate.tile import AnnotateConfig
from sarknowlip.annotate.verify import verify
from sarknowlip.annotate.writers import Draft, Subject
from sarknowlip.annotate.writers.vlm.config import VlmConfig
from sarknowlip.annotate.writers.vlm.ledger import Answer, Ledger
from sarknowlip.annotate.writers.vlm.writer import VlmWriter
from sarknowlip.core.errors import ConfigError, SarKnowlipError, StorageError
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.geo.grid import GridConfig

SUBJECTS = make_subjects(6)
RIGHT = [content([as_answered(claim) for claim in s.derived]) for s in SUBJECTS]


def config(url: str, **changes: object) -> VlmConfig:
    return VlmConfig(**{"endpoint": url, "model": "scripted", "timeout_s": 20.0} | changes)


def write(url: str, subjects: list[Subject], **changes: object) -> list[Draft]:
    return VlmWriter(config(url, **changes)).write(subjects)


def total(drafts: list[Draft]) -> Counter[str]:
    """Return summed counts; nothing a model said is lost."""
    counts: Counter[str] = Counter()
    for draft in drafts:
        counts.update(draft.counts)
    dropped = sum(n for name, n in counts.items() if name.startswith("dropped."))
    assert counts["answered"] == counts["accepted"] + counts["sent_back"] + dropped
    assert counts["accepted"] == sum(len(draft.claims) for draft in drafts)
    return counts


def script(**steps_by_index: object) -> dict[str, object]:
    """Return a script: steps of tiles by index ("t0"), the right answer for all others."""
    steps = {key_of(s): [{"content": r}] for s, r in zip(SUBJECTS, RIGHT, strict=True)}
    for name, steps_of in steps_by_index.items():
        index = int(name[1:])
        right = {"content": RIGHT[index]}
        steps[key_of(SUBJECTS[index])] = [right if s == "right" else s for s in steps_of]
    return {"steps": steps, "otherwise": {"content": "{}"}}


def test_right_answers_become_the_derived_claims(tmp_path: Path) -> None:
    with serving(tmp_path, script()) as server:
        drafts = write(server.url, SUBJECTS, price_in=2.0, price_out=10.0)
    for draft, subject in zip(drafts, SUBJECTS, strict=True):
        assert list(draft.claims) == list(subject.derived)
    counts = total(drafts)
    assert counts["requests"] == len(SUBJECTS) == len(server.events("paid"))
    assert counts["tokens_in"] == 1000 * len(SUBJECTS)
    assert counts["cost"] == pytest.approx(len(SUBJECTS) * (1000 * 2 + 100 * 10) / 1e6)
    assert {event["format"] for event in server.events("asked")} == {"json_schema"}
    assert set(counts) == {"requests", "tokens_in", "tokens_out", "cost", "answered", "accepted"}


def test_half_wrong_answers_are_sent_back_once_then_dropped(tmp_path: Path) -> None:
    subject = SUBJECTS[0]
    share = next(c for c in subject.derived if c.predicate == "surface_share")
    near = as_answered(share) | {"share_pct": share.arguments["share_pct"] + 4}
    ship = {"predicate": "ship_count", "count": 7}
    first = [
        near,
        near,
        ship,
        {"predicate": "no_target"},
        {"predicate": "mood", "mood": "calm"},
        {"predicate": "texture"},
        {"predicate": "surface_absent", "surface": "land"},
        {"predicate": "two_tones", "share_pct": 30, "contrast_db": 9},
    ]
    second = [{"predicate": "ship_count", "count": 1}, {"predicate": "mood", "mood": "calm"}]
    steps = [{"content": content(first)}, {"content": content(second)}]
    with serving(tmp_path, script(t0=steps)) as server:
        drafts = write(server.url, [subject])
    counts = total(drafts)
    assert [claim.predicate for claim in drafts[0].claims] == ["surface_share", "ship_count"]
    assert drafts[0].claims[0] == share, "the derived claim is kept, not the model's number"
    assert counts["snapped"] == counts["repaired"] == counts["dropped.repeated"] == 1
    assert counts["sent_back"] == 6
    assert counts["dropped.unknown_predicate"] == 1
    assert counts["withdrawn"] == 4
    told = server.events("asked")[1]["last"]
    for reason in (
        '- {"predicate": "ship_count", "count": 7}: count does not agree with the evidence\n',
        "the evidence says otherwise",
        "there is no such predicate",
        "texture is missing",
        "the evidence does not support it",
    ):
        assert reason in told


def test_malformed_json_yields_nothing_and_is_counted(tmp_path: Path) -> None:
    nonsense = ["", "I see a ship.", '{"claims": [', '[1, {"claims": 3}]', "{" * 5000, "null"]
    steps = script(**{f"t{k}": [{"content": text}] for k, text in enumerate(nonsense)})
    with serving(tmp_path, steps) as server:
        drafts = write(server.url, SUBJECTS)
    assert len(server.events("paid")) == 2 * len(SUBJECTS)
    for draft in drafts:
        counts = total([draft])
        assert counts["accepted"] == counts["failed_tiles"] == 0
        assert (counts["answered"], counts["sent_back"], counts["dropped.malformed"]) == (2, 1, 1)


def test_malformed_claims_are_dropped_one_by_one(tmp_path: Path) -> None:
    bad = [
        3,
        {"predicate": 3},
        {"predicate": "ship_count", "count": "1"},
        {"predicate": "ship_count", "count": True},
        {"predicate": "ship_count", "count": math.nan},
        {"predicate": "ship_count", "count": 1, "colour": "red"},
        {"predicate": "surface_absent", "surface": ["water"]},
    ]
    with serving(tmp_path, script(t0=[{"content": content(bad)}])) as server:
        counts = total(write(server.url, SUBJECTS[:1]))
    assert counts["accepted"] == 0
    assert counts["dropped.malformed"] == len(bad)


def test_json_in_the_midst_of_words_is_found(tmp_path: Path) -> None:
    wrapped = f"<think>a {{set}} of claims</think>\n```json\n{RIGHT[0]}\n```\nDone."
    with serving(tmp_path, script(t0=[{"content": wrapped}])) as server:
        (draft,) = write(server.url, SUBJECTS[:1])
    assert list(draft.claims) == list(SUBJECTS[0].derived)


def test_errors_hangs_and_cuts_are_tried_again(tmp_path: Path) -> None:
    steps = script(
        t0=[{"status": 429, "headers": {"Retry-After": "1"}}, "right"],
        t1=[{"status": 500}, {"status": 503}, "right"],
        t2=[{"hang": 4.0, "content": ""}, "right"],
        t3=[{"cut": True}, "right"],
    )
    with serving(tmp_path, steps) as server:
        drafts = write(server.url, SUBJECTS, timeout_s=2.0, concurrency=6)
    assert [len(d.claims) for d in drafts] == [len(s.derived) for s in SUBJECTS]
    counts = total(drafts)
    assert counts["retries"] == 5
    assert counts["requests"] == len(SUBJECTS) + 5
    waited = [e["time"] for e in server.events("asked") if e["tile"] == key_of(SUBJECTS[0])]
    assert waited[1] - waited[0] >= 1.0, "Retry-After is kept to"


def test_a_tile_that_fails_for_good_is_counted_and_the_rest_goes_on(tmp_path: Path) -> None:
    steps = script(
        t0=[{"status": 500}],
        t1=[{"hang": 3.0, "content": ""}],
        t2=[{"cut": True}],
        t3=[{"status": 400}],
        t4=[{"body": '{"id": "x", "choi'}],
    )
    with serving(tmp_path, steps) as server:
        write(server.url, SUBJECTS[5:])
        drafts = write(server.url, SUBJECTS[::-1], timeout_s=1.0, retries=1, concurrency=1)
    counts = total(drafts)
    assert counts["failed_tiles"] == 5
    assert [len(draft.claims) > 0 for draft in drafts] == [True] + [False] * 5


def test_a_failed_repair_keeps_what_was_accepted(tmp_path: Path) -> None:
    half = content([as_answered(SUBJECTS[0].derived[0]), {"predicate": "ship_count", "count": 9}])
    with serving(tmp_path, script(t0=[{"content": half}, {"status": 500}])) as server:
        drafts = write(server.url, SUBJECTS[:1], retries=0)
    counts = total(drafts)
    assert list(drafts[0].claims) == [SUBJECTS[0].derived[0]]
    assert counts["failed_repairs"] == counts["dropped.wrong_value"] == 1


@pytest.mark.parametrize(
    ("refuses", "form"),
    [(["json_schema"], "json_object"), (["json_schema", "json_object"], "text")],
)
def test_refused_formats_are_left_once(tmp_path: Path, refuses: list[str], form: str) -> None:
    with serving(tmp_path, script() | {"refuses": refuses}) as server:
        drafts = write(server.url, SUBJECTS, concurrency=1)
    assert [len(d.claims) for d in drafts] == [len(s.derived) for s in SUBJECTS]
    assert total(drafts)["formats_refused"] == len(refuses) == len(server.events("refused"))
    assert {event["format"] for event in server.events("paid")} == {form}


def test_nothing_there_is_one_line() -> None:
    with pytest.raises(SarKnowlipError, match=r"^http://127.0.0.1:9/v1 does not answer") as error:
        write("http://127.0.0.1:9/v1", SUBJECTS[:1], retries=0)
    assert "\n" not in str(error.value)


def test_a_server_that_always_fails_stops_the_job(tmp_path: Path) -> None:
    with serving(tmp_path, {"otherwise": {"status": 500}}) as server:
        with pytest.raises(SarKnowlipError, match=r"does not answer \(3 tiles\).*scripted 500"):
            write(server.url, SUBJECTS, retries=0, give_up_after=3, concurrency=1)
        assert len(server.events("asked")) < len(SUBJECTS)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_wrong_key_or_model_stops_at_once(tmp_path: Path, status: int) -> None:
    with serving(tmp_path, {"otherwise": {"status": status}}) as server:
        with pytest.raises(ConfigError, match=r"refuses model 'scripted'.*check the address"):
            write(server.url, SUBJECTS, concurrency=1)
        assert len(server.events("asked")) <= 2


def test_the_key_comes_from_the_environment_and_stays_out_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "ledger.sqlite"
    with serving(tmp_path, script()) as server:
        with pytest.raises(ConfigError, match="variable SAR_TEST_KEY is not set"):
            write(server.url, SUBJECTS[:1], api_key_env="SAR_TEST_KEY")
        monkeypatch.setenv("SAR_TEST_KEY", "sesame-4711")
        write(server.url, SUBJECTS[:1], api_key_env="SAR_TEST_KEY", ledger=ledger)
    assert server.events("paid")[0]["secret"] == "sesame-4711"
    assert b"sesame" not in ledger.read_bytes()
    assert "SAR_TEST_KEY" not in str(config(server.url, api_key_env="SAR_TEST_KEY").model_dump())


def test_without_the_package_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ConfigError, match=r"needs the package openai; .*sarknowlip\[vlm\]"):
        write("http://127.0.0.1:9/v1", SUBJECTS[:1])


def test_what_was_paid_is_replayed(tmp_path: Path) -> None:
    ledger = tmp_path / "new" / "ledger.sqlite"
    wrong = {"content": content([{"predicate": "ship_count", "count": 9}])}
    with serving(tmp_path, script(t0=[wrong])) as server:
        first = write(server.url, SUBJECTS, ledger=ledger)
        paid = len(server.events("paid"))
        assert paid == len(SUBJECTS) + 1
        again = write(server.url, SUBJECTS, ledger=ledger, concurrency=1)
        assert len(server.events("paid")) == paid
        assert [d.claims for d in again] == [d.claims for d in first]
        counts = total(again)
        assert counts["replayed"] == paid
        assert counts["requests"] == 0
        assert counts["tokens_in"] == total(first)["tokens_in"]
        write(server.url, SUBJECTS, ledger=ledger, temperature=0.5)
        assert len(server.events("paid")) == 2 * paid, "another setting is another question"


def test_transport_settings_are_no_part_of_the_recipe() -> None:
    plain, other = config("http://h/v1"), config("http://h/v1", concurrency=1, retries=0)
    assert plain.digest() == other.digest()
    assert plain.digest() != config("http://h/v1", facts=False).digest()
    recipe = AnnotateConfig(writer=plain).model_dump(mode="json")
    assert AnnotateConfig(**recipe).writer == config("http://h/v1", timeout_s=120.0)
    for bad in ("ftp://h", "h/v1", "https://user:secret@h/v1", "http://h/v1?key=1"):
        with pytest.raises(ValueError, match="endpoint"):
            config(bad)


def test_a_tile_of_which_nothing_is_known_is_not_asked_about(tmp_path: Path) -> None:
    empty = Subject(SUBJECTS[0].tile, (), ())
    with serving(tmp_path, script()) as server:
        (draft,) = write(server.url, [empty])
        assert not server.events("asked")
    assert draft.counts == {"silent_tiles": 1}


def test_ledger_is_shared_by_processes_and_threads(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    code = (
        "import sys; from pathlib import Path\n"
        "from sarknowlip.annotate.writers.vlm.ledger import Answer, Ledger\n"
        "with Ledger(Path(sys.argv[1])) as ledger:\n"
        "    for k in range(40): ledger.put(f'{sys.argv[2]}-{k}', Answer('é', k, 1), 't', 'm')\n"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(path), str(p)]) for p in range(2)]
    with Ledger(path) as ledger:
        threads = [
            threading.Thread(target=ledger.put, args=(f"t-{k}", Answer("x", 1, 1), "t", "m"))
            for k in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [process.wait() for process in started] == [0, 0]
        assert ledger.get("1-39") == Answer("é", 39, 1)
        assert ledger.get("t-19") == Answer("x", 1, 1)
        ledger.put("t-19", Answer("other", 2, 2), "t", "m")
        assert ledger.get("t-19") == Answer("x", 1, 1), "rows never change"
    with sqlite3.connect(path) as base:
        assert base.execute("SELECT count(*) FROM answers").fetchone() == (100,)


def test_a_damaged_ledger_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"junk" * 4096)
    with pytest.raises(StorageError, match=f"cannot use the ledger {path}"):
        Ledger(path)
    with pytest.raises(StorageError, match="cannot use the ledger"):
        Ledger(path / "below")


LEDGER = "annotations/.vlm/ledger.sqlite"
ANNOTATE = """
import sys
from pathlib import Path
from sarknowlip.annotate import pipeline
from sarknowlip.annotate.writers.vlm.config import VlmConfig
pipeline.CHUNK = 8
writer = VlmConfig(
    endpoint=sys.argv[2], model="scripted", concurrency=2,
    ledger=Path(sys.argv[1]) / "annotations" / ".vlm" / "ledger.sqlite",
)
pipeline.annotate(Path(sys.argv[1]), pipeline.AnnotateConfig(writer=writer))
"""


@pytest.mark.slow
def test_kill_nine_and_resume_pays_no_tile_twice(tmp_path: Path) -> None:
    """Killed with two requests under way, everything answered before being in the ledger."""
    make_geotiff(tmp_path / "in" / "s.tif", shape=(270, 270))
    grid, split = GridConfig(tile_px=64), SplitConfig(block_km=1.0)
    root, go_on = tmp_path / "corpus", tmp_path / "go-on"
    build([tmp_path / "in"], root, BuildConfig(grid=grid, split=split))
    answer = content([{"predicate": "no_target"}, {"predicate": "ship_count", "count": 99}])
    hold = {"after": 20, "until": str(go_on)}
    with serving(tmp_path, {"otherwise": {"content": answer}, "hold": hold}) as server:

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen([sys.executable, "-c", ANNOTATE, str(root), server.url])

        def kept() -> int:
            with sqlite3.connect(root / LEDGER) as base:
                (count,) = base.execute("SELECT count(*) FROM answers").fetchone()
            return int(count)

        process = start()
        while process.poll() is None and len(server.events("held")) < 2:
            time.sleep(0.05)
        while process.poll() is None and kept() < len(server.events("paid")):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        before = kept()
        assert before >= 20
        assert annotation_versions(root) == []
        go_on.touch()
        assert start().wait() == 0
        paid = Counter(event["key"] for event in server.events("paid"))
        asked = Counter(event["key"] for event in server.events("asked"))
    assert set(paid.values()) == {1}
    assert len(paid) == kept() > before
    assert sorted(asked.values())[-3:] == [1, 2, 2], "asked twice: what was under way"
    result = verify(root)
    assert result.sound
    assert result.tiles * 2 == len(paid)
    assert {claim.predicate for claim in read_claims(annotation_folder(root))} == {"no_target"}
    writer = VlmConfig(endpoint=server.url, model="scripted")
    report = pipeline.annotate(root, AnnotateConfig(writer=writer))
    assert not report.fresh, "a finished version needs no server"
    assert report.writer["answered"] == 4 * result.tiles
