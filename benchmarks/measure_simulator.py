"""Print how far simulated products are from what was put into them, as CSV.

Small worlds of known content are rendered and written as SAFE, SICD and GeoTIFF, and measured on
the files with this package's own readers: tests/data/world/measures.py and places.py say how. A row
gives what is expected (empty for probabilities), what was found, its standard error where sampling
limits it, and how many samples, targets or surfaces it rests on. Speckle is measured without
texture of surfaces; levels without and with.

    python benchmarks/measure_simulator.py [PART ...] > simulator.csv

Parts: looks, k, levels, leaning, places, responses, motion, covariance, sicd; all by default.
"""

from __future__ import annotations

import csv
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sarkit.verification import SicdConsistency
from scipy import stats

from conftest import hardware

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from data.world.make import HandWorld, ground, layers, local_bounds
from data.world.measures import compound, covariance_of, levels_of, looks_of, textured
from data.world.places import (
    leaning,
    motion,
    offsets_of,
    response_of,
    sidelobe_db,
)
from data.world.probe import made
from sarknowlip.simulate.acquire import AcquireConfig
from sarknowlip.simulate.sensors import PROFILES

COLUMNS = ("part", "sensor", "case", "measure", "unit", "expected", "found", "error", "samples")
Row = tuple[str, str, str, str, str, float | None, float, float | None, int]
PASSES = ("ascending", "descending")
EDGE_M = {
    "sentinel1-iw-grd": 1500.0, "umbra-spotlight": 160.0, "capella-spotlight": 160.0,
    "iceye-spotlight": 130.0, "terrasarx-stripmap": 400.0, "alos2-stripmap": 500.0,
}  # fmt: skip
"""Edge of the square of a surface whose level is measured; 1200 m for all others."""
LEANING = ("sentinel1-iw-grd", "capella-spotlight", "alos2-fine", "gaofen3-fsii")


def looks(folder: Callable[[], Path]) -> Iterator[Row]:
    """Equivalent number of looks, and whether independent samples are gamma distributed."""
    for name, profile in PROFILES.items():
        low, usual, high = profile.incidence_deg
        cases = [("ascending", usual), ("descending", low + 1.0), ("descending", high - 1.0)]
        for state, angle in cases:
            config = AcquireConfig(sensor=name, orbit_state=state, incidence_deg=angle)
            for found in looks_of(folder(), config, 900):
                case = f"{found.polarization}, {state}, {angle:g}°"
                size = found.samples.size
                yield (
                    "looks", name, case, "equivalent looks, all pixels", "1",
                    profile.enl, found.all_pixels, found.error, size,
                )  # fmt: skip
                yield (
                    "looks", name, case, "equivalent looks, independent pixels", "1",
                    profile.enl, found.decimated, found.decimated_error, size,
                )  # fmt: skip
                gamma = stats.gamma(profile.enl, scale=1 / profile.enl).cdf
                test = stats.kstest(found.samples, gamma)
                yield (
                    "looks", name, case, "Kolmogorov-Smirnov p, gamma", "1",
                    None, float(test.pvalue), None, size,
                )  # fmt: skip


def k(folder: Callable[[], Path]) -> Iterator[Row]:
    """Whether power on textured surfaces is K distributed, without noise and with it."""
    cases = [("umbra-spotlight", "tile_roof", 900.0), ("iceye-spotlight", "flat_roof", 450.0)]
    for (name, surface, edge), noise in itertools.product(cases, (False, True)):
        found = textured(folder(), name, surface, edge, noise=noise)
        case = f"{surface}, {'with' if noise else 'without'} noise"
        size = found.samples.size
        yield "k", name, case, "order of texture", "1", found.order, found.fitted, None, size
        for label, order in (("stated", found.order), ("fitted", found.fitted)):
            test = stats.kstest(found.samples, compound(order, found.signal))
            measure = f"Kolmogorov-Smirnov p, {label} order"
            yield "k", name, case, measure, "1", None, float(test.pvalue), None, size
        test = stats.kstest(found.samples, "expon")
        measure = "Kolmogorov-Smirnov p, exponential"
        yield "k", name, case, measure, "1", None, float(test.pvalue), None, size


def levels(folder: Callable[[], Path]) -> Iterator[Row]:
    """Mean power of every surface against the reference table plus noise, dB."""
    cases = [
        (name, texture, EDGE_M.get(name, 1200.0)) for name in PROFILES for texture in (False, True)
    ]
    # Fine images show textures of tens of metres: more ground gives their mean.
    for name, texture, edge in [*cases, ("capella-spotlight", True, 400.0)]:
        profile = PROFILES[name]
        found = levels_of(folder(), name, edge, texture=texture)
        case = f"{'with' if texture else 'without'} texture, {edge:g} m"
        for level in found:
            yield (
                "levels", name, f"{case}, {level.surface}, {level.polarization}",
                "mean power, noise included", "dB",
                10 * np.log10(level.expected), 10 * np.log10(level.found),
                10 / np.log(10) * level.error / level.expected, 1,
            )  # fmt: skip
        for polarization in profile.polarizations:
            mine = [level for level in found if level.polarization == polarization]
            off = [abs(level.difference_db) for level in mine]
            strong = [abs(v.signal_db) for v in mine if v.noise < 0.5]
            yield (
                "levels", name, f"{case}, all, {polarization}",
                "greatest difference, noise included", "dB", 0.0, max(off), None, len(off),
            )  # fmt: skip
            yield (
                "levels", name, f"{case}, all, {polarization}",
                "greatest difference of signals above noise", "dB",
                0.0, max(strong, default=0.0), None, len(strong),
            )  # fmt: skip


def leans(folder: Callable[[], Path]) -> Iterator[Row]:
    """Layover of a mast of 60 m and a hill, shadow of a wall of 60 m."""
    for name in LEANING:
        for state, look in itertools.product(PASSES, PROFILES[name].look_sides):
            config = AcquireConfig(sensor=name, orbit_state=state, look=look)
            found = leaning(folder(), config)
            angle, case = np.radians(found.incidence_deg), f"{state}, {look}"
            for measure, unit, expected, value in (
                ("mast: top from foot", "m", 60 / np.tan(angle), found.layover_m),
                ("mast: direction from look", "deg", 180.0, found.layover_deg),
                ("wall: shadow", "m", 60 * np.tan(angle), found.shadow_m),
                ("hill: direction of bright side", "deg", 180.0, found.bright_deg),
                ("hill: direction of dark side", "deg", 0.0, (found.dark_deg + 180) % 360 - 180),
            ):
                yield "leaning", name, case, measure, unit, float(expected), value, None, 1


def places(folder: Callable[[], Path]) -> Iterator[Row]:
    """Corner reflectors on hills, found again through reader and terrain correction."""
    cases: list[tuple[str, str, str, float, float, bool]] = []
    for name, profile in PROFILES.items():
        edge, gsd = {"safe": (4000.0, 10.0), "sicd": (300.0, 0.5)}.get(
            profile.output, (400 * profile.spacing_range_m, profile.spacing_range_m)
        )
        for state, look in itertools.product(PASSES, profile.look_sides):
            cases.append((name, state, look, edge, gsd, profile.output != "geotiff"))
            if profile.output == "safe":
                cases.append((name, state, look, edge, gsd, False))
    for state, dem in (("ascending", False), ("descending", True)):
        cases.append(("sentinel1-iw-grd", state, "right", 32_000.0, 10.0, dem))
    for name, state, look, edge, gsd, dem in cases:
        config = AcquireConfig(sensor=name, orbit_state=state, look=look)
        found = offsets_of(folder(), config, edge, gsd, dem=dem)
        how = {"safe": "tie points", "geotiff": "stated reference height"}
        used = "elevation model" if dem else how[PROFILES[name].output]
        case = f"{state}, {look}, {edge / 1000:g} km, {used}, map of {gsd:g} m"
        for measure, value in (("mean offset", np.mean(found)), ("max offset", np.max(found))):
            yield "places", name, case, measure, "px", 0.0, float(value), None, len(found)


def responses(folder: Callable[[], Path]) -> Iterator[Row]:
    """Widths, sidelobes and power of points."""
    for name, profile in PROFILES.items():
        found = response_of(folder(), AcquireConfig(sensor=name))
        for measure, unit, expected, value in (
            ("range width at -3 dB", "m", profile.resolution_range_m, found.range_m),
            ("azimuth width at -3 dB", "m", profile.resolution_azimuth_m, found.azimuth_m),
            ("highest range sidelobe", "dB", sidelobe_db(profile.hamming), found.sidelobe_db),
            ("power over RCS", "dB", 0.0, found.rcs_db),
        ):
            yield "responses", name, "25 points", measure, unit, expected, value, None, 25


def motions(folder: Callable[[], Path]) -> Iterator[Row]:
    """A ship that sails away from the radar at 8 m/s."""
    for name in LEANING:
        for state, look in itertools.product(PASSES, PROFILES[name].look_sides):
            found = motion(folder(), AcquireConfig(sensor=name, orbit_state=state, look=look))
            for measure, unit, expected, value in (
                ("shift along track", "m", found.wanted_m, found.ahead_m),
                ("shift in range", "m", 0.0, found.beyond_m),
                ("wake at its place over sea", "dB", -4.0, found.wake_db),
            ):
                yield (
                    "motion", name, f"{state}, {look}", measure, unit, expected, value, None, 1
                )  # fmt: skip


def covariances(folder: Callable[[], Path]) -> Iterator[Row]:
    """Covariance matrices of quad-polarised products."""
    quad = [name for name, profile in PROFILES.items() if len(profile.polarizations) == 4]
    for name, surface in itertools.product(quad, ("grass", "flooded_vegetation", "sea")):
        found = covariance_of(folder(), name, surface, 500)
        for measure, expected, value, error in (
            ("least eigenvalue over trace", 0.0, found.least, None),
            ("diagonal over power, difference", 0.0, found.diagonal, None),
            ("correlation of HH and VV, real", found.wanted.real, found.found.real, found.error),
            ("correlation of HH and VV, imag", found.wanted.imag, found.found.imag, found.error),
        ):
            yield "covariance", name, surface, measure, "1", expected, value, error, 1


def sicds(folder: Callable[[], Path]) -> Iterator[Row]:
    """Failures that sarkit's checker finds."""
    for name, profile in PROFILES.items():
        if profile.output != "sicd":
            continue
        for state, look in itertools.product(PASSES, profile.look_sides):
            bounds = local_bounds(60.0, 50.0)
            world = HandWorld(layers(ground(bounds)), bounds=bounds)
            config = AcquireConfig(sensor=name, orbit_state=state, look=look)
            with made(world, folder(), config).path.open("rb") as handle:
                checks = SicdConsistency.from_file(handle)
            checks.check()
            failures = len(checks.failures())
            yield (
                "sicd", name, f"{state}, {look}", "checks failed", "1",
                0.0, float(failures), None, failures + len(checks.passes()),
            )  # fmt: skip


PARTS: dict[str, Callable[[Callable[[], Path]], Iterator[Row]]] = {
    "looks": looks, "k": k, "levels": levels, "leaning": leans, "places": places,
    "responses": responses, "motion": motions, "covariance": covariances, "sicd": sicds,
}  # fmt: skip


def main() -> None:
    """Measure the parts asked for."""
    record: dict[str, Any] = hardware()
    table = csv.writer(sys.stdout)
    table.writerow([*COLUMNS, *record])
    for part in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory() as root:
            fresh = (Path(root) / str(n) for n in itertools.count())

            def folder(fresh: Iterator[Path] = fresh) -> Path:
                path = next(fresh)
                path.mkdir()
                return path

            for *texts, expected, found, error, samples in PARTS[part](folder):
                figures = (f"{v:.6g}" if v is not None else "" for v in (expected, found, error))
                table.writerow([*texts, *figures, samples, *record.values()])
                sys.stdout.flush()


if __name__ == "__main__":
    main()
