"""Rung 8: the whole pipeline on small data, and its report."""

from __future__ import annotations

import contextlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rasterio.transform import Affine

from data.geotiff.make import make_geotiff
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.corpus.validate import validate
from sarknowlip.pipeline.figures import loss_curve, world_map
from sarknowlip.pipeline.quickstart import QuickstartReport, quickstart
from sarknowlip.sar.quicklook import NO_DATA, composite
from sarknowlip.train.config import TrainConfig, with_settings
from sarknowlip.train.recipes import RECIPES


@contextlib.contextmanager
def no_bar(label: str) -> Iterator:
    yield lambda done, total, item: None


def short() -> TrainConfig:
    """Return a training that is over in seconds."""
    return with_settings(
        RECIPES["tiny"](),
        ["steps=6", "model.image_depth=1", "model.text_depth=1", "data.batch=8", "log_every=1"],
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, QuickstartReport, list[str]]:
    folder = tmp_path_factory.mktemp("quickstart")
    for index in range(3):
        place = Affine(10, 0, 500_000 + 9000 * index, 0, -10, 4_700_000)
        make_geotiff(folder / "in" / f"s{index}.tif", seed=index, shape=(400, 400), transform=place)
    (folder / "in" / "broken.tif").write_bytes(b"")
    said: list[str] = []
    report = quickstart(
        folder / "in", folder / "out", bar=no_bar, say=said.append, training=short()
    )
    return folder, report, said


def test_every_stage_leaves_its_result(finished) -> None:
    folder, report, said = finished
    out = folder / "out"
    assert said[0] == f"Input: {folder / 'in'}"
    assert [line.split(":")[0] for line in said[1:]] == [
        "build", "validate", "annotate", "verify", "train", "retrieval",
    ]  # fmt: skip
    assert validate(out / "corpus").problems == ()
    assert report.tiles == len(Catalog(out / "corpus")) > 60
    assert report.claim_precision == 1.0
    assert next(out.glob("run-*/model/model.safetensors")).is_file()
    assert (out / "bench" / "retrieval.csv").is_file()


class Outline(HTMLParser):
    """Collects tags and what they load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "img", "br", "image", "rect", "link"}:
            self.open.append(tag)
        self.loads += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag("br", attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_report_is_whole_and_opens_without_a_network(finished) -> None:
    _, report, _ = finished
    html = report.report.read_text("utf-8")
    outline = Outline()
    outline.feed(html)
    assert outline.open == []
    assert outline.loads
    assert all(load.startswith("data:") for load in outline.loads), "everything is inside"
    assert not re.search(r"https?://(?!www\.w3\.org)", re.sub(r"base64,[^\"]+", "", html))
    for part in ("broken.tif", "Retrieval on held-out ground", "random", "chance", "claim(s)"):
        assert part in html
    assert "{{" not in html
    assert "nan" not in re.sub(r"base64,[^\"]+", "", html).lower().split()


def test_running_again_keeps_what_is_finished(finished) -> None:
    folder, report, _ = finished
    out = folder / "out"
    run = next(out.glob("run-*")).name
    names = (
        "corpus/catalog.parquet",
        "corpus/annotations/v0001/texts.parquet",
        f"{run}/report.json",
    )
    before = {name: (out / name).stat().st_mtime_ns for name in names}
    again = quickstart(folder / "in", out, bar=no_bar, say=lambda _: None, training=short())
    assert {name: (out / name).stat().st_mtime_ns for name in names} == before
    assert again.tiles == report.tiles


@pytest.mark.parametrize("edge", [70, 130])
def test_ground_too_small_to_hold_anything_out(edge: int, tmp_path: Path) -> None:
    make_geotiff(tmp_path / "in" / "s.tif", shape=(edge, edge))
    said: list[str] = []
    report = quickstart(
        tmp_path / "in", tmp_path / "out", bar=no_bar, say=said.append, training=short()
    )
    splits = [record.split for record in Catalog(tmp_path / "out" / "corpus").records()]
    told = any("too little ground" in line for line in said)
    assert told == (splits.count("train") < 3 or "test" not in splits)
    assert report.report.is_file()


def test_further_input_joins_the_corpus(tmp_path: Path) -> None:
    """The same folder takes more products: the corpus grows, texts and model are made anew."""
    for index in range(2):
        place = Affine(10, 0, 500_000 + 9000 * index, 0, -10, 4_700_000)
        make_geotiff(tmp_path / "in" / f"s{index}.tif", seed=index, transform=place)
    reports = [
        quickstart(tmp_path / "in" / name, tmp_path / "out", bar=no_bar,
                   say=lambda _: None, training=short())
        for name in ("s0.tif", "", "s0.tif")
    ]  # fmt: skip
    assert reports[0].tiles < reports[1].tiles == reports[2].tiles
    assert len(list((tmp_path / "out").glob("run-*"))) == 2


def test_without_input_cities_are_simulated(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("sarknowlip.pipeline.quickstart.CITIES", ("Venice", "Lagos"))
    monkeypatch.setattr("sarknowlip.pipeline.quickstart.SIMULATED_KM", 3.0)
    said: list[str] = []
    report = quickstart(None, tmp_path, bar=no_bar, say=said.append, training=short())
    assert said[0].startswith("No --input: simulating Sentinel-1 products of 2 cities.")
    assert said[1].startswith("simulate: 2 Sentinel-1 products of 18 km²")
    records = list(Catalog(tmp_path / "corpus").records())
    assert {record.place.country for record in records} == {"IT", "NG"}
    assert {record.acquisition.constellation for record in records} == {"sentinel-1"}
    assert report.problems == 0
    assert "Simulated Sentinel-1 products of Venice, Lagos" in report.report.read_text()


def test_composite_keeps_no_data_apart() -> None:
    db = np.full((2, 32, 32), -10.0, dtype=np.float32)
    db[:, :, :8] = np.nan
    picture = composite(db)
    assert picture.shape == (32, 32, 3)
    assert (picture[:, :8] == NO_DATA).all()
    assert (composite(np.full((1, 8, 8), np.nan, dtype=np.float32)) == NO_DATA).all()


def test_figures_are_svg(finished) -> None:
    folder, _, _ = finished
    records = list(Catalog(folder / "out" / "corpus").records())
    log = [{"step": k, "loss": 3.0 / k, "val_loss": 2.0 if k == 4 else None} for k in range(1, 6)]
    for content in (world_map(records), loss_curve(log)):
        assert ET.fromstring(content).tag.endswith("svg")
