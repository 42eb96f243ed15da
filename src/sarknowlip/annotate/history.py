"""Versions of the annotations beside each other: what changed from one to another, and back again.

Nothing is ever deleted: going back makes a new version with the content of an old one.
"""

from __future__ import annotations

import difflib
import itertools
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.lookup import stored
from sarknowlip.annotate.store import (
    CHANGES,
    MANIFEST,
    TEXTS,
    Change,
    annotation_folder,
    read_changes,
    read_weights,
    versions,
)
from sarknowlip.annotate.version import (
    adding,
    appearing,
    is_undamaged,
    read_manifest,
    write_manifest,
)
from sarknowlip.core.config import Config
from sarknowlip.core.errors import CorpusError
from sarknowlip.core.pool import chunks_of
from sarknowlip.corpus.catalog import ANNOTATIONS, Catalog

CHUNK = 256
"""Tiles in memory at a time."""
How = Literal["changed", "added", "removed", "weighted"]


class TextChange(Config):
    """What differs at one place of a tile's texts.

    Attributes:
        tile_id: Tile.
        level: Form of the text.
        how: Other words, a text more, a text less, or another weight of the same text.
        old: Words in the first version; None if it has none there.
        new: Words in the second version; None if it has none there.
        weight: How much the text counts in the second version; None if it has none there.
        reason: Why, where `changes.parquet` knows; else None.
    """

    tile_id: str
    level: str
    how: How
    old: str | None = None
    new: str | None = None
    weight: float | None = None
    reason: str | None = None


class VersionDiff(Config):
    """What differs between two versions.

    Attributes:
        first: Name of the one.
        second: Name of the other.
        same: Texts that both have with equal weight.
        hows: Texts that differ, by how.
        actions: The same by what was done to them, where `changes.parquet` knows; a text that was
            rewritten and whose new words were weighted later counts as rewritten.
        rows: Text by text, tiles in the order of the catalog; the first ones, if not all are asked.
    """

    first: str
    second: str
    same: int
    hows: dict[str, int]
    actions: dict[str, int]
    rows: tuple[TextChange, ...]


class _Side(NamedTuple):
    """A version: its folder and its weights."""

    folder: Path
    weights: Mapping[str, float]

    @classmethod
    def of(cls, folder: Path) -> _Side:
        return cls(folder, read_weights(folder))

    def weight(self, text: Text) -> float:
        return self.weights.get(text.id, 1.0)


def diff(root: Path, first: str, second: str, *, most: int | None = None) -> VersionDiff:
    """Return what differs between two versions of a corpus's annotations.

    Texts pair up by `changes.parquet` where the second version was revised from the first, by
    however many steps; else by their place among the texts of their tile.

    Args:
        root: Corpus folder.
        first: Name of a version, "v0001".
        second: Name of another.
        most: Rows that are returned; None: all. What is counted is all in any case.

    Raises:
        CorpusError: Corpus or a version is absent or damaged.
    """
    one, other = (_Side.of(annotation_folder(root, name)) for name in (first, second))
    known = _changes_between(root, first, second)
    names = Catalog(root).identifiers()
    rows, same = list[TextChange](), 0
    hows: Counter[str] = Counter()
    actions: Counter[str] = Counter()
    for _, start, stop in chunks_of(len(names), CHUNK):
        held = [
            stored(side.folder, names[start:stop], tables=(TEXTS,)) for side in (one, other)
        ]  # fmt: skip
        for name in names[start:stop]:
            before, after = (tables[name].texts for tables in held)
            for old, new in _paired(before, after, known):
                change = None if old is None else known.get(old.id)
                row = _row(old, new, (one, other), change)
                if row is None:
                    same += 1
                    continue
                hows[row.how] += 1
                if most is None or len(rows) < most:
                    rows.append(row)
                actions.update([] if change is None else [change.action])
    return VersionDiff(
        first=first, second=second, same=same, rows=tuple(rows),
        hows=dict(sorted(hows.items())),
        actions=dict(sorted(actions.items())),
    )  # fmt: skip


def rollback(root: Path, version: str) -> str:
    """Make the content of a version the newest one's; return the newest one's name.

    Nothing is deleted. If the newest version has that content already, nothing is done.

    Args:
        root: Corpus folder.
        version: Name of the version to go back to, "v0001".

    Raises:
        CorpusError: There is no such version, or it is damaged.
        StorageError: The disk is full or not writable.
    """
    folder = annotation_folder(root, version)
    with adding(root) as target:
        manifest = read_manifest(folder)
        if not is_undamaged(folder, manifest):
            raise CorpusError(
                f"{folder} is damaged, so that nothing can go back to it", "choose another version"
            )
        newest = versions(root)[-1]
        if newest == folder or _content(read_manifest(newest)) == _content(manifest):
            return newest.name
        with appearing(target) as partial:
            for name in _content(manifest):
                shutil.copyfile(folder / name, partial / name)
            about = {k: v for k, v in manifest.items() if k not in ("format", "key", "files")}
            about |= {"parent": version, "made_by": "rollback"}
            about["report"] = {**manifest.get("report", {}), "version": target.name}
            write_manifest(partial, manifest["key"], about)
    return target.name


def _content(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of a version's tables; what it changed of its parent is none of it."""
    return {name: value for name, value in manifest["files"].items() if name != CHANGES}


def _changes_between(root: Path, first: str, second: str) -> dict[str, Change]:
    """Return what became of the first version's texts, by text, if the second descends from it."""
    line = [second]
    while line[-1] != first:
        folder = root / ANNOTATIONS / line[-1]
        parent = read_manifest(folder).get("parent") if (folder / MANIFEST).is_file() else None
        if parent is None or parent in line:
            return {}
        line.append(str(parent))
    found: dict[str, Change] = {}
    origin: dict[str, str] = {}
    for name in reversed(line[:-1]):
        for change in read_changes(root / ANNOTATIONS / name):
            start = origin.get(change.text_id, change.text_id)
            found[start] = _then(found.get(start), change)
            if change.new_text_id is not None:
                origin[change.new_text_id] = start
    return found


def _then(before: Change | None, after: Change) -> Change:
    """Return two changes of one text, one after the other, as one of the text at first."""
    if before is None:
        return after
    update: dict[str, Any] = {"text_id": before.text_id}
    if after.action == "weight" and before.new_text_id is not None:
        reason = f"{before.reason}; then {after.reason}"
        update |= {"action": before.action, "new_text_id": before.new_text_id, "reason": reason}
    return after.model_copy(update=update)


def _paired(
    before: Sequence[Text], after: Sequence[Text], known: Mapping[str, Change]
) -> Iterator[tuple[Text | None, Text | None]]:
    """Yield the texts of a tile that stand for each other in two versions."""
    later = {text.id: text for text in after}
    told = {
        text.id: later[change.new_text_id]
        for text in before
        if (change := known.get(text.id)) is not None
        and change.new_text_id is not None
        and change.new_text_id in later
    }
    yield from ((text, told[text.id]) for text in before if text.id in told)
    taken = {text.id for text in told.values()}
    old = [text for text in before if text.id not in told]
    new = [text for text in after if text.id not in taken]
    matcher = difflib.SequenceMatcher(
        None, [text.id for text in old], [text.id for text in new], autojunk=False
    )  # fmt: skip
    for _, i, j, k, m in matcher.get_opcodes():
        yield from _alike(old[i:j], new[k:m])


def _alike(
    old: Sequence[Text], new: Sequence[Text]
) -> Iterator[tuple[Text | None, Text | None]]:  # fmt: skip
    """Yield texts that stand at one place, those of one level beside each other."""
    for level in dict.fromkeys(text.level for text in (*old, *new)):
        yield from itertools.zip_longest(
            (text for text in old if text.level == level),
            (text for text in new if text.level == level),
        )


def _row(
    old: Text | None, new: Text | None, sides: tuple[_Side, _Side], change: Change | None
) -> TextChange | None:
    """Return how two texts differ, None if they don't."""
    one, other = sides
    some = old or new
    if some is None or (
        old is not None and new is not None and old.id == new.id
        and one.weight(old) == other.weight(new)
    ):  # fmt: skip
        return None
    how: How = "changed"
    if old is None or new is None:
        how = "added" if old is None else "removed"
    elif old.id == new.id:
        how = "weighted"
    return TextChange(
        tile_id=some.tile_id, level=some.level, how=how,
        old=_words(old), new=_words(new), weight=None if new is None else other.weight(new),
        reason=None if change is None else change.reason,
    )  # fmt: skip


def _words(text: Text | None) -> str | None:
    if text is None:
        return None
    return f"{text.question} {text.text}" if text.question else text.text
