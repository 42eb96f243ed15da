"""The table of tasks on a corpus; to add one, see docs/add-a-task.md. Those on sets: `suite`."""

from __future__ import annotations

from sarknowlip.core.lazy import LazyTable

TASKS = LazyTable("task", {"retrieval": "sarknowlip.bench.tasks.retrieval:RetrievalTask"})
