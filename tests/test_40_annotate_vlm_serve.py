"""Rung 4: the vlm writer against `transformers serve` with a tiny random vision-language model."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.vlm.make import make_subjects
from sarknowlip.annotate.writers.vlm.config import VlmConfig
from sarknowlip.annotate.writers.vlm.writer import VlmWriter

TOKENS = 16


@contextlib.contextmanager
def transformers_serve(model: Path, log: Path) -> Iterator[str]:
    """Run the server of the transformers package with one model, without network."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).with_name("transformers")
    command = [str(program), "serve", str(model), "--device", "cpu", "--host", "127.0.0.1"]
    quiet = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (
        log.open("w") as out,
        subprocess.Popen([*command, "--port", str(port)], stdout=out, stderr=out, env=quiet) as run,
    ):
        try:
            for _ in range(600):
                assert run.poll() is None, log.read_text()
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                    break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            run.kill()


@pytest.mark.slow
def test_nonsense_of_a_real_server_is_counted_and_none_of_it_kept(tmp_path: Path) -> None:
    for needed in ("accelerate", "fastapi", "uvicorn"):
        pytest.importorskip(needed, reason=f"`transformers serve` needs {needed}")
    from data.vlm.model import make_model

    subjects = make_subjects(2)
    model = make_model(tmp_path / "model")
    ledger = tmp_path / "ledger.sqlite"
    with transformers_serve(model, tmp_path / "serve.log") as url:
        config = VlmConfig(
            endpoint=url, model=str(model), ledger=ledger, image_px=128, max_tokens=TOKENS,
            concurrency=2, temperature=None, retries=0,
        )  # fmt: skip
        drafts = VlmWriter(config).write(subjects)
        again = VlmWriter(config).write(subjects)
    counts: Counter[str] = Counter()
    for draft in drafts:
        counts.update(draft.counts)
    assert [list(draft.claims) for draft in drafts] == [[], []]
    assert counts["requests"] == 2 * len(subjects), "each tile is asked and asked again"
    assert counts["answered"] == 2 * len(subjects)
    assert counts["sent_back"] == counts["dropped.malformed"] == len(subjects)
    assert counts["accepted"] == counts["failed_tiles"] == counts["failed_repairs"] == 0
    assert 0 < counts["tokens_out"] <= 2 * len(subjects) * TOKENS
    assert counts["tokens_in"] > 1000 * len(subjects), "the prompt was read, byte by byte"
    assert sum(draft.counts["replayed"] for draft in again) == 2 * len(subjects)
    assert not any("requests" in draft.counts for draft in again)
