"""A corpus with few sentences a tile and nothing else said, for loops that judge every text.

Of each tile at most `most` sentences are kept. Dimensions take turns, in each the kinds of claims
take turns, and within a kind chance decides, keyed by the text: so counts, directions, functions,
targets and shapes stay, where they were told. Evidence and claims stay as they are; splits are
treated alike. The corpus shares the files of the one that it was made of (hard links).
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.store import (
    CLAIMS,
    EVIDENCE,
    TEXTS,
    read_claims,
    read_texts,
    texts_table,
    versions,
)
from sarknowlip.annotate.version import adding, appearing, read_manifest, write_manifest
from sarknowlip.core.hashing import digest, unit_interval
from sarknowlip.corpus.catalog import ANNOTATIONS
from sarknowlip.data.shards import IMAGES, SHARDS, build_shards
from sarknowlip.knowledge.store import COMPRESSION

READY = "ready"


def linked(source: Path, target: Path, *without: str) -> Path:
    """Return a copy of a folder that shares its files, locks and what is unfinished left out.

    Nothing in a corpus or a loop is changed in place, so that copies stay what they were.

    Args:
        source: The folder.
        target: The copy; if it is there, it is left as it is.
        without: Names that are left out.
    """
    if not target.is_dir():
        partial = target.with_name(f".{target.name}.making")
        shutil.rmtree(partial, ignore_errors=True)
        partial.parent.mkdir(parents=True, exist_ok=True)
        hidden = shutil.ignore_patterns(".*", *without)
        shutil.copytree(source, partial, copy_function=os.link, ignore=hidden)
        partial.rename(target)
    return target


def fewer(corpus: Path, target: Path, most: int, *, seed: int = 0) -> Path:
    """Return a corpus whose only texts are at most `most` sentences a tile.

    Args:
        corpus: With the texts that these are drawn from, its oldest.
        target: Made unless it is there, and then it needs no other corpus.
        most: Sentences of a tile.
        seed: Of the draw.
    """
    if (target / READY).is_file():
        return target
    source = versions(corpus)[0]
    shutil.rmtree(target, ignore_errors=True)
    root = linked(corpus, target, ANNOTATIONS, "v[0-9]*", READY)
    manifest = read_manifest(source)
    kinds = {claim.id: claim.predicate for claim in read_claims(source)}
    texts = [text for own in _by_tile(read_texts(source)) for text in kept(own, kinds, most, seed)]
    about = {name: manifest[name] for name in ("recipe", "versions", "attributions")}
    with adding(root) as place, appearing(place) as partial:
        for name in (EVIDENCE, CLAIMS):
            shutil.copyfile(source / name, partial / name)
        pq.write_table(texts_table(texts), partial / TEXTS, compression=COMPRESSION)
        made = {"made_by": "fewer", "report": {"texts": len(texts)}}
        write_manifest(partial, digest(["fewer", manifest["key"], most, seed]), about | made)
    build_shards(root)
    (root / READY).touch()
    return root


def sharded(root: Path) -> None:
    """Build shards of the newest texts, if tiles have some: training reads them faster."""
    newest = versions(root)[-1].name
    if (root / SHARDS / IMAGES).is_dir() and not (root / SHARDS / newest).is_dir():
        build_shards(root, newest)


def kept(texts: Sequence[Text], kinds: Mapping[str, str], most: int, seed: int = 0) -> list[Text]:
    """Return the sentences of a tile that are kept, in their order.

    Args:
        texts: All of one tile.
        kinds: Predicate of each claim.
        most: Sentences at most.
        seed: Of the draw.
    """
    groups: dict[str, dict[str, list[Text]]] = defaultdict(lambda: defaultdict(list))
    drawn = sorted(
        (text for text in texts if text.level == "sentence"),
        key=lambda text: unit_interval("fewer", str(seed), text.id),
    )
    for text in drawn:
        groups[text.dimension][kinds.get(text.claim_ids[0], "")].append(text)
    turns = _turns([_turns(own.values()) for _, own in sorted(groups.items())])
    chosen = {text.id for text in turns[:most]}
    return [text for text in texts if text.id in chosen]


def _turns(lists: Iterable[Sequence[Text]]) -> list[Text]:
    """Return all items: the first of each list, then the second of each …"""
    left = [list(part) for part in lists]
    return [
        part[n] for n in range(max(map(len, left), default=0)) for part in left if n < len(part)
    ]


def _by_tile(texts: Iterable[Text]) -> Iterator[list[Text]]:
    """Yield the texts of each tile; tables are written tile after tile."""
    of_tile: dict[str, list[Text]] = defaultdict(list)
    for text in texts:
        of_tile[text.tile_id].append(text)
    yield from of_tile.values()
