"""The table of baselines on a corpus; to add one, see docs/add-a-baseline.md."""

from __future__ import annotations

from sarknowlip.core.lazy import LazyTable

BASELINES = LazyTable(
    "baseline",
    {
        "random": "sarknowlip.bench.baselines.random:RandomBaseline",
        "majority": "sarknowlip.bench.baselines.majority:MajorityBaseline",
        "untrained": "sarknowlip.bench.baselines.untrained:UntrainedBaseline",
    },
)
