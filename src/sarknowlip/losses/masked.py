"""Error of what was predicted for hidden patches.

Shapes: B batch, C channels, L patches, F numbers of a patch.
"""

from __future__ import annotations

from torch import Tensor

from sarknowlip.losses.across import Totals


def masked_error(
    predicted_BCLF: Tensor, target_BCLF: Tensor, masked_BL: Tensor, valid_BCLF: Tensor
) -> Totals:
    """Return the squared error of each sample over hidden patches, and how many numbers these are.

    Args:
        predicted_BCLF: Predictions.
        target_BCLF: What they should be; finite also where not valid.
        masked_BL: True for patches that were hidden.
        valid_BCLF: True where there is a target: data, in a channel that is present.
    """
    counted_BCLF = valid_BCLF & masked_BL[:, None, :, None]
    error_BCLF = (predicted_BCLF - target_BCLF).square().masked_fill(~counted_BCLF, 0.0)
    return Totals(error_BCLF.sum(dim=(1, 2, 3)), counted_BCLF.sum(dim=(1, 2, 3)))
