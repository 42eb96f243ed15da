"""Texts that do not name a city, as a further version of a corpus's annotations.

Sentences, phrases and tags that hold the name of a city or country of any claim of the corpus are
left out, and such sentences of paragraphs. Evidence and claims stay as they are. Only for
measuring: `sarknowlip verify` would find paragraphs that are not those it derives.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq

from sarknowlip.annotate.claim import Text
from sarknowlip.annotate.store import (
    CLAIMS,
    MANIFEST,
    TEXTS,
    annotation_folder,
    read_claims,
    read_texts,
    texts_table,
)
from sarknowlip.core.files import read_json, write_json
from sarknowlip.core.hashing import file_sha256
from sarknowlip.data.shards import build_shards

NAMED, NAMELESS = "v0001", "v0002"
ENDS = re.compile(r"(?<=[.]) (?=[A-Z])")
"""Between sentences of a paragraph."""


def version(corpus: Path, *, names: bool) -> str:
    """Return the version with or without names; the latter is made where absent."""
    if not names and not (corpus / "annotations" / NAMELESS).is_dir():
        _make(corpus)
    return NAMED if names else NAMELESS


def city_names(folder: Path) -> set[str]:
    """Return all names of cities and countries among the claims of a version."""
    cities = [claim for claim in read_claims(folder) if claim.predicate == "city"]
    return {str(claim.arguments[key]) for claim in cities for key in ("name", "country")}


def _make(corpus: Path) -> None:
    source = annotation_folder(corpus, NAMED)
    target = source.parent / NAMELESS
    partial = source.parent / f".{NAMELESS}.making"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial)
    names = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in sorted(city_names(source))))
    kept = [left for text in read_texts(source) if (left := _nameless(text, names)) is not None]
    pq.write_table(texts_table(kept), partial / TEXTS)
    manifest = read_json(partial / MANIFEST, "annotate again")
    manifest["key"] = NAMELESS
    manifest["files"][TEXTS] = file_sha256(partial / TEXTS)
    assert manifest["files"][CLAIMS] == file_sha256(partial / CLAIMS)
    write_json(partial / MANIFEST, manifest)
    partial.rename(target)
    build_shards(corpus, NAMELESS)


def _nameless(text: Text, names: re.Pattern[str]) -> Text | None:
    """Return a text without sentences that hold a name; None if nothing is left."""
    if not names.search(text.text):
        return text
    if text.level != "paragraph":
        return None
    left = [part for part in ENDS.split(text.text) if not names.search(part)]
    return text.model_copy(update={"text": " ".join(left)}) if left else None
