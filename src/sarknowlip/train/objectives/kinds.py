"""The objectives of the table: one term alone, or several combined."""

from __future__ import annotations

from typing import Protocol

from sarknowlip.core.errors import ConfigError
from sarknowlip.losses.targets import target_features
from sarknowlip.models.config import ModelSize
from sarknowlip.train.objectives.caption import Caption
from sarknowlip.train.objectives.config import ObjectiveConfig
from sarknowlip.train.objectives.distilled import Distilled
from sarknowlip.train.objectives.masked import Masked
from sarknowlip.train.objectives.matching import Matching
from sarknowlip.train.objectives.objective import Objective
from sarknowlip.train.objectives.pairs import Pairs
from sarknowlip.train.objectives.terms import Term


class Shapes(Protocol):
    """What an objective must know of the model; `ModelSize` and `SarKnowLIPConfig` have it."""

    @property
    def image_px(self) -> int:
        """Edge of the image."""
        ...

    @property
    def patch_px(self) -> int:
        """Edge of a patch."""
        ...

    @property
    def image_width(self) -> int:
        """Width of image tokens."""
        ...

    @property
    def pixel_features(self) -> int | None:
        """Numbers predicted per patch and channel; None for a patch's pixels."""
        ...


def contrastive(config: ObjectiveConfig, shapes: Shapes) -> Objective:
    """Return the objective of whole images and texts compared over the batch."""
    return _alone("contrastive", Pairs("contrastive"), config, shapes)


def sigmoid(config: ObjectiveConfig, shapes: Shapes) -> Objective:
    """Return the objective of whole images and texts compared pair by pair."""
    return _alone("sigmoid", Pairs("sigmoid"), config, shapes)


def matching(config: ObjectiveConfig, shapes: Shapes) -> Objective:
    """Return the objective of matching alone; embeddings serve to find negatives."""
    return _alone("matching", Matching(config.matching), config, shapes)


def caption(config: ObjectiveConfig, shapes: Shapes) -> Objective:
    """Return the objective of texts told from whole images."""
    return _alone("caption", Caption(config.caption), config, shapes)


def masked(config: ObjectiveConfig, shapes: Shapes) -> Objective:
    """Return the objective of hidden patches told from seen ones.

    Raises:
        ConfigError: Nothing is hidden, or the model predicts another number of features.
    """
    return _alone("masked", _masked(config, shapes), config, shapes, config.mask_share)


def distilled(config: ObjectiveConfig, shapes: Shapes) -> Objective:
    """Return the objective of views told from what a teacher makes of others."""
    return _alone("distilled", _distilled(config, shapes), config, shapes)


def combined(config: ObjectiveConfig, shapes: Shapes) -> Objective:
    """Return all terms of weight over 0 on one pass over images with hidden patches.

    Raises:
        ConfigError: No term is left, an unknown loss, or as `masked`.
    """
    chosen = config.combined
    terms: dict[str, tuple[Term, float]] = {}
    if chosen.pair:
        terms[chosen.loss] = Pairs(chosen.loss), chosen.pair
    if chosen.matching:
        terms["matching"] = Matching(config.matching), chosen.matching
    if chosen.caption:
        terms["caption"] = Caption(config.caption), chosen.caption
    if chosen.masked:
        terms["masked"] = _masked(config, shapes), chosen.masked
    if chosen.distilled:
        terms["distilled"] = _distilled(config, shapes), chosen.distilled
    if not terms:
        raise ConfigError("all weights of objective.combined are 0", "give one of them a weight")
    return Objective(
        terms,
        _patches(shapes),
        mask_share=config.mask_share,
        chunk=config.chunk,
        learned=chosen.learned,
    )


def with_features(size: ModelSize, config: ObjectiveConfig) -> ModelSize:
    """Return a size of model that predicts as many numbers a patch as the target has.

    Raises:
        ConfigError: The target does not go with the size of patches.
    """
    return size.model_copy(update={"pixel_features": _features(size, config)})


def _alone(
    name: str, term: Term, config: ObjectiveConfig, shapes: Shapes, mask_share: float = 0.0
) -> Objective:
    return Objective(
        {name: (term, 1.0)}, _patches(shapes), mask_share=mask_share, chunk=config.chunk
    )


def _masked(config: ObjectiveConfig, shapes: Shapes) -> Masked:
    if not config.mask_share:
        raise ConfigError("objective.mask_share=0: nothing is hidden", "set objective.mask_share")
    needed, found = _features(shapes, config), shapes.pixel_features or shapes.patch_px**2
    if found != needed:
        raise ConfigError(
            f"model.pixel_features={found}, but target {config.masked.target!r} has {needed}",
            f"set model.pixel_features={needed}",
        )
    return Masked(config.masked, shapes.patch_px)


def _distilled(config: ObjectiveConfig, shapes: Shapes) -> Distilled:
    side = shapes.image_px // shapes.patch_px
    return Distilled(config.distilled, shapes.image_width, side)


def _features(shapes: Shapes, config: ObjectiveConfig) -> int:
    try:
        return target_features(config.masked.target, shapes.patch_px)
    except ValueError as error:
        raise ConfigError(str(error), "set objective.masked.target=db or model.patch_px") from error


def _patches(shapes: Shapes) -> int:
    return (shapes.image_px // shapes.patch_px) ** 2
