"""Rung 7: foreign networks beside reference implementations, or beside their definitions."""

from __future__ import annotations

import importlib.util
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import (
    AutoTokenizer,
    BlipForConditionalGeneration,
    BlipForImageTextRetrieval,
    BlipForQuestionAnswering,
    CLIPModel,
    Dinov2Model,
    DINOv3ViTModel,
    SiglipModel,
    ViTMAEModel,
)

from foreign_models import TOWER, clip_config, make_weights, open_clip_names
from sarknowlip.bench.adapters import ADAPTERS
from sarknowlip.bench.adapters.croma import distance_bias
from sarknowlip.bench.adapters.open_clip import OpenClipFile
from sarknowlip.bench.adapters.sar_jepa import bucket, buckets_of
from sarknowlip.bench.adapters.sheet import Given
from sarknowlip.bench.adapters.weights import read_tensors
from sarknowlip.sar.chip import chip
from sarknowlip.sar.tile import TileImage

TEXTS = ["a ship", "calm sea"]


@pytest.fixture(scope="module")
def tiles() -> list[TileImage]:
    draw = np.random.default_rng(5)
    db = draw.normal(-12.0, 6.0, (3, 2, 50, 60)).astype(np.float32)
    return [
        chip("a", db[0], polarizations=("VV", "VH"), gsd_m=10.0),
        chip("b", db[1, :1], polarizations=("HH",), gsd_m=10.0),
        chip("c", db[2], polarizations=("HH", "HV"), gsd_m=10.0),
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("foreign")


def made(name: str, folder: Path):
    if not (folder / name).exists():
        make_weights(name, folder / name)
    return ADAPTERS[name].make(Given(weights=folder / name, device="cpu"))


def close(first, second, tolerance: float = 1e-4) -> None:
    first, second = np.asarray(first), np.asarray(second)
    assert first.shape == second.shape
    assert np.abs(second).max() > 10 * tolerance, "a comparison of nothing"
    assert np.abs(first - second).max() < tolerance


def words(folder: Path, texts: list[str], **how) -> dict[str, Tensor]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    told = tokenizer(texts, padding=how.pop("padding", True), return_tensors="pt", **how)
    return {name: told[name] for name in ("input_ids", "attention_mask")}


@torch.no_grad()
def test_clip_is_the_librarys(folder, tiles) -> None:
    ours, theirs = made("clip", folder), CLIPModel.from_pretrained(folder / "clip")
    pixels = ours.inputs(tiles)
    close(ours.features(tiles), theirs.vision_model(pixels).pooler_output)
    seen = theirs.get_image_features(pixel_values=pixels).pooler_output
    close(ours.images(tiles), functional.normalize(seen, dim=-1))
    told = theirs.get_text_features(**words(folder / "clip", TEXTS)).pooler_output
    close(ours.texts(TEXTS), functional.normalize(told, dim=-1))
    long = ["a " * 40]
    told = theirs.get_text_features(
        **words(folder / "clip", long, truncation=True, max_length=16)
    ).pooler_output
    close(ours.texts(long), functional.normalize(told, dim=-1))


@torch.no_grad()
def test_siglip_is_the_librarys_with_lower_case_and_padding(folder, tiles) -> None:
    ours, theirs = made("siglip2", folder), SiglipModel.from_pretrained(folder / "siglip2")
    pixels = ours.inputs(tiles)
    seen = theirs.get_image_features(pixel_values=pixels).pooler_output
    close(ours.features(tiles), seen)
    close(ours.images(tiles), functional.normalize(seen, dim=-1))
    ids = words(
        folder / "siglip2", ["a ship", "sea"], padding="max_length", max_length=12, truncation=True
    )["input_ids"]
    assert ids.shape == (2, 12)
    told = theirs.get_text_features(input_ids=ids).pooler_output
    close(ours.texts(["A Ship", "SEA"]), functional.normalize(told, dim=-1))


@torch.no_grad()
def test_blip_is_the_librarys(folder, tiles) -> None:
    ours = made("blip", folder)
    theirs = BlipForImageTextRetrieval.from_pretrained(folder / "blip" / "itm").eval()
    pixels, told = ours.inputs(tiles), words(folder / "blip" / "itm", TEXTS)
    expected = theirs(pixel_values=pixels, use_itm_head=False, **told)
    close(ours.images(tiles) @ ours.texts(TEXTS).T, expected.itm_score)
    close(ours.features(tiles), expected.last_hidden_state[:, 0])
    close(ours.patches(tiles).reshape(3, 16, -1), expected.last_hidden_state[:, 1:])
    tokenizer = AutoTokenizer.from_pretrained(folder / "blip" / "itm")
    captioner = BlipForConditionalGeneration.from_pretrained(folder / "blip" / "captioning").eval()
    ids = captioner.generate(pixel_values=pixels[:1], max_new_tokens=30, do_sample=False)
    assert ours.captions(tiles[:1]) == [tokenizer.decode(ids[0], skip_special_tokens=True).strip()]
    answerer = BlipForQuestionAnswering.from_pretrained(folder / "blip" / "vqa").eval()
    asked = words(folder / "blip" / "itm", TEXTS[:1])
    ids = answerer.generate(pixel_values=pixels[:1], max_new_tokens=30, do_sample=False, **asked)
    expected = [tokenizer.decode(ids[0], skip_special_tokens=True).strip()]
    assert ours.answers(tiles[:1], TEXTS[:1]) == expected


@torch.no_grad()
def test_dino_is_the_librarys(folder, tiles) -> None:
    for name, kind, others in (("dinov2", Dinov2Model, 1), ("dinov3-sat", DINOv3ViTModel, 5)):
        ours, theirs = made(name, folder), kind.from_pretrained(folder / name).eval()
        expected = theirs(pixel_values=ours.inputs(tiles))
        close(ours.features(tiles), expected.pooler_output)
        cells = ours.patches(tiles)
        close(cells.reshape(3, -1, cells.shape[-1]), expected.last_hidden_state[:, others:])


@torch.no_grad()
def test_mae_is_the_librarys_with_nothing_masked(folder, tiles) -> None:
    ours = made("mae", folder)
    theirs = ViTMAEModel.from_pretrained(folder / "mae", mask_ratio=0.0).eval()
    noise = torch.arange(16.0).expand(3, 16)  # keeps cells in order
    expected = theirs(pixel_values=ours.inputs(tiles), noise=noise).last_hidden_state
    close(ours.features(tiles), expected[:, 0])
    close(ours.patches(tiles).reshape(3, 16, -1), expected[:, 1:])


def renamed_models(folder: Path):
    """Yield each adapter of a file of open_clip's form, and the `CLIPModel` that it was made of."""
    for name, activation in (
        ("remoteclip", "gelu"),
        ("georsclip", "quick_gelu"),
        ("sarclip", "gelu"),
    ):
        ours = made(name, folder)
        assert isinstance(ours, OpenClipFile)
        yield ours, CLIPModel(clip_config(activation)).eval()


@torch.no_grad()
def test_files_of_open_clip_compute_what_they_were_made_of(folder, tiles) -> None:
    for ours, theirs in renamed_models(folder):
        file = next(
            path for path in (folder / ours.name).iterdir() if path.stat().st_size > 100_000
        )
        held = read_tensors(file)
        names = {name: name for name in theirs.state_dict()}
        theirs.load_state_dict({name: ours.network.state_dict()[name] for name in names})
        again = open_clip_names(theirs)
        assert set(again) == set(held)
        assert all(torch.equal(again[name], held[name]) for name in held)
        pixels = ours.inputs(tiles)
        seen = theirs.get_image_features(pixel_values=pixels).pooler_output
        close(ours.images(tiles), functional.normalize(seen, dim=-1))
        told = theirs.get_text_features(**words(folder / ours.name, TEXTS)).pooler_output
        close(ours.texts(TEXTS), functional.normalize(told, dim=-1))


@pytest.mark.skipif(
    importlib.util.find_spec("open_clip") is None, reason="open_clip_torch is not installed"
)
@torch.no_grad()
def test_files_of_open_clip_compute_what_open_clip_does(folder, tiles) -> None:
    import open_clip

    ratio = TOWER["intermediate_size"] / TOWER["hidden_size"]
    shape = {"width": 64, "layers": 2, "mlp_ratio": ratio}
    vision = shape | {"image_size": 32, "patch_size": 8, "head_width": 64}
    text = shape | {"vocab_size": 54, "context_length": 16, "heads": 1}
    for ours, _ in renamed_models(folder):
        quick = ours.network.config.vision_config.hidden_act == "quick_gelu"
        theirs = open_clip.CLIP(24, vision, text, quick_gelu=quick).eval()
        file = next(
            path for path in (folder / ours.name).iterdir() if path.stat().st_size > 100_000
        )
        told = theirs.load_state_dict(read_tensors(file), strict=False)
        assert not told.unexpected_keys
        assert set(told.missing_keys) <= {"attn_mask"}
        close(ours.images(tiles), theirs.encode_image(ours.inputs(tiles), normalize=True))
        ids = words(folder / ours.name, TEXTS)["input_ids"]
        padded = functional.pad(ids, (0, 16 - ids.shape[1]))
        # open_clip pads with 0 and looks for the largest id: only the first end mark may stay
        first = (padded == 53).int().argmax(dim=1)
        padded[torch.arange(16)[None, :] > first[:, None]] = 0
        close(ours.texts(TEXTS), theirs.encode_text(padded, normalize=True))


def test_a_text_tower_apart_is_found_too(folder, tiles) -> None:
    ours = made("remoteclip", folder)
    apart = folder / "apart"
    apart.mkdir()
    for path in (folder / "remoteclip").iterdir():
        (apart / path.name).write_bytes(path.read_bytes())
    file = apart / "RemoteCLIP-ViT-B-32.pt"
    text = (
        "token_embedding",
        "positional_embedding",
        "transformer.",
        "ln_final",
        "text_projection",
    )
    held = {f"text.{k}" if k.startswith(text) else k: v for k, v in read_tensors(file).items()}
    torch.save({"state_dict": {f"module.{name}": value for name, value in held.items()}}, file)
    again = ADAPTERS["remoteclip"].make(Given(weights=file, device="cpu"))
    assert np.array_equal(again.texts(TEXTS), ours.texts(TEXTS))
    assert np.array_equal(again.images(tiles), ours.images(tiles))


# Below: definitions written out, in float64.


def norm(x: Tensor, held: dict[str, Tensor], name: str, eps: float) -> Tensor:
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
    return (x - mean) / (variance + eps).sqrt() * held[f"{name}weight"] + held[f"{name}bias"]


def mapped(x: Tensor, held: dict[str, Tensor], name: str) -> Tensor:
    out = x @ held[f"{name}weight"].T
    return out + held[f"{name}bias"] if f"{name}bias" in held else out


def gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))


def attended(qkv: Tensor, heads: int, bias: list[Tensor] | None = None) -> Tensor:
    """Return heads side by side, (L, F), of one picture's queries, keys and values (L, 3 F)."""
    q, k, v = qkv.chunk(3, dim=-1)
    out = []
    for head, (qh, kh, vh) in enumerate(
        zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1), strict=True)
    ):
        scores = qh @ kh.T / math.sqrt(qh.shape[-1])
        if bias is not None:
            scores = scores + bias[head]
        out.append(torch.softmax(scores, dim=-1) @ vh)
    return torch.cat(out, dim=-1)


def block(x: Tensor, held: dict[str, Tensor], at: str, heads: int, bias=None) -> Tensor:
    """Return tokens (L, F) after a block of timm's names; `bias` makes what is added to scores."""
    qkv = mapped(norm(x, held, f"{at}norm1.", 1e-6), held, f"{at}attn.qkv.")
    added = None if bias is None else bias(qkv)
    x = x + mapped(attended(qkv, heads, added), held, f"{at}attn.proj.")
    inner = gelu(mapped(norm(x, held, f"{at}norm2.", 1e-6), held, f"{at}mlp.fc1."))
    return x + mapped(inner, held, f"{at}mlp.fc2.")


def cut(picture: Tensor, size: int) -> Tensor:
    """Return patches (L, C, P, P) of (C, Y, X), rows first."""
    rows = [
        picture[:, y : y + size, x : x + size]
        for y in range(0, picture.shape[1], size)
        for x in range(0, picture.shape[2], size)
    ]
    return torch.stack(rows)


def doubled(folder: Path, name: str) -> dict[str, Tensor]:
    file = next(path for path in (folder / name).iterdir() if path.suffix in {".pt", ".pth"})
    return {key: value.double() for key, value in read_tensors(file).items()}


def test_plain_vits_are_timms(folder) -> None:
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    from timm.layers import LayerNorm
    from timm.models.vision_transformer import Block

    made("terrafm", folder)
    held = {k: v.float() for k, v in doubled(folder, "terrafm").items()}
    theirs = Block(64, 1, mlp_ratio=1.5, qkv_bias=True, norm_layer=partial(LayerNorm, eps=1e-6))
    part = {k.removeprefix("blocks.0."): v for k, v in held.items() if k.startswith("blocks.0.")}
    theirs.load_state_dict(part)
    x = torch.randn(1, 9, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs.eval()(x)
        close(made("terrafm", folder).network.blocks[0](x), expected)
        close(
            block(x[0].double(), {k: v.double() for k, v in held.items()}, "blocks.0.", 1),
            expected[0],
        )


def test_croma_is_its_definition(folder, tiles) -> None:
    ours = made("croma", folder)
    held, heads = doubled(folder, "croma"), 16
    places = [(y, x) for y in range(15) for x in range(15)]
    apart = torch.tensor([[math.dist(p, q) for q in places] for p in places], dtype=torch.float64)
    bias = [-(2.0 ** (-0.5 * (head + 1))) * apart for head in range(heads)]
    close(distance_bias(15), torch.stack(bias))
    x = mapped(cut(ours.inputs(tiles)[0].double(), 8).flatten(1), held, "s1_encoder.linear_input.")
    for layer in range(2):
        at = f"s1_encoder.transformer.layers.{layer}."
        qkv = mapped(norm(x, held, f"{at}0.input_norm.", 1e-5), held, f"{at}0.to_qkv.")
        x = x + mapped(attended(qkv, heads, bias), held, f"{at}0.to_out.")
        inner = gelu(mapped(norm(x, held, f"{at}1.input_norm.", 1e-5), held, f"{at}1.net.0."))
        x = x + mapped(inner, held, f"{at}1.net.3.")
    cells = norm(x, held, "s1_encoder.transformer.norm_out.", 1e-5)
    close(ours.patches(tiles[:1])[0].reshape(225, -1), cells)
    pooled = norm(cells.mean(0), held, "s1_GAP_FFN.0.", 1e-5)
    whole = mapped(gelu(mapped(pooled, held, "s1_GAP_FFN.1.")), held, "s1_GAP_FFN.3.")
    close(ours.features(tiles[:1])[0], whole)


def test_dofa_is_its_definition(folder, tiles) -> None:
    ours, held = made("dofa", folder), None
    held = doubled(folder, "dofa")
    maker, layer = (
        "patch_embed.weight_generator.",
        "patch_embed.weight_generator.transformer_encoder.",
    )
    layer += "layers.0."
    rates = torch.tensor([10000.0 ** (-k / 8) for k in range(8)], dtype=torch.float64)
    wave = torch.cat([(5405.0 * rates).sin(), (5405.0 * rates).cos()]).repeat(2, 1)
    inner = torch.relu(mapped(wave, held, "patch_embed.fclayer.w1."))
    wave = wave + torch.relu(mapped(inner, held, "patch_embed.fclayer.w2."))
    x = torch.cat([held[f"{maker}weight_tokens"], wave, held[f"{maker}bias_token"]])
    qkv = x @ held[f"{layer}self_attn.in_proj_weight"].T + held[f"{layer}self_attn.in_proj_bias"]
    x = x + mapped(attended(qkv, 4), held, f"{layer}self_attn.out_proj.")
    x = norm(x, held, f"{layer}norm1.", 1e-5)
    inner = gelu(mapped(x, held, f"{layer}linear1."))
    x = norm(x + mapped(inner, held, f"{layer}linear2."), held, f"{layer}norm2.", 1e-5)
    kernels = mapped(x[6:8] + wave, held, f"{maker}fc_weight.").reshape(2, 16, 16, 64) * 0.01
    offset = mapped(x[8], held, f"{maker}fc_bias.") * 0.01
    picture = functional.pad(ours.inputs(tiles)[0].double(), (1, 0, 1, 0))[:, :64, :64]
    # (C, P, P, F) against patches that begin one pixel further up and left
    tokens = torch.einsum("lcyx,cyxf->lf", cut(picture, 16), kernels) + offset
    x = torch.cat([held["cls_token"][0], tokens]) + held["pos_embed"][0]
    for number in range(2):
        x = block(x, held, f"blocks.{number}.", 1)
    close(ours.patches(tiles[:1])[0].reshape(16, -1), x[1:], 5e-4)
    mean = x[1:].mean(0)
    close(ours.features(tiles[:1])[0], (mean - mean.mean()) / mean.std(unbiased=False), 1e-3)


def test_dofa_is_given_cross_before_co(folder, tiles) -> None:
    dofa, terrafm = made("dofa", folder).inputs(tiles), made("terrafm", folder).inputs(tiles)
    assert torch.equal(dofa.flip(1), terrafm)
    assert torch.equal(terrafm[1, 0], terrafm[1, 1])  # a single polarisation twice
    assert not torch.equal(terrafm[0, 0], terrafm[0, 1])


def test_terrafm_is_its_definition(folder, tiles) -> None:
    ours, held = made("terrafm", folder), doubled(folder, "terrafm")
    patches = cut(ours.inputs(tiles)[0].double(), 16).flatten(1)
    at = "patch_embed.projection."
    wide = patches @ held["patch_embed.conv2d_s1.weight"].flatten(1).T
    wide = wide + held["patch_embed.conv2d_s1.bias"] + held["patch_embed.s1_embed"]
    wide = norm(mapped(wide, held, f"{at}proj1."), held, f"{at}norm_input.", 1e-5)
    tokens = mapped(mapped(wide, held, f"{at}proj2."), held, f"{at}proj3.")
    x = torch.cat([held["cls_token"][0], tokens]) + held["pos_embed"][0]
    for number in range(2):
        x = block(x, held, f"blocks.{number}.", 1)
    x = norm(x, held, "norm.", 1e-6)
    close(ours.features(tiles[:1])[0], x[0])
    close(ours.patches(tiles[:1])[0].reshape(16, -1), x[1:])


def test_relative_positions_fall_into_the_buckets_of_irpe() -> None:
    # by hand: 1.9 + 1.9 · ln(d / 1.9) / ln 8, rounded: 2 → 1.95, 3 → 2.32, 4 → 2.58, 13 → 3.66
    expected = [0, 1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]
    assert [bucket(difference) for difference in range(14)] == expected
    assert [bucket(-difference) for difference in range(14)] == [-one for one in expected]
    table = buckets_of(14)
    assert table.shape == (197, 197)
    assert (table[0] == 49).all()
    assert (table[:, 0] == 49).all()
    assert table[1, 1] == 24  # no difference: the middle of 7 × 7
    assert table[1 + 14 * 5 + 2, 1 + 14 * 3 + 2] == (2 + 3) * 7 + 3  # two rows below its key
    assert table[1 + 2, 1 + 6] == 3 * 7 + 0  # four columns left of its key


def test_sar_jepa_is_its_definition(folder, tiles) -> None:
    ours, held = made("sar-jepa", folder), doubled(folder, "sar-jepa")
    patches = cut(ours.inputs(tiles)[1].double(), 16).flatten(1)
    tokens = patches @ held["patch_embed.proj.weight"].flatten(1).T + held["patch_embed.proj.bias"]
    x = torch.cat([held["cls_token"][0], tokens])
    table = buckets_of(14)
    heads = 4

    def placed(number: int):
        vectors = held[f"blocks.{number}.attn.rpe_k.lookup_table_weight"][0].T[table]  # (L, L, D)
        return lambda qkv: [
            torch.einsum("id,ijd->ij", query, vectors)
            for query in qkv.chunk(3, -1)[0].chunk(heads, -1)
        ]

    for number in range(2):
        x = block(x, held, f"blocks.{number}.", heads, placed(number))
    x = norm(x, held, "norm.", 1e-6)
    close(ours.features(tiles[1:2])[0], x[0])
    close(ours.patches(tiles[1:2])[0].reshape(196, -1), x[1:])


def test_saratr_x_is_its_definition(folder, tiles) -> None:
    ours, held = made("saratr-x", folder), doubled(folder, "saratr-x")
    picture = ours.inputs(tiles)[1].double()
    assert torch.equal(picture[0], picture[2])
    kernel = held["patch_embed.proj.weight"].flatten(1)
    cells = []
    for cell in cut(picture, 16):
        units = cut(cell, 4).flatten(1) @ kernel.T + held["patch_embed.proj.bias"]
        units = norm(units, held, "patch_embed.norm.", 1e-6).reshape(4, 4, -1)
        for stage in (0, 3):
            for number in (stage, stage + 1):
                at = f"blocks.{number}."
                inner = gelu(mapped(norm(units, held, f"{at}norm2.", 1e-6), held, f"{at}mlp.fc1."))
                units = units + mapped(inner, held, f"{at}mlp.fc2.")
            at, half = f"blocks.{stage + 2}.", len(units) // 2
            merged = torch.zeros(half, half, 2 * units.shape[-1], dtype=torch.float64)
            for y in range(half):
                for x in range(half):
                    four = [units[2 * y + b, 2 * x + a] for a in (0, 1) for b in (0, 1)]
                    wide = norm(torch.cat(four), held, f"{at}norm.", 1e-6)
                    merged[y, x] = held[f"{at}reduction.weight"] @ wide
            units = merged
        cells.append(units[0, 0])
    x = torch.stack(cells) + held["absolute_pos_embed"][0]
    for number in (6, 7):
        x = block(x, held, f"blocks.{number}.", 2)
    close(ours.patches(tiles[1:2])[0].reshape(16, -1), x, 5e-4)
    mean = x.mean(0)
    close(ours.features(tiles[1:2])[0], (mean - mean.mean()) / mean.std(unbiased=False), 1e-3)
