"""The model card, README.md beside the weights: what the model is, of what, and how to use it.

All it says comes from the configuration, or is the same for every model.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sarknowlip.core.config import Config
from sarknowlip.models.config import SarKnowLIPConfig

CARD = "README.md"


class RunFacts(Config):
    """What a training run says of itself.

    Attributes:
        recipe: Name of the recipe.
        objective: What was trained.
        data: Name of the corpus.
        annotation: Version of its texts.
        pairs: Training pairs.
        steps: Steps done.
        origin: Name of the file or folder of first weights; None where they were random.
        attributions: Whose data it was, and under which licence.
        licence: Of the weights, an identifier that Hugging Face knows.
        results: Measured values by name.
    """

    recipe: str | None = None
    objective: str | None = None
    data: str | None = None
    annotation: str | None = None
    pairs: int | None = None
    steps: int | None = None
    origin: str | None = None
    attributions: tuple[str, ...] = ()
    licence: str = "unknown"
    results: dict[str, float] = Field(default_factory=dict)


def model_card(config: SarKnowLIPConfig, parameters: int) -> str:
    """Return the card as Markdown.

    Args:
        config: Of the model; `run` are the values of `RunFacts`.
        parameters: Weights of the model.
    """
    run = RunFacts.model_validate(config.run or {})
    parts = [_head(run.licence), _what(config, parameters), _data(run, config.run is not None)]
    if run.results:
        rows = {name: f"{value:.4g}" for name, value in sorted(run.results.items())}
        parts.append("## Results\n\n" + _table(rows))
    parts += [_licence(run), _use(config)]
    return "\n\n".join(parts) + "\n"


def _head(licence: str) -> str:
    return (
        f"---\nlicense: {licence}\nlibrary_name: sarknowlip\n"
        "tags:\n- sar\n- remote-sensing\n- image-text\n---\n\n# SarKnowLIP"
    )


def _what(config: SarKnowLIPConfig, parameters: int) -> str:
    text = config.text_init or "own"
    rows = {
        "parameters": f"{parameters:,}",
        "image": f"{config.image_px} × {config.image_px} pixels, 1–4 polarisations",
        "image encoder": f"ViT, patches of {config.patch_px} pixels, depth {config.image_depth},"
        f" width {config.image_width}",
        "text encoder": f"{text}, depth {config.text_depth}, width {config.text_width},"
        f" {config.text_tokens} tokens, vocabulary {config.vocab_size:,}",
        "fusion encoder": f"depth {config.fusion_depth}",
        "text decoder": f"depth {config.decoder_depth}",
        "image decoder": f"depth {config.pixel_depth}, width {config.pixel_width}",
        "joint space": f"{config.embed_dim} dimensions",
    }
    return (
        "Encoder of synthetic aperture radar images and of text, which meet in one space, with"
        " decoders\nto text and to masked pixels.\n\n" + _table(rows)
    )


def _data(run: RunFacts, trained: bool) -> str:
    if not trained:
        return "## Training\n\nNothing is recorded of a training of these weights."
    told = run.model_dump(exclude={"attributions", "licence", "results"})
    rows = {name: str(value) for name, value in told.items() if value is not None}
    text = "## Training\n\n" + _table(rows)
    if run.attributions:
        text += "\n\nData:\n\n" + "\n".join(f"- {line}" for line in run.attributions)
    return text


def _licence(run: RunFacts) -> str:
    weights = "not stated" if run.licence == "unknown" else run.licence
    return (
        f"## Licence\n\nWeights: {weights}. The code of the package sarknowlip is under Apache-2.0;"
        "\nthe data have licences of their own."
    )


def _use(config: SarKnowLIPConfig) -> str:
    return f"""## Use

```python
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.processing import SarProcessor

model = SarKnowLIP.from_pretrained("FOLDER")
processor = SarProcessor.from_pretrained("FOLDER")
texts = model.encode_text(**processor.texts(["Open water covers most of the tile."]))
images = model.encode_image(**processor.images(tiles))  # tiles: sarknowlip.sar.tile.TileImage
cosines = images @ texts.T  # {config.embed_dim} dimensions, unit length
```

Pixels are averaged onto the model's grid in power and taken as decibels. Geographic tokens (place,
incidence, orbit, look side, season) are optional: without `geo` they are unknown."""


def _table(rows: dict[str, Any]) -> str:
    lines = ["| | |", "|---|---|"] + [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join(lines)
