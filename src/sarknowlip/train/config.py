"""The full configuration of a run, and how settings on the command line change it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.settings import changed, checked, parsed
from sarknowlip.data.augment import AugmentConfig
from sarknowlip.data.captions import CaptionConfig
from sarknowlip.data.folds import FoldConfig
from sarknowlip.models.config import ModelSize
from sarknowlip.train.distributed import Parallel
from sarknowlip.train.objectives.config import ObjectiveConfig
from sarknowlip.train.optim import OptimConfig
from sarknowlip.train.step import Precision

Count = Annotated[int, Field(ge=1)]

MIN_BATCH = 3
"""Normalised over two pairs, embeddings are opposites whatever the weights."""


class DataConfig(Config):
    """What is read, and how.

    Attributes:
        batch: Largest batch of a step over all processes, pairs; with three or more no batch is
            left with a single pair.
        annotation: Version of the texts, "v0001"; null for the newest when the run starts.
        captions: How captions are drawn.
        augment: How tiles are changed.
        shards: Whether pairs come from shards; null: if there are any.
        workers: Processes that read ahead; 0 reads between steps.
        fold: A fold of the training split that is not seen; null: all is.
    """

    batch: Annotated[int, Field(ge=MIN_BATCH)] = 32
    annotation: str | None = None
    captions: CaptionConfig = CaptionConfig()
    augment: AugmentConfig = AugmentConfig()
    shards: bool | None = None
    workers: Annotated[int, Field(ge=0)] = 0
    fold: FoldConfig | None = None


class TrainConfig(Config):
    """A run. Exactly one of `steps` and `epochs` is given.

    Attributes:
        recipe: Name of the recipe it came from.
        model: Size of the model.
        vocab_size: Largest vocabulary of the tokenizer.
        init: File or folder of a public image encoder to start from; null for random weights. Its
            style then takes the place of `model.image_style`; see docs/transfer.md.
        start: Run or model folder of a model of our own to start from: all its weights, its
            processor and its tokenizer, whatever `vocab_size` is. It must have the size `model`;
            the optimiser starts afresh. Null for none.
        objective: What is asked of the model.
        data: What is read, and how.
        optim: How weights change.
        steps: Length of the run, steps.
        epochs: Length of the run, passes over the training split.
        seed: Of weights, order, captions, changes of tiles and what the objective draws.
        device: "auto" takes a CUDA device if there is one.
        parallel: How `torchrun`'s processes share the work: "ddp" copies weights, "fsdp2" splits
            them; "none" for a single process.
        precision: "bf16" computes matrix products in bfloat16; weights are float32 in both.
        accumulate: Parts of a step's batch, computed one after the other to save memory.
        compile: Compile the transformer blocks; the first steps take longer.
        gradient_checkpointing: Compute blocks again in the backward pass to save memory.
        threads: Threads of torch on the CPU; null leaves torch's choice, one a core.
        log_every: Steps between log lines.
        validate_every: Steps between validation losses; the last step always has one.
        checkpoint_every: Steps between checkpoints; the last step always has one.
        checkpoint_minutes: Longest time between checkpoints, minutes; null for no limit.
        tensorboard: Write TensorBoard event files too.
    """

    recipe: str
    model: ModelSize
    vocab_size: Annotated[int, Field(ge=259)] = 2048
    init: str | None = None
    start: str | None = None
    objective: ObjectiveConfig = ObjectiveConfig()
    data: DataConfig = DataConfig()
    optim: OptimConfig = OptimConfig()
    steps: Count | None = None
    epochs: Count | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    parallel: Parallel = "none"
    precision: Precision = "fp32"
    accumulate: Count = 1
    compile: bool = False
    gradient_checkpointing: bool = False
    threads: Count | None = None
    log_every: Count = 1
    validate_every: Count = 50
    checkpoint_every: Count = 50
    checkpoint_minutes: Annotated[float, Field(gt=0.0)] | None = 15.0
    tensorboard: bool = False

    def model_post_init(self, context: object, /) -> None:
        """Check the length of the run and where it starts.

        Raises:
            ConfigError: Both or none of steps and epochs are given, or both of init and start.
        """
        if self.init is not None and self.start is not None:
            raise ConfigError(
                f"init={self.init} and start={self.start}", "give one, and set the other to null"
            )
        if (self.steps is None) == (self.epochs is None):
            raise ConfigError(
                f"steps={self.steps} and epochs={self.epochs}",
                "give exactly one, and set the other to null",
            )

    def total_steps(self, steps_per_epoch: int) -> int:
        """Return the length of the run in steps."""
        return self.steps or (self.epochs or 0) * steps_per_epoch


def with_settings(config: TrainConfig, settings: Sequence[str]) -> TrainConfig:
    """Return a configuration with settings changed.

    Args:
        config: Of a recipe.
        settings: "key=value" each, keys dotted ("optim.lr=0.001"), values as JSON or plain words.
            Giving one of `steps` and `epochs` clears the other.

    Raises:
        ConfigError: No "=", an unknown key, or a value out of range.
    """
    values = changed(config.model_dump(mode="json"), settings)
    for key in (parsed(setting)[0] for setting in settings):
        other = {"steps": "epochs", "epochs": "steps"}.get(key)
        if other is not None and values[key] is not None:
            values[other] = None
    return checked(TrainConfig, values, "setting", "see docs/train.md")
