"""An objective: one pass of the encoders, shared by one or more terms.

Chance enters by `draw`, which is apart from what is differentiated, so that the latter can be
compiled whole. Numbers are drawn for the joint batch of all processes and each takes its rows: with
generators in the same state, N processes draw what one process with the joint batch draws.

Several processes work together in training only: in evaluation none waits for another.

Shapes: B batch of this process, L patches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, distributed, nn
from torch.distributed import ProcessGroup

from sarknowlip.data.loader import Batch
from sarknowlip.losses.masking import random_keep
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.train.distributed import Ranks
from sarknowlip.train.objectives.terms import Lasting, Seen, Term

MASK = "mask"
MOST_LOG = 3.0
"""Learned weights stay within e^±3 of the fixed ones, by a bound that always has a slope."""


class Parts(NamedTuple):
    """What an objective gives.

    Attributes:
        loss: What is minimised, scalar, with gradient.
        parts: Each term's loss without weight, and learned weights; scalars without gradient. Over
            several processes their means are those of the joint batch.
    """

    loss: Tensor
    parts: dict[str, Tensor]


class Objective(nn.Module):
    """A weighted sum of terms.

    Weights w may be learned (Kendall et al. 2018): the sum is then of w·e^(−s)·loss + s, where s is
    the logarithm of how uncertain the term is; it is least where e^s = w·loss. The parameter is
    3·atanh(s/3).

    Args:
        terms: Terms by name, with weights.
        patches: Patches of an image.
        mask_share: Share of patches hidden; 0 for none.
        chunk: Samples at a time, see `ObjectiveConfig`.
        learned: Whether weights are learned.
    """

    def __init__(
        self,
        terms: Mapping[str, tuple[Term, float]],
        patches: int,
        *,
        mask_share: float = 0.0,
        chunk: int | None = None,
        learned: bool = False,
    ) -> None:
        super().__init__()
        self.terms = {name: term for name, (term, _) in terms.items()}
        self.weights = {name: weight for name, (_, weight) in terms.items()}
        self.lasting = nn.ModuleDict(
            {name: term for name, term in self.terms.items() if isinstance(term, Lasting)}
        )
        self.patches, self.mask_share, self.chunk = patches, mask_share, chunk
        self.log_variance = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(())) for name in terms} if learned else {}
        )

    def forward(
        self,
        model: SarKnowLIP,
        batch: Batch,
        generator: torch.Generator,
        balance: Mapping[str, Tensor] | None = None,
    ) -> Parts:
        """Return the loss of a batch and its parts.

        Args:
            model: In training mode, or in evaluation mode for a loss of this process alone.
            batch: On the device of the model.
            generator: Source of chance, in the same state in all processes.
            balance: Factors on terms by name, for a batch that is part of another.
        """
        return self.parts(model, batch, self.draw(batch, generator, _group(model)), balance)

    def begin(self, model: SarKnowLIP, steps: int) -> None:
        """Have terms that last take in the first weights, as `Lasting.begin`."""
        for term in self._lasting:
            term.begin(model, steps)

    def advance(self, model: SarKnowLIP, step: int, ranks: Ranks) -> None:
        """Have terms that last take in that weights have changed, as `Lasting.advance`."""
        for term in self._lasting:
            term.advance(model, step, ranks)

    def readings(self) -> dict[str, float]:
        """Return further values for the log."""
        return {name: value for term in self._lasting for name, value in term.readings().items()}

    @property
    def _lasting(self) -> list[Lasting]:
        return cast(list[Lasting], list(self.lasting.values()))

    def elements(self, parts: Sequence[Batch]) -> dict[str, Tensor]:
        """Return how many elements terms take means over in each part of a batch, (parts,).

        Terms for which these are as many as pairs, or not known before, are left out.
        """
        found = {name: [term.elements(part) for part in parts] for name, term in self.terms.items()}
        return {
            name: torch.stack(counts)  # type: ignore[arg-type]
            for name, counts in found.items()
            if None not in counts
        }

    def draw(
        self, batch: Batch, generator: torch.Generator, across: ProcessGroup | None = None
    ) -> dict[str, Tensor]:
        """Return uniform random numbers in [0, 1) by the name of what takes them, (B, …).

        Args:
            batch: The batch.
            generator: Source of chance.
            across: Processes whose batches make one.
        """
        count, rank = (
            (1, 0)
            if across is None
            else (distributed.get_world_size(across), distributed.get_rank(across))
        )
        own, device = len(batch), batch.group.device
        numbers = {name: term.chances for name, term in self.terms.items()}
        if self.mask_share:
            numbers[MASK] = self.patches
        drawn = {}
        for name, each in numbers.items():
            joint = torch.rand(count * own, each, generator=generator, device=generator.device)
            drawn[name] = joint[rank * own : (rank + 1) * own].to(device, non_blocking=True)
        return drawn

    def parts(
        self,
        model: SarKnowLIP,
        batch: Batch,
        drawn: dict[str, Tensor],
        balance: Mapping[str, Tensor] | None = None,
    ) -> Parts:
        """Return the loss of a batch and its parts, without any chance but the model's own.

        Args:
            model: The model.
            batch: On its device.
            drawn: From `draw`.
            balance: As in `forward`.
        """
        terms = self.terms.values()
        keep, masked = (
            random_keep(drawn[MASK], self.mask_share) if self.mask_share else (None, None)
        )
        looks = any(term.looks for term in terms)
        image = model.image_tokens(**batch.images, keep=keep) if looks else None
        text = model.text_tokens(**batch.texts) if any(term.reads for term in terms) else None
        compare = any(term.compares for term in terms)
        seen = Seen(
            model=model,
            batch=batch,
            image_BKD=image,
            text_BLD=text,
            image_BE=_project_image(model, image) if compare else None,
            text_BE=_project_text(model, text, batch) if compare else None,
            keep_BK=keep,
            masked_BL=masked,
            across=_group(model),
            chunk=self.chunk,
        )
        total, told = batch.group.new_zeros((), dtype=torch.float32), {}
        for name, term in self.terms.items():
            loss = term(seen, drawn[name])
            if balance is not None and name in balance:
                loss = loss * balance[name]
            told[name] = loss.detach()
            total = total + self._weighed(name, loss, told)
        return Parts(total, told)

    def _weighed(self, name: str, loss: Tensor, told: dict[str, Tensor]) -> Tensor:
        if name not in self.log_variance:
            return self.weights[name] * loss
        log = MOST_LOG * torch.tanh(self.log_variance[name] / MOST_LOG)
        weight: Tensor = self.weights[name] * (-log).exp()
        told[f"weight_{name}"] = weight.detach()
        weighed: Tensor = weight * loss + log
        return weighed


def _project_image(model: SarKnowLIP, image: Tensor | None) -> Tensor:
    assert image is not None
    return model.project_image(image)


def _project_text(model: SarKnowLIP, text: Tensor | None, batch: Batch) -> Tensor:
    assert text is not None
    return model.project_text(text, batch.texts["attention_mask"])


def _group(model: SarKnowLIP) -> ProcessGroup | None:
    """Return the processes that train together; None for one."""
    if not (model.training and distributed.is_available() and distributed.is_initialized()):
        return None
    return distributed.group.WORLD if distributed.get_world_size() > 1 else None
