"""Peak memory and rate of `corpus build` as the number of scenes grows.

Each build runs in a process of its own; the peak is the kernel's figure for that process (VmHWM).
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

EDGE = 2048
CODE = """
import sys
from pathlib import Path
from sarknowlip.corpus.build import BuildConfig, build
report = build([Path(sys.argv[1])], Path(sys.argv[2]), BuildConfig())
peak = next(l for l in Path('/proc/self/status').read_text().splitlines() if l.startswith('VmHWM'))
print(report.tiles, int(peak.split()[1]) / 1024)
"""


def scene(path: Path, index: int) -> None:
    rng = np.random.default_rng(index)
    place = Affine(
        10, 0, 300_000 + 30_000 * (index % 10), 0, -10, 4_000_000 + 30_000 * (index // 10)
    )
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=EDGE,
        width=EDGE,
        count=2,
        dtype="float32",
        crs="EPSG:32633",
        transform=place,
        tiled=True,
        compress="zstd",
    ) as target:
        target.write(10 * np.log10(0.1 * rng.gamma(4.4, 1 / 4.4, (2, EDGE, EDGE))).astype("f4"))
        target.set_band_description(1, "VV")
        target.set_band_description(2, "VH")


def measure(count: int, folder: Path) -> tuple[int, float, float]:
    inputs = folder / f"in{count}"
    inputs.mkdir()
    for index in range(count):
        scene(inputs / f"scene{index:02d}.tif", index)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(inputs), str(folder / f"out{count}")],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - start
    tiles, peak = done.stdout.split()
    return int(tiles), float(peak), seconds


@pytest.mark.slow
def test_build_memory(tmp_path: Path, record) -> None:
    peaks = {}
    for count in (1, 4, 16):
        tiles, peak, seconds = measure(count, tmp_path)
        peaks[count] = peak
        record(
            "build_memory",
            scenes=count,
            scene_px=EDGE,
            tiles=tiles,
            peak_mib=f"{peak:.0f}",
            growth=f"{peak / peaks[1]:.3f}",
            km2_per_s=f"{count * (EDGE / 100) ** 2 / seconds:.0f}",
        )
    assert peaks[16] / peaks[1] < 1.15
