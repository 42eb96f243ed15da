"""Small public data sets with real file names, folder shapes and formats; contents are noise.

`MAKERS` has a function a set of `DATASETS`: given a data folder, it writes the set below it.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from PIL import Image

Array = np.ndarray[Any, Any]


def grey(path: Path, shape: tuple[int, int] = (24, 20), seed: int = 0) -> Path:
    """Write an 8-bit picture of noise."""
    noise = np.random.default_rng(seed).rayleigh(40.0, shape)
    return saved(path, np.clip(noise, 0, 255).astype(np.uint8))


def saved(path: Path, pixels: Array) -> Path:
    """Write a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def geotiff(path: Path, bands: Array, place: tuple[float, float] | None = None) -> Path:
    """Write a GeoTIFF of bands (bands, rows, columns), in UTM zone 33 if it has a place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    where: dict[str, Any] = {}
    if place is not None:
        where = {
            "crs": "EPSG:32633",
            "transform": Affine(10.0, 0.0, place[0], 0.0, -10.0, place[1]),
        }
    count, height, width = bands.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width,
        dtype=bands.dtype, **where,
    ) as target:  # fmt: skip
        target.write(bands)
    return path


PHOENIX_ROWS, PHOENIX_COLUMNS = 6, 5


def phoenix(path: Path, magnitude: Array, depression: int, azimuth: float, native: int = 0) -> Path:
    """Write a chip in the Phoenix format, `native` bytes of another header before its pixels."""
    rows, columns = magnitude.shape
    text = (
        "[PhoenixHeaderVer01.04]\nPhoenixHeaderLength= {length:05}\n"
        f"NumberOfColumns= {columns}\nNumberOfRows= {rows}\nTargetType= a_vehicle\n"
        f"TargetAz= {azimuth:.4f}\nDesiredDepression= {depression}\n[EndofPhoenixHeader]\n"
    )
    head = text.format(length=len(text.format(length=0))).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    phase = np.zeros((rows, columns), ">f4")
    path.write_bytes(head + b"\0" * native + magnitude.astype(">f4").tobytes() + phase.tobytes())
    return path


MSTAR_FOLDERS = {
    "2S1": "2S1", "BMP2": "BMP2/SN_9563", "BRDM2": "BRDM_2", "BTR60": "BTR_60",
    "BTR70": "BTR70/SN_C71", "D7": "D7", "T62": "T62", "T72": "T72/SN_132",
    "ZIL131": "ZIL131", "ZSU234": "ZSU_23_4",
}  # fmt: skip


def make_mstar(data: Path) -> None:
    """Target discs: 17° and 15° chips of each vehicle, and some that are not asked for."""
    rng = np.random.default_rng(1)
    for place, (kind, folder) in enumerate(MSTAR_FOLDERS.items()):
        for part, degrees in (("TRAIN/17_DEG", 17), ("TEST/15_DEG", 15)):
            for number in range(3):
                magnitude = rng.rayleigh(1.0, (PHOENIX_ROWS, PHOENIX_COLUMNS))
                name = f"HB{place:02}{degrees}{number}.0{degrees}"
                path = data / "mstar" / "TARGETS" / part / folder / name
                phoenix(path, magnitude, degrees, 5.0 * number, native=512 * (kind == "T62"))
    extra = data / "mstar" / "TARGETS"
    chip = np.ones((PHOENIX_ROWS, PHOENIX_COLUMNS))
    phoenix(extra / "TEST/15_DEG/T72/SN_812/HB90001.015", chip, 15, 0.0)
    phoenix(extra / "TEST/15_DEG/SLICY/HB90002.015", chip, 15, 0.0)
    phoenix(extra / "TEST/30_DEG/2S1/HB90003.001", chip, 30, 0.0)


def make_mstar_pictures(data: Path) -> None:
    """The copy as pictures: 12 to learn from, 2 to ask, of each class."""
    for index in range(10):
        for part, first, count in (("train", 0, 12), ("val", 10, 2)):
            for number in range(count):
                name = f"{first + index}{number:04}.jpeg"
                grey(data / "mstar10" / part / str(index) / name, seed=number)


SAMPLE_CLASSES = ("2s1", "bmp2", "btr70", "m1", "m2", "m35", "m548", "m60", "t72", "zsu23")


def make_sample(data: Path) -> None:
    """Quarter-power pictures of measured and synthetic chips at 15° and 17°."""
    for kind in SAMPLE_CLASSES:
        for origin in ("real", "synth"):
            for elevation in (15, 17):
                for azimuth in (12, 27):
                    name = (
                        f"{kind}_{origin}_A_elevDeg_{elevation:03}_azCenter_{azimuth:03}_22"
                        "_serial_b01.png"
                    )
                    folder = data / "SAMPLE_dataset_public" / "png_images" / "qpm" / origin
                    grey(folder / kind / name)


def make_fusar(data: Path) -> None:
    """Two categories of 24 chips, two chips a ship; one small category, one without a type."""
    root = data / "FUSAR-Ship1.0"
    rows = ["id\tmmsi\tlength\twidth\tpolarMode\tcenterLookAngle\theightspace\twidthspace\tpath"]
    kinds = [("Cargo", "BulkCarrier", 24), ("Tanker", "OilTanker", 24), ("Tug", "Tug", 3)]
    for place, (kind, below, count) in enumerate([*kinds, ("Unspecified", "Unspecified", 30)]):
        for number in range(count):
            name = f"Ship_C{place + 1:02}S01N{number:04}"
            grey(root / kind / below / f"{name}.tiff", seed=number)
            ship = 400000000 + 1000 * place + number // 2
            rows.append(f"{name}\t{ship}\t138\t26\tDH\t42.51\t1.7\t1.1\t{kind}\\{below}")
    (root / "meta.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


SCENES = (
    "S1A_IW_GRDH_1SDV_20150823T221233_20150823T221258_007396_00A2CA_54D0",
    "S1A_IW_GRDH_1SSV_20160131T204259_20160131T204324_009743_00E3C6_E792",
    "S1A_IW_SLC__1SSV_20150217T204257_20150217T204324_004668_005C34_2DC9",
)


def make_opensarship(data: Path) -> None:
    """A scene in a folder within its archive, one without, with a broken end, one unpacked."""
    root = data / "OpenSARShip"
    codes = (70, 80, 52, 0)
    for place, scene in enumerate(SCENES):
        ships = "".join(
            f"<ship><SARShipInformation><Center_x>{10 * n}</Center_x><Center_y>{n}</Center_y>"
            f"</SARShipInformation><AISShipInformation><Ship_Type>{code}</Ship_Type>"
            "</AISShipInformation></ship>\n"
            for n, code in enumerate(codes)
        )
        end = "<\\ShipList>" if place == 1 else "</ShipList>"
        folder = root / (scene if place == 2 else f"unpacked-{place}")
        power = np.full((2 if "1SDV" in scene else 1, 9, 9), 0.01, np.float32)
        power[-1, 4, 4], power[0, 0, 0] = 10.0, 0.0
        for n in range(len(codes)):
            geotiff(folder / "Patch_Cal" / f"Cargo_x{10 * n}_y{n}.tif", power)
            geotiff(folder / "Patch" / f"Cargo_x{10 * n}_y{n}.tif", power * 100)
        (folder / "Ship.xml").write_text(
            f'<?xml version="1.0" encoding="UTF-8"?>\n<ShipList>\n{ships}{end}', encoding="utf-8"
        )
        if place < 2:
            with zipfile.ZipFile(root / f"{scene}{'(1)' * place}.zip", "w") as archive:
                for path in sorted(folder.rglob("*")):
                    inner = path.relative_to(folder).as_posix()
                    archive.write(path, f"{scene}/{inner}" if place == 0 else inner)
                    if path.is_file():
                        path.unlink()


ACD_TYPES = ("A220", "A320321", "A330", "ARJ21", "Boeing737", "Boeing787")


def make_sar_acd(data: Path) -> None:
    """Five aircraft a type, each with a darker copy, the first also with a turned one."""
    for index, kind in enumerate(ACD_TYPES):
        for number in range(5):
            rng = np.random.default_rng(100 * index + number)
            target = np.kron(rng.rayleigh(60.0, (20, 20)), np.ones((2, 2)))
            chip = np.clip(target, 0, 255).astype(np.uint8)
            folder = data / "SAR-ACD" / kind
            saved(folder / f"{number:03}.png", chip)
            saved(folder / f"{number + 100:03}.png", (chip * 0.7).astype(np.uint8))
            if number == 0:
                saved(folder / "200.png", np.rot90(chip).copy())


def coco(path: Path, pictures: dict[str, list[list[float]]], names: tuple[str, ...]) -> None:
    """Write a COCO file: boxes (left, top, width, height) of pictures 60 high and 80 wide."""
    images = [
        {"id": n, "file_name": name, "height": 60, "width": 80} for n, name in enumerate(pictures)
    ]
    annotations = [
        {
            "id": 100 * n + k, "image_id": n, "category_id": 1 + k % len(names), "bbox": box,
            "area": box[2] * box[3], "iscrowd": 0, "segmentation": [],
        }
        for n, boxes in enumerate(pictures.values())
        for k, box in enumerate(boxes)
    ]  # fmt: skip
    categories = [{"id": n + 1, "name": name} for n, name in enumerate(names)]
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content), encoding="utf-8")


def make_hrsid(data: Path) -> None:
    """As published; scene P0002 is on both sides; one box sticks out, one picture is empty."""
    root = data / "HRSID_JPG"
    parts = {
        "train2017": {
            "P0001_0_800_0_800.jpg": [[10, 20, 30, 10], [70, 50, 30, 30]],
            "P0002_0_800_0_800.jpg": [[1, 2, 3, 4]],
        },
        "test2017": {"P0002_0_800_600_1400.jpg": [[5, 5, 9, 9]], "P0003_0_800_0_800.jpg": []},
    }
    for name, pictures in parts.items():
        coco(root / "annotations" / f"{name}.json", pictures, ("ship",))
        for file in pictures:
            grey(root / "JPEGImages" / file, (60, 80))


def voc(path: Path, objects: str) -> None:
    """Write a VOC file of a picture 60 high and 80 wide."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<annotation><filename>{path.stem}.jpg</filename><size><width>80</width>"
        f"<height>60</height><depth>1</depth></size>{objects}</annotation>",
        encoding="utf-8",
    )


def make_ssdd(data: Path) -> None:
    """Numbers that end in 1 and 9 are asked."""
    root = data / "Official-SSDD-OPEN" / "RBox_SSDD" / "voc_style"
    corners = "".join(
        f"<{axis}{n}>{value}</{axis}{n}>"
        for n, point in enumerate([(20, 10), (40, 20), (35, 30), (15, 20)], 1)
        for axis, value in zip("xy", point, strict=True)
    )
    ship = (
        "<object><name>ship</name><difficult>0</difficult><bndbox><xmin>15</xmin><ymin>10</ymin>"
        f"<xmax>40</xmax><ymax>30</ymax></bndbox><rotated_bndbox>{corners}</rotated_bndbox></object>"
    )
    for number in (1, 2, 3, 9, 10):
        part = "test" if number % 10 in (1, 9) else "train"
        grey(root / f"JPEGImages_{part}" / f"{number:06}.jpg", (60, 80))
        voc(root / f"Annotations_{part}" / f"{number:06}.xml", ship * (number % 3))


def make_rsdd(data: Path) -> None:
    """Two scenes to learn from, one to ask, one on both sides."""
    root = data / "RSDD-SAR"
    ship = (
        "<object><name>ship</name><robndbox><cx>40</cx><cy>30</cy><w>6</w><h>20</h>"
        "<angle>0.5236</angle></robndbox></object>"
    )
    parts = {"train": ["1_0_0", "1_0_1", "2_0_0", "7_0_0"], "test": ["3_0_0", "7_0_1"]}
    for part, names in parts.items():
        (root / "ImageSets").mkdir(parents=True, exist_ok=True)
        (root / "ImageSets" / f"{part}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
        for name in names:
            grey(root / "JPEGImages" / f"{name}.jpg", (60, 80))
            voc(root / "Annotations" / f"{name}.xml", ship)


def make_sardet(data: Path) -> None:
    """Six kinds of objects."""
    root = data / "SARDet_100K"
    names = ("ship", "aircraft", "car", "tank", "bridge", "harbor")
    for part, count in (("train", 4), ("test", 2)):
        pictures = {
            f"{n:07}.png": [[10.0 * k, 5.0, 8.0, 6.0] for k in range(6)] for n in range(count)
        }
        coco(root / "Annotations" / f"{part}.json", pictures, names)
        for file in pictures:
            grey(root / "JPEGImages" / part / file, (60, 80))


FLOODS = {
    "flood_train_data": ("Ghana_1", "India_2"),
    "flood_valid_data": ("Spain_3",),
    "flood_test_data": ("Ghana_4",),
    "flood_bolivia_data": ("Bolivia_5",),
}


def make_sen1floods11(data: Path, *, split: bool = True) -> None:
    """Five chips of 192 × 192 pixels: four windows each, of which three overlap."""
    root = data / "sen1floods11" / "v1.1"
    hand = root / "data" / "flood_events" / "HandLabeled"
    for place, chips in enumerate(FLOODS.values()):
        for chip in chips:
            rng = np.random.default_rng(place)
            db = rng.normal(-12.0, 3.0, (2, 192, 192)).astype(np.float32)
            label = rng.integers(-1, 2, (1, 192, 192)).astype(np.int16)
            corner = (500_000.0 + 10_000.0 * place, 4_700_000.0)
            geotiff(hand / "S1Hand" / f"{chip}_S1Hand.tif", db, corner)
            geotiff(hand / "LabelHand" / f"{chip}_LabelHand.tif", label, corner)
    for name, chips in FLOODS.items() if split else ():
        path = root / "splits" / "flood_handlabeled" / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{chip}_S1Hand.tif,{chip}_LabelHand.tif" for chip in chips]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


AIR_COLOURS = ((255, 255, 0), (0, 0, 255), (0, 255, 0), (255, 0, 0), (0, 255, 255), (255, 255, 255))


def make_airpolsarseg(data: Path) -> None:
    """Pictures of 300 × 256 pixels: one whole window and one that overlaps it."""
    for part, count in (("train", 2), ("test", 1)):
        root = data / "AIR-PolSAR-Seg" / f"{part}_set"
        for number in range(count):
            rng = np.random.default_rng(number)
            for polarization in ("HH", "HV", "VH", "VV"):
                chip = rng.integers(0, 60000, (1, 300, 256)).astype(np.uint16)
                name = f"{part}_{number}_{polarization}.tiff"
                geotiff(root / "images" / polarization / name, chip)
            palette = np.array([*AIR_COLOURS, (0, 0, 0)], np.uint8)
            coarse = palette[rng.integers(0, 7, (30, 26))]
            label = np.kron(coarse, np.ones((10, 10, 1), np.uint8))[:300, :256]
            saved(root / "labels" / f"{part}_{number}_gt.png", label)


def make_openearthmap(data: Path) -> None:
    """Five labelled pictures to learn from; validation pictures without labels."""
    root = data / "OpenEarthMap-SAR"
    for number in range(5):
        rng = np.random.default_rng(number)
        chip = rng.integers(0, 256, (1, 64, 64)).astype(np.uint8)
        label = rng.integers(0, 9, (1, 64, 64)).astype(np.uint8)
        geotiff(root / "train" / "sar_images" / f"TrainArea_{number:04}.tif", chip)
        geotiff(root / "train" / "labels" / f"TrainArea_{number:04}.tif", label)
        geotiff(root / "val" / "sar_images" / f"ValArea_{number:04}.tif", chip)


def make_pairs(data: Path) -> None:
    """One pair of 160 × 150 pixels whose changes lie in a band across both halves."""
    root = data / "change-pairs" / "bern"
    truth = np.zeros((160, 150, 3), np.uint8)
    truth[20:140, 60:90] = 255
    grey(root / "bern_1.bmp", (160, 150), 1)
    grey(root / "bern_2.bmp", (160, 150), 2)
    saved(root / "bern_gt.bmp", truth)


def make_polsf(data: Path) -> None:
    """A picture of 200 × 240 pixels with five classes in stripes, and an unlabelled margin."""
    root = data / "PolSF" / "SF-AIRSAR"
    rng = np.random.default_rng(0)
    saved(root / "SF-AIRSAR-Pauli.bmp", rng.integers(0, 256, (200, 240, 3)).astype(np.uint8))
    label = np.repeat(np.arange(200)[:, None] // 40 + 1, 240, axis=1).astype(np.uint8)
    label[:, :5] = 0
    saved(root / "SF-AIRSAR-label2d.png", label)


EUROSAT = (
    "AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture",
    "PermanentCrop", "Residential", "River", "SeaLake",
)  # fmt: skip


def make_eurosat(data: Path) -> None:
    """Four pictures a class, in two blocks of ground."""
    for kind in EUROSAT:
        for number in range(1, 5):
            rng = np.random.default_rng(number)
            db = rng.normal(-12.0, 3.0, (2, 64, 64)).astype(np.float32)
            place = (300_000.0 + 200_000.0 * (number % 2), 5_000_000.0)
            geotiff(data / "EuroSAT-SAR" / kind / f"{kind}_{number}.tif", db, place)


def make_so2sat(data: Path) -> None:
    """Patches with one-hot labels; needs h5py."""
    import h5py

    root = data / "so2sat-lcz42"
    root.mkdir(parents=True)
    for name, count in (("training", 40), ("testing", 20)):
        rng = np.random.default_rng(count)
        with h5py.File(root / f"{name}.h5", "w") as content:
            content["sen1"] = rng.exponential(0.05, (count, 32, 32, 8))
            content["sen2"] = np.zeros((count, 32, 32, 10))
            content["label"] = np.eye(17)[rng.integers(0, 17, count)]


WHU_SHEETS = ("NH49E004021", "NH49E005014", "NH49E001014")
"""Two to learn from, and the first of those to ask."""


def make_whu(data: Path) -> None:
    """Sheets of 300 × 256 pixels with all classes and background in stripes."""
    root = data / "WHU-OPT-SAR"
    for place, sheet in enumerate(WHU_SHEETS):
        rng = np.random.default_rng(place)
        stripes = np.repeat(np.arange(300)[:, None] % 8 * 10, 256, axis=1).astype(np.uint8)
        geotiff(root / "sar" / f"{sheet}.tif", rng.integers(0, 256, (1, 300, 256), np.uint8))
        geotiff(root / "lbl" / f"{sheet}.tif", stripes[None])
        geotiff(root / "optical" / f"{sheet}.tif", np.zeros((4, 300, 256), np.uint8))


def message(picture: str, question: str, answer: str) -> dict[str, Any]:
    """Return a dialogue of one turn as ms-swift takes it."""
    said = [("user", f"<image>{question}"), ("assistant", answer)]
    return {
        "messages": [{"role": role, "content": content} for role, content in said],
        "images": [picture],
    }


def conversation(picture: str, *turns: tuple[str, str]) -> dict[str, Any]:
    """Return a dialogue as LLaVA takes it."""
    said = []
    for question, answer in turns:
        said.append({"from": "human", "value": f"<image>\n{question}"})
        said.append({"from": "gpt", "value": answer})
    return {"id": picture, "image": picture, "conversations": said}


def written(path: Path, records: list[dict[str, Any]]) -> Path:
    """Write a JSON list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records, indent=1), encoding="utf-8")
    return path


SARLANG_TRAIN = ("France_Alpes-Maritimes_Nice_3", "France_Alpes-Maritimes_Nice_4", "USA_Ohio_1")
SARLANG_TEST = ("France_Alpes-Maritimes_Nice_7", "SV_Darwin_-12.4278_130.8688")
DESCRIBE = "Write a terse but informative summary of the picture."


def make_sarlang(data: Path, *, detection: bool = True) -> None:
    """Two captions a picture, JSON and CSV; SARVQA1 with its pictures if wanted."""
    root = data / "SARLANG-1M"
    text = root / "Text"
    seen = {"train": SARLANG_TRAIN, "test": SARLANG_TEST}
    for part, names in seen.items():
        captions, answers, boxes = [], [], []
        for place, name in enumerate(names):
            file = f"{name}.png"
            grey(root / "SARimages" / file, (40, 48), seed=place)
            captions += [message(file, DESCRIBE, f"A harbor with {place + 2} piers {part}.")]
            captions += [
                message(file, "Describe.", f"Large {part} buildings {place} near a river.")
            ]
            answers += [message(file, "How many docks are there?", str(place))]
            answers += [message(file, "Is there a bridge in the image?", "yes")]
        for place, file in enumerate((f"{part}1.jpg", f"{part}2.jpg")):
            if detection:
                grey(root / "SARimages" / file, (40, 48), seed=place)
            boxes += [message(f"/else/{file}", "Where are most ships?", "left")]
            boxes += [message(f"/else/{file}", "What object in area [1,2,3,4]?", "ship")]
        written(text / "Caption" / part / f"Caption_{part}.json", captions)
        written(text / "VQA" / part / f"SARVQA2_{part}.json", answers)
        written(text / "VQA" / part / f"SARVQA1_{part}.json", boxes)
    concise = "image,caption\n" + "".join(f"{name}.png,Ships at sea.\n" for name in SARLANG_TEST)
    (text / "Caption" / "test" / "Caption_test1.csv").write_text(concise, encoding="utf-8")


SARCAP_TEXTS = (
    "a solitary bridge occupies the core of the scene .",
    "in total , 5 motorized transport are present in the image .",
    "ship 5 6 20 30 .",
    "tank 4 5 11 15 ; tank 20 18 35 30 ; ship 30 2 60 9 .",
)


def make_sarcap(data: Path) -> None:
    """Eight pictures, TIFF, each of the texts twice; the first has two captions."""
    root = data / "SARCAP"
    rows = ["filename\tcaption", "./img/001.tif\tthis SAR image shows a river ."]
    for number in range(8):
        noise = np.random.default_rng(number).integers(0, 256, (1, 32, 40), np.uint8)
        geotiff(root / "img" / f"{number + 1:03}.tif", noise)
        rows.append(f"./img/{number + 1:03}.tif\t{SARCAP_TEXTS[number % 4]}")
    (root / "img_caption.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def make_sar_text(data: Path) -> None:
    """Two scenes of SEN12 and four single pictures; dialogues about half of each."""
    root = data / "SAR-TEXT-data"
    sources = {
        "SEN12": [f"ROIs1158_spring_s1_{scene}_p{n}" for scene in (10, 11) for n in (1, 2)],
        "QXSLAB_SAROPT": ["7756", "7757", "12", "13"],
    }
    dialogues = []
    for source, names in sources.items():
        lines = ["filepath,caption"]
        for number, name in enumerate(names):
            grey(root / "Image" / source / f"{name}.png", (32, 32), seed=number)
            lines.append(f'Image/{source}/{name}.png,"Fields, and {number} roads of {source}."')
            stated = f"/SAR-TEXT-data/Image/{source}/{name}.png"
            first = ("Is there water in this landscape?", "Yes")
            dialogues.append(conversation(stated, first, ("How many roads?", str(number))))
        (root / f"annotations_{source}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    written(root / "SAR-VQA_conv.json", dialogues)
    written(root / "RS-VQA_conv.json", [conversation("optical.png", ("Is it green?", "Yes"))])


OPTIONS = "Based on these category options (aircraft, bridge, car, harbor, ship, tank), what is it?"


def make_sarchat(data: Path) -> None:
    """One list to learn from, lists of single tasks to ask; pictures lie in SARDet_100K."""
    root = data / "SARChat"
    pictures = data / "SARDet_100K" / "JPEGImages"

    def sayings(part: str, number: int) -> dict[str, dict[str, Any]]:
        file = f"/root/data/JPEGImages/{part}/{number:07}.png"
        grey(pictures / part / f"{number:07}.png", (48, 64), seed=number)
        kind = ("ship", "tank")[number % 2]
        said = {
            "classify": (OPTIONS, f"It is {kind}"),
            "describe": ("What stands out?", f"One can spot a small {kind} at the top {number}."),
            "classify_count": (
                f"[count] How many {kind}s are there?",
                "There are 2 instances. {<1><2><10><12>}{<20><22><30><40>}",
            ),
            "classify_identify_single": (
                "[identify] What is at {<1><2><10><12>}?", f"This is a very small {kind}."
            ),
            "classify_refer_single": (
                f"[refer] Where is the {kind}?", "{<10><20><30><60>} (bottom left)."
            ),
            "classify_refer_multi": (
                f"[refer] Where are the {kind}s?", "{<1><2><10><12>} (top). {<20><22><30><40>}"
            ),
            "classify_grounding_single": (
                "[grounding] Describe where objects are.", f"There is a {kind} {{<1><2><3><4>}}."
            ),
        }  # fmt: skip
        return {task: message(file, *pair) for task, pair in said.items()}

    learned = [record for number in range(4) for record in sayings("train", number).values()]
    written(root / "SARChat_total_task_train_modified.json", learned)
    asked = [sayings("test", number) for number in range(4, 7)]
    for task in asked[0]:
        written(root / f"SARChat_{task}_test.json", [one[task] for one in asked])


MAKERS: dict[str, Callable[[Path], None]] = {
    "mstar": make_mstar,
    "sample": make_sample,
    "sample-synthetic": make_sample,
    "fusar-ship": make_fusar,
    "opensarship": make_opensarship,
    "sar-acd": make_sar_acd,
    "hrsid": make_hrsid,
    "ssdd": make_ssdd,
    "sardet-100k": make_sardet,
    "rsdd-sar": make_rsdd,
    "sen1floods11": make_sen1floods11,
    "air-polsar-seg": make_airpolsarseg,
    "openearthmap-sar": make_openearthmap,
    "whu-opt-sar": make_whu,
    "change-pairs": make_pairs,
    "polsf": make_polsf,
    "eurosat-sar": make_eurosat,
    "so2sat-lcz42": make_so2sat,
    "sarlang-1m": make_sarlang,
    "sarcap": make_sarcap,
    "sar-text": make_sar_text,
    "sarchat-2m": make_sarchat,
}
