"""Boxes of objects from the annotation formats of detection sets.

Coordinates are (x, y) in pixels from the upper left corner of the picture, as the formats have
them; horizontal boxes are cut at the edges of the picture.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lxml import etree
from scipy import ndimage

from sarknowlip.bench.example import Boxes, Count, Example
from sarknowlip.bench.metrics import BenchError
from sarknowlip.core.files import read_json

Corners = npt.NDArray[np.float64]
AGAIN = "fetch the set again"


@dataclass(frozen=True)
class Annotated:
    """Boxes of one picture.

    Attributes:
        file: Name of the picture's file.
        boxes: Objects in it.
    """

    file: str
    boxes: Boxes


def boxes_of(corners: Iterable[Corners], classes: Iterable[int]) -> Boxes:
    """Return boxes from corners (4, 2) each."""
    stacked = list(corners)
    return Boxes(
        np.stack(stacked).astype(np.float64) if stacked else np.zeros((0, 4, 2)),
        np.asarray(list(classes), dtype=np.int64),
    )


def horizontal(edges: Sequence[float], size: tuple[int, int]) -> Corners | None:
    """Return corners from left, top, right, bottom, cut at a picture of (rows, columns).

    None where nothing is left of the box.
    """
    rows, columns = size
    left, right = np.clip((edges[0], edges[2]), 0, columns)
    top, bottom = np.clip((edges[1], edges[3]), 0, rows)
    if right <= left or bottom <= top:
        return None
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def turned(centre: tuple[float, float], along: float, across: float, angle: float) -> Corners:
    """Return corners of a box turned clockwise.

    Args:
        centre: x and y.
        along: Length of the side that lies at `angle`.
        across: Length of the other side.
        angle: Radians from the x axis towards the y axis, that is clockwise as seen.
    """
    u = np.array([np.cos(angle), np.sin(angle)]) * along / 2
    v = np.array([-np.sin(angle), np.cos(angle)]) * across / 2
    return np.asarray(np.array(centre) + np.array([-u - v, u - v, u + v, -u + v]))


def mask_boxes(mask: npt.NDArray[np.bool_]) -> Boxes:
    """Return the horizontal box around each connected region of a mask, class 0.

    Regions touch at edges or corners (8 neighbours); objects that touch become one.
    """
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    found = [
        horizontal((x.start, y.start, x.stop, y.stop), (mask.shape[0], mask.shape[1]))
        for y, x in ndimage.find_objects(labels)
    ]
    kept = [corners for corners in found if corners is not None]
    return boxes_of(kept, [0] * len(kept))


def coco(path: Path, classes: Sequence[str]) -> list[Annotated]:
    """Read boxes from a COCO file, pictures sorted by name; crowds are left out.

    Raises:
        BenchError: The file is not of that format or has classes of other names.
        SarKnowlipError: It cannot be read.
    """
    content = read_json(path, AGAIN)
    place = {name.lower(): index for index, name in enumerate(classes)}
    try:
        category = {c["id"]: place[str(c["name"]).lower()] for c in content["categories"]}
        objects: Mapping[int, list[Any]] = defaultdict(list)
        for entry in content["annotations"]:
            if not entry.get("iscrowd"):
                objects[entry["image_id"]].append(entry)
        pictures = sorted(content["images"], key=lambda picture: str(picture["file_name"]))
        return [
            Annotated(
                picture["file_name"],
                _coco_boxes(
                    objects[picture["id"]], category, (picture["height"], picture["width"])
                ),
            )
            for picture in pictures
        ]
    except (KeyError, TypeError, IndexError) as error:
        raise BenchError(f"{path}: not the expected COCO file, at {error}", AGAIN) from error


def _coco_boxes(
    entries: Sequence[Any], category: Mapping[int, int], size: tuple[int, int]
) -> Boxes:
    corners, classes = [], []
    for entry in entries:
        left, top, width, height = entry["bbox"]
        box = horizontal((left, top, left + width, top + height), size)
        if box is not None:
            corners.append(box)
            classes.append(category[entry["category_id"]])
    return boxes_of(corners, classes)


def voc(path: Path, classes: Sequence[str], corners: Callable[[Any], Corners]) -> Boxes:
    """Read boxes from the VOC file of one picture.

    Args:
        path: XML file.
        classes: Names; small and capital letters count alike.
        corners: From an `object` element to its corners; may raise `AttributeError`, `TypeError`
            or `ValueError` where the element lacks them.

    Raises:
        BenchError: The file is not of that format or has classes of other names.
    """
    place = {name.lower(): index for index, name in enumerate(classes)}
    try:
        objects = etree.parse(path).getroot().findall("object")
        return boxes_of(
            [corners(entry) for entry in objects],
            [place[entry.findtext("name").strip().lower()] for entry in objects],
        )
    except (OSError, etree.XMLSyntaxError, KeyError, AttributeError, TypeError, ValueError) as e:
        raise BenchError(f"{path}: not the expected VOC file, at {e}", AGAIN) from e


def numbers(element: Any, *names: str) -> list[float]:
    """Return the numbers in the named children of an XML element."""
    return [float(element.findtext(name)) for name in names]


def counted(examples: Iterable[Example]) -> tuple[Example, ...]:
    """Return the examples of detection with how many boxes there are as their truth."""
    found = []
    for example in examples:
        assert isinstance(example.truth, Boxes)
        found.append(replace(example, truth=Count(len(example.truth.classes))))
    return tuple(found)
