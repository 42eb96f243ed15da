"""Checking a corpus: every mandatory property of every tile, against the file it describes.

A problem names the tile and the property. Rows are checked by themselves (`validate_row`), against
their file and the recipe (`validate_file`), and here against each other: names, blocks, shared
ground and, when all else is sound, the split that the recipe gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapely.geometry.base import BaseGeometry

from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.core.files import read_json
from sarknowlip.core.hashing import file_sha256
from sarknowlip.corpus.catalog import CATALOG, MANIFEST, Catalog
from sarknowlip.corpus.split import assign_splits, shared_ground
from sarknowlip.corpus.validate_file import Recipe, check_tile
from sarknowlip.corpus.validate_row import outline_of


@dataclass(frozen=True)
class Problem:
    """Something wrong with a tile or the corpus.

    Attributes:
        tile: Tile identifier, "row N" if it has none, or the file's name for problems of the whole
            corpus.
        property: Catalog column, or "file".
        message: What is wrong.
    """

    tile: str
    property: str
    message: str

    def __str__(self) -> str:
        return f"{self.tile}: {self.property}: {self.message}"


@dataclass(frozen=True)
class Validation:
    """Outcome of `validate`.

    Attributes:
        tiles: How many tiles were examined.
        problems: What was found; empty if the corpus is sound.
    """

    tiles: int
    problems: tuple[Problem, ...]


def validate(root: Path, progress: Callable[[int, int, str], None] | None = None) -> Validation:
    """Check all tiles of a corpus and what they have in common.

    Raises:
        CorpusError: There is no catalog, or it cannot be read.
    """
    catalog = Catalog(root)
    problems: list[Problem] = []
    recipe = _manifest(root, problems)
    ids: list[str] = []
    splits: list[Any] = []
    blocks: list[str] = []
    outlines: list[BaseGeometry | None] = []
    for number, row in enumerate(catalog.rows(), start=1):
        tile = str(row.get("id") or f"row {number}")
        problems.extend(Problem(tile, *found) for found in check_tile(root, row, recipe))
        ids.append(tile)
        splits.append(row.get("sarknowlip:split"))
        blocks.append(str(row.get("sarknowlip:block")))
        outlines.append(outline_of(row))
        if progress is not None:
            progress(number, len(catalog), tile)
    problems.extend(_together(ids, splits, blocks, outlines))
    if recipe is not None and not problems:
        footprints = [outline for outline in outlines if outline is not None]
        expected = assign_splits(blocks, footprints, recipe.split)
        for tile, split, said in zip(ids, expected, splits, strict=True):
            if said != split:
                message = f"{said}, but the recipe gives {split}"
                problems.append(Problem(tile, "sarknowlip:split", message))
    return Validation(len(catalog), tuple(problems))


def _manifest(root: Path, problems: list[Problem]) -> Recipe | None:
    """Return what the manifest says; what is wrong with it is added to `problems`."""
    path = root / MANIFEST
    if not path.is_file():
        problems.append(Problem(MANIFEST, "file", "is absent: the build did not finish"))
        return None
    try:
        manifest = read_json(path, "build again")
        recipe = Recipe.of(manifest)
    except SarKnowlipError as error:
        problems.append(Problem(MANIFEST, "file", str(error)))
        return None
    if manifest.get("catalog_sha256") != file_sha256(root / CATALOG):
        problems.append(Problem(CATALOG, "file", f"is not the one that {MANIFEST} describes"))
    return recipe


def _together(
    ids: list[str], splits: list[Any], blocks: list[str], outlines: list[BaseGeometry | None]
) -> Iterator[Problem]:
    for tile, count in Counter(ids).items():
        if count > 1:
            yield Problem(tile, "id", f"appears {count} times")
    members: dict[str, Counter[str]] = {}
    for block, split in zip(blocks, splits, strict=True):
        members.setdefault(block, Counter())[str(split)] += 1
    for tile, split, block in zip(ids, splits, blocks, strict=True):
        most = members[block].most_common(1)[0][0]
        if str(split) != most:
            yield Problem(tile, "sarknowlip:split", f"{split}, but most of block {block} is {most}")
    placed = [(i, outline) for i, outline in enumerate(outlines) if outline is not None]
    numbers = [i for i, _ in placed]
    pairs = shared_ground([splits[i] for i in numbers], [outline for _, outline in placed])
    for first, second in pairs:
        i, j = numbers[first], numbers[second]
        message = f"shares ground with {ids[j]} of split {splits[j]}"
        yield Problem(ids[i], "sarknowlip:split", message)
