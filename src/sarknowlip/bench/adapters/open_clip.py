"""Descendants of CLIP whose weights are files of open_clip's form.

RemoteCLIP (Liu et al., IEEE TGRS 2024), GeoRSCLIP (Zhang et al., IEEE TGRS 2024), SARCLIP
(CAESAR-Radi, 2025). Names of weights become those of `CLIPModel`, which computes the same. Files do
not tell the activation: RemoteCLIP is loaded by its authors with open_clip's plain GELU, GeoRSCLIP
with the QuickGELU of OpenAI's weights; of SARCLIP it is not stated, and open_clip's default is
taken. They do not tell the width of heads either: 64, as in all of CLIP's ViTs.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import ClassVar, Self

from torch import Tensor
from transformers import CLIPConfig, CLIPModel

from sarknowlip.bench.adapters.blocks import HEAD_WIDTH
from sarknowlip.bench.adapters.clip import ClipForm
from sarknowlip.bench.adapters.hub import Words
from sarknowlip.bench.adapters.sheet import Given, Sheet
from sarknowlip.bench.adapters.weights import Tensors, depth_of, filled, read_tensors, width_of

BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.")
WITHIN = {
    "ln_1.": "layer_norm1.",
    "attn.out_proj.": "self_attn.out_proj.",
    "ln_2.": "layer_norm2.",
    "mlp.c_fc.": "mlp.fc1.",
    "mlp.c_proj.": "mlp.fc2.",
}
"""Parts of a block: open_clip's names, and those of `transformers`."""
TOPS = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "logit_scale": "logit_scale",
}
TURNED = {
    "visual.proj": "visual_projection.weight",
    "text_projection": "text_projection.weight",
}
"""Matrices that are the other way round there."""


class OpenClipFile(ClipForm):
    """A model of CLIP's form in a file of open_clip's; `card_name` names its sheet."""

    card_name: ClassVar[str]

    @classmethod
    def make(cls, given: Given) -> Self:
        """Read it from a file, and its tokenizer from beside it.

        Raises:
            BenchError: It is absent, damaged, or of another form.
        """
        sheet = Sheet.read(cls.card_name)
        path = sheet.file(given)
        if not (path.parent / "tokenizer.json").is_file():
            raise sheet.absent(f"{path.parent} holds no tokenizer.json")
        found = read_tensors(path)
        text = "text."
        if any(name.startswith(text) for name in found):  # open_clip's form with a text tower apart
            found = {name.removeprefix(text): value for name, value in found.items()}
        longest = width_of(found, "positional_embedding", 0, path)
        config = _config(found, sheet.activation or "gelu", path)
        network = filled(CLIPModel(config), _renamed(found), path)
        return cls(sheet, network, Words(path.parent, longest), given)


class RemoteClip(OpenClipFile):
    """RemoteCLIP ViT-B/32."""

    card_name = "remoteclip"


class GeoRsClip(OpenClipFile):
    """GeoRSCLIP ViT-B/32."""

    card_name = "georsclip"


class SarClip(OpenClipFile):
    """SARCLIP ViT-B/16."""

    card_name = "sarclip"


def _config(found: Tensors, activation: str, path: Path) -> CLIPConfig:
    """Return the shapes of a file."""
    patch = width_of(found, "visual.conv1.weight", 2, path)
    grid = math.isqrt(width_of(found, "visual.positional_embedding", 0, path) - 1)
    vocabulary = width_of(found, "token_embedding.weight", 0, path)
    towers = {}
    for name, prefix, norm in (("vision", "visual.", "ln_post"), ("text", "", "ln_final")):
        width = width_of(found, f"{prefix}{norm}.weight", 0, path)
        blocks = f"{prefix}transformer.resblocks."
        towers[name] = {
            "hidden_size": width,
            "intermediate_size": width_of(found, f"{blocks}0.mlp.c_fc.weight", 0, path),
            "num_hidden_layers": depth_of(found, blocks, path),
            "num_attention_heads": max(1, width // HEAD_WIDTH),
            "hidden_act": activation,
        }
    towers["vision"] |= {"image_size": grid * patch, "patch_size": patch}
    towers["text"] |= {
        "vocab_size": vocabulary,
        "max_position_embeddings": width_of(found, "positional_embedding", 0, path),
        # the marks of CLIP's vocabulary are its last two entries
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
        "pad_token_id": vocabulary - 1,
    }
    return CLIPConfig(
        vision_config=towers["vision"],
        text_config=towers["text"],
        projection_dim=width_of(found, "text_projection", 1, path),
    )


def _renamed(found: Tensors) -> Tensors:
    """Return weights under the names of `CLIPModel`."""
    named: dict[str, Tensor] = {}
    for name, value in found.items():
        block = BLOCK.search(name)
        if block is None:
            if name in TOPS:
                named[TOPS[name]] = value
            elif name in TURNED:
                named[TURNED[name]] = value.T
            continue
        tower = "vision_model" if name.startswith("visual.") else "text_model"
        layer, rest = f"{tower}.encoder.layers.{block.group(1)}.", name[block.end() :]
        if rest.startswith("attn.in_proj_"):
            kind = rest.removeprefix("attn.in_proj_")
            for part, third in zip("qkv", value.chunk(3), strict=True):
                named[f"{layer}self_attn.{part}_proj.{kind}"] = third
        for old, new in WITHIN.items():
            if rest.startswith(old):
                named[layer + new + rest.removeprefix(old)] = value
    return named
