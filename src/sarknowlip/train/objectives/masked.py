"""What hidden patches hold, told from those that are seen, and from the text."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from sarknowlip.data.loader import Batch
from sarknowlip.losses.across import Totals
from sarknowlip.losses.chunks import by_chunks
from sarknowlip.losses.masked import masked_error
from sarknowlip.losses.targets import db_target, gradient_target
from sarknowlip.models.channels import ABSENT, CHANNELS, POLARIZATIONS
from sarknowlip.models.processing import SPREAD_DB
from sarknowlip.train.objectives.config import MaskedConfig
from sarknowlip.train.objectives.terms import Seen


class Masked:
    """Squared error of predicted targets.

    Args:
        config: What is predicted.
        patch_px: Edge of a patch.
    """

    chances: int = 0
    compares: bool = False
    looks: bool = True

    def __init__(self, config: MaskedConfig, patch_px: int) -> None:
        self.config, self.patch_px = config, patch_px
        self.reads = config.text

    def __call__(self, seen: Seen, drawn: Tensor) -> Tensor:
        """Return the mean over numbers of hidden patches that have data."""
        del drawn
        model, images, texts = seen.model, seen.batch.images, seen.batch.texts
        assert seen.image_BKD is not None
        assert seen.keep_BK is not None
        assert seen.masked_BL is not None
        target, valid = self.targets(images["pixel_values"], images["channel_ids"])
        rows = [target, valid, seen.masked_BL, seen.image_BKD, seen.keep_BK, images["channel_ids"]]
        if self.config.text and seen.text_BLD is not None:
            rows += [seen.text_BLD, texts["attention_mask"]]

        def tell(target: Tensor, valid: Tensor, masked: Tensor, *inputs: Tensor) -> Totals:
            predicted = model.predict_patches(*inputs)
            return masked_error(predicted.float(), target, masked, valid)

        return Totals(*by_chunks(tell, seen.chunk, *rows)).mean(seen.across)

    def elements(self, batch: Batch) -> None:
        """Return None: hidden numbers with data follow from what is drawn."""

    @torch.no_grad()
    def targets(self, pixels_BCYX: Tensor, ids_BC: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is to be told, (B, C, L, F), and where it is known.

        Args:
            pixels_BCYX: Normalised decibels; 0, which no pixel with data is but by chance, for no
                data.
            ids_BC: Identifiers of channels, 0 where absent.
        """
        valid_BCYX = (pixels_BCYX != 0) & (ids_BC != ABSENT)[:, :, None, None]
        if self.config.target == "db":
            return db_target(pixels_BCYX, self.patch_px, valid_BCYX)
        spread_BC = spread_db(ids_BC.device)[ids_BC]
        power_BCYX = 10.0 ** (pixels_BCYX.float() * spread_BC[:, :, None, None] / 10.0)
        return gradient_target(power_BCYX, self.patch_px, valid_BCYX)


@lru_cache(maxsize=64)
def spread_db(device: torch.device) -> Tensor:
    """Return what normalised decibels were divided by, by identifier of channel; kept."""
    spread = [SPREAD_DB[POLARIZATIONS[(i - 1) % len(POLARIZATIONS)]] for i in range(CHANNELS)]
    return torch.tensor(spread, device=device, dtype=torch.float32)
