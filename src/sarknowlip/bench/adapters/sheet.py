"""What is known of each model, and where its weights lie on this machine.

Nothing is fetched. Weights are looked for where the user says, or in the folder named as the model
below `$SARKNOWLIP_WEIGHTS`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sarknowlip.bench.adapter import AdapterCard
from sarknowlip.bench.metrics import BenchError
from sarknowlip.core.config import Config
from sarknowlip.core.files import read_json

VARIABLE = "SARKNOWLIP_WEIGHTS"
"""Environment variable with the folder that holds one folder a model."""
CARDS = Path(__file__).with_name("cards")


@dataclass(frozen=True)
class Given:
    """What is at hand when an adapter is made.

    Attributes:
        weights: File or folder with the model's weights, or run of our own model; None looks in
            `folder`.
        folder: Holds the weights of several models, each in a folder of its name; None takes
            `$SARKNOWLIP_WEIGHTS`.
        seed: Of what is drawn.
        device: PyTorch device; None takes a GPU if there is one.
        name: What a result table calls the model; None for the name of its card.
    """

    weights: Path | None = None
    folder: Path | None = None
    seed: int = 0
    device: str | None = None
    name: str | None = None


class Weights(Config):
    """Where weights come from.

    Attributes:
        source: Address of the page.
        revision: Commit whose files were looked at, where known.
        files: Names under which weights are taken; the first that is there is read.
        beside: Further files that must lie beside them, one phrase; empty for none.
        checksum: As published: "sha256:…", perhaps only its first digits; None where none is.
    """

    source: str
    revision: str | None = None
    files: tuple[str, ...]
    beside: str = ""
    checksum: str | None = None


class Normalisation(Config):
    """What becomes of red, green and blue, 0…1, before the model: (value − mean) / spread.

    Attributes:
        mean: Of each.
        spread: Of each.
        edge: Rows and columns the model sees; None for what its configuration says.
    """

    mean: tuple[float, float, float]
    spread: tuple[float, float, float]
    edge: int | None = None


class Sheet(Config):
    """Card of a model, and what its adapter must know.

    Attributes:
        card: What stands beside scores.
        weights: Where from; None for models without weights of their own.
        colours: Normalisation of models that take red, green and blue; None for others.
        activation: Of the MLPs, where a file of weights alone does not tell; None elsewhere.
    """

    card: AdapterCard
    weights: Weights | None = None
    colours: Normalisation | None = None
    activation: str | None = None

    @classmethod
    def read(cls, name: str) -> Sheet:
        """Read the sheet of a model of `ADAPTERS`."""
        return cls.model_validate(read_json(CARDS / f"{name}.json", "install the package again"))

    def located(self, given: Given) -> Path:
        """Return the file or folder with the model's weights.

        Raises:
            BenchError: Nothing is there: says what to fetch, from where, under which licence, and
                where to put it.
        """
        name, parent = self.card.name, given.folder or os.environ.get(VARIABLE)
        path = given.weights or (Path(parent) / name if parent else None)
        if path is None:
            raise self.absent(f"${VARIABLE} is not set and no path is given")
        if not path.exists():
            raise self.absent(f"{path} is absent")
        return path

    def file(self, given: Given) -> Path:
        """Return the file of weights, given itself or by the folder that holds it.

        Raises:
            BenchError: It is not there.
        """
        path = self.located(given)
        if path.is_file():
            return path
        assert self.weights is not None
        for name in self.weights.files:
            if (path / name).is_file():
                return path / name
        raise self.absent(f"{path} holds none of {', '.join(self.weights.files)}")

    def absent(self, what: str) -> BenchError:
        """Return the error that says what is missing and where to get it."""
        weights, card = self.weights, self.card
        assert weights is not None
        beside = f" and {weights.beside}" if weights.beside else ""
        return BenchError(
            f"{card.title}: {what}",
            f"fetch {weights.files[0]}{beside} from {weights.source} (licence: {card.licence}) "
            f"into ${VARIABLE}/{card.name}, or give their path",
        )

    def named(self, given: Given) -> AdapterCard:
        """Return the card under the name that the user gives."""
        return self.card.model_copy(update={"name": given.name}) if given.name else self.card
