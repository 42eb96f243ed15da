"""Peak memory and time of retrieval ranks, beside the whole matrix of scores.

Peers: NumPy with the dense matrix, in float64 (whose ranks must be equal) and in float32 (as it is
usually done; its ranks may differ where rounding makes ties). Every run has a process of its own;
the peak is the kernel's figure for that process (VmHWM) and includes imports and embeddings. At
50,000 the dense matrix is not made: its size in float32 is what the peak is held against. Rounds
are interleaved; times are processor time on one thread, of the ranking alone, medians; the ratio
is peer time by our time.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

LARGE, SMALL, WIDTH, ROUNDS = 50_000, 10_000, 512, 3
SHARE = 0.2
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
CODE = """
import json, sys, time, zlib
from pathlib import Path
import numpy as np
from sarknowlip.infer.ranking import TIE, mean_reciprocal_rank, retrieval_ranks

count, width, how = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
rng = np.random.default_rng(0)
gallery = rng.standard_normal((count, width), dtype=np.float32)
query = gallery + 8 * rng.standard_normal((count, width), dtype=np.float32)
for part in (query, gallery):
    part /= np.linalg.norm(part, axis=1, keepdims=True)
labels = np.arange(count) // 2  # two right answers a query

def dense(kind):
    scores = query.astype(kind) @ gallery.astype(kind).T
    positive = labels[:, None] == labels
    best = np.max(scores, axis=1, where=positive, initial=-np.inf)
    bar = best - TIE * np.maximum(1.0, np.abs(best))
    return 1 + ((scores >= bar[:, None]) & ~positive).sum(axis=1)

start = time.process_time()
rank = retrieval_ranks(query, gallery, labels, labels).rank if how == "ours" else dense(how)
seconds = time.process_time() - start
peak = next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmHWM"))
print(json.dumps({
    "seconds": seconds,
    "peak_mib": int(peak.split()[1]) / 1024,
    "mrr": mean_reciprocal_rank(rank),
    "digest": zlib.crc32(rank.astype(np.int64).tobytes()),
}))
"""


def run(count: int, how: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(count), str(WIDTH), how],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | dict.fromkeys(ONE_THREAD, "1"),
    )
    return json.loads(done.stdout)


def write(record: Callable[..., None], count: int, mine: dict[str, float], **peer: object) -> float:
    dense_mib = 4 * count**2 / 2**20
    record(
        "ranking",
        queries=count,
        gallery=count,
        width=WIDTH,
        threads=1,
        numpy=np.__version__,
        mrr=f"{mine['mrr']:.4f}",
        cpu_seconds=f"{mine['seconds']:.2f}",
        peak_mib=f"{mine['peak_mib']:.0f}",
        dense_float32_mib=f"{dense_mib:.0f}",
        memory_ratio=f"{mine['peak_mib'] / dense_mib:.3f}",
        **peer,
    )
    return mine["peak_mib"] / dense_mib


@pytest.mark.slow
def test_ranks_beside_the_dense_matrix(record: Callable[..., None]) -> None:
    runs: dict[str, list[dict[str, float]]] = {"ours": [], "float64": [], "float32": []}
    for _ in range(ROUNDS):
        for how, own in runs.items():
            own.append(run(SMALL, how))
    digests = {how: {one["digest"] for one in own} for how, own in runs.items()}
    assert digests["ours"] == digests["float64"], "the same rank for every query"
    median = {how: statistics.median(one["seconds"] for one in own) for how, own in runs.items()}
    mine = runs["ours"][0] | {"seconds": median["ours"]}
    for how in ("float64", "float32"):
        write(
            record,
            SMALL,
            mine,
            peer=f"numpy dense {how}",
            peer_cpu_seconds=f"{median[how]:.2f}",
            peer_peak_mib=f"{runs[how][0]['peak_mib']:.0f}",
            time_ratio=f"{median[how] / median['ours']:.2f}",
        )


@pytest.mark.slow
@pytest.mark.timeout(3600)  # a minute of one core, but cores are shared
def test_memory_of_fifty_thousand(record: Callable[..., None]) -> None:
    mine = run(LARGE, "ours")
    nothing = {"peer_cpu_seconds": "", "peer_peak_mib": "", "time_ratio": ""}
    assert write(record, LARGE, mine, peer="dense float32, not made", **nothing) <= SHARE
