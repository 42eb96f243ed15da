"""The table of models; to add one, see docs/baselines.md.

Every entry is a class with `make(given)`, which returns an `Adapter`.
"""

from __future__ import annotations

from sarknowlip.core.lazy import LazyTable

_HERE = "sarknowlip.bench.adapters"

ADAPTERS = LazyTable(
    "model",
    {
        "random": f"{_HERE}.random:Random",
        "constant": f"{_HERE}.constant:Constant",
        "pixels": f"{_HERE}.pixels:Pixels",
        "texture": f"{_HERE}.texture:Texture",
        "ours": f"{_HERE}.ours:Ours",
        "untrained": f"{_HERE}.ours:Untrained",
        "clip": f"{_HERE}.clip:Clip",
        "siglip2": f"{_HERE}.siglip:Siglip2",
        "remoteclip": f"{_HERE}.open_clip:RemoteClip",
        "georsclip": f"{_HERE}.open_clip:GeoRsClip",
        "sarclip": f"{_HERE}.open_clip:SarClip",
        "blip": f"{_HERE}.blip:Blip",
        "dinov2": f"{_HERE}.dino:Dinov2",
        "dinov3-sat": f"{_HERE}.dino:Dinov3Sat",
        "mae": f"{_HERE}.mae:Mae",
        "sar-jepa": f"{_HERE}.sar_jepa:SarJepa",
        "saratr-x": f"{_HERE}.saratr_x:SaratrX",
        "croma": f"{_HERE}.croma:Croma",
        "dofa": f"{_HERE}.dofa:Dofa",
        "terrafm": f"{_HERE}.terrafm:TerraFm",
    },
)
