"""The table of the suite's tasks; to add one, write its module, its JSON and a line here."""

from __future__ import annotations

from sarknowlip.core.lazy import LazyTable

SUITE = LazyTable(
    "task",
    {
        "classification": "sarknowlip.bench.tasks.classification:ClassificationTask",
        "fine-tuning": "sarknowlip.bench.tasks.fine_tuning:FineTuningTask",
        "few-shot": "sarknowlip.bench.tasks.few_shot:FewShotTask",
        "zero-shot": "sarknowlip.bench.tasks.zero_shot:ZeroShotTask",
        "counting": "sarknowlip.bench.tasks.counting:CountingTask",
        "captioning": "sarknowlip.bench.tasks.captioning:CaptioningTask",
        "answering": "sarknowlip.bench.tasks.answering:AnsweringTask",
        "search": "sarknowlip.bench.tasks.search:SearchTask",
        "segmentation": "sarknowlip.bench.tasks.segmentation:SegmentationTask",
        "change": "sarknowlip.bench.tasks.change:ChangeTask",
        "detection": "sarknowlip.bench.tasks.detection:DetectionTask",
        "grounding": "sarknowlip.bench.tasks.grounding:GroundingTask",
        "polsar": "sarknowlip.bench.tasks.polsar:PolsarTask",
    },
)
