"""Checkpoints as open_clip, timm and Meta's own code name their weights.

Where the libraries are absent, weights of `transformers`' models are given the names that those
libraries use; with the libraries, their own models write the files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.models.transfer.resample import resized_kernel, resized_positions
from sarknowlip.models.transfer.transfer import from_checkpoint
from small_towers import (
    DEPTH,
    HEADS,
    PATCH,
    PIXELS,
    SHAPES,
    SIDE,
    SIZE,
    WIDTH,
    coloured,
    grey,
    library_or_skip,
    our_tokens,
    saved,
    shaken,
)

TOLERANCE = 1e-4
State = dict[str, Tensor]


def close(path: Path, theirs: Tensor) -> None:
    assert theirs.std() > 0.1
    torch.testing.assert_close(our_tokens(path, grey()), theirs, atol=TOLERANCE, rtol=TOLERANCE)


def joint(state: State, block: str, names: tuple[str, str, str], kind: str) -> Tensor:
    return torch.cat([state[f"{block}{name}.{kind}"] for name in names])


def renamed(state: State, pairs: dict[str, str]) -> State:
    """Return weights by the first part of their names changed, others left out."""
    return {
        new + key.removeprefix(old): value
        for old, new in pairs.items()
        for key, value in state.items()
        if key.startswith(old)
    }


def open_clip_names(state: State) -> State:
    """Return a CLIP of `transformers` as open_clip names it."""
    out = {
        "visual.class_embedding": state["embeddings.class_embedding"],
        "visual.positional_embedding": state["embeddings.position_embedding.weight"],
        "visual.conv1.weight": state["embeddings.patch_embedding.weight"],
        "visual.proj": torch.zeros(WIDTH, 7),
        "token_embedding.weight": torch.zeros(9, 5),
        "transformer.resblocks.0.attn.in_proj_weight": torch.zeros(15, 5),
        "logit_scale": torch.tensor(1.0),
    }
    out |= renamed(state, {"pre_layrnorm": "visual.ln_pre", "post_layernorm": "visual.ln_post"})
    for number in range(DEPTH):
        old, new = f"encoder.layers.{number}.", f"visual.transformer.resblocks.{number}."
        for kind in ("weight", "bias"):
            names = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
            out[f"{new}attn.in_proj_{kind}"] = joint(state, old, names, kind)
        out |= renamed(
            state,
            {
                f"{old}layer_norm1": f"{new}ln_1",
                f"{old}layer_norm2": f"{new}ln_2",
                f"{old}self_attn.out_proj": f"{new}attn.out_proj",
                f"{old}mlp.fc1": f"{new}mlp.c_fc",
                f"{old}mlp.fc2": f"{new}mlp.c_proj",
            },
        )
    return out


def timm_names(state: State) -> State:
    """Return a ViT or DINOv2 of `transformers` as timm and Meta's code name it."""
    out = renamed(
        state,
        {
            "embeddings.cls_token": "cls_token",
            "embeddings.register_tokens": "register_tokens",
            "embeddings.position_embeddings": "pos_embed",
            "embeddings.mask_token": "mask_token",
            "embeddings.patch_embeddings.projection": "patch_embed.proj",
            "layernorm.": "norm.",
        },
    )
    for number in range(DEPTH):
        old, new = f"encoder.layer.{number}.", f"blocks.{number}."
        names = (
            "attention.attention.query",
            "attention.attention.key",
            "attention.attention.value",
        )
        for kind in ("weight", "bias"):
            out[f"{new}attn.qkv.{kind}"] = joint(state, old, names, kind)
        out |= renamed(
            state,
            {
                f"{old}norm1": f"{new}norm1",
                f"{old}norm2": f"{new}norm2",
                f"{old}layernorm_before": f"{new}norm1",
                f"{old}layernorm_after": f"{new}norm2",
                f"{old}attention.output.dense": f"{new}attn.proj",
                f"{old}layer_scale1.lambda1": f"{new}ls1.gamma",
                f"{old}layer_scale2.lambda1": f"{new}ls2.gamma",
                f"{old}mlp": f"{new}mlp",
                f"{old}intermediate.dense": f"{new}mlp.fc1",
                f"{old}output.dense": f"{new}mlp.fc2",
            },
        )
    return out


def dinov3_names(state: State) -> State:
    """Return a DINOv3 of `transformers` as Meta's code names it: keys have a masked bias."""
    out = renamed(
        state,
        {
            "embeddings.cls_token": "cls_token",
            "embeddings.register_tokens": "storage_tokens",
            "embeddings.patch_embeddings": "patch_embed.proj",
            "norm.": "norm.",
        },
    )
    out["mask_token"] = state["embeddings.mask_token"].reshape(1, -1)
    share = torch.arange(0, 1, 4 * HEADS / WIDTH)
    out["rope_embed.periods"] = (100.0**share).to(torch.bfloat16)
    for number in range(DEPTH):
        old, new = f"layer.{number}.", f"blocks.{number}."
        q, v = (state[f"{old}attention.{name}_proj.bias"] for name in ("q", "v"))
        names = ("attention.q_proj", "attention.k_proj", "attention.v_proj")
        out[f"{new}attn.qkv.weight"] = joint(state, old, names, "weight")
        out[f"{new}attn.qkv.bias"] = torch.cat([q, torch.full_like(q, 7.0), v])
        ones = torch.ones(WIDTH)
        out[f"{new}attn.qkv.bias_mask"] = torch.cat([ones, 0 * ones, ones])
        out |= renamed(
            state,
            {
                f"{old}norm1": f"{new}norm1",
                f"{old}norm2": f"{new}norm2",
                f"{old}attention.o_proj": f"{new}attn.proj",
                f"{old}layer_scale1.lambda1": f"{new}ls1.gamma",
                f"{old}layer_scale2.lambda1": f"{new}ls2.gamma",
                f"{old}mlp.up_proj": f"{new}mlp.fc1",
                f"{old}mlp.down_proj": f"{new}mlp.fc2",
            },
        )
    return out


def last(model: Any, before: int) -> Tensor:
    with torch.no_grad():
        return model(pixel_values=coloured(grey())).last_hidden_state[:, before:]


def weights(model: Any, folder: Path) -> State:
    """Return weights as `transformers` names them in files, which is not as in memory."""
    return load_file(saved(model, folder / "of_transformers") / "model.safetensors")


@pytest.fixture
def clip(tmp_path: Path) -> tuple[State, Tensor]:
    model = shaken(transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**SHAPES)))
    with torch.no_grad():
        return open_clip_names(weights(model, tmp_path)), model.post_layernorm(last(model, 1))


@pytest.fixture
def dinov2(tmp_path: Path) -> tuple[State, Tensor]:
    config = transformers.Dinov2WithRegistersConfig(**SHAPES)
    model = shaken(transformers.Dinov2WithRegistersModel(config))
    return timm_names(weights(model, tmp_path)), last(model, 5)


@pytest.fixture
def vit(tmp_path: Path) -> tuple[State, Tensor]:
    config = transformers.ViTConfig(**SHAPES, layer_norm_eps=1e-6)
    model = shaken(transformers.ViTModel(config))
    return timm_names(weights(model, tmp_path)), last(model, 1)


@pytest.fixture
def dinov3(tmp_path: Path) -> tuple[State, Tensor]:
    config = transformers.DINOv3ViTConfig(**SHAPES, num_register_tokens=4)
    model = shaken(transformers.DINOv3ViTModel(config))
    return dinov3_names(weights(model, tmp_path)), last(model, 5)


def test_open_clip_folder(clip: tuple[State, Tensor], tmp_path: Path) -> None:
    state, theirs = clip
    save_file(state, tmp_path / "open_clip_model.safetensors")
    vision = {"image_size": PIXELS, "layers": DEPTH, "width": WIDTH, "patch_size": PATCH}
    vision["head_width"] = WIDTH // HEADS
    config = {"model_cfg": {"embed_dim": 7, "quick_gelu": True, "vision_cfg": vision}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    close(tmp_path, theirs)
    report = from_checkpoint(tmp_path, SIZE).report
    assert report.layout == "open_clip"
    assert report.assumed == {}
    assert report.unused == {"logit_scale": 1, "proj": 1, "token_embedding": 1, "transformer": 1}
    vision["head_width"] = WIDTH
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(SarKnowlipError, match="image_heads=1, the model has 2"):
        from_checkpoint(tmp_path, SIZE)


def test_open_clip_training_checkpoint(clip: tuple[State, Tensor], tmp_path: Path) -> None:
    state, theirs = clip
    path = tmp_path / "epoch_3.pt"
    own = {f"module.{key}": value for key, value in state.items()}
    torch.save({"epoch": 3, "name": "run", "state_dict": own, "optimizer": {"state": {}}}, path)
    style = SIZE.image_style.model_copy(update={"activation": "quick_gelu"})
    told = our_tokens(path, grey(), SIZE.model_copy(update={"image_style": style}))
    torch.testing.assert_close(told, theirs, atol=TOLERANCE, rtol=TOLERANCE)
    report = from_checkpoint(path, SIZE).report
    assert report.assumed["activation"] == "gelu, as configured"
    assert report.layout == "open_clip under state_dict"


def test_dinov2_by_its_own_names(dinov2: tuple[State, Tensor], tmp_path: Path) -> None:
    state, theirs = dinov2
    torch.save(state, tmp_path / "dinov2_vits14_reg4_pretrain.pth")
    close(tmp_path / "dinov2_vits14_reg4_pretrain.pth", theirs)
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    close(tmp_path / "old.pth", theirs)


def test_dinov2_training_checkpoint(dinov2: tuple[State, Tensor], tmp_path: Path) -> None:
    """Its training groups blocks, and averages weights as the teacher."""
    state, theirs = dinov2
    grouped = {}
    for key, value in state.items():
        name = key.replace("blocks.", "blocks.0.", 1) if key.startswith("blocks.") else key
        grouped[f"backbone.{name}"] = value
    grouped["dino_head.mlp.0.weight"] = torch.zeros(2, 2)
    torch.save({"teacher": grouped}, tmp_path / "teacher_checkpoint.pth")
    close(tmp_path / "teacher_checkpoint.pth", theirs)


@pytest.mark.parametrize("key", ["model", "state_dict", "state_dict_ema"])
def test_vit_inside_a_checkpoint(key: str, vit: tuple[State, Tensor], tmp_path: Path) -> None:
    """As MAE's files and timm's training checkpoints."""
    state, theirs = vit
    state["decoder_pos_embed"] = torch.zeros(1, 3, 5)
    path = tmp_path / "mae_pretrain_vit.pth"
    torch.save({key: state, "epoch": 1} | ({"state_dict": {}} if "ema" in key else {}), path)
    close(path, theirs)
    assert from_checkpoint(path, SIZE).report.unused == {"decoder_pos_embed": 1}


def test_timm_folder(vit: tuple[State, Tensor], tmp_path: Path) -> None:
    state, theirs = vit
    state |= {"head.weight": torch.zeros(3, WIDTH), "head.bias": torch.zeros(3)}
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "vit_small_patch16_224"}))
    close(tmp_path, theirs)
    assert from_checkpoint(tmp_path, SIZE).report.assumed == {"heads": "2, as configured"}


def test_a_vit_without_a_last_norm(vit: tuple[State, Tensor], tmp_path: Path) -> None:
    state = {
        key.replace("norm.", "fc_norm.") if key.startswith("norm.") else key: value
        for key, value in vit[0].items()
    }
    torch.save(state, tmp_path / "vit.pth")
    report = from_checkpoint(tmp_path / "vit.pth", SIZE).report
    assert report.unused == {"fc_norm": 2}
    assert report.neutral[0] == "norm, which the file lacks"


def test_dinov3_by_its_own_names(dinov3: tuple[State, Tensor], tmp_path: Path) -> None:
    state, theirs = dinov3
    path = tmp_path / "dinov3_vits16_pretrain.pth"
    torch.save(state, path)
    close(path, theirs)
    report = from_checkpoint(path, SIZE).report
    assert report.adapted["bias of keys"] == "zero, as the source has none"
    assert report.adapted["positions"].startswith("rotary, base 100")
    torch.save(state | {"rope_embed.periods": state["rope_embed.periods"] * 2}, path)
    with pytest.raises(SarKnowlipError, match="rotary periods that are not powers of 100"):
        from_checkpoint(path, SIZE)


TIMM: dict[str, tuple[dict[str, Any], int]] = {
    "vit": ({}, 1),
    "registers": ({"reg_tokens": 3, "init_values": 0.1}, 4),
    "no-embed-class": ({"reg_tokens": 3, "no_embed_class": True, "init_values": 0.1}, 4),
    "no-class": ({"class_token": False, "global_pool": "avg"}, 0),
}


@pytest.mark.parametrize("name", TIMM)
def test_vit_of_the_real_timm(name: str, tmp_path: Path) -> None:
    changes, before = TIMM[name]
    timm = library_or_skip("timm")
    values = {"img_size": PIXELS, "patch_size": PATCH, "embed_dim": WIDTH, "depth": DEPTH}
    values |= {"num_heads": HEADS, "num_classes": 3}
    model = shaken(timm.models.vision_transformer.VisionTransformer(**values | changes))
    torch.save(model.state_dict(), tmp_path / "vit.pth")
    with torch.no_grad():
        theirs = model.forward_features(coloured(grey()))[:, before:]
    if name == "no-class":  # it norms the mean instead
        with torch.no_grad():
            theirs = torch.nn.functional.layer_norm(theirs, (WIDTH,), eps=1e-6)
    close(tmp_path / "vit.pth", theirs)


@pytest.mark.parametrize(
    ("architecture", "before"),
    [
        ("vit_base_patch16_clip_224", 1),
        ("vit_base_patch16_clip_quickgelu_224", 1),
        ("vit_base_patch16_siglip_224", 0),
        ("vit_base_patch32_siglip_256", 0),
        ("vit_so400m_patch16_siglip_256", 0),
        ("vit_small_patch14_dinov2", 1),
        ("vit_small_patch14_reg4_dinov2", 5),
        ("vit_small_patch16_dinov3", 5),
        ("vit_small_patch16_dinov3_qkvb", 5),
        ("deit_small_distilled_patch16_224", 2),
    ],
)
def test_architectures_of_the_real_timm(architecture: str, before: int, tmp_path: Path) -> None:
    timm = library_or_skip("timm")
    shapes = {"img_size": PIXELS, "patch_size": PATCH, "embed_dim": WIDTH, "depth": DEPTH}
    model = timm.create_model(architecture, **shapes, num_heads=HEADS, mlp_ratio=4.0)
    shaken(model)
    save_file({k: v.clone() for k, v in model.state_dict().items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": architecture}))
    with torch.no_grad():
        theirs = model.forward_features(coloured(grey()))[:, before:]
    close(tmp_path, theirs)


@pytest.mark.parametrize(
    "architecture",
    [
        "beit_base_patch16_224",
        "beitv2_base_patch16_224",
        "eva02_tiny_patch14_224",
        "vit_base_patch16_xp_224",
        "vit_base_patch16_rope_224",
        "vit_base_patch16_rope_ape_224",
        "vit_base_patch16_rope_mixed_224",
        "vit_base_patch16_rope_reg1_gap_256",
        "vit_pe_core_tiny_patch16_384",
        "vit_small_plus_patch16_dinov3",
        "vit_giant_patch14_reg4_dinov2",
        "vit_pe_spatial_tiny_patch16_512",
        "vit_base_patch16_rpn_224",
        "vit_tiny_r_s16_p8_224",
        "vit_pe_lang_large_patch14_448",
        "eva_giant_patch14_clip_224",
        "eva02_large_patch14_clip_336",
        "vit_so400m_patch14_siglip_224",
    ],
)
def test_other_encoders_of_the_real_timm_are_refused(architecture: str, tmp_path: Path) -> None:
    timm = library_or_skip("timm")
    model = timm.create_model(architecture, depth=1, img_size=224)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": architecture}))
    shapes = {"image_depth": 1, "image_width": model.embed_dim, "image_heads": 1}
    size = SIZE.model_copy(update=shapes)
    with pytest.raises(SarKnowlipError) as told:
        from_checkpoint(tmp_path, size)
    assert "\n" not in str(told.value)
    assert "image_" not in str(told.value)


TEXT = {"layers": 1, "width": 8, "heads": 2, "vocab_size": 20, "context_length": 4}


def write_open_clip(model: Any, config: dict[str, Any], folder: Path) -> None:
    state = {key: value.clone() for key, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))


@pytest.mark.parametrize("name", ["ViT-B-16", "ViT-B-16-quickgelu"])
def test_clip_of_the_real_open_clip(name: str, tmp_path: Path) -> None:
    open_clip = library_or_skip("open_clip")
    config = open_clip.get_model_config(name)
    config["text_cfg"] |= TEXT
    config["vision_cfg"] |= {"image_size": PIXELS, "patch_size": PATCH}
    config["vision_cfg"] |= {"layers": DEPTH, "width": WIDTH, "head_width": WIDTH // HEADS}
    model = shaken(open_clip.CLIP(**config))
    write_open_clip(model, config, tmp_path)
    model.visual.output_tokens = True
    with torch.no_grad():
        theirs = model.visual(coloured(grey()))[1]
    close(tmp_path, theirs)


def test_siglip_of_the_real_open_clip(tmp_path: Path) -> None:
    """Its image encoder is timm's; of full size, but with fewer blocks."""
    open_clip = library_or_skip("open_clip")
    config = open_clip.get_model_config("ViT-B-16-SigLIP")
    config.pop("custom_text")
    text = {k: v for k, v in config["text_cfg"].items() if "tokenizer" not in k} | TEXT
    config["text_cfg"] = text
    model = open_clip.CustomTextCLIP(**config)
    model.visual.trunk.blocks = model.visual.trunk.blocks[:DEPTH]
    write_open_clip(shaken(model, 768**-0.5), config, tmp_path)
    pixels = grey(px=224)
    with torch.no_grad():
        theirs = model.visual.trunk.forward_features(coloured(pixels))
    shapes = {"image_px": 224, "patch_px": 16, "image_width": 768, "image_heads": 12}
    size = SIZE.model_copy(update=shapes | {"pixel_width": 48})
    ours = our_tokens(tmp_path, pixels, size)
    torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=TOLERANCE)


def test_resampling_is_that_of_the_real_timm() -> None:
    layers = library_or_skip("timm").layers
    grid = torch.randn(SIDE**2, WIDTH, generator=torch.Generator().manual_seed(0))
    theirs = layers.resample_abs_pos_embed(grid[None], [7, 7], num_prefix_tokens=0)
    torch.testing.assert_close(resized_positions(grid, 7), theirs[0], atol=1e-5, rtol=1e-5)
    kernel = torch.randn(3, 1, 14, 14, generator=torch.Generator().manual_seed(0))
    theirs = layers.resample_patch_embed(kernel, [16, 16])
    ours = resized_kernel(kernel[:, 0], 16)
    torch.testing.assert_close(ours, theirs[:, 0], atol=1e-4, rtol=1e-4)


FAMILIES = ("aimv2", "beit", "deit", "eva", "flexivit", "test_vit", "vit")


@pytest.mark.slow
def test_every_encoder_of_the_real_timm_that_is_taken(tmp_path: Path) -> None:
    """What is not refused gives timm's tokens, or, without a last norm, those after a plain one."""
    timm = library_or_skip("timm")
    changes = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS, "mlp_ratio": 4.0}
    changes |= {"img_size": PIXELS, "patch_size": PATCH}
    taken = 0
    for name in timm.list_models():
        if not name.startswith(FAMILIES):
            continue
        try:
            model = shaken(timm.create_model(name, **changes))
        except (TypeError, ValueError, AssertionError, AttributeError, RuntimeError):
            continue  # cannot be made small
        torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
        (tmp_path / "config.json").write_text(json.dumps({"architecture": name}))
        try:
            ours = our_tokens(tmp_path, grey())
        except SarKnowlipError:
            continue
        with torch.no_grad():
            theirs = model.forward_features(coloured(grey()))[:, -(SIDE**2) :]
        if "norm.weight" not in model.state_dict():
            theirs = torch.nn.functional.layer_norm(theirs, (WIDTH,), eps=1e-6)
        difference = (ours - theirs).abs().max()
        assert difference < TOLERANCE, f"{name}: {difference}"
        taken += 1
    assert taken > 100
