"""Models of others, a few thousand weights each, in the form in which they are published."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipForImageTextRetrieval,
    BlipForQuestionAnswering,
    CLIPConfig,
    CLIPModel,
    CLIPTokenizer,
    Dinov2Config,
    Dinov2Model,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    GemmaTokenizer,
    SiglipConfig,
    SiglipModel,
    ViTMAEConfig,
    ViTMAEForPreTraining,
)

LETTERS = "abcdefghijklmnopqrstuvwxyz"
TOWER = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 1,
}


def make_weights(name: str, folder: Path) -> Path:
    """Write a small model under its published names and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        MAKERS[name](folder)
    return folder


def drawn(network: nn.Module) -> nn.Module:
    """Return a network whose every weight matters: no zeros, no ones."""
    for value in network.parameters():
        scale = 0.3 if value.ndim < 2 else 1.5 * value.shape[-1] ** -0.5
        nn.init.normal_(value, std=scale)
        if value.ndim < 2:
            value.data += 0.3
    return network.eval()


def clip_config(activation: str = "quick_gelu") -> CLIPConfig:
    """Return a CLIP of 32 pixels."""
    marks = {"bos_token_id": 52, "eos_token_id": 53, "pad_token_id": 53}
    text = TOWER | marks | {"vocab_size": 54, "max_position_embeddings": 16}
    return CLIPConfig(
        text_config=text | {"hidden_act": activation},
        vision_config=TOWER | {"image_size": 32, "patch_size": 8, "hidden_act": activation},
        projection_dim=24,
    )


def save_clip_tokenizer(folder: Path) -> None:
    """Write a tokenizer of CLIP's kind: letters, and letters that end a word."""
    words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    vocabulary = {
        word: row for row, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])
    }
    CLIPTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)


def open_clip_names(model: CLIPModel) -> dict[str, Tensor]:
    """Return the weights of a CLIP as open_clip names and turns them."""
    held = {name: value.detach() for name, value in model.state_dict().items()}
    out: dict[str, Tensor] = {"logit_scale": held["logit_scale"]}
    out["visual.class_embedding"] = held["vision_model.embeddings.class_embedding"]
    out["visual.conv1.weight"] = held["vision_model.embeddings.patch_embedding.weight"]
    out["visual.positional_embedding"] = held["vision_model.embeddings.position_embedding.weight"]
    out["visual.proj"] = held["visual_projection.weight"].T
    out["token_embedding.weight"] = held["text_model.embeddings.token_embedding.weight"]
    out["positional_embedding"] = held["text_model.embeddings.position_embedding.weight"]
    out["text_projection"] = held["text_projection.weight"].T
    for end in ("weight", "bias"):
        out[f"visual.ln_pre.{end}"] = held[f"vision_model.pre_layrnorm.{end}"]
        out[f"visual.ln_post.{end}"] = held[f"vision_model.post_layernorm.{end}"]
        out[f"ln_final.{end}"] = held[f"text_model.final_layer_norm.{end}"]
        for prefix, tower in (("visual.", "vision_model"), ("", "text_model")):
            for layer in range(TOWER["num_hidden_layers"]):
                new = f"{prefix}transformer.resblocks.{layer}."
                old = f"{tower}.encoder.layers.{layer}."
                parts = [held[f"{old}self_attn.{one}_proj.{end}"] for one in "qkv"]
                out[f"{new}attn.in_proj_{end}"] = torch.cat(parts)
                out[f"{new}attn.out_proj.{end}"] = held[f"{old}self_attn.out_proj.{end}"]
                out[f"{new}ln_1.{end}"] = held[f"{old}layer_norm1.{end}"]
                out[f"{new}ln_2.{end}"] = held[f"{old}layer_norm2.{end}"]
                out[f"{new}mlp.c_fc.{end}"] = held[f"{old}mlp.fc1.{end}"]
                out[f"{new}mlp.c_proj.{end}"] = held[f"{old}mlp.fc2.{end}"]
    return {name: value.contiguous() for name, value in out.items()}


def _clip(folder: Path) -> None:
    drawn(CLIPModel(clip_config())).save_pretrained(folder)
    save_clip_tokenizer(folder)


def _open_clip(file: str, activation: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        weights = open_clip_names(drawn(CLIPModel(clip_config(activation))))
        if file.endswith(".safetensors"):
            save_file(weights, folder / file)
        else:
            torch.save(weights, folder / file)
        save_clip_tokenizer(folder)

    return make


def _siglip2(folder: Path) -> None:
    vocabulary = {word: row for row, word in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", "▁"])}
    vocabulary |= {letter: 5 + row for row, letter in enumerate(LETTERS)}
    text = TOWER | {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0, "vocab_size": 31}
    text |= {"max_position_embeddings": 12, "projection_size": 64}
    vision = TOWER | {"image_size": 32, "patch_size": 8}
    config = SiglipConfig(text_config=text, vision_config=vision)
    drawn(SiglipModel(config)).save_pretrained(folder)
    GemmaTokenizer(
        vocab=vocabulary, merges=[], add_bos_token=False, add_eos_token=True
    ).save_pretrained(folder)


def _blip(folder: Path) -> None:
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*marks, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    vocabulary = {word: row for row, word in enumerate(words)}
    # as published, the marks of decoder and encoder are unknown to the tokenizer
    ids = {"bos_token_id": len(words), "sep_token_id": 3, "pad_token_id": 0, "eos_token_id": 3}
    text = TOWER | ids | {"vocab_size": len(words) + 2, "max_position_embeddings": 48}
    text |= {"encoder_hidden_size": 64, "projection_dim": 24}
    vision = TOWER | {"image_size": 32, "patch_size": 8}
    config = BlipConfig(
        text_config=text, vision_config=vision, projection_dim=24, image_text_hidden_size=24
    )
    for part, kind in (
        ("itm", BlipForImageTextRetrieval),
        ("captioning", BlipForConditionalGeneration),
        ("vqa", BlipForQuestionAnswering),
    ):
        drawn(kind(config)).save_pretrained(folder / part)
        BertTokenizer(vocab=vocabulary).save_pretrained(folder / part)


def _dinov2(folder: Path) -> None:
    shape = {"image_size": 56, "patch_size": 14, "mlp_ratio": 2} | TOWER
    drawn(Dinov2Model(Dinov2Config(**shape))).save_pretrained(folder)


def _dinov3(folder: Path) -> None:
    shape = {"image_size": 64, "patch_size": 16, "num_register_tokens": 4} | TOWER
    drawn(DINOv3ViTModel(DINOv3ViTConfig(**shape))).save_pretrained(folder)


def _mae(folder: Path) -> None:
    decoder = {"decoder_hidden_size": 32, "decoder_num_hidden_layers": 1}
    decoder |= {"decoder_num_attention_heads": 2, "decoder_intermediate_size": 48}
    config = ViTMAEConfig(image_size=32, patch_size=8, **decoder, **TOWER)
    drawn(ViTMAEForPreTraining(config)).save_pretrained(folder)


def drawn_tensors(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return tensors of the sizes that `drawn` gives."""
    held = {}
    for name, shape in shapes.items():
        scale = 0.3 if len(shape) < 2 else 1.5 * shape[-1] ** -0.5
        held[name] = torch.randn(shape) * scale + (0.3 if len(shape) < 2 else 0.0)
    return held


def block_shapes(prefix: str, width: int, hidden: int, *, attention: bool = True) -> dict[str, Any]:
    """Return names and shapes of a block, as timm names them."""
    shapes: dict[str, tuple[int, ...]] = {}
    if attention:
        shapes |= {f"{prefix}norm1.{end}": (width,) for end in ("weight", "bias")}
        shapes |= {f"{prefix}attn.qkv.weight": (3 * width, width)}
        shapes |= {f"{prefix}attn.qkv.bias": (3 * width,)}
        shapes |= {f"{prefix}attn.proj.weight": (width, width), f"{prefix}attn.proj.bias": (width,)}
    shapes |= {f"{prefix}norm2.{end}": (width,) for end in ("weight", "bias")}
    shapes |= {f"{prefix}mlp.fc1.weight": (hidden, width), f"{prefix}mlp.fc1.bias": (hidden,)}
    shapes |= {f"{prefix}mlp.fc2.weight": (width, hidden), f"{prefix}mlp.fc2.bias": (width,)}
    return shapes


def _training_file(path: Path, weights: dict[str, Tensor]) -> None:
    """Write what MAE's training program and its descendants write."""
    options = argparse.Namespace(lr=1e-3, model="mae", device="cuda")
    optimiser = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-3}]}
    held = {"model": weights, "optimizer": optimiser, "epoch": 200, "args": options}
    torch.save(held, path)


def _sar_jepa(folder: Path) -> None:
    width = 64
    shapes = {"cls_token": (1, 1, width), "pos_embed": (1, 197, width), "mask_token": (1, 1, width)}
    shapes |= {"patch_embed.proj.weight": (width, 1, 16, 16), "patch_embed.proj.bias": (width,)}
    for number in range(2):
        shapes |= block_shapes(f"blocks.{number}.", width, 96)
        shapes |= {f"blocks.{number}.attn.rpe_k.lookup_table_weight": (1, 16, 50)}
    shapes |= {"norm.weight": (width,), "norm.bias": (width,), "decoder_pred.bias": (1024,)}
    weights = drawn_tensors(shapes)
    _training_file(folder / "checkpoint-200.pth", weights)


def _saratr_x(folder: Path) -> None:
    units = 32
    shapes = {"absolute_pos_embed": (1, 16, 4 * units), "mask_token": (1, 1, 8)}
    shapes |= {"patch_embed.proj.weight": (units, 3, 4, 4), "patch_embed.proj.bias": (units,)}
    shapes |= {"patch_embed.norm.weight": (units,), "patch_embed.norm.bias": (units,)}
    number = 0
    for stage, depth in enumerate((2, 2, 2)):
        width = units * 2**stage
        for _ in range(depth):
            attention = stage == 2
            hidden = (4 if attention else 3) * width
            shapes |= block_shapes(f"blocks.{number}.", width, hidden, attention=attention)
            number += 1
        if stage < 2:
            shapes |= {f"blocks.{number}.norm.{end}": (4 * width,) for end in ("weight", "bias")}
            shapes |= {f"blocks.{number}.reduction.weight": (2 * width, 4 * width)}
            number += 1
    weights = {f"module.{name}": value for name, value in drawn_tensors(shapes).items()}
    _training_file(folder / "checkpoint-600.pth", weights)


def _croma(folder: Path) -> None:
    width, hidden = 32, 64
    shapes: dict[str, tuple[int, ...]] = {
        "linear_input.weight": (width, 128),
        "linear_input.bias": (width,),
    }
    for layer in range(2):
        at = f"transformer.layers.{layer}."
        shapes |= {f"{at}{part}.input_norm.weight": (width,) for part in (0, 1)}
        shapes |= {f"{at}{part}.input_norm.bias": (width,) for part in (0, 1)}
        shapes |= {f"{at}0.to_qkv.weight": (3 * width, width), f"{at}0.to_out.weight": (width,) * 2}
        shapes |= {f"{at}0.to_out.bias": (width,)}
        shapes |= {f"{at}1.net.0.weight": (hidden, width), f"{at}1.net.0.bias": (hidden,)}
        shapes |= {f"{at}1.net.3.weight": (width, hidden), f"{at}1.net.3.bias": (width,)}
    shapes |= {"transformer.norm_out.weight": (width,), "transformer.norm_out.bias": (width,)}
    head = {"0.weight": (width,), "0.bias": (width,), "1.weight": (hidden, width)}
    head |= {"1.bias": (hidden,), "3.weight": (width, hidden), "3.bias": (width,)}
    held = {"s1_encoder": drawn_tensors(shapes), "s1_GAP_FFN": drawn_tensors(head)}
    held |= {"s2_encoder": drawn_tensors({"linear_input.bias": (width,)})}
    torch.save(held, folder / "CROMA_base.pt")


def _dofa(folder: Path) -> None:
    width, waves, patch = 64, 16, 16
    maker = "patch_embed.weight_generator."
    layer = f"{maker}transformer_encoder.layers.0."
    shapes = {"cls_token": (1, 1, width), "pos_embed": (1, 17, width), "mask_token": (1, 1, 8)}
    shapes |= {f"{maker}weight_tokens": (6, waves), f"{maker}bias_token": (1, waves)}
    shapes |= {f"{maker}fc_weight.weight": (patch**2 * width, waves)}
    shapes |= {f"{maker}fc_weight.bias": (patch**2 * width,)}
    shapes |= {f"{maker}fc_bias.weight": (width, waves), f"{maker}fc_bias.bias": (width,)}
    shapes |= {f"{layer}self_attn.in_proj_weight": (3 * waves, waves)}
    shapes |= {f"{layer}self_attn.in_proj_bias": (3 * waves,)}
    shapes |= {f"{layer}self_attn.out_proj.weight": (waves, waves)}
    shapes |= {f"{layer}self_attn.out_proj.bias": (waves,)}
    shapes |= {f"{layer}linear1.weight": (24, waves), f"{layer}linear1.bias": (24,)}
    shapes |= {f"{layer}linear2.weight": (waves, 24), f"{layer}linear2.bias": (waves,)}
    for norm in ("norm1", "norm2"):
        shapes |= {f"{layer}{norm}.{end}": (waves,) for end in ("weight", "bias")}
    for part in ("w1", "w2"):
        shapes |= {f"patch_embed.fclayer.{part}.weight": (waves, waves)}
        shapes |= {f"patch_embed.fclayer.{part}.bias": (waves,)}
    for number in range(2):
        shapes |= block_shapes(f"blocks.{number}.", width, 96)
    shapes |= {"norm.weight": (width,), "norm.bias": (width,), "projector.bias": (8,)}
    torch.save(drawn_tensors(shapes), folder / "DOFA_ViT_base_e100.pth")


def _terrafm(folder: Path) -> None:
    width, patch = 64, 16
    wide = 3 * width
    shapes = {"cls_token": (1, 1, width), "pos_embed": (1, 17, width)}
    shapes |= {"patch_embed.conv2d_s1.weight": (wide, 2, patch, patch)}
    shapes |= {"patch_embed.conv2d_s2_l2a.bias": (wide,), "patch_embed.conv2d_s1.bias": (wide,)}
    shapes |= {
        "patch_embed.s1_embed": (1, wide),
        "patch_embed.projection.proj1.weight": (wide, wide),
    }
    for part, rows in (("proj2", wide), ("proj3", width)):
        shapes |= {f"patch_embed.projection.{part}.weight": (rows, wide)}
        shapes |= {f"patch_embed.projection.{part}.bias": (rows,)}
    norm = "patch_embed.projection.norm_input"
    shapes |= {f"{norm}.weight": (wide,), f"{norm}.bias": (wide,)}
    for number in range(2):
        shapes |= block_shapes(f"blocks.{number}.", width, 96)
    shapes |= {"norm.weight": (width,), "norm.bias": (width,)}
    torch.save(drawn_tensors(shapes), folder / "TerraFM-B.pth")


MAKERS: dict[str, Callable[[Path], None]] = {
    "clip": _clip,
    "siglip2": _siglip2,
    "remoteclip": _open_clip("RemoteCLIP-ViT-B-32.pt", "gelu"),
    "georsclip": _open_clip("RS5M_ViT-B-32.pt", "quick_gelu"),
    "sarclip": _open_clip("vit_b_16_model.safetensors", "gelu"),
    "blip": _blip,
    "dinov2": _dinov2,
    "dinov3-sat": _dinov3,
    "mae": _mae,
    "sar-jepa": _sar_jepa,
    "saratr-x": _saratr_x,
    "croma": _croma,
    "dofa": _dofa,
    "terrafm": _terrafm,
}
"""By name of `ADAPTERS`."""
