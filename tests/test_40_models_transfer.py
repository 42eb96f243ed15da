"""Image encoders of `transformers` at small sizes: ours gives their tokens on a grey image."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from sarknowlip.core.errors import SarKnowlipError
from sarknowlip.models.config import ImageStyle, ModelSize
from sarknowlip.models.geo import geo_features
from sarknowlip.models.model import SarKnowLIP, without_bars
from sarknowlip.models.transfer.files import known_checkpoints
from sarknowlip.models.transfer.layouts import layouts
from sarknowlip.models.transfer.resample import resized_kernel, resized_positions
from sarknowlip.models.transfer.transfer import from_checkpoint
from small_towers import (
    DEPTH,
    PATCH,
    PIXELS,
    SHAPES,
    SIDE,
    SIZE,
    WIDTH,
    coloured,
    grey,
    our_tokens,
    saved,
    shaken,
    started,
    tokens_of,
)

TOLERANCE = 1e-4
Tokens = Callable[[Any, Tensor], Tensor]


def build(kind: str, **changes: Any) -> Any:
    """Return a model of `transformers` with weights of its own."""
    config = getattr(transformers, f"{kind}Config")(**SHAPES | changes)
    name = kind if hasattr(transformers, kind) else f"{kind}Model"
    return shaken(getattr(transformers, name)(config))


def after(count: int) -> Tokens:
    return lambda model, rgb: model(pixel_values=rgb).last_hidden_state[:, count:]


def clip_tokens(model: Any, rgb: Tensor) -> Tensor:
    """CLIP norms only its class token; ours are the patches after the same norm."""
    return model.post_layernorm(after(1)(model, rgb))


def mae_tokens(model: Any, rgb: Tensor) -> Tensor:
    """ViTMAE shuffles patches, even if it masks none."""
    out = model(pixel_values=rgb)
    order = out.ids_restore.unsqueeze(-1).expand(-1, -1, WIDTH)
    return out.last_hidden_state[:, 1:].gather(1, order)


def naflex_tokens(model: Any, rgb: Tensor) -> Tensor:
    """SigLIP 2 of any aspect ratio takes patches: rows, columns, colours of a patch."""
    patches = rgb.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH).permute(0, 2, 3, 4, 5, 1)
    return model(
        pixel_values=patches.reshape(len(rgb), SIDE**2, -1),
        pixel_attention_mask=torch.ones(len(rgb), SIDE**2, dtype=torch.int64),
        spatial_shapes=torch.full((len(rgb), 2), SIDE),
    ).last_hidden_state


SOURCES: dict[str, tuple[Callable[[], Any], Tokens]] = {
    "clip": (lambda: build("CLIPVision"), clip_tokens),
    "clip-gelu": (lambda: build("CLIPVision", hidden_act="gelu"), clip_tokens),
    "siglip": (lambda: build("SiglipVision"), after(0)),
    "siglip2-naflex": (lambda: build("Siglip2Vision", num_patches=SIDE**2), naflex_tokens),
    "vit": (lambda: build("ViT"), after(1)),
    "vit-eps": (lambda: build("ViT", layer_norm_eps=0.05), after(1)),
    "vit-no-bias": (lambda: build("ViT", qkv_bias=False), after(1)),
    "mae": (lambda: build("ViTMAE", mask_ratio=0.0), mae_tokens),
    "dinov2": (lambda: build("Dinov2"), after(1)),
    "dinov2-registers": (lambda: build("Dinov2WithRegisters"), after(5)),
    "dinov3": (lambda: build("DINOv3ViT", num_register_tokens=4), after(5)),
    "dinov3-theta": (lambda: build("DINOv3ViT", num_register_tokens=2, rope_theta=30.0), after(3)),
}


@pytest.fixture(scope="module", params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path_factory) -> tuple[Any, Tokens, Path]:
    make, tokens = SOURCES[request.param]
    model = make()
    return model, tokens, saved(model, tmp_path_factory.mktemp(request.param))


@torch.no_grad()
def test_tokens_on_a_grey_image(source: tuple[Any, Tokens, Path]) -> None:
    model, tokens, folder = source
    theirs = tokens(model, coloured(grey()))
    assert theirs.std() > 0.1
    assert (theirs - tokens(model, coloured(grey(2)))).abs().max() > 0.1
    torch.testing.assert_close(our_tokens(folder, grey()), theirs, atol=TOLERANCE, rtol=TOLERANCE)


def test_a_saved_model_keeps_style_and_weights(
    source: tuple[Any, Tokens, Path], tmp_path: Path
) -> None:
    model = started(source[2])
    with without_bars():
        model.save_pretrained(tmp_path)
        again = SarKnowLIP.from_pretrained(tmp_path).eval()
    assert torch.equal(tokens_of(again, grey()), tokens_of(model, grey()))


def test_patches_in_any_order(source: tuple[Any, Tokens, Path]) -> None:
    model = started(source[2])
    order = torch.stack([torch.randperm(SIDE**2), torch.randperm(SIDE**2)])
    whole = tokens_of(model, grey())
    expected = whole.gather(1, order.unsqueeze(-1).expand(-1, -1, WIDTH))
    torch.testing.assert_close(tokens_of(model, grey(), order), expected, atol=1e-5, rtol=1e-5)


def test_one_graph(source: tuple[Any, Tokens, Path]) -> None:
    torch._dynamo.reset()
    model = started(source[2])
    keep = torch.stack([torch.randperm(SIDE**2)[:6], torch.randperm(SIDE**2)[:6]])
    ids, gsd = torch.ones(2, 1, dtype=torch.int64), torch.tensor([10.0, 3.0])
    whole = torch.compile(model.image, fullgraph=True, backend="eager")
    with torch.no_grad():
        expected = model.image(grey(), ids, gsd, None, keep)
        assert torch.equal(whole(grey(), ids, gsd, None, keep), expected)


def test_gradients_reach_all_that_starts_without_effect(source: tuple[Any, Tokens, Path]) -> None:
    model = started(source[2]).train()
    ids = torch.tensor([[1, 2], [3, 4]])
    tokens = model.image_tokens(grey().expand(-1, 2, -1, -1), ids, torch.tensor([10.0, 3.0]))
    (tokens * torch.randn(tokens.shape)).sum().backward()
    own = dict(model.image.named_parameters())
    still = {n for n, p in own.items() if p.grad is None or not p.grad.any()}
    # behind a zero map; they move once it does
    assert still <= {"gsd.0.weight", "gsd.0.bias"} | {n for n in own if n.startswith("geo.")}


@torch.no_grad()
def test_two_channels_act_as_their_mean(tmp_path: Path) -> None:
    folder = saved(build("ViT"), tmp_path)
    both = torch.cat([grey(1), grey(2)], dim=1)
    one = our_tokens(folder, both.mean(dim=1, keepdim=True))
    torch.testing.assert_close(our_tokens(folder, both), one, atol=TOLERANCE, rtol=TOLERANCE)


@torch.no_grad()
def test_geography_starts_without_effect_and_can_get_one(tmp_path: Path) -> None:
    model = started(saved(build("ViT"), tmp_path))
    ids, gsd = torch.ones(2, 1, dtype=torch.int64), torch.tensor([10.0, 3.0])
    geo = torch.from_numpy(np.stack([geo_features(lonlat=(12.0, 41.0), side="left")] * 2))
    without = model.image_tokens(grey(), ids, gsd)
    assert torch.equal(model.image_tokens(grey(), ids, gsd, geo), without)
    torch.nn.init.normal_(model.image.geo_added.weight)
    assert not torch.allclose(model.image_tokens(grey(), ids, gsd, geo), without, atol=1e-3)


@pytest.mark.parametrize("kind", ["CLIP", "Siglip"])
@torch.no_grad()
def test_the_image_encoder_of_a_whole_model(kind: str, tmp_path: Path) -> None:
    text = {k: v for k, v in SHAPES.items() if k not in {"patch_size", "image_size"}}
    text |= {"vocab_size": 20, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = getattr(transformers, f"{kind}Config")(vision_config=SHAPES, text_config=text)
    model = shaken(getattr(transformers, f"{kind}Model")(config))
    folder = saved(model, tmp_path)
    tokens = {"CLIP": clip_tokens, "Siglip": after(0)}[kind]
    theirs = tokens(model.vision_model, coloured(grey()))
    torch.testing.assert_close(our_tokens(folder, grey()), theirs, atol=TOLERANCE, rtol=TOLERANCE)
    assert from_checkpoint(folder, SIZE).report.unused["text_model"] > DEPTH


@torch.no_grad()
def test_a_configuration_that_tells_only_what_is_unusual(tmp_path: Path) -> None:
    """As that of SigLIP on the hub: what it leaves out is the default of `transformers`."""
    folder = saved(build("SiglipVision"), tmp_path)
    values = json.loads((folder / "config.json").read_text())
    for key in ("hidden_act", "layer_norm_eps"):
        del values[key]
    (folder / "config.json").write_text(json.dumps(values))
    style = from_checkpoint(folder, SIZE).size.image_style
    assert (style.activation, style.norm_eps) == ("gelu_pytorch_tanh", 1e-6)


@torch.no_grad()
def test_weights_in_several_files(tmp_path: Path) -> None:
    model = build("ViT")
    with without_bars():
        model.save_pretrained(tmp_path, max_shard_size="40KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    theirs = after(1)(model, coloured(grey()))
    torch.testing.assert_close(our_tokens(tmp_path, grey()), theirs, atol=TOLERANCE, rtol=TOLERANCE)
    (tmp_path / "model-00001-of-00002.safetensors").unlink(missing_ok=True)
    next(tmp_path.glob("model-*.safetensors")).unlink()
    with pytest.raises(SarKnowlipError, match="it is absent"):
        from_checkpoint(tmp_path, SIZE)


@torch.no_grad()
def test_half_precision_weights(tmp_path: Path) -> None:
    model = build("Dinov2").to(torch.bfloat16)
    folder = saved(model, tmp_path)
    theirs = after(1)(model.float(), coloured(grey()))
    torch.testing.assert_close(our_tokens(folder, grey()), theirs, atol=TOLERANCE, rtol=TOLERANCE)


def test_report(tmp_path: Path) -> None:
    folder = saved(build("Dinov2WithRegisters"), tmp_path / "dino")
    size = SIZE.model_copy(update={"image_px": 2 * PIXELS})
    transfer = from_checkpoint(folder, size)
    report = transfer.report
    assert report.layout == "DINOv2 of transformers"
    assert report.file == "dino/model.safetensors"
    assert report.taken == ["norm", f"{DEPTH} blocks"]
    assert report.adapted == {
        "patches": "3 colours summed to one channel",
        "positions": "4 × 4 to 8 × 8, bicubic",
        "class": "an extra token with its position",
        "registers": "4 extra tokens",
        "LayerScale": "folded into the maps before it",
    }
    assert report.unused == {"embeddings": 1}  # the mask token
    assert report.assumed == {}
    whole = load_file(folder / "model.safetensors")
    assert report.numbers == sum(v.numel() for v in whole.values())
    assert report.numbers - report.numbers_taken == whole["embeddings.mask_token"].numel()
    assert "\n" not in report.line()
    for told in ("DINOv2", "summed", "geography", "embeddings (1)"):
        assert told in report.line()
    assert transfer.size.image_style == ImageStyle(
        activation="gelu",
        norm_eps=1e-6,
        positions="learned",
        patch_path="residual",
        extra_tokens=5,
        geo="added",
    )


def test_what_a_bare_file_does_not_tell(tmp_path: Path) -> None:
    folder = saved(build("CLIPVision"), tmp_path / "clip")
    bare = tmp_path / "bare.safetensors"
    bare.write_bytes((folder / "model.safetensors").read_bytes())
    style = ImageStyle(activation="quick_gelu")
    told = from_checkpoint(bare, SIZE.model_copy(update={"image_style": style}))
    assert told.size.image_style.activation == "quick_gelu"
    assert told.report.assumed == {
        "heads": "2, as configured",
        "activation": "quick_gelu, as configured",
        "norm_eps": "1e-05, usual there",
    }
    assert from_checkpoint(bare, SIZE).report.assumed["activation"] == "gelu, as configured"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_width": 64}, "has image_width=32, the model has 64"),
        ({"image_depth": 2}, "has image_depth=3, the model has 2"),
        ({"image_heads": 4}, "has image_heads=2, the model has 4"),
    ],
)
def test_other_shapes_are_refused(changes: dict[str, int], message: str, tmp_path: Path) -> None:
    folder = saved(build("ViT"), tmp_path)
    with pytest.raises(SarKnowlipError, match=message) as told:
        from_checkpoint(folder, SIZE.model_copy(update=changes))
    assert "\n" not in str(told.value)


def refusals(folder: Path) -> dict[str, tuple[Path, str]]:
    """Return what cannot be taken, and what is said of it."""
    folder.mkdir(exist_ok=True)

    def file(name: str, value: object) -> Path:
        torch.save(value, folder / name)
        return folder / name

    cut = saved(build("ViT"), folder / "cut") / "model.safetensors"
    cut.write_bytes(cut.read_bytes()[:2000])
    script = folder / "script.pt"
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), script)
    harm = folder / "harm.pth"
    harm.write_bytes(pickle.dumps({"model": print}, protocol=2))
    broken = file("broken.pth", {"a": torch.zeros(999)})
    broken.write_bytes(broken.read_bytes()[:300])
    wide = saved(build("ViT", intermediate_size=2 * WIDTH), folder / "wide")
    gated = saved(build("Dinov2", use_swiglu_ffn=True), folder / "gated")
    relu = saved(build("ViT", hidden_act="relu"), folder / "relu")
    bare = saved(build("ViT"), folder / "bare") / "model.safetensors"
    weights = load_file(bare)
    twice = {f"{name}.{key}": v.clone() for name in ("one", "two") for key, v in weights.items()}
    save_file(twice, folder / "twice.safetensors")
    holed = {k: v for k, v in weights.items() if ".layer.1." not in k}
    save_file(holed, folder / "holed.safetensors")
    oblong = weights | {"embeddings.position_embeddings": torch.zeros(1, 13, WIDTH)}
    save_file(oblong, folder / "oblong.safetensors")
    normed = weights | {"encoder.layer.0.attention.q_norm.weight": torch.ones(WIDTH)}
    save_file(normed, folder / "normed.safetensors")
    (folder / "empty").mkdir()
    return {
        "absent": (folder / "no.pth", "it is absent"),
        "hub id": (Path("facebook/dinov2-base"), "Apache-2.0"),
        "empty folder": (folder / "empty", "holds none of model.safetensors"),
        "cut": (cut, "cannot read"),
        "broken": (broken, "cannot read|damaged"),
        "torchscript": (script, "TorchScript"),
        "harm": (harm, "is not run"),
        "number": (file("number.pth", 3), "holds a int"),
        "no tensors": (file("none.pth", {"epoch": 3}), "holds no weights"),
        "other": (file("other.pth", {"fc.weight": torch.zeros(2)}), "no image encoder of a known"),
        "wide": (wide, "has an MLP 64 wide, the model one of 128"),
        "gated": (gated, "has no MLP of two maps"),
        "relu": (relu, "uses the activation relu"),
        "twice": (folder / "twice.safetensors", "holds 2 image encoders: one"),
        "holed": (folder / "holed.safetensors", "lacks blocks"),
        "oblong": (folder / "oblong.safetensors", "has 13 positions"),
        "normed": (folder / "normed.safetensors", "q_norm.weight, for which our encoder"),
    }


def test_what_cannot_be_taken_is_refused_in_one_line(tmp_path: Path) -> None:
    for name, (path, message) in refusals(tmp_path / "r").items():
        with pytest.raises(SarKnowlipError, match=message) as told:
            from_checkpoint(path, SIZE)
        assert "\n" not in str(told.value), name
        assert path.name in str(told.value), name


def test_kernels_of_another_edge_agree_on_enlarged_patches() -> None:
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(5, 7, 7, generator=generator)
    patch = torch.randn(1, 1, 7, 7, generator=generator)
    large = torch.nn.functional.interpolate(
        patch.double(), size=(8, 8), mode="bicubic", antialias=True, align_corners=False
    )
    before = (kernel.double() * patch[0]).sum(dim=(1, 2))
    told = (resized_kernel(kernel, 8).double() * large[0]).sum(dim=(1, 2))
    torch.testing.assert_close(told, before, atol=1e-5, rtol=1e-5)
    assert resized_kernel(kernel, 7) is kernel


def test_positions_of_another_grid() -> None:
    row = torch.arange(6.0).reshape(6, 1).expand(6, 6)
    grid = torch.stack([row, row.T, torch.ones(6, 6)], dim=-1).reshape(36, 3)
    new = resized_positions(grid, 12).reshape(12, 12, 3)
    torch.testing.assert_close(new[..., 2], torch.ones(12, 12))
    inside = torch.arange(12.0)[3:9] / 2 - 0.25
    torch.testing.assert_close(new[3:9, 5, 0], inside, atol=0.05, rtol=0.0)
    torch.testing.assert_close(new[..., 0], new[..., 1].T)
    assert resized_positions(grid, 6) is grid


def test_patches_of_another_edge(tmp_path: Path) -> None:
    folder = saved(build("Dinov2", patch_size=7, image_size=28), tmp_path)
    report = from_checkpoint(folder, SIZE).report
    assert report.adapted["patches"].endswith("7 px resampled to 8")
    smooth = torch.nn.functional.interpolate(grey(px=4), size=(28, 28), mode="bicubic")
    large = torch.nn.functional.interpolate(smooth, size=(32, 32), mode="bicubic")
    small = SIZE.model_copy(update={"patch_px": 7, "image_px": 28})
    ours, theirs = our_tokens(folder, large), our_tokens(folder, smooth, small)
    cosine = torch.nn.functional.cosine_similarity(ours, theirs, dim=-1)
    assert cosine.min() > 0.9


def test_known_checkpoints() -> None:
    rows = known_checkpoints()
    ids = [row["id"] for row in rows]
    assert len(set(ids)) == len(ids)
    for row in rows:
        assert set(row) == {
            "id", "source", "licence", "layout", "width", "depth", "heads", "patch_px",
            "image_px", "checksum",
        }  # fmt: skip
        assert row["layout"] in layouts()
        assert row["source"].startswith("https://")
        assert row["licence"]
        assert row["width"] == 64 * row["heads"]
        assert row["checksum"] is None or row["checksum"].split(":")[0] in {"sha256", "md5"}
        ModelSize.model_validate(
            SIZE.model_dump()
            | {"image_width": row["width"], "image_heads": row["heads"]}
            | {
                "pixel_width": row["width"],
                "image_px": row["image_px"],
                "patch_px": row["patch_px"],
            }
        )
