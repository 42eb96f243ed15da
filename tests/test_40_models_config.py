"""Rung 4: sizes of the model and its configuration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_origin

import pytest
import torch

from data.bench.make import SIZE
from sarknowlip.core.errors import ConfigError
from sarknowlip.models import config as config_module
from sarknowlip.models.config import SIZES, ImageStyle, ModelSize, SarKnowLIPConfig
from sarknowlip.models.model import SarKnowLIP


def test_sizes_have_as_many_parameters_as_said() -> None:
    source = Path(config_module.__file__).read_text("utf-8")
    said = re.search(r"vocabulary of 2,048 they have ([\d., and]+) million parameters", source)
    assert said
    numbers = re.findall(r"\d+(?:\.\d+)?", said[1])
    assert len(numbers) == len(SIZES)
    for size, millions in zip(SIZES.values(), numbers, strict=True):
        half = 0.05 if "." in millions else 0.5
        with torch.device("meta"):
            made = SarKnowLIP(SarKnowLIPConfig.of(size, 2048))
        found = sum(p.numel() for p in made.parameters()) / 1e6
        assert found == pytest.approx(float(millions), abs=half)


def test_page_of_the_model_tells_every_size() -> None:
    page = (Path(__file__).parent.parent / "docs" / "model.md").read_text("utf-8")
    for name, size in SIZES.items():
        row = re.search(rf"^\| {name} \| (\d+) px \| (\d+) × (\d+)", page, re.MULTILINE)
        assert row, name
        shapes = (size.image_px, size.image_depth, size.image_width)
        assert tuple(map(int, row.groups())) == shapes


def test_a_configuration_without_arguments_is_tiny() -> None:
    plain, tiny = SarKnowLIPConfig().to_dict(), SarKnowLIPConfig.of(SIZES["tiny"], 2048).to_dict()
    assert plain.pop("image_style") is None  # None is our own style
    assert ImageStyle.model_validate(tiny.pop("image_style")) == ImageStyle()
    assert plain == tiny


def test_page_of_the_model_tells_every_image_style() -> None:
    page = (Path(__file__).parent.parent / "docs" / "model.md").read_text("utf-8")
    for name, field in ImageStyle.model_fields.items():
        row = re.search(rf"^\| `{name}` \| (.*?) \|", page, re.MULTILINE)
        assert row, name
        values = field.annotation.__args__ if get_origin(field.annotation) is Literal else ()
        assert [value for value in values if f"`{value}`" not in row[1]] == []


def test_configuration_survives_its_file(tmp_path: Path) -> None:
    size = SIZE.model_copy(update={"pixel_features": 9, "geo_dropout": 0.125})
    made = SarKnowLIPConfig.of(size, 300)
    made.run = {"steps": 3}
    made.save_pretrained(tmp_path)
    again = SarKnowLIPConfig.from_pretrained(tmp_path)
    assert again.to_dict() == made.to_dict() | {"_name_or_path": again.to_dict()["_name_or_path"]}
    for name, value in size.model_dump().items():
        assert getattr(again, name) == value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_px": 30}, "image_px=30 is no multiple of patch_px=8"),
        ({"image_width": 30}, "image_width=30 is no multiple of 4"),
        ({"pixel_width": 33}, "pixel_width=33 is no multiple of image_heads=2"),
        ({"pixel_width": 34}, "pixel_width=34 is no multiple of 4"),
        ({"text_width": 33}, "text_width=33 is no multiple of text_heads=2"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ModelSize(**SIZE.model_dump() | change)


def test_models_from_before_the_table_of_tokens_changed_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    SarKnowLIPConfig().save_pretrained(tmp_path)
    path.write_text(path.read_text().replace("{", '{"table_std": 0.3,', 1))
    with pytest.raises(ConfigError, match="would be read wrongly; train the model again"):
        SarKnowLIPConfig.from_pretrained(tmp_path)
