"""Rung 7: what every adapter must do, run over the whole table."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from data.bench.make import make_model
from foreign_models import MAKERS, make_weights
from sarknowlip.bench.adapter import Adapter
from sarknowlip.bench.adapters import ADAPTERS
from sarknowlip.bench.adapters.sheet import CARDS, VARIABLE, Given, Sheet
from sarknowlip.bench.metrics import BenchError
from sarknowlip.sar.chip import chip
from sarknowlip.sar.product import Acquisition, Radiometry
from sarknowlip.sar.tile import TileImage

ROOT = Path(__file__).resolve().parent.parent
OURS = {"ours", "untrained"}
BLIND = {"random", "constant"}
"""Models that do not look at pictures."""
TEXTS = ["a ship", "calm water with a ship and more words", "x", "a ship"]
QUESTIONS = ["is there a ship", "how many ships are in it"]


def picture(name: str, seed: int, shape: tuple[int, int], pols: tuple[str, ...]) -> TileImage:
    draw = np.random.default_rng(seed)
    db = draw.normal(-14.0, 5.0, (len(pols), *shape)).astype(np.float32)
    db[:, shape[0] // 3 :, : shape[1] // 2] += 9.0
    return chip(name, db, polarizations=pols, gsd_m=3.0)


def pictures() -> list[TileImage]:
    """Return four pictures: one channel, two calibrated ones, a hole, no data at all."""
    calibrated = Radiometry(quantity="sigma0", calibrated=True)
    second = dataclasses.replace(picture("b", 2, (40, 72), ("VV", "VH")), radiometry=calibrated)
    third = picture("c", 3, (48, 48), ("HH",))
    third.db[0, 10:30, 5:40] = np.nan
    fourth = picture("d", 4, (20, 20), ("VV", "VH"))
    fourth.db[:] = np.nan
    return [picture("a", 1, (64, 64), ("HH",)), second, third, fourth]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    for name in MAKERS:
        make_weights(name, folder / name)
    for name in OURS:
        make_model(folder / name)
    return folder


@pytest.fixture(scope="module")
def adapters(weights) -> dict[str, Adapter]:
    return {}


@pytest.fixture(params=list(ADAPTERS))
def adapter(request, weights, adapters) -> Adapter:
    name = request.param
    if name not in adapters:
        adapters[name] = ADAPTERS[name].make(given(weights, name))
    return adapters[name]


def given(weights: Path, entry: str, **more) -> Given:
    path = weights / entry if entry in OURS | set(MAKERS) else None
    return Given(weights=path, device="cpu", **more)


def test_cards_are_complete_and_documented() -> None:
    assert {path.stem for path in CARDS.glob("*.json")} == set(ADAPTERS)
    page = (ROOT / "docs" / "baselines.md").read_text("utf-8")
    for name in ADAPTERS:
        sheet = Sheet.read(name)
        card = sheet.card
        assert card.name == name
        assert {"features", "patches"} <= card.abilities
        assert all((card.title, card.licence, card.source, card.channels, card.normalisation))
        assert f"`{name}`" in page
        assert (sheet.weights is not None) == (name in MAKERS)
        if sheet.weights is not None:
            assert card.parameters is not None
            assert card.parameters > 4e7
            assert sheet.weights.source.startswith("https://")
            assert card.paper != "none"


def test_rows_have_one_shape_and_are_finite(adapter) -> None:
    tiles = pictures()
    features, patches = adapter.features(tiles), adapter.patches(tiles)
    assert features.dtype == patches.dtype == np.float32
    assert features.ndim == 2
    assert patches.ndim == 4
    assert len(features) == len(patches) == len(tiles)
    assert patches.shape[1] == patches.shape[2] >= 4
    assert np.isfinite(features).all()
    assert np.isfinite(patches).all()


def test_the_same_comes_again_whatever_lies_beside_it(adapter) -> None:
    tiles = pictures()
    for ask in (adapter.features, adapter.patches):
        whole = ask(tiles)
        assert np.array_equal(whole, ask(tiles))
        scale = np.abs(whole).max()
        for row, tile in enumerate(tiles):
            assert np.allclose(ask([tile])[0], whole[row], rtol=0, atol=1e-5 * scale + 1e-7)


def test_pictures_are_told_apart_by_what_they_show(adapter) -> None:
    if adapter.name in BLIND:
        pytest.skip("does not look at pictures")
    one = picture("a", 1, (64, 64), ("HH",))
    other = picture("a", 5, (64, 64), ("HH",))
    for ask in (adapter.features, adapter.patches):
        first, second = ask([one]), ask([other])
        assert np.abs(first - second).max() > 1e-3 * np.abs(first).max()


def test_cells_lie_where_the_picture_has_them(adapter) -> None:
    """A bright quarter changes its own cells the most: rows first, from the upper left."""
    if adapter.name in BLIND:
        pytest.skip("does not look at pictures")
    draw = np.random.default_rng(0)
    db = draw.normal(-14.0, 2.0, (1, 64, 64)).astype(np.float32)
    bright = db.copy()
    bright[0, 40:, :16] = draw.normal(-1.0, 4.0, (24, 16))  # lower left
    tiles = [
        chip(name, one, polarizations=("HH",), gsd_m=1.0)
        for name, one in (("p", db), ("q", bright))
    ]
    first, second = adapter.patches(tiles)
    change = np.abs(first - second).mean(axis=-1)
    side = len(change)
    half = side // 2
    lower_left = change[-max(1, side // 4) :, : max(1, side // 4)].mean()
    assert lower_left > 1.2 * change[:half, half:].mean()


def test_declared_abilities_work_and_others_are_refused(adapter) -> None:
    tiles, abilities = pictures()[:2], adapter.card.abilities
    if "texts" in abilities:
        images, texts = adapter.images(tiles), adapter.texts(TEXTS)
        assert images.dtype == texts.dtype == np.float32
        assert images.shape[1] == texts.shape[1]
        assert np.allclose(np.linalg.norm(images, axis=1), 1.0, atol=1e-5)
        assert np.allclose(np.linalg.norm(texts, axis=1), 1.0, atol=1e-5)
        assert np.allclose(texts[0], texts[3], rtol=0, atol=1e-6)
        assert np.allclose(adapter.texts(TEXTS[:1])[0], texts[0], rtol=0, atol=1e-5)
        assert np.allclose(adapter.texts(TEXTS[1:2])[0], texts[1], rtol=0, atol=1e-5)
    else:
        for ask, what in ((adapter.images, tiles), (adapter.texts, TEXTS)):
            with pytest.raises(BenchError, match=f"{adapter.name} gives no texts"):
                ask(what)
    if "captions" in abilities:
        captions = adapter.captions(tiles)
        assert len(captions) == 2
        assert all(isinstance(text, str) and text for text in captions)
        assert adapter.captions(tiles[1:]) == captions[1:]
    else:
        with pytest.raises(BenchError, match="gives no captions"):
            adapter.captions(tiles)
    if "answers" in abilities:
        answers = adapter.answers(tiles, QUESTIONS)
        assert len(answers) == 2
        for row, question in enumerate(QUESTIONS):
            assert adapter.answers([tiles[row]], [question]) == answers[row : row + 1]
    else:
        with pytest.raises(BenchError, match="gives no answers"):
            adapter.answers(tiles, QUESTIONS)


def test_a_copy_may_be_trained_and_the_model_stays(adapter) -> None:
    tiles = pictures()[:2]
    if "training" not in adapter.card.abilities:
        with pytest.raises(BenchError, match=f"{adapter.name} gives no training"):
            adapter.trainable()
        return
    before = adapter.features(tiles)
    copied = adapter.trainable()
    module = copied.module.eval()
    features = copied.features(copied.inputs(tiles))
    assert features.dtype == torch.float32
    assert np.allclose(features.detach().numpy(), before, rtol=0, atol=1e-5 * np.abs(before).max())
    features.square().sum().backward()
    moved = [one for one in module.parameters() if one.grad is not None and one.grad.any()]
    assert sum(one.numel() for one in moved) > 0
    with torch.no_grad():
        for one in moved:
            one.mul_(1.1).add_(0.01)
        after = copied.features(copied.inputs(tiles)).numpy()
    assert np.abs(after - before).max() > 1e-3 * np.abs(before).max()
    assert np.array_equal(adapter.features(tiles), before)


def test_seeds_matter_exactly_where_a_card_says_so(adapter, weights) -> None:
    tiles = pictures()[:2]
    other = ADAPTERS[adapter.name].make(given(weights, adapter.name, seed=1))
    same = np.array_equal(other.features(tiles), adapter.features(tiles))
    assert same is not adapter.card.seeded
    if adapter.card.seeded:
        again = ADAPTERS[adapter.name].make(given(weights, adapter.name, seed=0))
        assert np.array_equal(again.features(tiles), adapter.features(tiles))


def test_making_one_draws_nothing_from_the_global_state(weights) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    ADAPTERS["untrained"].make(given(weights, "untrained"))
    assert torch.rand(1) == expected


def test_channels_without_a_rule_are_refused(adapter) -> None:
    if adapter.name in BLIND:
        pytest.skip("does not look at pictures")
    tile = pictures()[0]
    for names in (("RH",), ()):
        odd = dataclasses.replace(
            tile, acquisition=Acquisition.model_construct(polarizations=names)
        )
        for ask in (adapter.features, adapter.patches):
            with pytest.raises(BenchError, match="polarisation"):
                ask([odd])


def test_a_name_of_the_users_choice(weights) -> None:
    for name in ("random", "croma", "ours"):
        made = ADAPTERS[name].make(given(weights, name, name="mine"))
        assert made.name == made.card.name == "mine"


@pytest.mark.parametrize("name", list(MAKERS))
def test_absent_weights_tell_what_to_fetch(name, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    sheet = Sheet.read(name)
    (tmp_path / "empty" / name).mkdir(parents=True)
    for given in (
        Given(),
        Given(weights=tmp_path / "nothing"),
        Given(folder=tmp_path / "empty"),
    ):
        with pytest.raises(BenchError) as raised:
            ADAPTERS[name].make(given)
        message = str(raised.value)
        assert "\n" not in message
        for part in (sheet.weights.source, sheet.card.licence, VARIABLE, sheet.weights.files[0]):
            assert part in message


@pytest.mark.parametrize("name", list(MAKERS))
def test_weights_are_found_by_the_environment(name, weights, monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, str(weights))
    assert ADAPTERS[name].make(Given(device="cpu")).name == name


@pytest.mark.parametrize("name", list(MAKERS))
def test_damaged_weights_are_an_error_of_one_line(name, weights, tmp_path) -> None:
    folder = shutil.copytree(weights / name, tmp_path / name)
    files = [path for path in folder.rglob("*") if path.suffix in {".safetensors", ".pt", ".pth"}]
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BenchError) as raised:
        ADAPTERS[name].make(Given(weights=folder, device="cpu"))
    assert "\n" not in str(raised.value)
    assert str(folder) in str(raised.value)


@pytest.mark.parametrize("name", list(MAKERS))
def test_another_models_weights_are_refused(name, weights, tmp_path) -> None:
    folder = shutil.copytree(weights / name, tmp_path / name)
    other = "croma" if name != "croma" else "terrafm"
    foreign = torch.load(next((weights / other).iterdir()), weights_only=True)
    flat = {str(key): value for key, value in foreign.items() if isinstance(value, torch.Tensor)}
    flat = flat or foreign["s1_GAP_FFN"]
    for path in folder.rglob("*"):
        if path.suffix == ".safetensors":
            save_file(flat, path, metadata={"format": "pt"})
        elif path.suffix in {".pt", ".pth"}:
            torch.save(flat, path)
    with pytest.raises(BenchError, match=r"another model|lacks \d+ weights|cannot read") as raised:
        ADAPTERS[name].make(Given(weights=folder, device="cpu"))
    assert "\n" not in str(raised.value)


def test_code_in_a_file_is_not_run(tmp_path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"model": Trap()}, tmp_path / "TerraFM-B.pth")
    with pytest.raises(BenchError, match="is not run"):
        ADAPTERS["terrafm"].make(Given(weights=tmp_path))
    assert not (tmp_path / "sprung").exists()


def test_blip_without_its_decoders_declares_less(weights, tmp_path) -> None:
    folder = shutil.copytree(weights / "blip", tmp_path / "blip")
    shutil.rmtree(folder / "vqa")
    made = ADAPTERS["blip"].make(Given(weights=folder, device="cpu"))
    assert made.card.abilities == {"features", "patches", "texts", "captions", "training"}
    with pytest.raises(BenchError, match="gives no answers"):
        made.answers(pictures()[:1], ["what"])


def test_our_own_model_needs_a_folder() -> None:
    for name in OURS:
        with pytest.raises(BenchError, match="no model is given"):
            ADAPTERS[name].make(Given())
