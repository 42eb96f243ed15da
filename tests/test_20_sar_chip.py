"""Tiles without a place: shapes, spacing, and what the processor makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from sarknowlip.core.errors import GeometryError
from sarknowlip.sar.chip import amplitude_db, chip


def test_a_chip_is_a_tile_without_a_place() -> None:
    level = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    tile = chip("a", amplitude_db(level)[None], polarizations=("HH",), gsd_m=0.3)
    assert tile.geobox.crs is None
    assert tile.geobox.shape == (3, 4)
    assert (tile.geobox.affine.a, tile.geobox.affine.e) == (0.3, -0.3)
    assert not tile.radiometry.calibrated
    assert "sat:orbit_state" in tile.acquisition.missing
    assert tile.db[0, 0, 0] == pytest.approx(20 * np.log10(0.5 / 255), abs=1e-4)
    assert tile.db.max() == pytest.approx(20 * np.log10(220 / 255), abs=1e-4)


@pytest.mark.parametrize(
    ("shape", "gsd_m", "told"),
    [((2, 3, 3), 1.0, "for 1 polarisations"), ((1, 0, 3), 1.0, "none of them 0"),
     ((3, 3), 1.0, "shape"), ((1, 3, 3), 0.0, "metres above 0"),
     ((1, 3, 3), float("nan"), "metres above 0")],
)  # fmt: skip
def test_what_is_no_chip_is_refused(shape: tuple[int, ...], gsd_m: float, told: str) -> None:
    with pytest.raises(GeometryError, match=told):
        chip("a", np.zeros(shape, np.float32), polarizations=("VV",), gsd_m=gsd_m)
