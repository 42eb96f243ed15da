"""Rows of the tasks about language: what the annotation says of a tile, made fit for scoring.

Left out is what nobody can tell from a picture: the name of the city and the way to it, the angles
of the radar. Answers are brought to one form, because the grammar tells one fact in many words:
"housing" and "residential development" become "residential".
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path

from sarknowlip.annotate.claim import Claim, Text
from sarknowlip.annotate.store import annotation_folder, read_claims, read_texts
from sarknowlip.bench.builtin.pictures import Tiles
from sarknowlip.bench.builtin.plan import Most
from sarknowlip.bench.builtin.rows import Row
from sarknowlip.core.hashing import unit_interval

BOX_SHARE = 0.01, 0.6
"""Of the tile that the box of an expression covers."""
FEW = 10
"""Things that are counted one by one."""


@functools.cache
def rules() -> Mapping[str, Sequence[str]]:
    """Return which predicates are left out, and which argument answers a topic."""
    text = resources.files(__package__).joinpath("language.json").read_text("utf-8")
    return dict(json.loads(text))


def language_rows(corpus: Path, tiles: Tiles, most: Most) -> dict[str, list[Row]]:
    """Return rows by task: search, captioning, answering, grounding.

    Args:
        corpus: Annotated corpus.
        tiles: Its tiles.
        most: How much is kept of a tile.
    """
    folder = annotation_folder(corpus)
    claims = {claim.id: claim for claim in read_claims(folder)}
    texts: dict[str, list[Text]] = defaultdict(list)
    for text in read_texts(folder):
        if not any(claims[one].predicate in rules()["left_out"] for one in text.claim_ids):
            texts[text.tile_id].append(text)
    rows: dict[str, list[Row]] = {task: [] for task in TASKS}
    for tile_id, record in tiles.records.items():
        about = {"group": record.block, "tile": tile_id}
        said = texts.get(tile_id, [])
        for task, make in TASKS.items():
            for number, truth in enumerate(make(said, claims, most, record.projection.shape)):
                rows[task].append({"id": f"{tile_id}-{number}"} | about | truth)
    return rows


def _search(
    said: Sequence[Text], claims: Mapping[str, Claim], most: Most, shape: tuple[int, int]
) -> Iterator[Row]:
    paragraphs = [text.text for text in said if text.level == "paragraph"]
    if paragraphs:
        yield {"texts": paragraphs[:1]}


def _captioning(
    said: Sequence[Text], claims: Mapping[str, Claim], most: Most, shape: tuple[int, int]
) -> Iterator[Row]:
    paragraphs = [text for text in said if text.level == "paragraph"]
    sentences = _drawn([text for text in said if text.level == "sentence"], most.sentences)
    if paragraphs or sentences:
        yield {"texts": [text.text for text in [*paragraphs[:1], *sentences]]}


def _answering(
    said: Sequence[Text], claims: Mapping[str, Claim], most: Most, shape: tuple[int, int]
) -> Iterator[Row]:
    asked: dict[str, Row] = {}
    for text in _drawn([text for text in said if text.question is not None], len(said)):
        answer = canonical(text, claims[text.claim_ids[0]])
        if answer is not None and text.question not in asked and len(asked) < most.questions:
            asked[str(text.question)] = {
                "question": text.question,
                "answer": answer,
                "asked": text.topic,
            }
    yield from asked.values()


def _grounding(
    said: Sequence[Text], claims: Mapping[str, Claim], most: Most, shape: tuple[int, int]
) -> Iterator[Row]:
    fit = [text for text in said if text.level == "grounding" and _fits(text, shape)]
    distinct = {text.boxes_px[0]: text for text in reversed(fit)}
    for text in _drawn(list(distinct.values()), most.expressions):
        yield {
            "expression": text.text,
            "box": [float(edge) for edge in text.boxes_px[0]],
            "rle": text.masks_rle[0],
            "shape": list(shape),
        }


TASKS = {
    "search": _search,
    "captioning": _captioning,
    "answering": _answering,
    "grounding": _grounding,
}


def canonical(text: Text, claim: Claim) -> str | None:
    """Return the answer of a question in one form of words; None where it has none.

    Yes and no stay; names of things and counts are those of the claim, counts above ten rounded to
    one digit and zeros; shares are rounded to ten per cent.
    """
    if text.text in ("yes", "no"):
        return text.text
    for name in rules().get(f"answers/{text.topic}", ()):
        value = claim.arguments.get(name)
        if isinstance(value, int) and name == "share_pct":
            return f"{10 * round(value / 10)} per cent"
        if isinstance(value, int) and value > FEW:
            return f"about {round(value, 1 - len(str(value)))}"
        if value is not None and value != "":
            return str(value).replace("_", " ")
    return None


def _fits(text: Text, shape: tuple[int, int]) -> bool:
    if len(text.boxes_px) != 1 or len(text.masks_rle) != 1:
        return False
    left, top, right, bottom = text.boxes_px[0]
    share = (right - left) * (bottom - top) / (shape[0] * shape[1])
    return BOX_SHARE[0] <= share <= BOX_SHARE[1]


def _drawn(texts: Sequence[Text], most: int) -> list[Text]:
    """Return so many texts at most, chosen by a hash of their identifiers, in their own order."""
    chosen = sorted(texts, key=lambda text: unit_interval("builtin", text.id))[:most]
    kept = {text.id for text in chosen}
    return [text for text in texts if text.id in kept]
