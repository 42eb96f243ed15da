"""Hand-made facts of several tiles, in the vocabulary of docs/evidence.md, for tests of stages.

`scenes()` gives them by name. Tiles are small worlds of rectangles whose shares, areas and points
follow from their masks, so that what a stage says can be checked by looking at this file.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from sarknowlip.knowledge.evidence import Evidence
from sarknowlip.knowledge.masks import encode_mask, mask_box
from sarknowlip.knowledge.vocabulary import COVERS, FUNCTIONS

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, ends exclusive."""

TILE = "tile"
ROWS = COLUMNS = 128
GSD_M = 10.0
RESOLVED_M = 60.0
SURE = {"image": 0.95, "osm": 0.9, "landcover": 0.85, "dem": 0.95, "gazetteer": 0.95, "zones": 0.9}
"""Confidence of each source's facts unless told otherwise."""


@dataclass
class Scene:
    """Facts about one tile, in the making."""

    found: list[Evidence] = field(default_factory=list)

    def add(
        self,
        source: str,
        subject: str,
        predicate: str,
        value: float | None,
        unit: str,
        *,
        label: str | None = None,
        mask: np.ndarray | None = None,
        confidence: float | None = None,
    ) -> None:
        """Add a fact."""
        self.found.append(
            Evidence.of(
                TILE,
                subject,
                predicate,
                value=value,
                label=label,
                unit=unit,
                source=source,
                source_version="made",
                source_time="2024-06-01T00:00:00Z",
                confidence=SURE[source] if confidence is None else confidence,
                bbox_px=None if mask is None else mask_box(mask),
                mask_rle=None if mask is None else encode_mask(mask),
            )
        )

    def image(self, *, looks: float = 4.4, variation: float = 0.5, valid: float = 1.0) -> None:
        """Add what the image tells of itself."""
        for predicate, value, unit in (
            ("rows", ROWS, "px"), ("columns", COLUMNS, "px"), ("gsd_x", GSD_M, "m"),
            ("gsd_y", GSD_M, "m"), ("valid_share", valid, "share"),
        ):  # fmt: skip
            self.add("image", "image", predicate, value, unit, confidence=1.0)
        if valid:
            self.add("image", "image", "looks", looks, "looks", confidence=0.8)
            self.add("image", "image", "texture_variation", variation, "1")

    def viewing(self, incidence: float = 38.2, look: float = 98.0) -> None:
        """Add from where the radar looked."""
        self.add("image", "image", "incidence", incidence, "deg")
        self.add("image", "image", "look_azimuth", look, "deg")

    def levels(self, vv: float, vh: float, unit: str = "dB") -> None:
        """Add mean and percentiles of both channels, and their ratio."""
        for name, mean in (("VV", vv), ("VH", vh)):
            for predicate, value in (("mean", mean), ("p10", mean - 5), ("p90", mean + 3)):
                self.add("image", name, predicate, value, unit)
        self.add("image", "VH/VV", "ratio", vh - vv, "dB")

    def surface(
        self, name: str, mask: np.ndarray, vv: float, vh: float, confidence: float = 0.95
    ) -> None:
        """Add a surface that the image shows."""
        self.add("image", name, "share", mask.mean(), "share", mask=mask, confidence=confidence)
        if mask.any():
            self.add("image", name, "mean_VV", vv, "dB", confidence=confidence)
            self.add("image", name, "mean_VH", vh, "dB", confidence=confidence)

    def cover(self, name: str, mask: np.ndarray, vv: float, vh: float, variation: float) -> None:
        """Add a class of land cover and what the image shows there."""
        self.add("landcover", f"cover/{name}", "share", mask.mean(), "share", mask=mask)
        self.zone(f"cover/{name}", vv, vh, variation)

    def no_other_cover(self) -> None:
        """Add that all other classes of land cover are absent."""
        known = {fact.subject for fact in self.found}
        for name in COVERS.values():
            if f"cover/{name}" not in known:
                self.add("landcover", f"cover/{name}", "share", 0.0, "share")

    def zone(self, subject: str, vv: float, vh: float, variation: float) -> None:
        """Add what the image shows of a subject's pixels."""
        for predicate, value, unit in (
            ("mean_VV", vv, "dB"), ("mean_VH", vh, "dB"), ("ratio", vh - vv, "dB"),
            ("variation", variation, "1"),
        ):  # fmt: skip
            self.add("zones", f"zone/{subject}", predicate, value, unit)

    def ground(self, regions: Sequence[tuple[str, np.ndarray, str]], whole: bool = True) -> None:
        """Add mapped regions (function, mask, name), and the share of each function.

        A map that covers the whole tile tells of functions that are absent, too.
        """
        for function in FUNCTIONS:
            masks = [mask for name, mask, _ in regions if name == function]
            if masks:
                mask = np.logical_or.reduce(masks)
                self.add("osm", f"function/{function}", "share", mask.mean(), "share", mask=mask)
            elif whole:
                self.add("osm", f"function/{function}", "share", 0.0, "share")
        largest = sorted(regions, key=lambda region: -int(region[1].sum()))
        for number, (function, mask, name) in enumerate(largest):
            subject = f"region/{number:02d}"
            x0, y0, x1, y1 = mask_box(mask)  # type: ignore[misc]
            self.add("osm", subject, "function", None, "class", label=function, mask=mask)
            self.add("osm", subject, "share", mask.mean(), "share")
            self.add("osm", subject, "area", mask.sum() * GSD_M**2, "m2")
            self.point("osm", subject, (x0 + x1) / 2, (y0 + y1) / 2)
            self.add("osm", subject, "orientation", 90.0 if x1 - x0 > y1 - y0 else 0.0, "deg")
            if name:
                self.add("osm", subject, "name", None, "class", label=name)

    def objects(self, found: Sequence[tuple[str, Box, str, dict[str, float]]]) -> None:
        """Add mapped objects: kind, box, name, and measures by predicate."""
        for kind in sorted({kind for kind, *_ in found}):
            count = sum(kind == other for other, *_ in found)
            self.add("osm", f"objects/{kind}", "count", count, "count")
        for number, (kind, box, name, measures) in enumerate(found):
            subject = f"object/{number:02d}"
            self.add("osm", subject, "kind", None, "class", label=kind, mask=rectangle(*box))
            self.point("osm", subject, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
            for predicate, value in measures.items():
                unit = "deg" if predicate == "orientation" else "m"
                self.add("osm", subject, predicate, value, unit)
            if name:
                self.add("osm", subject, "name", None, "class", label=name)

    def targets(self, found: Sequence[tuple[float, float, bool, float, float]]) -> None:
        """Add bright targets (column, row, alone on water, length, width), clearest first."""
        ships = sum(alone for _, _, alone, _, _ in found)
        self.add("image", "targets", "count", len(found), "count")
        self.add("image", "ships", "count", ships, "count", confidence=0.8)
        for number, (column, row, alone, length, width) in enumerate(found):
            subject = f"target/{number:02d}"
            x, y = int(column), int(row)
            mask = rectangle(x - 2, y - 1, x + 3, y + 2)
            label = "ship candidate" if alone else "not alone on water"
            self.point("image", subject, column, row)
            self.add("image", subject, "length", length, "m", mask=mask)
            self.add("image", subject, "width", width, "m", mask=mask)
            if length >= RESOLVED_M:
                self.add("image", subject, "resolved_length", length, "m", mask=mask)
            self.add("image", subject, "orientation", 90.0, "deg", mask=mask, confidence=0.8)
            self.add("image", subject, "peak", 12.0 - number, "dB", mask=mask)
            self.add("image", subject, "contrast", 25.0 - number, "dB", mask=mask)
            self.add(
                "image", subject, "water_beside", float(alone), "share",
                label=label, mask=mask, confidence=0.8,
            )  # fmt: skip

    def point(self, source: str, subject: str, column: float, row: float) -> None:
        """Add where a thing is."""
        self.add(source, subject, "column", column, "px")
        self.add(source, subject, "row", row, "px")

    def terrain(
        self, height: float, relief: float, slope: float, facing: float, away: float
    ) -> None:
        """Add what an elevation model tells."""
        for predicate, value, unit in (
            ("mean_height", height, "m"), ("relief", relief, "m"), ("slope", slope, "deg"),
            ("facing_share", facing, "share"), ("away_share", away, "share"),
        ):  # fmt: skip
            self.add("dem", "terrain", predicate, value, unit)

    def city(
        self, name: str, country: str, population: int, distance: float, bearing: float
    ) -> None:
        """Add the city that the tile belongs to."""
        self.add("gazetteer", "city", "name", None, "class", label=name)
        self.add("gazetteer", "city", "country", None, "class", label=country)
        self.add("gazetteer", "city", "population", population, "count")
        self.add("gazetteer", "city", "distance", distance, "m")
        self.add("gazetteer", "city", "bearing", bearing, "deg")

    def place(self, number: int, name: str, kind: str, column: float, row: float) -> None:
        """Add a named place."""
        subject = f"place/{number:02d}"
        self.add("osm", subject, "name", None, "class", label=name)
        self.add("osm", subject, "kind", None, "class", label=kind)
        self.point("osm", subject, column, row)

    def built(self, count: int, share: float, height: float | None) -> None:
        """Add the sum of mapped buildings."""
        self.add("osm", "buildings", "count", count, "count")
        self.add("osm", "buildings", "share", share, "share")
        if height is not None:
            self.add("osm", "buildings", "mean_height", height, "m")


def rectangle(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    """Return the mask of a rectangle, ends exclusive."""
    mask = np.zeros((ROWS, COLUMNS), dtype=bool)
    mask[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return mask


def port_town(names: bool = True) -> list[Evidence]:
    """A town by the sea, which lies in the west; all sources speak and agree.

    Columns 0…39 are sea. A port (rows 40…63) and its quay lie on the shore, a tank farm south of
    them, a residential district with a park inside it fills the east, a railway ground its south.
    """
    scene, called = Scene(), (lambda name: name if names else "")
    scene.image(variation=1.1)
    scene.viewing()
    scene.levels(-8.5, -15.2)
    everything = rectangle(0, 0, COLUMNS, ROWS)
    sea = rectangle(0, 0, 40, ROWS)
    quay, port = rectangle(40, 40, 44, 64), rectangle(44, 40, 64, 64)
    tanks, park = rectangle(40, 72, 60, 90), rectangle(80, 30, 100, 50)
    rail = rectangle(40, 110, COLUMNS, 116)
    rest = everything & ~(sea | quay | port | tanks | park | rail)
    scene.surface("water", sea, -21.0, -28.0)
    scene.surface("bright_structure", port | tanks | rectangle(70, 60, 128, 100), -2.1, -9.6)
    scene.surface(
        "land", everything & ~sea & ~(port | tanks | rectangle(70, 60, 128, 100)), -9.8, -16.2
    )
    scene.cover("water", sea, -21.0, -28.0, 0.1)
    scene.cover("built_up", everything & ~sea & ~park, -5.0, -12.5, 1.4)
    scene.cover("tree_cover", park, -9.0, -15.0, 0.2)
    scene.no_other_cover()
    scene.ground(
        [
            ("sea", sea, called("Grey Sound")), ("residential", rest, ""),
            ("rail", rail, ""), ("port", port, called("North Harbour")),
            ("park", park, called("Linden Park")), ("tank_farm", tanks, ""), ("quay", quay, ""),
        ]
    )  # fmt: skip
    for function, vv, vh, variation in (
        ("sea", -21.0, -28.0, 0.1), ("residential", -5.5, -12.8, 1.2), ("port", -1.0, -9.0, 2.0),
        ("tank_farm", 0.5, -8.0, 2.4), ("park", -9.0, -15.0, 0.2), ("rail", -11.0, -19.0, 0.7),
    ):  # fmt: skip
        scene.zone(f"function/{function}", vv, vh, variation)
    tank = {"length": 40.0, "width": 40.0, "height": 15.0}
    scene.objects(
        [
            ("pier", (30, 52, 40, 54), called("Long Pier"),
             {"length": 100.0, "width": 20.0, "orientation": 90.0}),
            ("crane", (45, 42, 47, 44), "", {"height": 60.0}),
            ("crane", (45, 58, 47, 60), "", {"height": 60.0}),
            ("storage_tank", (42, 74, 46, 78), "", tank),
            ("storage_tank", (48, 74, 52, 78), "", tank),
            ("storage_tank", (54, 74, 58, 78), "", tank),
            ("church", (110, 20, 112, 22), called("St Nicholas"), {"height": 48.0}),
        ]
    )  # fmt: skip
    scene.targets([(20.0, 30.0, True, 120.0, 20.0), (12.0, 100.0, True, 60.0, 15.0),
                   (50.0, 52.0, False, 80.0, 60.0)])  # fmt: skip
    scene.terrain(12.0, 18.0, 1.5, 0.05, 0.04)
    scene.built(420, 0.14, 11.0)
    scene.add("osm", "roads", "length", 14_300.0, "m")
    scene.add("osm", "railways", "length", 1_250.0, "m")
    if names:
        scene.city("Larvik", "Norway", 24_000, 1_800.0, 225.0)
        scene.place(0, "Eastside", "suburb", 100.0, 80.0)
    return scene.found


def farmland() -> list[Evidence]:
    """Fields in rolling country with a river, a village, a row of wind turbines; no names."""
    scene = Scene()
    scene.image(variation=0.2)
    scene.viewing(33.5, 279.0)
    scene.levels(-11.8, -18.0)
    everything = rectangle(0, 0, COLUMNS, ROWS)
    river, village = rectangle(0, 60, COLUMNS, 64), rectangle(90, 90, 110, 106)
    wood = rectangle(10, 10, 50, 40)
    fields = everything & ~(river | village | wood)
    scene.surface("water", river, -19.5, -26.5)
    scene.surface("bright_structure", village & rectangle(90, 90, 100, 106), -3.0, -10.0)
    scene.surface("land", everything & ~river & ~rectangle(90, 90, 100, 106), -11.5, -17.5)
    scene.cover("cropland", fields, -11.9, -19.5, 0.2)
    scene.cover("tree_cover", wood, -9.5, -15.2, 0.1)
    scene.cover("water", river, -19.5, -26.5, 0.1)
    scene.cover("built_up", village, -6.0, -13.0, 1.0)
    scene.no_other_cover()
    scene.ground(
        [
            ("farmland", fields & rectangle(0, 0, COLUMNS, 60), ""),
            ("farmland", fields & rectangle(0, 64, COLUMNS, ROWS), ""), ("forest", wood, ""),
            ("river", river, ""), ("sparse_residential", village, ""),
        ]
    )  # fmt: skip
    for function, vv, vh, variation in (
        ("farmland", -11.9, -19.5, 0.2), ("forest", -9.5, -15.2, 0.1), ("river", -19.5, -26.5, 0.1),
        ("sparse_residential", -6.0, -13.0, 1.0),
    ):  # fmt: skip
        scene.zone(f"function/{function}", vv, vh, variation)
    turbine = {"height": 120.0}
    scene.objects(
        [("wind_turbine", (x, 80, x + 2, 82), "", turbine) for x in (10, 30, 50, 70)]
        + [("bridge", (96, 58, 98, 66), "",
            {"length": 80.0, "width": 10.0, "orientation": 0.0})]
    )  # fmt: skip
    scene.targets([(11.0, 81.0, False, 15.0, 10.0), (31.0, 81.0, False, 15.0, 10.0)])
    scene.terrain(140.0, 55.0, 4.0, 0.15, 0.14)
    scene.built(36, 0.004, None)
    scene.add("osm", "roads", "length", 5_600.0, "m")
    scene.add("image", "line/00", "length", 900.0, "m")
    scene.add("image", "line/00", "orientation", 91.0, "deg", mask=rectangle(0, 60, 90, 64))
    scene.add("image", "line/00", "contrast", -7.5, "dB")
    scene.point("image", "line/00", 45.0, 62.0)
    return scene.found


def open_sea() -> list[Evidence]:
    """Nothing but water and three ships; the map knows it as sea."""
    scene = Scene()
    everything = rectangle(0, 0, COLUMNS, ROWS)
    scene.image(variation=0.05)
    scene.viewing()
    scene.levels(-20.0, -27.5)
    scene.surface("water", everything, -20.2, -27.6)
    scene.surface("land", ~everything, 0.0, 0.0)
    scene.surface("bright_structure", ~everything, 0.0, 0.0)
    scene.cover("water", everything, -20.2, -27.6, 0.05)
    scene.no_other_cover()
    scene.ground([("sea", everything, "North Sea")], whole=False)
    scene.zone("function/sea", -20.2, -27.6, 0.05)
    scene.targets([(30.0, 30.0, True, 200.0, 30.0), (100.0, 60.0, True, 90.0, 15.0),
                   (64.0, 110.0, True, 40.0, 10.0)])  # fmt: skip
    return scene.found


def mountain() -> list[Evidence]:
    """A steep valley with a lake, forest, bare rock and snow; shadow, and no map."""
    scene = Scene()
    scene.image(variation=0.9)
    scene.viewing(31.0, 261.0)
    scene.levels(-9.5, -16.0)
    everything = rectangle(0, 0, COLUMNS, ROWS)
    lake, snow = rectangle(50, 100, 78, 120), rectangle(0, 0, COLUMNS, 20)
    rock = rectangle(0, 20, COLUMNS, 50)
    wood = everything & ~(lake | snow | rock)
    scene.add("image", "image", "shadow_share", 0.06, "share")
    scene.surface("water", lake | rectangle(0, 60, 8, 128), -20.5, -27.0, confidence=0.55)
    scene.surface("land", everything & ~lake & ~rectangle(0, 60, 8, 128), -9.0, -15.5, 0.55)
    scene.surface("bright_structure", ~everything, 0.0, 0.0, 0.55)
    scene.cover("tree_cover", wood, -8.7, -14.6, 0.5)
    scene.cover("bare", rock, -10.0, -20.5, 0.9)
    scene.cover("snow_ice", snow, -13.0, -21.0, 0.4)
    scene.cover("water", lake, -20.5, -27.0, 0.1)
    scene.no_other_cover()
    scene.terrain(1_640.0, 1_150.0, 31.0, 0.36, 0.31)
    scene.targets([])
    return scene.found


def image_only() -> list[Evidence]:
    """A coast that only the image tells of: water in the north-east half."""
    scene = Scene()
    scene.image(variation=0.4)
    scene.levels(-13.0, -19.5)
    rows, columns = np.indices((ROWS, COLUMNS))
    water = columns - rows > 0
    scene.surface("water", water, -21.0, -27.5)
    scene.surface("land", ~water, -10.5, -17.2)
    scene.surface("bright_structure", np.zeros_like(water), 0.0, 0.0)
    scene.targets([(100.0, 20.0, True, 150.0, 25.0)])
    return scene.found


def relative() -> list[Evidence]:
    """An uncalibrated image with two populations of pixels."""
    scene = Scene()
    scene.image(looks=8.0, variation=0.6)
    for predicate, value in (("mean", 25.0), ("p10", 16.0), ("p90", 27.0)):
        scene.add("image", "HH", predicate, value, "dB relative")
    scene.add("image", "populations", "count", 2, "count", confidence=0.7)
    scene.add("image", "populations", "separation", 5.2, "1")
    scene.add("image", "populations", "contrast", 10.1, "dB", confidence=0.8)
    scene.add("image", "dark_population", "share", 0.47, "share", confidence=0.8)
    scene.add("image", "targets", "count", 0, "count")
    return scene.found


def single_tone() -> list[Evidence]:
    """An uncalibrated image of one population of pixels."""
    scene = Scene()
    scene.image(looks=8.0, variation=0.1)
    scene.add("image", "HH", "mean", 25.0, "dB relative")
    scene.add("image", "populations", "count", 1, "count", confidence=0.7)
    scene.add("image", "targets", "count", 0, "count")
    return scene.found


def contradictory() -> list[Evidence]:
    """A flood: the image shows water on 60 %, the map on 10 %, and two maps disagree on woods."""
    scene = Scene()
    everything = rectangle(0, 0, COLUMNS, ROWS)
    seen, mapped = rectangle(0, 0, COLUMNS, 77), rectangle(0, 0, COLUMNS, 13)
    fields = everything & ~mapped
    scene.image(variation=0.3)
    scene.levels(-15.0, -22.0)
    scene.surface("water", seen, -20.0, -27.0)
    scene.surface("land", everything & ~seen, -10.0, -16.5)
    scene.surface("bright_structure", ~everything, 0.0, 0.0)
    scene.ground([("river", mapped, "Long Water"), ("farmland", fields, "")])
    scene.zone("function/river", -20.0, -27.0, 0.1)
    scene.zone("function/farmland", -13.5, -20.0, 1.2)
    scene.cover("tree_cover", fields, -13.5, -20.0, 1.2)
    scene.cover("water", mapped, -20.0, -27.0, 0.1)
    scene.no_other_cover()
    scene.add("landcover", "function/farmland", "share", 0.2, "share", confidence=0.4)
    scene.terrain(4.0, 3.0, 0.3, 0.0, 0.0)
    scene.targets([(40.0, 40.0, True, 40.0, 10.0)])
    return scene.found


def empty() -> list[Evidence]:
    """A tile without a valid pixel."""
    scene = Scene()
    scene.image(valid=0.0)
    return scene.found


SCENES: dict[str, Callable[[], list[Evidence]]] = {
    "port town": port_town,
    "port town without names": lambda: port_town(names=False),
    "farmland": farmland,
    "open sea": open_sea,
    "mountain": mountain,
    "image only": image_only,
    "relative": relative,
    "single tone": single_tone,
    "contradictory": contradictory,
    "empty": empty,
    "nothing": list,
}


def scenes() -> dict[str, list[Evidence]]:
    """Return the facts of every made tile by its name."""
    return {name: make() for name, make in SCENES.items()}


def shuffled(evidence: Sequence[Evidence], seed: int = 0) -> list[Evidence]:
    """Return the same facts in another order."""
    return random.Random(seed).sample(list(evidence), len(evidence))
