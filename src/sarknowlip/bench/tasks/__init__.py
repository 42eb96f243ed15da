"""The table of tasks; to add one, see docs/add-a-task.md."""

from __future__ import annotations

from sarknowlip.core.lazy import LazyTable

TASKS = LazyTable("task", {"retrieval": "sarknowlip.bench.tasks.retrieval:RetrievalTask"})
