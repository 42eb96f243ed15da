"""All relations of a graph as a table of subject, relation, object, and its file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sarknowlip.core.errors import ConfigError
from sarknowlip.core.files import replacing
from sarknowlip.simulate.world.relations import CARDINAL, SpatialGraph

RELATIONS = (
    "distance", "nearest", *(f"{side}_of" for side in CARDINAL), "inside", "adjacent", "crosses",
    "aligned",
)  # fmt: skip
"""Relations of the table; see the methods of `SpatialGraph`.

"distance" holds between all things near enough, metres; "nearest" between a thing and the one
nearest to it, metres; "north_of" reads "subject lies north of object", with the bearing of the
subject from the object in degrees; "aligned" joins neighbours in a row of one kind (vehicles left
out), metres between centroids; of "inside", "adjacent" and "crosses" there is no value.
"""
SCHEMA = pa.schema(
    [
        ("subject", pa.int64()),
        ("relation", pa.string()),
        ("object", pa.int64()),
        ("value", pa.float64()),
        ("unit", pa.string()),
    ]
)
"""Columns of the file."""
BATCH = 65_536


class Edge(NamedTuple):
    """One relation between two things; `value` and `unit` are None where there is nothing more."""

    subject: int
    relation: str
    object: int
    value: float | None
    unit: str | None


def edges(
    graph: SpatialGraph, relations: Sequence[str] = RELATIONS, max_distance_m: float = 500.0
) -> Iterator[Edge]:
    """Yield all relations, by subject, then as in `relations`, then by object's uid.

    Args:
        graph: Graph.
        relations: Of `RELATIONS`.
        max_distance_m: Pairs further apart are left out ("aligned" has rules of its own).

    Raises:
        ConfigError: A relation is unknown.
    """
    unknown = sorted(set(relations) - set(RELATIONS))
    if unknown:
        raise ConfigError(f"unknown relations {unknown}", f"choose of {', '.join(RELATIONS)}")
    rows = _row_neighbours(graph) if "aligned" in relations else {}
    for subject in graph.of_kind():
        near = graph.neighbours(subject, max_distance_m)
        for relation in relations:
            if relation == "aligned":
                yield from rows.get(subject, ())
            else:
                yield from _of_subject(graph, subject, relation, near, max_distance_m)


def write_relations(
    graph: SpatialGraph,
    path: Path,
    relations: Sequence[str] = RELATIONS,
    max_distance_m: float = 500.0,
) -> int:
    """Write `edges` as Parquet, a batch in memory at a time, and return how many there are.

    Raises:
        StorageError: The file cannot be written; nothing is left.
    """
    stream = edges(graph, relations, max_distance_m)
    total = 0
    with replacing(path) as partial, pq.ParquetWriter(partial, SCHEMA, compression="zstd") as file:
        while batch := list(itertools.islice(stream, BATCH)):
            columns = dict(zip(Edge._fields, zip(*batch, strict=True), strict=True))
            file.write_table(pa.table(columns, schema=SCHEMA))
            total += len(batch)
    return total


def _of_subject(
    graph: SpatialGraph, subject: int, relation: str, near: list[int], max_distance_m: float
) -> Iterator[Edge]:
    if relation == "distance":
        for other in near:
            yield Edge(subject, relation, other, graph.distance(subject, other), "m")
    elif relation == "nearest":
        for other in graph.nearest(subject) if near else ():
            yield Edge(subject, relation, other, graph.distance(subject, other), "m")
    elif relation.endswith("_of"):
        # The subject lies north of what lies south of it.
        side = CARDINAL[(RELATIONS.index(relation) - RELATIONS.index("north_of") + 2) % 4]
        for other in sorted(graph.in_direction(subject, side, None, max_distance_m)):
            seen = graph.direction(other, subject)
            yield Edge(subject, relation, other, None if seen is None else seen.bearing_deg, "deg")
    else:
        found = {
            "inside": graph.inside, "adjacent": graph.adjacent, "crosses": graph.crosses,
        }[relation](subject)  # fmt: skip
        for other in sorted(found):
            yield Edge(subject, relation, other, None, None)


def _row_neighbours(graph: SpatialGraph) -> dict[int, list[Edge]]:
    """Return the neighbours in rows of objects of equal kind, both ways."""
    found: dict[int, set[Edge]] = {}
    objects = (graph.items.layer != "region") & (graph.items.kind != "vehicle")
    for kind in sorted(set(graph.items.kind[objects])):
        members = graph.items.uid[objects & (graph.items.kind == kind)].tolist()
        for row in graph.aligned(members):
            for a, b in itertools.pairwise(row):
                gap = graph.centre_distance(a, b)
                found.setdefault(a, set()).add(Edge(a, "aligned", b, gap, "m"))
                found.setdefault(b, set()).add(Edge(b, "aligned", a, gap, "m"))
    return {uid: sorted(row, key=lambda edge: edge.object) for uid, row in found.items()}
