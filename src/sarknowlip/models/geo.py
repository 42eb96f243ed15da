"""Geographic tokens: where the image is and how the radar looked, for the image encoder.

Five tokens: place, incidence, orbit, look side, season. What is not known is a learned "unknown"
token, so that their number never changes and a model works without any of them. In training all
tokens of some samples and single ones of others are made unknown, so that the encoder does not lean
on them.

The place enters as coordinates on the unit sphere through a small network, without finer Fourier
features: climate and continent are smooth in them, a name of a city is not.

Shapes: B batch, D width, K = 5 tokens, 8 features.
"""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from sarknowlip.models.block import ScaledLinear

GEO_TOKENS = {"place": 3, "incidence": 1, "orbit": 1, "side": 1, "season": 2}
"""Tokens in order, and how many features each reads."""
GEO_FEATURES = sum(GEO_TOKENS.values())
GEO_GAIN = 0.1
"""First weights are small: see `vit.GSD_GAIN`."""
YEAR_DAYS = 365.2425

_ORBIT = {"ascending": 1.0, "descending": -1.0}
_SIDE = {"right": 1.0, "left": -1.0}


def geo_features(
    *,
    lonlat: tuple[float, float] | None = None,
    incidence_deg: float | None = None,
    orbit: str | None = None,
    side: str | None = None,
    time: datetime | None = None,
) -> npt.NDArray[np.float32]:
    """Return the 8 features of one image, NaN where unknown.

    Args:
        lonlat: Longitude and latitude of the centre, degrees; become x, y, z of the unit sphere.
        incidence_deg: Incidence angle at the centre, degrees; is divided by 90.
        orbit: "ascending" (+1) or "descending" (−1); anything else is unknown.
        side: Look side, "right" (+1) or "left" (−1).
        time: When it was taken; becomes cosine and sine of the day of the year, without regard
            to the hemisphere.
    """
    features = np.full(GEO_FEATURES, np.nan, dtype=np.float32)
    if lonlat is not None:
        lon, lat = map(math.radians, lonlat)
        features[:3] = (
            math.cos(lat) * math.cos(lon),
            math.cos(lat) * math.sin(lon),
            math.sin(lat),
        )
    if incidence_deg is not None:
        features[3] = incidence_deg / 90.0
    features[4] = _ORBIT.get(orbit or "", math.nan)
    features[5] = _SIDE.get(side or "", math.nan)
    if time is not None:
        new_year = datetime(time.year, 1, 1, tzinfo=time.tzinfo)
        turn = 2 * math.pi * ((time - new_year).total_seconds() / 86_400) / YEAR_DAYS
        features[6:] = math.cos(turn), math.sin(turn)
    return features


class GeoTokens(nn.Module):
    """From the features of `geo_features` to five tokens.

    Args:
        width: Width D of tokens.
        dropout: Share of samples without any token in training, and chance of each token of the
            others to be unknown.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.embed = nn.ModuleDict(
            {name: nn.Linear(count, width) for name, count in GEO_TOKENS.items()}
        )
        self.mix = ScaledLinear(width, width, GEO_GAIN)
        self.kind = nn.Embedding(len(GEO_TOKENS), width)
        self.unknown = nn.Embedding(len(GEO_TOKENS), width)

    def forward(self, geo_B8: Tensor) -> Tensor:
        """Return tokens (B, K, D).

        Args:
            geo_B8: Features, NaN where unknown. A token needs all its features.
        """
        parts = torch.split(geo_B8, list(GEO_TOKENS.values()), dim=1)
        known_BK = torch.stack([part.isfinite().all(dim=1) for part in parts], dim=1)
        if self.training and self.dropout > 0.0:
            # one column more than tokens: the first one drops them all
            drawn = torch.rand(
                geo_B8.shape[0], 1 + len(GEO_TOKENS), device=geo_B8.device, dtype=torch.float32
            )
            kept = drawn >= self.dropout
            known_BK = known_BK & kept[:, 1:] & kept[:, :1]
        told_BKD = torch.stack(
            [
                layer(part.nan_to_num(0.0, 0.0, 0.0).to(self.kind.weight.dtype))
                for layer, part in zip(self.embed.values(), parts, strict=True)
            ],
            dim=1,
        )
        told_BKD = self.mix(functional.gelu(told_BKD)) + self.kind.weight
        return torch.where(known_BK.unsqueeze(-1), told_BKD, self.unknown.weight)
