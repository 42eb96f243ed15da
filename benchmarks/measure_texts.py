"""Measure how much text there is, and how varied it is, on real tiles, as CSV.

    python benchmarks/measure_texts.py CORPUS … [--tiles 1000] > benchmarks/results/texts.csv

Claims and facts are those of each corpus' newest annotations; texts are rendered anew, so that a
change of words needs no new annotations. Tiles with the least digests are taken. Rows:
all sentences; those of a dimension; of a predicate; texts of a level. Beside these stand the same
figures for one fixed wording a predicate (`template_…`). Self-BLEU is of 200 texts, not
measured of single predicates.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.compose import Composer
from sarknowlip.annotate.store import annotation_folder, read_claims
from sarknowlip.annotate.text_stats import SAMPLE, VarietyMeter, template_sentences
from sarknowlip.core.hashing import unit_interval
from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.store import read_evidence

FIGURES = ("unique_share", "distinct_2", "self_bleu")
COLUMNS = (
    "of",
    "name",
    "tiles",
    "texts",
    "per_tile",
    *FIGURES,
    *(f"template_{f}" for f in FIGURES),
)

Tile = tuple[list[Claim], list[Evidence]]


def tiles_of(corpora: list[Path], most: int) -> Iterator[Tile]:
    """Yield claims and facts of the tiles with the least digests."""
    claims, facts = defaultdict[str, list[Claim]](list), defaultdict[str, list[Evidence]](list)
    for corpus in corpora:
        folder = annotation_folder(corpus)
        for claim in read_claims(folder):
            claims[claim.tile_id].append(claim)
        for fact in read_evidence(folder / "evidence.parquet"):
            facts[fact.tile_id].append(fact)
    for tile in sorted(claims, key=unit_interval)[:most]:
        yield claims[tile], facts[tile]


class Meters:
    """Measures of sentences and of the template's, by what they are of."""

    def __init__(self) -> None:
        self.tiles, self.levels = 0, Counter[str]()
        self.yes = Counter[str]()
        self._own: dict[tuple[str, str], VarietyMeter] = {}
        self._template: dict[tuple[str, str], VarietyMeter] = {}

    def add(self, tile: Tile, composer: Composer) -> None:
        claims = {claim.id: claim for claim in tile[0]}
        self.tiles += 1
        for text in composer.texts(*tile):
            self.levels[text.level] += 1
            if text.topic is not None and text.text in ("yes", "no"):
                self.yes[text.text] += 1
            if text.level == "sentence":
                self._into(self._own, claims[text.claim_ids[0]], text.id, text.text)
        for key, words in template_sentences(tile[0]):
            self._into(self._template, claims[key], key, words)

    @staticmethod
    def _into(
        meters: dict[tuple[str, str], VarietyMeter], claim: Claim, key: str, words: str
    ) -> None:
        names = ("all", ""), ("dimension", claim.dimension), ("predicate", claim.predicate)
        for name in names:
            if name not in meters:
                meters[name] = VarietyMeter(sample=0 if name[0] == "predicate" else SAMPLE)
            meters[name].add(key, words)

    def rows(self) -> Iterator[dict[str, object]]:
        order = ("all", "dimension", "predicate")
        for of, name in sorted(self._own, key=lambda key: (order.index(key[0]), key[1])):
            own, template = self._own[of, name].result(), self._template[of, name].result()
            figures = {figure: getattr(own, figure) for figure in FIGURES}
            figures |= {f"template_{figure}": getattr(template, figure) for figure in FIGURES}
            yield self._row(of, name, own.texts) | figures
        for level, count in sorted(self.levels.items()):
            yield self._row("level", level, count)
        yield self._row("level", "any", sum(self.levels.values()))
        for answer, count in sorted(self.yes.items()):
            yield self._row("answer", answer, count)

    def _row(self, of: str, name: str, texts: int) -> dict[str, object]:
        per_tile = round(texts / max(1, self.tiles), 2)
        return {"of": of, "name": name, "tiles": self.tiles, "texts": texts, "per_tile": per_tile}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpora", type=Path, nargs="+", metavar="CORPUS")
    parser.add_argument("--tiles", type=int, default=1000)
    arguments = parser.parse_args()
    meters, composer = Meters(), Composer()
    for tile in tiles_of(arguments.corpora, arguments.tiles):
        meters.add(tile, composer)
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(meters.rows())


if __name__ == "__main__":
    main()
