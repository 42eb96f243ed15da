"""Nearest training pictures: what features alone tell, without training.

Likeness is the cosine of features standardised by the training rows (`Standard`), so that features
of different units count alike. Similarities are computed a chunk of queries at a time.

Legend of array names: N training rows, Q queries, F width of features, K classes, M neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch.nn import functional

from sarknowlip.bench.adapter import Floats32
from sarknowlip.bench.probes.standard import Standard
from sarknowlip.core.config import Config

Wholes = npt.NDArray[np.int64]

CHUNK = 2**22
"""Similarities held at a time: 16 MiB."""


class NeighbourConfig(Config):
    """How neighbours vote; the same for every model.

    Values are those of Caron et al., "Emerging properties in self-supervised vision transformers",
    ICCV 2021.

    Attributes:
        count: Neighbours that vote, fewer where training has fewer rows.
        temperature: A neighbour of cosine s has exp(s / temperature) votes.
    """

    count: int = Field(20, ge=1)
    temperature: float = Field(0.07, gt=0.0)


@dataclass(frozen=True)
class Neighbours:
    """Training rows, ready to be searched.

    Attributes:
        standard: Of the training rows.
        rows: Standardised, of unit length; 0 where a row is the mean. float32 (N, F).
    """

    standard: Standard
    rows: torch.Tensor

    @classmethod
    def fit(cls, x_NF: Floats32) -> Self:
        """Keep training rows, at least one."""
        standard = Standard.fit(x_NF)
        return cls(standard, _unit(standard(x_NF)))

    def nearest(self, x_QF: Floats32, count: int) -> tuple[Wholes, Floats32]:
        """Return places of the `count` nearest rows and their cosines, each (Q, M), nearest first.

        M is `count`, or N if that is less. Of rows as near as the last, any may be taken; the same
        arguments give the same.
        """
        query = _unit(self.standard(x_QF))
        most = min(count, len(self.rows))
        found = [
            torch.topk(some @ self.rows.T, most, dim=1)
            for some in torch.split(query, max(1, CHUNK // len(self.rows)))
        ]
        places = torch.cat([one.indices for one in found]).numpy()
        return places, torch.cat([one.values for one in found]).numpy()

    def classes(
        self, x_QF: Floats32, labels_N: Wholes, config: NeighbourConfig | None = None
    ) -> Wholes:
        """Return the class with most votes of each query (Q,), the first of equals."""
        settings = config or NeighbourConfig()
        places_QM, cosine_QM = self.nearest(x_QF, settings.count)
        votes_QM = np.exp(cosine_QM.astype(np.float64) / settings.temperature)
        votes_QK = np.zeros((len(x_QF), int(labels_N.max()) + 1))
        queries = np.broadcast_to(np.arange(len(x_QF))[:, None], places_QM.shape)
        np.add.at(votes_QK, (queries, labels_N[places_QM]), votes_QM)
        return np.asarray(votes_QK.argmax(axis=1), dtype=np.int64)


def _unit(x: Floats32) -> torch.Tensor:
    return functional.normalize(torch.from_numpy(x), dim=1)
