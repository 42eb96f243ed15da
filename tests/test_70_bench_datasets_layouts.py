"""What single readers of public data sets must get right: values, classes, parts, groups."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from data.sets.make import (
    SCENES,
    grey,
    make_airpolsarseg,
    make_eurosat,
    make_fusar,
    make_hrsid,
    make_mstar,
    make_mstar_pictures,
    make_openearthmap,
    make_opensarship,
    make_pairs,
    make_polsf,
    make_rsdd,
    make_sample,
    make_sar_acd,
    make_sen1floods11,
    make_so2sat,
    make_ssdd,
    phoenix,
    saved,
)
from sarknowlip.bench.datasets.airpolsarseg import AirPolSarSeg
from sarknowlip.bench.datasets.eurosat_sar import EuroSatSar
from sarknowlip.bench.datasets.fusar_ship import FusarShip
from sarknowlip.bench.datasets.hrsid import Hrsid
from sarknowlip.bench.datasets.mstar import Mstar
from sarknowlip.bench.datasets.openearthmap import OpenEarthMapSar
from sarknowlip.bench.datasets.opensarship import OpenSarShip
from sarknowlip.bench.datasets.pairs import ChangePairs
from sarknowlip.bench.datasets.polsf import PolSf
from sarknowlip.bench.datasets.published import Published
from sarknowlip.bench.datasets.rsdd import RsddSar
from sarknowlip.bench.datasets.sample import Sample, SampleSynthetic
from sarknowlip.bench.datasets.sar_acd import SarAcd
from sarknowlip.bench.datasets.sen1floods11 import Sen1Floods11
from sarknowlip.bench.datasets.so2sat import So2Sat
from sarknowlip.bench.datasets.ssdd import Ssdd
from sarknowlip.bench.example import Boxes, Example, Label, Mask
from sarknowlip.bench.metrics import BenchError
from sarknowlip.core.errors import ProductError
from sarknowlip.sar.chip import amplitude_db


def both(dataset: Published, task: str) -> list[Example]:
    return [*dataset.examples(task, "train"), *dataset.examples(task, "test")]


def labels(dataset: Published, task: str = "classification") -> list[int]:
    return [e.truth.index for e in both(dataset, task) if isinstance(e.truth, Label)]


def mask(example: Example) -> np.ndarray:
    assert isinstance(example.truth, Mask)
    return example.truth.read()


def boxes(example: Example) -> Boxes:
    assert isinstance(example.truth, Boxes)
    return example.truth


def test_mstar_takes_the_standard_vehicles_at_two_depressions(tmp_path: Path) -> None:
    make_mstar(tmp_path)
    mstar = Mstar.open(tmp_path)
    train, test = (mstar.examples("classification", part) for part in ("train", "test"))
    assert len(train) == len(test) == 30, "no other serial number, target or depression"
    assert np.bincount(labels(mstar)).tolist() == [6] * 10
    assert {e.id.split("-")[1] for e in train if e.truth == Label(9)} == {"ZSU234"}
    groups = {e.group for e in train if e.truth == Label(0)}
    assert groups == {"train-2S1-az00", "train-2S1-az01"}, "azimuths 0, 5 and 10"


@pytest.mark.parametrize("native", [0, 512], ids=["no second header", "second header"])
def test_mstar_magnitudes_become_decibels(native: int, tmp_path: Path) -> None:
    chip = np.array([[1.0, 10.0], [0.1, 0.0]])
    make_mstar(tmp_path)
    folder = tmp_path / "mstar" / "TARGETS" / "TEST" / "15_DEG" / "2S1"
    phoenix(folder / "HB99999.015", chip, 15, 200.0, native)
    found = [e for e in Mstar.open(tmp_path).examples("zero-shot", "test") if "99999" in e.id]
    np.testing.assert_allclose(found[0].image().db, [[[0, 20], [-20, -120]]], atol=1e-4)


def test_mstar_pictures_are_grouped_by_runs(tmp_path: Path) -> None:
    make_mstar_pictures(tmp_path)
    mstar = Mstar.open(tmp_path)
    train = [e for e in mstar.examples("few-shot", "train") if e.truth == Label(3)]
    assert [e.group for e in train] == ["train-BTR60-run000"] * 10 + ["train-BTR60-run001"] * 2
    assert len(mstar.examples("few-shot", "test")) == 20


def test_sample_learns_low_elevations_and_asks_measured_high_ones(tmp_path: Path) -> None:
    make_sample(tmp_path)
    for kind, learned in ((Sample, "real"), (SampleSynthetic, "synth")):
        opened = kind.open(tmp_path)
        train, test = (opened.examples("classification", part) for part in ("train", "test"))
        assert len(train) == len(test) == 20
        assert all(f"_{learned}_A_elevDeg_015" in e.id for e in train)
        assert all("_real_A_elevDeg_017" in e.id for e in test)


def test_sample_reads_quarter_power_and_complex_values(tmp_path: Path) -> None:
    from scipy.io import savemat

    make_sample(tmp_path)
    root = tmp_path / "SAMPLE_dataset_public"
    name = "m1_real_A_elevDeg_017_azCenter_012_22_serial_b01"
    level = saved(root / "png_images/qpm/real/m1" / f"{name}.png", np.array([[255, 128]], np.uint8))
    found = next(e for e in Sample.open(tmp_path).examples("few-shot", "test") if name in e.id)
    np.testing.assert_allclose(found.image().db, [[[0.0, 40 * np.log10(128 / 255)]]], rtol=1e-5)
    matlab = root / "mat_files/real/m1" / f"{name}.mat"
    matlab.parent.mkdir(parents=True)
    savemat(matlab, {"complex_img": np.array([[3 + 4j, 0.1j]])})
    found = next(e for e in Sample.open(tmp_path).examples("few-shot", "test") if name in e.id)
    np.testing.assert_allclose(found.image().db, [[[20 * np.log10(5), -20]]], rtol=1e-5)
    assert level.is_file()


def test_fusar_keeps_a_ship_together_and_small_categories_out(tmp_path: Path) -> None:
    make_fusar(tmp_path)
    fusar = FusarShip.open(tmp_path)
    assert fusar.classes == ("Cargo", "Tanker")
    assert any("Tug" in note for note in fusar.notes)
    assert all(group.startswith("ship-4000") for group in fusar.groups)
    assert len(fusar.groups) == 24, "two chips a ship"
    (tmp_path / "FUSAR-Ship1.0" / "meta.csv").unlink()
    without = FusarShip.open(tmp_path)
    assert len(without.groups) == 48
    assert any("meta.csv" in note for note in without.notes)


def test_opensarship_reads_types_and_backscatter(tmp_path: Path) -> None:
    make_opensarship(tmp_path)
    ships = OpenSarShip.open(tmp_path)
    assert ships.groups == SCENES
    assert sorted(labels(ships)) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert ships.notes == ("3 chips of ships whose AIS type is not given left out",)
    for example in both(ships, "classification"):
        tile = example.image()
        dual = "1SDV" in example.group
        assert tile.acquisition.polarizations == (("VH", "VV") if dual else ("VV",))
        assert tile.radiometry.quantity == "sigma0"
        assert tile.db[-1, 4, 4] == pytest.approx(10.0)
        assert np.isnan(tile.db[0, 0, 0])
        assert tile.geobox.resolution.x == (5.7 if "_SLC_" in example.group else 10.0)


def test_opensarship_leaves_one_scene_out(tmp_path: Path) -> None:
    make_opensarship(tmp_path)
    ships = OpenSarShip.open(tmp_path)
    asked = [ships.leaving_out(scene).examples("few-shot", "test") for scene in ships.groups]
    assert sorted(e.id for part in asked for e in part) == sorted(
        e.id for e in both(ships, "few-shot")
    )


def test_sar_acd_joins_copies_also_turned_ones(tmp_path: Path) -> None:
    make_sar_acd(tmp_path)
    acd = SarAcd.open(tmp_path)
    assert len(acd.groups) == 30
    group = {e.id: e.group for e in both(acd, "classification")}
    for kind in acd.classes:
        assert group[f"{kind}-000"] == group[f"{kind}-100"] == group[f"{kind}-200"]
        assert group[f"{kind}-001"] != group[f"{kind}-002"]
    assert "66 pictures are 30 groups" in acd.notes[0]


def test_hrsid_cuts_boxes_at_the_edge_and_tells_shared_scenes(tmp_path: Path) -> None:
    make_hrsid(tmp_path)
    hrsid = Hrsid.open(tmp_path)
    first = hrsid.examples("detection", "train")[0]
    expected = [[[10, 20], [40, 20], [40, 30], [10, 30]], [[70, 50], [80, 50], [80, 60], [70, 60]]]
    np.testing.assert_array_equal(boxes(first).corners, expected)
    assert [len(boxes(e).classes) for e in both(hrsid, "detection")] == [2, 1, 1, 0]
    assert hrsid.groups == ("P0001", "P0002 (test)", "P0002 (train)", "P0003")
    assert hrsid.notes == ("1 scenes were cut on both sides of the published split",)


def test_hrsid_reads_boxes_from_masks(tmp_path: Path) -> None:
    mask_px = np.zeros((20, 30, 3), np.uint8)
    mask_px[2:5, 3:9] = mask_px[5, 9] = mask_px[10:20, 29] = 255
    for scene in ("P0001", "P0002"):
        grey(tmp_path / "HRSID_JPG" / "images" / f"{scene}_0_20_0_30.jpg", (20, 30))
        saved(tmp_path / "HRSID_JPG" / "masks" / f"{scene}_0_20_0_30.png", mask_px)
    found = boxes(Hrsid.open(tmp_path).examples("detection", "test")[0]).corners
    assert found[:, 0].tolist() == [[3, 2], [29, 10]]
    assert found[:, 2].tolist() == [[10, 6], [30, 20]]


def test_coco_files_of_other_classes_are_refused(tmp_path: Path) -> None:
    make_hrsid(tmp_path)
    path = tmp_path / "HRSID_JPG" / "annotations" / "test2017.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["categories"][0]["name"] = "plane"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BenchError, match=r"test2017\.json: not the expected COCO file, at 'plane'"):
        Hrsid.open(tmp_path)


def test_ssdd_reads_turned_boxes(tmp_path: Path) -> None:
    make_ssdd(tmp_path)
    ssdd = Ssdd.open(tmp_path)
    assert [e.id for e in ssdd.examples("detection", "test")] == ["000001", "000009"]
    found = boxes(ssdd.examples("detection", "test")[0])
    np.testing.assert_array_equal(found.corners, [[[20, 10], [40, 20], [35, 30], [15, 20]]])
    assert boxes(ssdd.examples("detection", "test")[1]).corners.shape == (0, 4, 2)


def test_rsdd_turns_boxes_by_their_angle_and_groups_scenes(tmp_path: Path) -> None:
    make_rsdd(tmp_path)
    rsdd = RsddSar.open(tmp_path)
    corners = boxes(rsdd.examples("detection", "test")[0]).corners[0]
    sides = np.linalg.norm(np.diff(corners, axis=0, append=corners[:1]), axis=1)
    np.testing.assert_allclose(sides, [20, 6, 20, 6])
    np.testing.assert_allclose(corners.mean(axis=0), [40, 30])
    along = corners[1] - corners[0]
    assert np.arctan2(along[1], along[0]) == pytest.approx(0.5236)
    assert set(rsdd.groups) == {"1", "2", "3", "7 (train)", "7 (test)"}
    assert len(rsdd.notes) == 1


def test_sen1floods11_keeps_the_published_split(tmp_path: Path) -> None:
    make_sen1floods11(tmp_path)
    floods = Sen1Floods11.open(tmp_path)
    assert {e.group for e in floods.examples("segmentation", "test")} == {"Ghana_4", "Bolivia_5"}
    assert floods.notes == ()


def test_sen1floods11_windows_lie_on_the_map_and_count_pixels_once(tmp_path: Path) -> None:
    make_sen1floods11(tmp_path, split=False)
    floods = Sen1Floods11.open(tmp_path)
    assert floods.notes == ("no split files: chips are dealt",)
    chip = [e for e in both(floods, "segmentation") if e.group == "India_2"]
    assert [e.id for e in chip] == [f"India_2-r{r}-c{c}" for r in (0, 64) for c in (0, 64)]
    corners = [(t.geobox.affine.c, t.geobox.affine.f) for t in (e.image() for e in chip)]
    assert corners[3] == (500_000 + 640, 4_700_000 - 640)
    last = mask(chip[3])
    assert (last[:64] == -1).all()
    assert (last[:, :64] == -1).all()
    fresh = sum(np.count_nonzero(mask(e) >= 0) for e in chip)
    assert 0.6 * 192**2 < fresh < 0.73 * 192**2, "two thirds are labelled, each pixel once"


def test_air_polsar_seg_reads_colours(tmp_path: Path) -> None:
    make_airpolsarseg(tmp_path)
    air = AirPolSarSeg.open(tmp_path)
    first, second = air.examples("segmentation", "test")
    assert (first.id, second.id) == ("test_0-r0-c0", "test_0-r44-c0")
    expected = np.random.default_rng(0)
    for _ in range(4):
        expected.integers(0, 60000, (1, 300, 256))
    coarse = expected.integers(0, 7, (30, 26))
    coarse[coarse == 6] = -1
    np.testing.assert_array_equal(mask(first)[::10, ::10], coarse[:26])
    assert (mask(second)[: 256 - 44] == -1).all()
    assert first.image().acquisition.polarizations == ("HH", "HV", "VH", "VV")


def test_openearthmap_asks_published_parts_where_their_labels_are_out(tmp_path: Path) -> None:
    make_openearthmap(tmp_path)
    dealt = OpenEarthMapSar.open(tmp_path)
    assert len(dealt.notes) == 1
    assert all(group.startswith("train-") for group in dealt.groups)
    root = tmp_path / "OpenEarthMap-SAR"
    (root / "val" / "labels").mkdir()
    label = (root / "train/labels/TrainArea_0000.tif").read_bytes()
    (root / "val/labels/ValArea_0000.tif").write_bytes(label)
    published = OpenEarthMapSar.open(tmp_path)
    assert {e.group for e in published.examples("segmentation", "test")} == {"val-ValArea_0000"}
    assert len(published.examples("segmentation", "train")) == 5


def test_pairs_are_halved_with_a_gap(tmp_path: Path) -> None:
    make_pairs(tmp_path)
    pairs = ChangePairs.open(tmp_path)
    places = {
        part: [tuple(map(int, e.id.replace("-r", " ").replace("-c", " ").split()[1:]))
               for e in pairs.examples("change", part)]
        for part in ("train", "test")
    }  # fmt: skip
    rows = {
        part: (min(r for r, _ in at), max(r for r, _ in at) + 64) for part, at in places.items()
    }
    columns = {
        part: (min(c for _, c in at), max(c for _, c in at) + 64) for part, at in places.items()
    }
    gaps = [
        max(low["train"][0], low["test"][0]) - min(low["train"][1], low["test"][1])
        for low in (rows, columns)
    ]
    assert max(gaps) == 16
    for part in ("train", "test"):
        assert any((mask(e) == 1).any() for e in pairs.examples("change", part)), part
    example = pairs.examples("change", "test")[0]
    assert example.before is not None
    assert (example.before().db != example.image().db).any()


def test_polsf_channels_stand_for_bounces(tmp_path: Path) -> None:
    make_polsf(tmp_path)
    polsf = PolSf.open(tmp_path)
    example = polsf.examples("polsar", "train")[0]
    tile = example.image()
    assert tile.acquisition.polarizations == ("HH", "HV", "VV")
    row, column = (int(text[1:]) for text in example.id.split("-")[1:])
    pixels = np.random.default_rng(0).integers(0, 256, (200, 240, 3)).astype(np.uint8)
    window = pixels[row : row + 64, column : column + 64]
    np.testing.assert_allclose(tile.db, amplitude_db(window[:, :, ::-1].transpose(2, 0, 1)))
    seen = np.unique(np.concatenate([mask(e).ravel() for e in both(polsf, "polsar")]))
    assert seen.tolist() == [-1, 0, 1, 2, 3, 4]


def test_mstar_without_a_depression_is_one_line(tmp_path: Path) -> None:
    make_mstar(tmp_path)
    chip = next((tmp_path / "mstar").rglob("HB00170.017"))
    chip.write_bytes(chip.read_bytes().replace(b"DesiredDepression", b"OtherDepression!!"))
    with pytest.raises(ProductError, match=r"HB00170\.017: no DesiredDepression"):
        Mstar.open(tmp_path)


def test_a_damaged_member_of_an_archive_is_one_line(tmp_path: Path) -> None:
    make_opensarship(tmp_path)
    archive = tmp_path / "OpenSARShip" / f"{SCENES[0]}.zip"
    ships = OpenSarShip.open(tmp_path).leaving_out(SCENES[0])
    content = bytearray(archive.read_bytes())
    place = content.index(b"Patch_Cal/Cargo_x0_y0.tif") + 60
    content[place : place + 200] = b"\x55" * 200
    archive.write_bytes(content)
    with pytest.raises(ProductError, match=SCENES[0]):
        ships.examples("few-shot", "test")[0].image()


def test_so2sat_without_h5py_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    root = tmp_path / "so2sat-lcz42"
    root.mkdir()
    for name in ("training.h5", "testing.h5"):
        (root / name).write_bytes(b"\0")
    with pytest.raises(BenchError, match=r"without h5py; pip install 'sarknowlip\[hdf5\]'"):
        So2Sat.open(tmp_path)


def test_so2sat_reads_filtered_intensities(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: the extra hdf5")
    make_so2sat(tmp_path)
    opened = So2Sat.open(tmp_path)
    assert len(opened.examples("classification", "train")) == 40
    example = opened.examples("classification", "test")[7]
    with h5py.File(tmp_path / "so2sat-lcz42" / "testing.h5") as content:
        patch, label = content["sen1"][7], content["label"][7]
    tile = example.image()
    assert tile.acquisition.polarizations == ("VV", "VH")
    np.testing.assert_allclose(tile.db[0], 10 * np.log10(patch[:, :, 5]), rtol=1e-4)
    np.testing.assert_allclose(tile.db[1], 10 * np.log10(patch[:, :, 4]), rtol=1e-4)
    assert example.truth == Label(int(label.argmax()))


def test_eurosat_sar_is_parted_by_ground(tmp_path: Path) -> None:
    make_eurosat(tmp_path)
    eurosat = EuroSatSar.open(tmp_path)
    assert len(eurosat.groups) == 2
    for example in both(eurosat, "classification"):
        odd = int(example.id.rsplit("_", 1)[1]) % 2
        tile = example.image()
        assert tile.geobox.crs is not None
        assert tile.geobox.affine.c == 300_000 + 200_000 * odd
    parts = [{e.group for e in eurosat.examples("zero-shot", part)} for part in ("train", "test")]
    assert all(len(part) == 1 for part in parts)
