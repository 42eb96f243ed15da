"""What the code that goes with a checkpoint computes beyond its weights.

Weights do not tell the number of heads nor the activation. A configuration beside them does;
without one the usual values of the layout hold, and the number of heads is the model's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from transformers import AutoConfig

from sarknowlip.core.errors import ConfigError
from sarknowlip.models.transfer.layouts import Found

ACTIVATIONS = {
    "gelu": "gelu",
    "quick_gelu": "quick_gelu",
    "gelu_pytorch_tanh": "gelu_pytorch_tanh",
    "gelu_new": "gelu_pytorch_tanh",
}
"""Names in configurations of `transformers`, and ours."""
TANH_IN_TIMM = re.compile(
    r"vit_(base_patch32|so400m_patch16|giantopt_patch16)_siglip_|vit_large_patch16_siglip_(gap_)?512"
)
"""Architectures to which timm 1.0 gives the tanh approximation of GELU."""
OTHER_IN_TIMM = re.compile(r"rope|_pe_|_rpn_")
"""Architectures whose weights look like those of a plain ViT and that compute something else."""
OPEN_CLIP_HEAD_WIDTH = 64


@dataclass(frozen=True)
class Told:
    """What is known of the code.

    Attributes:
        heads: Attention heads, None if nothing tells.
        activation: One of `ImageStyle`, None if nothing tells.
        norm_eps: Added to variances in layer norms.
        rotary_base: Base of rotary positions, None for positions that are added.
        assumed: What follows from the layout alone.
    """

    heads: int | None
    activation: str | None
    norm_eps: float
    rotary_base: float | None
    assumed: bool


def told_by(found: Found) -> Told:
    """Return what configuration and layout tell.

    Raises:
        ConfigError: The configuration is of another kind of model, or names an activation that the
            blocks do not have.
    """
    usual = found.layout.style
    values: dict[str, Any] = {}
    config = found.checkpoint.config or {}
    if found.name.startswith("transformers-"):
        values = _transformers(found, config)
    elif "model_cfg" in config:
        values = _open_clip(found, config["model_cfg"])
    elif "architecture" in config:
        values = _timm(found, str(config["architecture"]))
    activation = values.get("activation", usual.activation)
    if activation is not None and activation not in ACTIVATIONS:
        raise ConfigError(
            f"{found.checkpoint.path} uses the activation {activation}",
            f"take a model with one of {', '.join(ACTIVATIONS)}",
        )
    return Told(
        heads=values.get("heads"),
        activation=None if activation is None else ACTIVATIONS[activation],
        norm_eps=values.get("norm_eps", usual.norm_eps),
        rotary_base=values.get("rotary_base", usual.rotary_base),
        assumed=not values,
    )


def _transformers(found: Found, config: dict[str, Any]) -> dict[str, Any]:
    if "model_type" not in config:
        return {}
    rest = {key: value for key, value in config.items() if key != "model_type"}
    try:
        whole = AutoConfig.for_model(config["model_type"], **rest)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"cannot read the configuration beside {found.checkpoint.path}: {error}",
            "fetch the folder again",
        ) from error
    own = getattr(whole, "vision_config", whole)
    values = {
        "heads": own.num_attention_heads,
        "activation": own.hidden_act,
        "norm_eps": own.layer_norm_eps,
    }
    if found.layout.style.rotary_base is not None:
        values["rotary_base"] = own.rope_theta
    return values


def _open_clip(found: Found, config: dict[str, Any]) -> dict[str, Any]:
    vision = config["vision_cfg"]
    if "timm_model_name" in vision:
        return _timm(found, vision["timm_model_name"])
    values: dict[str, Any] = {
        "activation": "quick_gelu" if config.get("quick_gelu") else "gelu",
        "heads": vision["width"] // vision.get("head_width", OPEN_CLIP_HEAD_WIDTH),
    }
    if vision.get("act_kwargs", {}).get("approximate") == "tanh":
        values["activation"] = "gelu_pytorch_tanh"
    if "eps" in vision.get("norm_kwargs", {}):
        values["norm_eps"] = vision["norm_kwargs"]["eps"]
    return values


def _timm(found: Found, architecture: str) -> dict[str, Any]:
    if OTHER_IN_TIMM.search(architecture):
        raise ConfigError(
            f"{found.checkpoint.path} is a {architecture}, whose blocks are of another kind",
            "see docs/transfer.md",
        )
    if "quickgelu" in architecture:
        return {"activation": "quick_gelu"}
    tanh = TANH_IN_TIMM.match(architecture)
    return {"activation": "gelu_pytorch_tanh" if tanh else "gelu"}
