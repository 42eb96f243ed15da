"""Rung 7: views of a tile, and a teacher that follows the student."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from data.pairs.make import make_corpus
from data.runs.small import config as small_run
from sarknowlip.data.loader import Batch
from sarknowlip.losses.distilled import centred, distilled, entropy
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.train.checkpoint import checkpoints
from sarknowlip.train.distributed import Ranks
from sarknowlip.train.loop import train
from sarknowlip.train.meter import read_log
from sarknowlip.train.objectives.config import DistilledConfig, ObjectiveConfig
from sarknowlip.train.objectives.distilled import Distilled
from sarknowlip.train.objectives.objective import Objective
from sarknowlip.train.objectives.views import noise, speckled, turned, window
from sarknowlip.train.task import PairTask
from small_model import rows_of, small_batch, small_model, small_objective

ALONE = Ranks(0, 1, torch.device("cpu"))
PLAIN = ObjectiveConfig(name="distilled", distilled=DistilledConfig(outputs=32))


def made(config: ObjectiveConfig = PLAIN, steps: int = 10) -> tuple[SarKnowLIP, Objective]:
    model, objective = small_model(config), small_objective(config, "distilled")
    objective.begin(model, steps)
    return model, objective


def term(objective: Objective) -> Distilled:
    found = objective.terms["distilled"]
    assert isinstance(found, Distilled)
    return found


def chance(seed: int = 4) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_loss_by_loops() -> None:
    logits, target = torch.randn(3, 4, 5, generator=chance()), torch.rand(3, 2, 5)
    target = target / target.sum(dim=-1, keepdim=True)
    found = distilled(logits, target)
    for row in range(3):
        expected = 0.0
        for w in range(2):
            for v in range(4):
                if w == v:
                    continue
                p = np.exp(logits[row, v].double().numpy())
                expected -= float((target[row, w].double().numpy() * np.log(p / p.sum())).sum())
        assert float(found.total_B[row]) == pytest.approx(expected, rel=1e-5)
        assert int(found.count_B[row]) == 6


def test_centre_and_temperature() -> None:
    logits = torch.tensor([[0.3, 0.1, 0.2]], requires_grad=True)
    even = centred(logits, logits.detach()[0], 0.01)
    assert torch.allclose(even, torch.full((1, 3), 1 / 3))
    sharp = centred(logits, torch.zeros(3), 0.01)
    assert sharp[0, 0] > 0.99
    assert not sharp.requires_grad
    assert float(entropy(even)) == pytest.approx(math.log(3))
    assert float(entropy(torch.tensor([1.0, 0.0]))) == 0.0


def test_turns_are_the_eight_and_as_likely() -> None:
    image = torch.arange(9.0).reshape(1, 1, 3, 3)
    drawn = torch.rand(800, 3, generator=chance())
    seen = turned(image.expand(800, -1, -1, -1), drawn)
    forms = [image[0, 0].rot90(k) for k in range(4)]
    forms += [form.flip(1) for form in forms]
    counts = [int((seen[:, 0] == form).all(dim=(1, 2)).sum()) for form in forms]
    assert sum(counts) == 800
    assert min(counts) > 60


@pytest.mark.parametrize("looks", [2.0, 4.0, 16.0])
def test_speckle_is_gamma(looks: float) -> None:
    """Mean, variance and quantiles of a gamma variable of mean 1."""
    share = math.log(looks / 2) / math.log(8)
    drawn = torch.tensor([[0.1, share, 0.3], [0.9, share, 0.3]])
    ids = torch.tensor([[17, 18], [17, 18]])
    pixels = torch.full((2, 2, 400, 400), 0.5)
    pixels[:, :, :10] = 0.0
    found = speckled(pixels, ids, drawn)
    assert torch.equal(found[1], pixels[1])
    assert not found[0, :, :10].any()
    for channel, spread_db in enumerate((5.5, 6.0)):
        power = (10 ** ((found[0, channel, 10:].double() - 0.5) * spread_db / 10)).numpy().ravel()
        assert power.mean() == pytest.approx(1.0, abs=0.01)
        assert power.var() == pytest.approx(1 / looks, rel=0.03)
        draws = np.random.default_rng(1).gamma(looks, 1 / looks, 500_000)
        at = np.linspace(0.02, 0.98, 25)
        assert np.abs(np.quantile(power, at) - np.quantile(draws, at)).max() < 0.03
    both = found[0, :, 10:].flatten(1)
    assert abs(float(torch.corrcoef(both)[0, 1])) < 0.02


def test_noise_is_even_and_independent() -> None:
    drawn = torch.rand(6, generator=chance())
    found = noise(drawn, torch.zeros(2, 128, 128)).flatten(1)
    assert torch.equal(found, noise(drawn, torch.zeros(2, 128, 128)).flatten(1))
    assert 0 < float(found.min()) < float(found.max()) < 1
    counts = torch.histc(found, 64, 0, 1)
    expected = found.numel() / 64
    assert float(((counts - expected) ** 2 / expected).sum()) < 120  # 63 degrees: 1e-5
    assert float((torch.corrcoef(found) - torch.eye(6)).abs().max()) < 0.03
    lag = torch.corrcoef(torch.stack([found[:, :-1].flatten(), found[:, 1:].flatten()]))
    assert abs(float(lag[0, 1])) < 0.02


def test_windows_are_squares_everywhere() -> None:
    keep = window(torch.rand(300, 2, generator=chance()), 8, 6)
    grid = torch.zeros(300, 64).scatter(1, keep, 1.0).reshape(300, 8, 8)
    assert torch.equal(grid.sum(dim=(1, 2)), torch.full((300,), 36.0))
    rows, columns = grid.amax(dim=2), grid.amax(dim=1)
    assert (rows.sum(dim=1) == 6).all()
    assert (columns.sum(dim=1) == 6).all()
    assert len({int(row.argmax()) * 8 + int(column.argmax()) for row, column in zip(rows, columns, strict=True)}) == 9  # noqa: E501 # fmt: skip
    assert torch.equal(window(torch.ones(1, 2), 8, 8), torch.arange(64)[None])


def test_the_teacher_is_no_weight() -> None:
    model, objective = made()
    drawn = objective.draw(small_batch(), chance())
    objective.parts(model, small_batch(), drawn).loss.backward()
    names = [name for name, _ in objective.named_parameters()]
    assert names
    assert not any("teacher" in name for name in names)
    kept = dict(objective.named_buffers())
    assert any("teacher" in name for name in kept)
    follows = {name: value.clone() for name, value in kept.items() if "teacher" in name}
    optimizer = torch.optim.SGD([*model.parameters(), *objective.parameters()], lr=1.0)
    heads = [value.clone() for value in term(objective).head.parameters()]
    optimizer.step()
    assert any(
        not torch.equal(*pair)
        for pair in zip(heads, term(objective).head.parameters(), strict=True)
    )
    assert all(torch.equal(kept[name], value) for name, value in follows.items())
    assert {name for name in objective.state_dict() if "teacher.image" in name}


def test_the_teacher_follows() -> None:
    """A share (1 − momentum) · half a cosine wave of the way, and no further at the end."""
    model, objective = made(steps=4)
    teacher = term(objective).teacher["image"].get_buffer("norm.bias")
    with torch.no_grad():
        model.image.norm.bias.fill_(1.0)
    expected, seen = 0.0, []
    for step in range(1, 5):
        objective.advance(model, step, ALONE)
        expected += 0.01 * (1 + math.cos(math.pi * step / 4)) / 2 * (1 - expected)
        seen.append(float(teacher[0]))
        assert seen[-1] == pytest.approx(expected, rel=1e-4)
    assert seen[-1] == seen[-2] > 0


def test_centre_is_of_all_parts_of_a_step() -> None:
    centres: list[Tensor] = []
    for parts in ([slice(0, 8)], [slice(0, 2), slice(2, 8)]):
        model, objective = made()
        joint = objective.draw(small_batch(), chance())
        for rows in parts:
            drawn = {name: value[rows] for name, value in joint.items()}
            objective.parts(model, rows_of(small_batch(), rows), drawn)
        objective.advance(model, 1, ALONE)
        centres.append(term(objective).centre_O.clone())
        assert not term(objective).sums.any()
    assert centres[0].abs().max() > 0
    assert torch.allclose(*centres, atol=1e-6)


def test_geography_and_texts_are_not_seen() -> None:
    model, objective = made()
    batch = small_batch()
    drawn = objective.draw(batch, chance())
    other = dataclasses.replace(
        batch,
        images=batch.images | {"geo": torch.zeros_like(batch.images["geo"])},
        texts={name: value.flip(0) for name, value in batch.texts.items()},
    )
    one, two = (objective.parts(model, b, drawn).loss for b in (batch, other))
    assert torch.equal(one, two)


def tiles() -> Batch:
    """Return eight tiles of stripes, each of another width and level, with speckle."""
    batch = small_batch()
    column = torch.arange(64.0)
    stripes = torch.stack([(column * math.pi / (2 + 2 * k)).sin() + 0.3 * k - 1 for k in range(8)])
    pixels = stripes[:, None, None, :].expand(8, 2, 64, 64)
    pixels = pixels + 0.5 * torch.randn(8, 2, 64, 64, generator=chance(1))
    return dataclasses.replace(batch, images=batch.images | {"pixel_values": pixels})


def test_it_learns_and_does_not_collapse() -> None:
    """The loss falls below that of any answer alike for all tiles, and outputs stay spread."""
    steps = 150
    model, objective = made(steps=steps)
    weights = [*model.image.parameters(), *objective.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=3e-3)
    losses = []
    for step in range(steps):
        loss = objective(model, tiles(), chance(step)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        objective.advance(model, step + 1, ALONE)
        losses.append(float(loss.detach()))
    found = objective.readings()
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert 0.3 < found["teacher_spread"] < math.log(32) - 1e-3
    assert found["teacher_spread"] - found["teacher_unsure"] > 0.3
    assert sum(losses[-10:]) / 10 < found["teacher_spread"]


def test_a_run(tmp_path: Path) -> None:
    """Readings reach the log, checkpoints hold the teacher, the model that is written does not."""
    corpus = make_corpus(tmp_path / "corpus", 8)
    run = small_run(objective=ObjectiveConfig(name="distilled"), steps=4, checkpoint_every=2)
    train(run, corpus, tmp_path / "run")
    lines = [line for line in read_log(tmp_path / "run" / "log.jsonl") if "loss" in line]
    state = torch.load(checkpoints(tmp_path / "run" / "checkpoints")[-1] / "state.pt")
    found = next(value for name, value in state["weights"].items() if name.endswith(".found"))
    told = [lines[-1]["teacher_spread"], lines[-1]["teacher_unsure"]]
    assert told == pytest.approx(found.tolist(), abs=1e-4)
    assert len({line["teacher_unsure"] for line in lines}) > 1
    assert any(".teacher.image." in name for name in state["weights"])
    written = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert not any("teacher" in name or "objective" in name for name in written)


def test_the_head_follows_the_seed_of_the_run(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", 8)
    heads = []
    for seed in (0, 0, 1):
        run = small_run(objective=ObjectiveConfig(name="distilled"), seed=seed)
        before = torch.random.get_rng_state()
        task = PairTask(run, corpus, ALONE)
        assert torch.equal(torch.random.get_rng_state(), before)
        weights = dict(task.module.named_parameters())
        heads.append(next(v for k, v in weights.items() if k.endswith("head.outputs.weight")))
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_sums_are_float32_under_autocast() -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 4, 16, generator=draw)
    target = torch.randn(5, 2, 16, generator=draw).softmax(dim=-1)
    exact = distilled(logits, target).total_B
    with torch.autocast("cpu", torch.bfloat16):
        found = distilled(logits, target).total_B
    assert found.dtype == torch.float32
    assert torch.allclose(found, exact, rtol=1e-6)
