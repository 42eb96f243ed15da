"""The full configuration of a closed loop, and how settings on the command line change it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, model_validator

from sarknowlip.annotate.claim import Level
from sarknowlip.core.config import Config
from sarknowlip.core.settings import changed, checked
from sarknowlip.data.folds import FoldConfig
from sarknowlip.train.config import Count, TrainConfig
from sarknowlip.train.rounds.scorer import ScoreConfig

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class DecideConfig(Config):
    """From which probability of being bad something is done to a text.

    Attributes:
        weigh: A text is drawn less often, with weight 1 − P(bad).
        change: It is rewritten, replaced or dropped.
        most: Largest share of the judged texts that a round may change; the likeliest first. Of
            texts that were not judged, and tell the claims of those that change, the same.
    """

    weigh: Share = 0.25
    change: Share = 0.5
    most: Share = 0.5

    @model_validator(mode="after")
    def _ordered(self) -> DecideConfig:
        if self.weigh > self.change:
            raise ValueError(f"weigh: {self.weigh} is above change: {self.change}")
        return self


class FloorConfig(Config):
    """What a round may not fall below, each as a share of what the first round had.

    Attributes:
        vocabulary: Different tokens of the texts.
        distinct_2: Different pairs of neighbouring tokens over all pairs.
        rank: Effective rank of the embeddings of held-out tiles.
    """

    vocabulary: Share = 0.8
    distinct_2: Share = 0.8
    rank: Share = 0.5


class ScioConfig(Config):
    """A closed loop.

    Attributes:
        recipe: Name of the recipe it came from.
        train: Training of a fold in the first round, and of the model at the end; `data.annotation`
            is the version that the loop starts from, null for the newest. `start` and `data.fold`
            are the loop's own to set; `init` counts for the first round and the end.
        later_steps: Steps of a fold in each later round, where it goes on from its weights.
        final_steps: Steps of the model at the end, from random weights; null: as `train`.
        folds: Parts of the training split; a text is scored by the model that saw the other parts.
        rounds: Most rounds.
        minutes: No further round starts after this time, minutes, of all processes that worked on
            finished rounds; null: no limit.
        score: What judges texts, and how.
        levels: Forms of text that are judged; others change where they tell a claim that was found
            bad.
        trusted: CSV or Parquet file of texts that a person looked at: `text_id`, `bad`. Null: the
            fusion does without.
        decide: When something is done to a text.
        floor: What a round may not fall below.
        gain: Least rise of mean recall on the validation split, 0…1, for which another round is
            worth while. Models of later rounds have trained longer, which raises it too.
    """

    recipe: str
    train: TrainConfig
    later_steps: Count
    final_steps: Count | None = None
    folds: Annotated[int, Field(ge=2)] = 3
    rounds: Count = 3
    minutes: Annotated[float, Field(gt=0.0)] | None = None
    score: ScoreConfig = ScoreConfig()
    levels: tuple[Level, ...] = Field(("sentence",), min_length=1)
    trusted: str | None = None
    decide: DecideConfig = DecideConfig()
    floor: FloorConfig = FloorConfig()
    gain: float = 0.0

    @model_validator(mode="after")
    def _free(self) -> ScioConfig:
        for name, value in (("start", self.train.start), ("data.fold", self.train.data.fold)):
            if value is not None:
                raise ValueError(f"train.{name}: {value} is for the loop to set; leave it null")
        return self

    def of_fold(self, number: int, fold: int, version: str) -> TrainConfig:
        """Return the training of a fold, as if it began anew.

        Args:
            number: Of the round, from 1.
            fold: From 0.
            version: Of the texts.
        """
        left_out = FoldConfig(folds=self.folds, leave_out=fold, seed=self.train.seed)
        data = self.train.data.model_copy(update={"annotation": version, "fold": left_out})
        update: dict[str, object] = {"data": data}
        if number > 1:
            update |= {"steps": self.later_steps, "epochs": None}
        return self.train.model_copy(update=update)

    def at_the_end(self, version: str) -> TrainConfig:
        """Return the training of the model at the end, on all tiles of the training split."""
        data = self.train.data.model_copy(update={"annotation": version, "fold": None})
        update: dict[str, object] = {"data": data}
        if self.final_steps is not None:
            update |= {"steps": self.final_steps, "epochs": None}
        return self.train.model_copy(update=update)


def with_settings(config: ScioConfig, settings: Sequence[str]) -> ScioConfig:
    """Return a configuration with settings changed.

    Args:
        config: Of a recipe.
        settings: "key=value" each, keys dotted ("decide.change=0.7"), values as JSON or plain
            words.

    Raises:
        ConfigError: No "=", an unknown key, or a value out of range.
    """
    values = changed(config.model_dump(mode="json"), settings)
    return checked(ScioConfig, values, "setting", "see docs/scio.md")
