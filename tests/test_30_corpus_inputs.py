"""Rung 3: what products are, which scenes they become, and what options a build accepts."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from rasterio.transform import Affine

from data.geotiff.make import make_geotiff
from data.safe.make import make_safe
from sarknowlip.core.errors import ConfigError, CorpusError
from sarknowlip.core.hashing import bytes_sha256
from sarknowlip.corpus.build import FRAGMENTS, RECIPE, BuildConfig, build
from sarknowlip.corpus.catalog import MANIFEST, Catalog
from sarknowlip.corpus.fragment import Known
from sarknowlip.corpus.inputs import Product, identify, plan, warn_of_ignored
from sarknowlip.corpus.validate import validate
from sarknowlip.sar.product import ReadOptions
from test_30_corpus_build import CONFIG, tree

EAST = Affine(10, 0, 520_000, 0, -10, 4_700_000)


def with_options(**options: object) -> BuildConfig:
    return CONFIG.model_copy(update={"read": ReadOptions(**options)})


def scenes_of(corpus: Path) -> set[str]:
    return {record.scene for record in Catalog(corpus).records()}


def tiles_of(corpus: Path, scene: str) -> dict[str, str]:
    return {name: sha for name, sha in tree(corpus).items() if f"/{scene}/" in name}


@pytest.fixture
def twins(tmp_path: Path) -> tuple[Path, Path]:
    """Return two products of one name with different pixels on the same ground."""
    return (
        make_geotiff(tmp_path / "a" / "x.tif", seed=1),
        make_geotiff(tmp_path / "f" / "x.tif", seed=2),
    )


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_another_product_of_a_known_name_leaves_its_tiles_alone(
    twins: tuple[Path, Path], tmp_path: Path, order: tuple[int, int]
) -> None:
    first, second = (twins[i] for i in order)
    out = tmp_path / "out"
    build([first], out, CONFIG)
    before = tiles_of(out, "x")
    report = build([second], out, CONFIG)
    assert (report.built, report.scenes, report.rejected) == (1, 2, ())
    assert tiles_of(out, "x") == before
    name = identify(second.resolve(), ReadOptions(), None)
    assert scenes_of(out) == {"x", f"x-{str(name.sha256)[:8]}"}
    assert validate(out).problems == ()
    after = tree(out)
    assert build([second, first], out, CONFIG).built == 0
    assert tree(out) == after
    if order == (0, 1):
        build(twins, tmp_path / "fresh", CONFIG, workers=2)
        assert tree(tmp_path / "fresh") == after


def test_moved_and_copied_products_are_the_same(twins: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(twins, out, CONFIG)
    for folder in ("a", "f"):
        shutil.move(tmp_path / folder, tmp_path / "moved" / folder)
    report = build([tmp_path / "moved"], out, CONFIG)
    assert (report.built, report.scenes, report.rejected) == (0, 2, ())
    build([tmp_path / "moved"], tmp_path / "fresh", CONFIG)
    assert tree(out) == tree(tmp_path / "fresh")
    shutil.copytree(tmp_path / "moved" / "a", tmp_path / "moved" / "b")
    report = build([tmp_path / "moved"], out, CONFIG)
    assert (report.built, report.scenes, report.rejected) == (0, 2, ())
    assert tree(out) == tree(tmp_path / "fresh")


def test_swapped_products_are_not_built_again(twins: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(twins, out, CONFIG)
    tiles = {scene: tiles_of(out, scene) for scene in scenes_of(out)}
    spare = twins[0].rename(tmp_path / "spare")
    twins[1].rename(twins[0])
    spare.rename(twins[1])
    assert build(twins, out, CONFIG).built == 0
    assert {scene: tiles_of(out, scene) for scene in scenes_of(out)} == tiles
    make_geotiff(twins[0], seed=3, transform=EAST)
    report = build(twins[:1], out, CONFIG)
    assert (report.built, report.scenes) == (1, 2)
    assert validate(out).problems == ()


CONTENTS = {c: bytes_sha256(c.encode()) for c in "pqrs"}
LAYOUTS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("pqrs"), min_size=1)


def layout_products(layout: dict[str, str]) -> list[Product]:
    return [
        Product(Path(f"/{place}/x.tif"), CONTENTS[content], "x", "geotiff")
        for place, content in sorted(layout.items())
    ]


@given(st.lists(st.tuples(LAYOUTS, st.sets(st.sampled_from("pqrs"))), min_size=1, max_size=5))
def test_scene_names_are_unique_stable_and_survive_interruption(
    builds: list[tuple[dict[str, str], set[str]]],
) -> None:
    """Each build has products at places; of its jobs, some are done when it is killed and rerun."""
    known: list[Known] = []
    for layout, done_first in builds:
        products = layout_products(layout)
        jobs, replaced = plan(products, known)
        assert {job.sha256 for job in jobs} == {CONTENTS[content] for content in layout.values()}
        kept = [k for k in known if k not in replaced]
        for fragment in kept:
            assert fragment.scene in {j.scene for j in jobs if j.sha256 == fragment.sha256} or (
                fragment.sha256 not in {job.sha256 for job in jobs}
            )

        def after(some: set[str], jobs=jobs, kept=kept) -> list[Known]:
            made = [Known(j.scene, j.sha256, j.place, True, True) for j in jobs if j.sha256 in some]
            return [k for k in kept if k.sha256 not in {m.sha256 for m in made}] + made

        killed = after({CONTENTS[content] for content in done_first})
        again, more = plan(products, killed)
        assert again == jobs
        assert not {k.sha256 for k in more} & {job.sha256 for job in jobs}
        known = after({job.sha256 for job in jobs})
        assert len({k.scene for k in known}) == len(known)
        assert plan(products, known) == (jobs, [])


def test_a_name_that_looks_like_a_suffixed_one_is_not_taken_twice() -> None:
    sha = CONTENTS["q"]
    products = [
        Product(Path("/a/x.tif"), CONTENTS["p"], "x", "geotiff"),
        Product(Path("/b/x.tif"), sha, "x", "geotiff"),
    ]
    impostor = Known(f"x-{sha[:8]}", CONTENTS["r"], "elsewhere", True, True)
    assert [job.scene for job in plan(products, [impostor])[0]] == ["x", f"x-{sha[:16]}"]


def test_content_is_the_files_a_product_uses(tmp_path: Path) -> None:
    raster = make_geotiff(tmp_path / "x.tif")

    def sha() -> str | None:
        return identify(raster, ReadOptions(), None).sha256

    bare = sha()
    (tmp_path / "x.other.json").write_text("{}")
    (tmp_path / "readme.txt").write_text("unrelated")
    assert sha() == bare
    (tmp_path / "x.sar.json").write_text('{"quantity": "gamma0"}')
    with_sidecar = sha()
    assert with_sidecar != bare
    mask = raster.with_name("x.tif.msk")
    with rasterio.open(raster) as source:
        profile = source.profile | {"count": 1, "dtype": "uint8", "nodata": None}
    with rasterio.open(mask, "w", **profile) as target:
        target.update_tags(INTERNAL_MASK_FLAGS_1="2")
    assert sha() not in {bare, with_sidecar}


def test_calibration_counts_and_previews_do_not(tmp_path: Path) -> None:
    safe = make_safe(tmp_path)
    options = ReadOptions()
    before = identify(safe, options, None)
    assert before.reason is None
    (safe / "preview").mkdir(exist_ok=True)
    (safe / "preview" / "quick-look.png").write_bytes(b"any")
    assert identify(safe, options, None) == before
    table = next(safe.glob("annotation/calibration/calibration-*-vv-*"))
    table.write_text(table.read_text() + "\n")
    changed = identify(safe, options, None)
    assert changed.sha256 != before.sha256
    noise = next(safe.glob("annotation/calibration/noise-*-vv-*"))
    noise.write_text(noise.read_text() + "\n")
    assert identify(safe, options, None).sha256 != changed.sha256
    assert identify(safe, options, "one").sha256 != identify(safe, options, "other").sha256
    raster = make_geotiff(tmp_path / "x.tif")
    assert identify(raster, options, "one") == identify(raster, options, "other")


def test_product_that_does_not_open_is_identified_by_all_its_files(tmp_path: Path) -> None:
    broken = tmp_path / "S1A_IW_GRDH_x.SAFE"
    broken.mkdir()
    (broken / "part").write_text("one")
    first = identify(broken, ReadOptions(), None)
    assert first.reason is not None
    assert "S1A_IW_GRDH_x.SAFE" in first.reason
    (broken / "part").write_text("two")
    assert identify(broken, ReadOptions(), None).sha256 not in {None, first.sha256}


def test_file_that_vanishes_is_a_rejection_of_one_line(tmp_path: Path, monkeypatch) -> None:
    raster = make_geotiff(tmp_path / "x.tif")
    gone = tmp_path / "gone.xml"
    monkeypatch.setattr(
        "sarknowlip.sar.sensors.geotiff.GeoTiffProduct.files", lambda self: [raster, gone]
    )
    product = identify(raster, ReadOptions(), None)
    assert product.reason == f"cannot read {gone}: No such file or directory; fetch it again"


def test_unusable_elevation_model_stops_the_build_at_once(tmp_path: Path) -> None:
    raster = make_geotiff(tmp_path / "x.tif")
    text = tmp_path / "notes.txt"
    text.write_text("no raster")
    nowhere = make_geotiff(tmp_path / "nowhere.tif", crs=None, transform=None)
    for dem, message in (
        (tmp_path / "missing.tif", r"no such elevation model: .*missing\.tif"),
        (tmp_path, "no such elevation model"),
        (text, r"unusable elevation model: cannot read .*notes\.txt"),
        (nowhere, r"nowhere\.tif has no coordinate reference system"),
    ):
        with pytest.raises(ConfigError, match=message) as caught:
            build([raster], tmp_path / "out", with_options(dem=dem))
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_changed_product_is_built_again_though_an_unused_option_is_given(
    tmp_path: Path, caplog
) -> None:
    dem = make_geotiff(tmp_path / "dem.tif", bands=("VV",))
    config = with_options(dem=dem, dem_geoid_m=40.0)
    make_geotiff(tmp_path / "in" / "x.tif", seed=1)
    make_geotiff(tmp_path / "in" / "y.tif", seed=1, transform=EAST)
    with caplog.at_level(logging.WARNING):
        build([tmp_path / "in"], tmp_path / "out", config)
    assert caplog.messages == ["geotiff products ignore option dem, dem_geoid_m"]
    make_geotiff(tmp_path / "in" / "x.tif", seed=2)
    assert build([tmp_path / "in"], tmp_path / "out", config).built == 1
    assert validate(tmp_path / "out").problems == ()
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert all(len(row["sha256"]) == 64 for row in manifest["inputs"])


def test_geoid_without_elevation_model_is_said_to_be_ignored(tmp_path: Path, caplog) -> None:
    safe = identify(make_safe(tmp_path), ReadOptions(), None)
    warn_of_ignored([safe, safe], ReadOptions(dem_geoid_m=1.0, crs="EPSG:4326"))
    assert caplog.messages == ["sentinel1-safe products ignore option crs, dem_geoid_m"]
    caplog.clear()
    warn_of_ignored([safe], ReadOptions(dem=Path("dem.tif"), dem_geoid_m=1.0, remove_noise=False))
    assert caplog.messages == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "nan", "-inf"])
def test_options_are_finite(value: object) -> None:
    with pytest.raises(ValidationError, match="finite"):
        ReadOptions(dem_geoid_m=value)
    with pytest.raises(ValidationError, match="finite"):
        BuildConfig.model_validate({"read": {"acquisition": {}, "dem_geoid_m": value}})


def test_failed_first_build_leaves_the_recipe_open(tmp_path: Path) -> None:
    raster = make_geotiff(tmp_path / "x.tif", crs=None)
    out = tmp_path / "out"
    with pytest.raises(CorpusError, match=r"no tile could be made.*give --crs"):
        build([raster], out, CONFIG)
    assert not list((out / FRAGMENTS).rglob("x*.json"))
    report = build([raster], out, with_options(crs="EPSG:32633"))
    assert (report.scenes, report.rejected) == (1, ())
    build([raster], tmp_path / "fresh", with_options(crs="EPSG:32633"))
    assert tree(out) == tree(tmp_path / "fresh")
    with pytest.raises(CorpusError, match=r'recipe \(read\.crs: "EPSG:32633", now null\)'):
        build([raster], out, CONFIG)
    assert json.loads((out / FRAGMENTS / RECIPE).read_text())["read"]["crs"] == "EPSG:32633"


def test_rejections_last_as_long_as_their_product(tmp_path: Path) -> None:
    good = make_geotiff(tmp_path / "in" / "good.tif")
    bad = tmp_path / "in" / "bad.tif"
    bad.write_bytes(b"not a raster")
    out = tmp_path / "out"
    assert [r.input for r in build([good, bad], out, CONFIG).rejected] == ["bad.tif"]
    assert [r.input for r in build([good, bad], out, CONFIG).rejected] == ["bad.tif"]
    bad.unlink()
    assert build([good], out, CONFIG).rejected == ()
    build([good], tmp_path / "fresh", CONFIG)
    assert tree(out) == tree(tmp_path / "fresh")


def test_missing_tile_is_made_again_under_the_same_name(
    twins: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    build(twins, out, CONFIG)
    before = tree(out)
    next((out / "tiles").rglob("x-*.tif")).unlink()
    assert build(twins[1:], out, CONFIG).built == 1
    assert tree(out) == before


def test_product_that_no_longer_opens_loses_its_scene_only(
    twins: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    build(twins, out, CONFIG)
    kept = tiles_of(out, "x")
    twins[1].write_bytes(twins[1].read_bytes()[:1000])
    report = build(twins, out, CONFIG)
    assert (report.built, report.scenes) == (0, 1)
    assert [rejection.input for rejection in report.rejected] == ["x.tif"]
    assert tiles_of(out, "x") == kept
    assert validate(out).problems == ()


def test_damaged_fragment_is_made_again(tmp_path: Path) -> None:
    folder = make_geotiff(tmp_path / "in" / "x.tif").parent
    out = tmp_path / "out"
    build([folder], out, CONFIG)
    before = tree(out)
    fragment = next((out / FRAGMENTS).rglob("x.json"))
    fragment.write_text(fragment.read_text()[:-20])
    assert build([folder], out, CONFIG).built == 1
    assert tree(out) == before
