"""One simulated city: its products and its truth, each part whole or absent.

| in its folder | what |
|---|---|
| `first/` | as `sarknowlip simulate` leaves it: the ground at the first date, and the truth |
| `later/` | the same ground at the second date |
| `changed.tif` | 2 where anything changed between them, else 1, on the grid of the land cover |
| `targets/` | pieces of ground at high resolution, and beside each a JSON file of its targets |
| `polsar/` | the ground in four polarisations |
| `polsar-cover.tif` | land cover at the pixels at which that image shows it |
| `city.json` | which products there are; written last |
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.features
from affine import Affine

from sarknowlip.bench.builtin.appearance import appearances
from sarknowlip.bench.builtin.crops import Cell, Crop, crowded_cells
from sarknowlip.bench.builtin.plan import GROUND, POLSAR, TARGETS, CityPlan
from sarknowlip.core.config import Config
from sarknowlip.core.files import read_json, replacing, write_json
from sarknowlip.geo.grid import apply_affine
from sarknowlip.simulate.acquire import AcquireConfig, Acquisition, acquire
from sarknowlip.simulate.city import SimulationConfig, make_world, simulate
from sarknowlip.simulate.layers import World
from sarknowlip.simulate.world.changes import ChangedWorld

COVER_STEP = 4
"""Points along the edge of a pixel of land cover that are sent to the image one by one."""


class CityFiles(Config):
    """What a city's folder holds, paths relative to it.

    Attributes:
        made_of: Digest of the plan of the city.
        truth: Folder of the truth at the first date.
        first: Product of the ground.
        later: Product at the second date.
        targets: Products of pieces of ground.
        polsar: Product in four polarisations, or None.
    """

    made_of: str
    truth: str
    first: str
    later: str
    targets: tuple[str, ...]
    polsar: str | None


def folder_of(out: Path, plan: CityPlan) -> Path:
    """Return where a city lies."""
    return out / "cities" / plan.world.place.slug


def kind_weights() -> dict[str, float]:
    """Return the kinds of targets that are looked for, and how much each counts."""
    text = resources.files(__package__).joinpath("weights.json").read_text("utf-8")
    return dict(json.loads(text))


def make_city(plan: CityPlan, out: Path) -> CityFiles:
    """Simulate a city; what is whole already stays.

    Raises:
        SarKnowlipError: The folder holds another city, or cannot be written.
    """
    folder = folder_of(out, plan)
    done = folder / "city.json"
    if done.is_file():
        files = CityFiles(**read_json(done, f"delete {folder}"))
        if files.made_of == plan.digest():
            return files
    config = SimulationConfig(world=plan.world, views=(plan.view(GROUND),))
    first = simulate(config, folder / "first")
    world = make_world(plan.world)
    files = CityFiles(
        made_of=plan.digest(),
        truth=_relative(first.truth[0], folder),
        first=_relative(first.products[0], folder),
        later=_later(plan, world, first.truth[0] / "landcover.tif", folder),
        targets=tuple(
            _targets(plan, world, cell, folder)
            for cell in crowded_cells(world, kind_weights(), plan.cells)
        ),
        polsar=_polsar(plan, world, first.truth[0] / "landcover.tif", folder),
    )
    write_json(done, files.model_dump(mode="json"))
    return files


def _later(plan: CityPlan, world: World, cover: Path, folder: Path) -> str:
    changed = ChangedWorld(world, plan.changes)
    name = f"{plan.world.place.slug}-later"
    path = _once(changed, plan.later(), folder / "later", name)
    shapes = [(change.geometry, 1) for change in changed.changes()]
    with rasterio.open(cover) as source:
        mask = np.ones(source.shape, dtype=np.uint8)
        if shapes:
            mask += rasterio.features.rasterize(
                shapes, source.shape, transform=source.transform, dtype="uint8"
            )
        write_classes(folder / "changed.tif", mask, source.transform, source.crs)
    return _relative(path, folder)


def _targets(plan: CityPlan, world: World, cell: Cell, folder: Path) -> str:
    """See one piece of ground; the JSON file beside the product has boxes in UTM metres."""
    crop, view = Crop.around(world, cell), plan.view(TARGETS)
    name = f"{plan.world.place.slug}-{cell[0]}-{cell[1]}"
    path = _once(crop, view, folder / "targets", name)
    acquisition = Acquisition.of(crop, view)
    found = crop.layers(crop.bounds).targets
    known = np.isin(found.kind.astype(str), list(kind_weights()))
    seen = appearances(acquisition, found.take(known))
    with rasterio.open(path) as source:
        metres = source.transform
    corners = seen.corners.reshape(-1, 2)
    x, y = apply_affine(metres, corners[:, 0], corners[:, 1])
    places = np.stack([x, y], axis=-1).reshape(-1, 4, 2)
    truth = {"kinds": seen.kinds, "corners": np.round(places, 2).tolist()}
    write_json(path.with_suffix(".json"), truth)
    return _relative(path, folder)


def _polsar(plan: CityPlan, world: World, cover: Path, folder: Path) -> str | None:
    if not plan.polsar:
        return None
    view = plan.view(POLSAR)
    path = _once(world, view, folder / "polsar", f"{plan.world.place.slug}-polsar")
    acquisition = Acquisition.of(world, view)
    with rasterio.open(cover) as source:
        codes, metres = source.read(1), source.transform
    with rasterio.open(path) as source:
        seen = _as_seen(acquisition, codes, metres, source.shape)
        write_classes(folder / "polsar-cover.tif", seen, source.transform, source.crs)
    return _relative(path, folder)


def _as_seen(
    acquisition: Acquisition, codes: npt.NDArray[np.uint8], metres: Affine, shape: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Return land cover by the pixel at which an image shows it; the most frequent, 0 for none.

    An image on a map that knows no relief shows hills displaced, and so is the truth.
    """
    step = (np.arange(COVER_STEP) + 0.5) / COVER_STEP
    column = (np.arange(codes.shape[1])[:, None] + step).ravel()
    row = (np.arange(codes.shape[0])[:, None] + step).ravel()
    best = np.zeros(shape, dtype=np.int64)
    x, y = apply_affine(metres, *np.meshgrid(column, row))
    rows, columns = acquisition.grid.positions(x, y, acquisition.world.height(x, y))
    i, j = np.rint(rows).astype(np.int64), np.rint(columns).astype(np.int64)
    inside = (i >= 0) & (i < shape[0]) & (j >= 0) & (j < shape[1])
    place = (i * shape[1] + j)[inside]
    fine = np.repeat(np.repeat(codes, COVER_STEP, axis=0), COVER_STEP, axis=1)[inside]
    found = np.zeros(shape, dtype=np.uint8)
    for code in np.unique(fine[fine > 0]).tolist():
        counts = np.bincount(place[fine == code], minlength=shape[0] * shape[1]).reshape(shape)
        found[counts > best] = code
        best = np.maximum(best, counts)
    return found


def write_classes(path: Path, classes: npt.NDArray[np.uint8], metres: Affine, crs: object) -> None:
    """Write a raster of classes, 0 where there is none.

    Raises:
        StorageError: The file cannot be written; nothing is left.
    """
    with (
        replacing(path) as partial,
        rasterio.open(
            partial,
            "w",
            driver="GTiff",
            height=classes.shape[0],
            width=classes.shape[1],
            count=1,
            dtype="uint8",
            transform=metres,
            crs=crs,
            compress="zstd",
        ) as target,
    ):
        target.write(classes, 1)


def _once(world: World, view: AcquireConfig, folder: Path, name: str) -> Path:
    """Return a product, made if the note beside it is absent: the note comes last."""
    note = folder / f"{name}.done.json"
    if note.is_file():
        return folder / str(read_json(note, f"delete {note}")["product"])
    path = acquire(world, view, folder, name)
    write_json(note, {"product": path.name})
    return path


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
