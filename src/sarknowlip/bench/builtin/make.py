"""Makes the built-in data sets: cities are simulated, corpora built and annotated, truth derived.

Run again on the same folder, what is whole is kept, and an interrupted run goes on.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from sarknowlip import __version__
from sarknowlip.annotate.pipeline import annotate
from sarknowlip.annotate.tile import AnnotateConfig
from sarknowlip.bench.builtin.cities import CityFiles, folder_of, make_city
from sarknowlip.bench.builtin.derive import KINDS, Made, write_sets
from sarknowlip.bench.builtin.pictures import corpus_folder
from sarknowlip.bench.builtin.plan import PARTS, BuiltinPlan, Size, plan_of
from sarknowlip.bench.builtin.rows import rows_path
from sarknowlip.bench.builtin.sets import CARDS
from sarknowlip.bench.dataset import Part
from sarknowlip.bench.metrics import BenchError
from sarknowlip.core.config import Config
from sarknowlip.core.files import exclusive, read_json, write_json
from sarknowlip.core.hashing import file_sha256
from sarknowlip.core.pool import run_jobs
from sarknowlip.core.progress import Progress
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.catalog import CATALOG
from sarknowlip.corpus.split import SplitConfig
from sarknowlip.geo.grid import GridConfig
from sarknowlip.knowledge.sources import SourceOptions

MANIFEST = "manifest.json"
MAX_NODATA = 0.05


class BuiltinReport(Config):
    """What lies in the folder.

    Attributes:
        size: Name of the plan, or its digest.
        examples: Number by set, task and part: "builtin-cover/classification/test".
        fresh: False if everything was there already.
    """

    size: str
    examples: dict[str, int]
    fresh: bool = True


def make_builtin(
    out: Path,
    size: Size | BuiltinPlan = "mini",
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> BuiltinReport:
    """Make the built-in sets in a folder, or go on with what is there.

    Args:
        out: Folder; `DataSet.open` looks for it under the name "builtin" below the data folder.
        size: "mini" (minutes), "full" (an hour or more), or a plan.
        workers: Processes; the result does not depend on it.
        progress: Called with steps done, steps in all, and the last one's name.

    Raises:
        BenchError: The folder holds sets of another plan, or the plan's cities hold too little.
        SarKnowlipError: A step failed; what was finished before stays and is used next time.
    """
    plan = size if isinstance(size, BuiltinPlan) else plan_of(size)
    with exclusive(out / ".lock"):
        about = _begin(out, plan, size if isinstance(size, str) else plan.digest())
        if (out / MANIFEST).is_file() and all(rows_path(out, name).is_file() for name in CARDS):
            stored = read_json(out / MANIFEST, f"delete {out}")
            return BuiltinReport(size=about["size"], examples=stored["examples"], fresh=False)
        (out / MANIFEST).unlink(missing_ok=True)
        steps = _Steps(len(plan.cities()) + len(PARTS) * (len(KINDS) + 1) + 1, progress)
        made = _cities(plan, out, workers, steps)
        for part in PARTS:
            _corpora(made[part], part, out, plan.block_km, workers=workers, steps=steps)
        counts = write_sets(out, made, plan.most)
        steps.done("sets")
        write_json(out / MANIFEST, about | {"examples": counts, "sha256": _digests(out)})
        return BuiltinReport(size=about["size"], examples=counts)


class _Steps:
    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def done(self, name: str) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total, name)


def _begin(out: Path, plan: BuiltinPlan, size: str) -> dict[str, Any]:
    """Note the plan in the folder, or check that it is the one noted there.

    Raises:
        BenchError: It is another, or of another version of the package.
    """
    about = {"size": size, "plan": plan.model_dump(mode="json"), "version": __version__}
    note = out / "plan.json"
    if note.is_file() and read_json(note, f"delete {out}") != about:
        raise BenchError(
            f"{out} holds built-in sets of another plan or version", "choose another folder"
        )
    write_json(note, about)
    return about


def _cities(plan: BuiltinPlan, out: Path, workers: int, steps: _Steps) -> dict[Part, Made]:
    cities = plan.cities()
    files: dict[str, CityFiles] = {}
    for city, made in run_jobs(functools.partial(make_city, out=out), cities, workers):
        files[city.digest()] = made
        steps.done(city.world.city)
    parts = {}
    for part in PARTS:
        own = tuple(city for city in cities if city.part == part)
        folders = tuple(folder_of(out, city) for city in own)
        parts[part] = Made(own, tuple(files[city.digest()] for city in own), folders)
    return parts


def _corpora(
    made: Made, part: Part, out: Path, block_km: float, *, workers: int, steps: _Steps
) -> None:
    """Build the corpora of a part; the one of the first date is annotated."""
    held_out = 0.99 if part == "test" else 0.0
    for kind, (tile_px, gsd_m) in KINDS.items():
        config = BuildConfig(
            grid=GridConfig(tile_px=tile_px, gsd_m=gsd_m),
            split=SplitConfig(block_km=block_km, val=0.0, test=held_out),
            max_nodata=MAX_NODATA,
        )
        root = corpus_folder(out, kind, part)
        report = build(made.products(kind), root, config, workers=workers)
        if report.rejected:
            raise BenchError(
                f"{root}: {report.rejected[0].input} gave no tile: {report.rejected[0].reason}",
                f"delete {out} and make the sets again",
            )
        steps.done(f"{kind} {part}")
    known = SourceOptions(
        osm=made.truths("map.parquet"),
        landcover=made.truths("landcover.tif"),
        dem=made.truths("dem.tif"),
    )
    annotate(corpus_folder(out, "first", part), AnnotateConfig(options=known), workers=workers)
    steps.done(f"texts {part}")


def _digests(out: Path) -> dict[str, str]:
    files = sorted([*(out / "sets").iterdir(), *out.glob(f"corpora/*/{CATALOG}")])
    return {path.relative_to(out).as_posix(): file_sha256(path) for path in files}
