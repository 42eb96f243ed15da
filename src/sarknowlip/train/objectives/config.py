"""What can be set about objectives."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sarknowlip.core.config import Config
from sarknowlip.losses.targets import Target

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Weight = Annotated[float, Field(ge=0.0)]


class MatchingConfig(Config):
    """Matching of images and texts.

    Attributes:
        pool: Pairs among which hard negatives are found; null for the batch of a process. If each
            process's batch is a multiple of it, negatives don't depend on the number of processes.
        hardness: Negatives are drawn in proportion to exp(hardness · similarity): 0 at random, 1 as
            in ALBEF (Li et al. 2021), where they are so hard that they follow the distribution of
            the right ones, and the head learns nothing of what the encoders know already.
    """

    pool: Annotated[int, Field(ge=2)] | None = None
    hardness: Annotated[float, Field(ge=0.0)] = 0.5


class CaptionTermConfig(Config):
    """Texts told from images.

    Attributes:
        without_image: Share of texts told without their image, so that the decoder learns how
            likely a text is by itself.
    """

    without_image: Share = 0.1


class MaskedConfig(Config):
    """Hidden patches told from seen ones.

    Attributes:
        target: "db" for normalised decibels, "gradient" for multi-scale gradients by ratio.
        text: Whether the text is read too.
    """

    target: Target = "gradient"
    text: bool = True


class DistilledConfig(Config):
    """Views of a tile told from what a teacher makes of others (DINO, Caron et al. 2021).

    Attributes:
        outputs: Outputs of the head, which stand for nothing given.
        global_share: Edge of the windows that the teacher sees too, as a share of the tile's.
        local_share: Edge of the windows that only the student sees.
        local_views: Number of the latter.
        student_temperature: What the student's cosines are divided by.
        teacher_temperature: What the teacher's are divided by.
        momentum: Of the teacher a step, at first; it rises to 1 over the run.
        centre_momentum: Of the mean of the teacher's outputs a step.
    """

    outputs: Annotated[int, Field(ge=2)] = 1024
    global_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.75
    local_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    local_views: Annotated[int, Field(ge=0)] = 2
    student_temperature: Annotated[float, Field(gt=0.0)] = 0.1
    teacher_temperature: Annotated[float, Field(gt=0.0)] = 0.04
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.99
    centre_momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9


class CombinedConfig(Config):
    """Several terms at once; one of weight 0 is left out.

    Attributes:
        loss: Loss of pairs by name.
        pair: Weight of the loss of pairs.
        matching: Weight of matching.
        caption: Weight of captions.
        masked: Weight of masked patches.
        distilled: Weight of self-distillation; its views are passes of their own.
        learned: Whether weights are learned, starting from these.
    """

    loss: str = "contrastive"
    pair: Weight = 1.0
    matching: Weight = 1.0
    caption: Weight = 1.0
    masked: Weight = 1.0
    distilled: Weight = 0.0
    learned: bool = False


class ObjectiveConfig(Config):
    """What is asked of the model.

    Attributes:
        name: Name in the table of objectives.
        mask_share: Share of patches hidden by `masked` and `combined`. MAE (He et al. 2022) hides
            0.75 to reconstruct, FLIP (Li et al. 2023) 0.5 to compare with texts.
        chunk: Samples at a time in losses and in what reads the encoders' tokens, which are then
            computed again in the backward pass; null for all. It changes memory and no result.
        matching: Of the term of this name.
        caption: Of the term of this name.
        masked: Of the term of this name.
        distilled: Of the term of this name.
        combined: Of the objective of this name.
    """

    name: str = "contrastive"
    mask_share: Share = 0.5
    chunk: Count | None = None
    matching: MatchingConfig = MatchingConfig()
    caption: CaptionTermConfig = CaptionTermConfig()
    masked: MaskedConfig = MaskedConfig()
    distilled: DistilledConfig = DistilledConfig()
    combined: CombinedConfig = CombinedConfig()
