"""Self-distillation (DINO, Caron et al. 2021): a student tells what a teacher makes of other views.

The teacher is an average of the student over steps. It is kept in buffers: checkpoints hold it, no
optimiser sees it, and the model that is written does not have it. So is the centre, the mean of its
outputs. Both change between steps (`advance`), not in them: all parts of a step's batch are told by
the same teacher, and a step can be compiled whole.

The teacher sees `GLOBAL_VIEWS` large windows of each tile, the student these and smaller ones
(`views`). Texts are not read.

Shapes: B batch, C channels, Y × X pixels, V views of the student, W of the teacher, K patches seen,
D width of tokens, O outputs.
"""

from __future__ import annotations

import math
from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn import functional

from sarknowlip.data.loader import Batch
from sarknowlip.losses.chunks import by_chunks
from sarknowlip.losses.distilled import centred, distilled, entropy
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.vit import ImageEncoder
from sarknowlip.train.distributed import Ranks
from sarknowlip.train.objectives.config import DistilledConfig
from sarknowlip.train.objectives.terms import Lasting, Seen
from sarknowlip.train.objectives.views import CHANCES, speckled, turned, window

GLOBAL_VIEWS = 2
HIDDEN = 2
"""Width of the head's hidden layer, in widths of tokens."""


class Head(nn.Module):
    """From tokens to cosines with what the outputs stand for. It computes in float32.

    Args:
        width: Width D of tokens.
        outputs: Outputs O.
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(width, HIDDEN * width), nn.GELU(), nn.Linear(HIDDEN * width, width)
        )
        self.outputs = nn.Linear(width, outputs, bias=False)

    def forward(self, pooled: Tensor) -> Tensor:
        """Return cosines (…, O) of means of tokens (…, D)."""
        with torch.autocast(pooled.device.type, enabled=False):
            told = functional.normalize(self.mlp(pooled.float()), dim=-1)
            return told @ functional.normalize(self.outputs.weight, dim=-1).T


class Distilled(Lasting):
    """Cross-entropy of the student's outputs under the teacher's.

    Its head is drawn from PyTorch's global random state.

    Args:
        config: Views, temperatures, momenta.
        width: Width D of tokens.
        side: Patches along an image.
    """

    reads: bool = False
    compares: bool = False
    looks: bool = False
    centre_O: Tensor  # noqa: N815
    sums: Tensor
    found: Tensor

    def __init__(self, config: DistilledConfig, width: int, side: int) -> None:
        super().__init__()
        self.config, self.side, self.steps = config, side, 1
        self.chances = CHANCES * (GLOBAL_VIEWS + config.local_views)
        self.head = Head(width, config.outputs)
        self.teacher = nn.ModuleDict()
        self.register_buffer("centre_O", torch.zeros(config.outputs))
        # of this step: logits, outputs, entropy and number of the teacher's rows
        self.register_buffer("sums", torch.zeros(2 * config.outputs + 2))
        self.register_buffer("found", torch.zeros(2))

    def begin(self, model: SarKnowLIP, steps: int) -> None:
        """Make the teacher: the student as it is.

        Args:
            model: With its first weights, whole.
            steps: Of the run.
        """
        self.steps = steps
        self.teacher = nn.ModuleDict(
            {name: frozen(part) for name, part in self._student(model).items()}
        )

    def forward(self, seen: Seen, drawn: Tensor) -> Tensor:
        """Return the mean over tiles and pairs of views."""
        model, images, config = seen.model, seen.batch.images, self.config

        def encode(
            pixels: Tensor, ids: Tensor, gsd: Tensor, drawn: Tensor
        ) -> tuple[Tensor, Tensor]:
            return self._encode(model, (pixels, ids, gsd), drawn.reshape(len(ids), -1, CHANCES))

        rows = [images[name] for name in ("pixel_values", "channel_ids", "gsd_m")]
        student_BVD, teacher_BWD = by_chunks(encode, seen.chunk, *rows, drawn)
        with torch.no_grad():
            told_BWO = self.teacher["head"](teacher_BWD)
            target_BWO = centred(told_BWO, self.centre_O, config.teacher_temperature)
            if model.training:
                self._remember(told_BWO, target_BWO)
        logits_BVO = self.head(student_BVD) / config.student_temperature
        return distilled(logits_BVO, target_BWO).mean(seen.across)

    def elements(self, batch: Batch) -> None:
        """Return None: as many pairs of views of each tile."""

    @torch.no_grad()
    def advance(self, model: SarKnowLIP, step: int, ranks: Ranks) -> None:
        """Move teacher and centre after a step.

        The teacher's momentum rises from the one set to 1 as half a cosine wave.

        Args:
            model: With the weights of the step.
            step: Steps done.
            ranks: This process and those beside it.
        """
        sums = ranks.total(self.sums.clone())
        logits, outputs, uncertain, count = torch.split(
            sums, [self.config.outputs, self.config.outputs, 1, 1]
        )
        count = count.clamp_min(1.0)
        self.centre_O.lerp_(logits / count, 1.0 - self.config.centre_momentum)
        self.found.copy_(torch.cat([entropy(outputs / count)[None], uncertain / count]))
        self.sums.zero_()
        left = (1.0 + math.cos(math.pi * min(1.0, step / self.steps))) / 2
        for name, part in self._student(model).items():
            for at, weight in part.named_parameters():
                whole = weight.full_tensor() if isinstance(weight, DTensor) else weight
                old = self.teacher[name].get_buffer(at)
                old.lerp_(whole, (1.0 - self.config.momentum) * left)

    def readings(self) -> dict[str, float]:
        """Return what tells of collapse: entropies of the teacher's outputs in the last step, nats.

        `teacher_spread` is that of their mean, ln O at most: near 0, all tiles have one output.
        `teacher_unsure` is the mean of theirs: near `teacher_spread`, all tiles are told alike.
        """
        spread, unsure = self.found.tolist()
        return {"teacher_spread": round(spread, 4), "teacher_unsure": round(unsure, 4)}

    def _student(self, model: SarKnowLIP) -> dict[str, nn.Module]:
        return {"image": model.image, "head": self.head}

    def _encode(
        self, model: SarKnowLIP, images: tuple[Tensor, Tensor, Tensor], drawn_BV8: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return means of tokens of the student's views (B, V, D) and of the teacher's."""
        ids, gsd = images[1:]
        views_VBCYX = torch.stack(
            [
                speckled(turned(images[0], drawn[:, :3]), ids, drawn[:, 3:6])
                for drawn in drawn_BV8.unbind(1)
            ]
        )
        student: list[Tensor] = []
        teacher: list[Tensor] = []
        for part, share in (
            (slice(0, GLOBAL_VIEWS), self.config.global_share),
            (slice(GLOBAL_VIEWS, None), self.config.local_share),
        ):
            count = len(views_VBCYX[part])
            if not count:
                continue
            edge = max(1, round(share * self.side))
            keep = window(drawn_BV8[:, part, 6:].transpose(0, 1).flatten(0, 1), self.side, edge)
            given = (
                views_VBCYX[part].flatten(0, 1),
                ids.repeat(count, 1),
                gsd.repeat(count),
                None,
                keep,
            )
            student.append(_means(model.image(*given), count))
            if not teacher:
                with torch.no_grad():
                    encoder = cast(ImageEncoder, self.teacher["image"])
                    teacher.append(_means(encoder(*given), count))
        return torch.cat(student, dim=1), teacher[0]

    def _remember(self, logits_BWO: Tensor, target_BWO: Tensor) -> None:
        uncertain_BW = entropy(target_BWO)
        parts = [
            logits_BWO.sum(dim=(0, 1)),
            target_BWO.sum(dim=(0, 1)),
            uncertain_BW.sum()[None],
            uncertain_BW.new_full((1,), float(uncertain_BW.numel())),
        ]
        self.sums += torch.cat(parts).to(self.sums.dtype)


def frozen(module: nn.Module) -> nn.Module:
    """Return a copy of a module whose weights are buffers."""
    copy = deepcopy(module)
    for part in copy.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, weight.detach().clone())
    return copy


def _means(tokens_RKD: Tensor, count: int) -> Tensor:
    """Return means of tokens (B, V, D) of rows in the order view, sample."""
    return tokens_RKD.mean(dim=1).reshape(count, -1, tokens_RKD.shape[2]).transpose(0, 1)
