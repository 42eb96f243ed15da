"""Rung 7: what every registered objective must satisfy, in one process and in two."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.overrides import TorchFunctionMode

from sarknowlip.core.errors import ConfigError
from sarknowlip.data.loader import Batch
from sarknowlip.losses.matching import pooled_negatives
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.train.distributed import Ranks
from sarknowlip.train.loop import _Run
from sarknowlip.train.objectives import OBJECTIVES
from sarknowlip.train.objectives.config import (
    CombinedConfig,
    MaskedConfig,
    MatchingConfig,
    ObjectiveConfig,
)
from sarknowlip.train.objectives.objective import Objective, Parts
from sarknowlip.train.step import TrainStep
from sarknowlip.train.wrapped import Wrapped
from small_model import rows_of, small_batch, small_model, small_objective, small_size
from two_processes import in_two_processes

POOLED = ObjectiveConfig(matching=MatchingConfig(pool=4))
CONFIGS = dict.fromkeys(OBJECTIVES, POOLED) | {
    "combined learned": POOLED.model_copy(
        update={"combined": CombinedConfig(loss="sigmoid", learned=True, caption=0.5)}
    ),
    "combined distilled": POOLED.model_copy(
        update={"combined": CombinedConfig(pair=0, matching=0, caption=0, masked=0.5, distilled=1)}
    ),
    "masked db": POOLED.model_copy(update={"masked": MaskedConfig(target="db", text=False)}),
}


@pytest.fixture(params=list(CONFIGS))
def case(request: pytest.FixtureRequest) -> str:
    return request.param


def make(case: str, **changes: object) -> tuple[SarKnowLIP, Objective]:
    config = CONFIGS[case].model_copy(update=changes)
    model, objective = small_model(config), small_objective(config, case.partition(" ")[0])
    objective.begin(model, steps=100)
    return model, objective


def chance() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def gradients(*modules: nn.Module) -> dict[str, Tensor]:
    """Return gradients by name, zeros where there is none."""
    return {
        f"{index}.{name}": torch.zeros_like(p) if p.grad is None else p.grad
        for index, module in enumerate(modules)
        for name, p in module.named_parameters()
    }


def backward(case: str, **changes: object) -> tuple[Parts, dict[str, Tensor]]:
    model, objective = make(case, **changes)
    found = objective(model, small_batch(), chance())
    found.loss.backward()
    return found, gradients(model, objective)


def groups(model: nn.Module, objective: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Return weights by member of a member of the model, and those of the objective."""
    found: dict[str, list[nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        found.setdefault(".".join(name.split(".")[:2]), []).append(weight)
    return found | {"objective": list(objective.parameters())}


def test_gradient(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slopes along random directions, one for each group of weights, by central differences.

    In double precision throughout: a part that the gradient lacks shows in its own group.
    """
    model, objective = (module.double() for module in make(case))
    batch = small_batch()
    if "masked" in objective.terms:
        masked = objective.terms["masked"]
        target = masked.targets(batch.images["pixel_values"], batch.images["channel_ids"])
        monkeypatch.setattr(masked, "targets", lambda *_: target)
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    images = {k: v.double() if v.is_floating_point() else v for k, v in batch.images.items()}
    batch = dataclasses.replace(batch, images=images)
    drawn = objective.draw(batch, chance())
    objective.parts(model, batch, drawn).loss.backward()
    draw, reach = torch.Generator().manual_seed(9), 1e-5
    for name, weights in groups(model, objective).items():
        aims = [torch.randn(w.shape, generator=draw, dtype=w.dtype) for w in weights]
        expected = sum(
            0.0 if weight.grad is None else float((weight.grad * aim).sum())
            for weight, aim in zip(weights, aims, strict=True)
        )
        losses = []
        with torch.no_grad():
            for side in (1, -2):
                for weight, aim in zip(weights, aims, strict=True):
                    weight.add_(aim, alpha=side * reach)
                losses.append(float(objective.parts(model, batch, drawn).loss))
            for weight, aim in zip(weights, aims, strict=True):
                weight.add_(aim, alpha=reach)
        slope = (losses[0] - losses[1]) / (2 * reach)
        assert slope == pytest.approx(expected, rel=1e-4, abs=1e-7), name


REACHED = {
    "contrastive": ("image.", "text.", "image_projection", "text_projection", "logit_scale"),
    "sigmoid": ("image.", "text.", "image_projection", "text_projection", "logit_scale", "bias"),
    "matching": ("image.", "text.", "fusion."),
    "caption": ("image.", "text.tokens", "decoder."),
    "masked": ("image.", "text.", "pixels."),
    "distilled": ("image.", "objective"),
}
"""Members of the model that a term alone trains, by how their names begin."""
SPARE = {"pixels.no_text"}
"""Stands in for a text, where there is none."""


@pytest.mark.parametrize("name", list(REACHED))
def test_a_term_reaches_what_it_should(name: str) -> None:
    model, objective = make(name)
    drawn = objective.draw(small_batch(), chance())
    drawn[name][:1] = 0.0  # a caption without an image
    objective.parts(model, small_batch(), drawn).loss.backward()
    members = groups(model, objective)
    moved = {
        member
        for member, weights in members.items()
        if any(w.grad is not None and w.grad.abs().max() > 0 for w in weights)
    }
    assert moved == {m for m in members if m.startswith(REACHED[name])} - SPARE


@pytest.mark.parametrize("chunk", [3, 100])
def test_chunks_change_nothing(case: str, chunk: int) -> None:
    whole, expected = backward(case)
    parts, grads = backward(case, chunk=chunk)
    assert torch.allclose(parts.loss, whole.loss, atol=1e-6)
    for name, grad in grads.items():
        assert torch.allclose(grad, expected[name], atol=2e-6, rtol=1e-4), name


def even_batch() -> Batch:
    """Return pairs of which any two neighbours have as many words and numbers as any others."""
    batch = small_batch()
    draw = torch.Generator().manual_seed(5)
    pixels = torch.randn(batch.images["pixel_values"].shape, generator=draw)
    ids = torch.randint(3, 300, batch.texts["input_ids"].shape, generator=draw)
    return dataclasses.replace(
        batch,
        images=batch.images | {"pixel_values": pixels},
        texts={"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        group=torch.arange(len(batch)),
    )


def asked(batch: Batch) -> Batch:
    """Return a batch whose texts begin with questions of two tokens at most."""
    return dataclasses.replace(batch, prefix=1 + torch.arange(len(batch)) % 2)


EXACT = [
    (name, even_batch, cuts)
    for name in ("matching", "caption", "masked", "distilled", "contrastive")
    for cuts in ((0, 2, 8), (0, 4, 6, 8))
]
EXACT += [("caption", small_batch, (0, 4, 8)), ("caption", small_batch, (0, 2, 3, 8))]
EXACT += [("caption", lambda: asked(small_batch()), (0, 4, 8)), ("masked", small_batch, (0, 4, 8))]


@pytest.mark.parametrize(("name", "batches", "cuts"), EXACT)
def test_parts_of_a_batch_add_up(
    name: str, batches: Callable[[], Batch], cuts: tuple[int, ...]
) -> None:
    """By the loop's own sum: with equal draws; and where a pool of two has one negative only."""
    config = ObjectiveConfig(
        matching=MatchingConfig(pool=2), masked=MaskedConfig(target="db"), name=name
    )
    batch, found = batches(), []
    for bounds in (cuts, (0, 8)):
        model = small_model(config)
        objective = small_objective(config, name)
        objective.begin(model, steps=100)
        joint = objective.draw(batch, chance())
        rows = [slice(*pair) for pair in pairwise(bounds)]
        draws = [{key: value[part] for key, value in joint.items()} for part in rows]
        ranks = Ranks(0, 1, torch.device("cpu"))
        module = TrainStep(model, objective, "fp32")
        run = SimpleNamespace(
            config=SimpleNamespace(seed=0),
            step=0,
            ranks=ranks,
            wrapped=Wrapped(module, "none", ranks, False),
            task=SimpleNamespace(balance=partial(module.balance, ranks=ranks)),
        )
        with patch.object(objective, "draw", side_effect=draws):
            values = _Run._gradients(run, [rows_of(batch, part) for part in rows])
        found.append({"loss": values["loss"], **gradients(model)})
    parts, whole = found
    same = [torch.allclose(parts[key], whole[key], atol=1e-6, rtol=1e-4) for key in whole]
    # negatives are of the part; numbers with data are as many in each part of an even batch only
    assert all(same) == (name != "contrastive" and (name, batches) != ("masked", small_batch))


def test_bf16_is_near(case: str) -> None:
    """Products of 8 bits move a loss by per cents at most, its gradient by a small angle."""
    exact, expected = backward(case)
    with torch.autocast("cpu", torch.bfloat16):
        rough, grads = backward(case)
    assert rough.loss.dtype == torch.float32
    assert rough.loss.item() == pytest.approx(exact.loss.item(), rel=0.03)
    one, other = (
        torch.cat([grad.flatten() for grad in found.values()]) for found in (expected, grads)
    )
    assert nn.functional.cosine_similarity(one, other, dim=0) > 0.98


def part_of_two(rank: int) -> dict[str, list[dict[str, Tensor]]]:
    """Return means over processes of parts and gradients, and buffers, of each case."""
    own, found = rows_of(small_batch(), slice(4 * rank, 4 * rank + 4)), {}
    for case in CONFIGS:
        model, objective = make(case)
        parts = objective(model, own, chance())
        parts.loss.backward()
        means = [{"loss": parts.loss.detach(), **parts.parts}, gradients(model, objective)]
        for tensors in means:
            for tensor in tensors.values():
                distributed.all_reduce(tensor)
                tensor.div_(2)
        found[case] = [*means, dict(model.named_buffers())]
    return found


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, list[dict[str, Tensor]]]]:
    return in_two_processes(part_of_two, tmp_path_factory.mktemp("two"))


def test_two_processes_are_one(case: str, of_two: list[dict[str, list[dict[str, Tensor]]]]) -> None:
    model, objective = make(case)
    parts = objective(model, small_batch(), chance())
    parts.loss.backward()
    expected = [
        {"loss": parts.loss.detach(), **parts.parts},
        gradients(model, objective),
        dict(model.named_buffers()),
    ]
    for found in of_two:
        for mine, theirs in zip(found[case], expected, strict=True):
            assert mine.keys() == theirs.keys()
            for name, tensor in theirs.items():
                assert torch.allclose(mine[name], tensor, atol=1e-5, rtol=1e-5), name


ALL_TERMS = pytest.mark.parametrize(
    "case", ["combined", "combined learned", "combined distilled", "masked db", "distilled"]
)


@pytest.mark.slow
@ALL_TERMS
def test_compiles_whole(case: str) -> None:
    """No graph breaks."""
    model, objective = make(case)
    batch = small_batch()
    drawn = objective.draw(batch, chance())
    expected = objective.parts(model, batch, drawn)
    torch.compiler.reset()
    compiled = torch.compile(objective.parts, fullgraph=True, backend="eager")
    assert torch.allclose(compiled(model, batch, drawn).loss, expected.loss, atol=1e-6)


@ALL_TERMS
def test_learns(case: str) -> None:
    model, objective = make(case, mask_share=0.25)
    optimizer = torch.optim.Adam([*model.parameters(), *objective.parameters()], lr=1e-2)
    losses = []
    for _ in range(40):
        parts = objective(model, small_batch(), chance())
        optimizer.zero_grad()
        parts.loss.backward()
        optimizer.step()
        losses.append(parts.parts)
    for name in objective.terms:
        assert losses[-1][name] < 0.9 * losses[0][name], name


def test_evaluation_is_repeatable_and_changes_nothing(case: str) -> None:
    model, objective = make(case)
    model.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        values = [objective(model, small_batch(), chance()).loss for _ in range(2)]
    assert torch.equal(*values)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_parts_without_gradient(case: str) -> None:
    found, _ = backward(case)
    assert found.loss.requires_grad
    assert found.parts
    for value in found.parts.values():
        assert value.shape == ()
        assert not value.requires_grad


def test_combined_encodes_once() -> None:
    model, objective = make("combined")
    with (
        patch.object(model, "image_tokens", wraps=model.image_tokens) as image,
        patch.object(model, "text_tokens", wraps=model.text_tokens) as text,
    ):
        objective(model, small_batch(), chance())
    assert image.call_count == text.call_count == 1
    assert image.call_args.kwargs["keep"].shape == (8, 8)


@pytest.mark.parametrize("name", ["matching", "caption", "masked"])
def test_a_term_alone_is_the_same_in_the_combination(name: str) -> None:
    """With equal draws and nothing (or as much) hidden."""
    share = 0.5 if name == "masked" else 0.0
    weights = {"pair": 0.0, "matching": 0.0, "caption": 0.0, "masked": 0.0} | {name: 1.0}
    model, alone = make(name, mask_share=share)
    _, among = make("combined", mask_share=share, combined=CombinedConfig(**weights))
    batch = small_batch()
    drawn = alone.draw(batch, chance())
    one, other = (objective.parts(model, batch, drawn).loss for objective in (alone, among))
    assert torch.allclose(one, other, atol=1e-6)


def test_weights() -> None:
    model, even = make("combined")
    config = POOLED.model_copy(update={"combined": CombinedConfig(pair=0.5, caption=2.0)})
    uneven = OBJECTIVES["combined"](config, small_size(config))
    first, second = (objective(model, small_batch(), chance()) for objective in (even, uneven))
    parts = first.parts
    assert torch.allclose(first.loss, sum(parts.values(), torch.zeros(())))
    expected = first.loss - 0.5 * parts["contrastive"] + parts["caption"]
    assert torch.allclose(second.loss, expected)


def test_learned_weights_start_at_fixed_ones() -> None:
    model, objective = make("combined learned")
    start = objective(model, small_batch(), chance())
    assert start.parts["weight_sigmoid"] == 1.0
    assert start.parts["weight_caption"] == 0.5
    fixed = sum(weight * start.parts[name] for name, weight in objective.weights.items())
    assert torch.allclose(start.loss, fixed)


def test_learned_weights_rest_at_one_over_the_loss() -> None:
    model, objective = make("combined learned")
    start = objective(model, small_batch(), chance())
    for name, log in objective.log_variance.items():
        rest = (objective.weights[name] * start.parts[name]).log()
        log.data = 3 * torch.atanh(rest / 3)
    found = objective(model, small_batch(), chance())
    found.loss.backward()
    for name, log in objective.log_variance.items():
        assert found.parts[f"weight_{name}"] == pytest.approx(
            1 / float(found.parts[name]), rel=1e-4
        )
        assert log.grad == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("start", [9.0, -9.0])
def test_learned_weights_find_back_from_far_out(start: float) -> None:
    """However small or large a weight has become, its gradient leads back."""
    model, objective = make("combined learned")
    for log in objective.log_variance.values():
        log.data.fill_(start)
    found = objective(model, small_batch(), chance())
    found.loss.backward()
    for name, log in objective.log_variance.items():
        factor = float(found.parts[f"weight_{name}"]) / objective.weights[name]
        assert 3**-1 < factor * math.exp(math.copysign(3, start)) < 3
        assert float(log.grad) * start > 0


def test_more_padding_changes_nothing() -> None:
    for case in ("caption", "matching", "masked"):
        model, objective = make(case)
        batch = small_batch()
        longer = {name: nn.functional.pad(value, (0, 3)) for name, value in batch.texts.items()}
        padded = dataclasses.replace(batch, texts=longer)
        one, other = (objective(model, b, chance()).loss for b in (batch, padded))
        assert torch.allclose(one, other, atol=1e-5), case


def test_draws_are_of_the_joint_batch() -> None:
    """What process 1 draws is what one process draws for the rows of process 1."""
    _, objective = make("combined")
    joint = objective.draw(small_batch(), chance())
    with (
        patch.object(distributed, "get_world_size", return_value=2),
        patch.object(distributed, "get_rank", return_value=1),
    ):
        own = objective.draw(rows_of(small_batch(), slice(4, 8)), chance(), across=object())
    assert joint.keys() == own.keys()
    for name, values in own.items():
        assert torch.equal(values, joint[name][4:])


def test_some_captions_have_no_image() -> None:
    """At share 0.5 some texts do not depend on their image."""
    config = POOLED.model_copy(
        update={"caption": POOLED.caption.model_copy(update={"without_image": 0.5})}
    )
    model, objective = small_model(config), OBJECTIVES["caption"](config, small_size(config))
    batch = small_batch()
    drawn = objective.draw(batch, chance())
    pixels = batch.images["pixel_values"].requires_grad_()
    objective.parts(model, batch, drawn).loss.backward()
    moved = pixels.grad.abs().sum(dim=(1, 2, 3)) > 0
    assert moved.tolist() == (drawn["caption"][:, 0] >= 0.5).tolist()
    assert 0 < int(moved.sum()) < 8


class FromNumbers(TorchFunctionMode):
    """Counts tensors made of numbers of Python: each is copied to the device."""

    count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.count += getattr(func, "__name__", "") in {"tensor", "new_tensor", "as_tensor"}
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("case", ["combined", "masked db", "distilled"])
def test_a_step_copies_no_numbers_to_the_device(case: str) -> None:
    model, objective = make(case)
    objective(model, small_batch(), chance())
    drawn, batch = objective.draw(small_batch(), chance()), small_batch()
    with FromNumbers() as made:
        torch.tensor([1.0])
        objective.parts(model, batch, drawn)
    assert made.count == 1


def test_a_question_is_given() -> None:
    """Only what comes after it is told."""
    model, objective = make("caption", chunk=3)
    prefix = torch.full((8,), 3)
    batch = dataclasses.replace(small_batch(), prefix=prefix)
    drawn = objective.draw(batch, chance())
    found = objective.parts(model, batch, drawn).loss
    image = model.decoder.without_image(
        model.image_tokens(**batch.images), drawn["caption"][:, 0] < 0.1
    )
    ids, mask = batch.texts["input_ids"], batch.texts["attention_mask"]
    told = model.caption_logits(ids, None, image)[:, 2:-1].log_softmax(dim=-1)
    nll = -told.gather(2, ids[:, 3:, None])[..., 0]
    expected = (nll * mask[:, 3:]).sum() / mask[:, 3:].sum()
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("masked", {"mask_share": 0.0}, "nothing is hidden"),
        ("masked", {"masked": MaskedConfig(target="db")}, "pixel_features=96"),
        ("combined", {"combined": CombinedConfig(pair=0, matching=0, caption=0, masked=0)}, "all"),
        ("combined", {"combined": CombinedConfig(loss="none")}, "unknown loss"),
    ],
)
def test_what_does_not_go_together(name: str, changes: dict[str, object], message: str) -> None:
    size = small_size(POOLED)
    with pytest.raises(ConfigError, match=message):
        OBJECTIVES[name](POOLED.model_copy(update=changes), size)


def test_hardness_tempers_how_negatives_are_drawn() -> None:
    found: dict[float, Tensor] = {}
    for hardness in (0.0, 0.5, 1.0):
        config = POOLED.model_copy(update={"matching": MatchingConfig(hardness=hardness)})
        model, objective = small_model(config), OBJECTIVES["matching"](config, small_size(config))

        def spy(logits: Callable[[slice], Tensor], group: Tensor, *rest: object) -> object:
            found[hardness] = logits(slice(None))  # noqa: B023
            return pooled_negatives(logits, group, *rest)

        with patch("sarknowlip.train.objectives.matching.pooled_negatives", spy):
            objective(model, small_batch(), chance())
    assert not found[0.0].any()
    assert found[1.0].std() > 0
    assert torch.allclose(2 * found[0.5], found[1.0])
