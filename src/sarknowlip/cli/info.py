"""`sarknowlip info`."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Annotated, Any

import typer

from sarknowlip.cli.output import emit

_LIBRARIES = ("torch", "transformers", "rasterio", "xarray-sentinel", "sarsen", "sarkit", "odc-geo")


def info(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show versions, hardware, and what can be read, trained and measured."""
    import os

    import rasterio
    import torch

    from sarknowlip import __version__
    from sarknowlip.annotate.stages import STAGES
    from sarknowlip.bench.adapters import ADAPTERS
    from sarknowlip.bench.baselines import BASELINES
    from sarknowlip.bench.datasets import DATASETS
    from sarknowlip.bench.tasks import TASKS
    from sarknowlip.bench.tasks.suite import SUITE
    from sarknowlip.knowledge.sources import SOURCES
    from sarknowlip.losses import LOSSES
    from sarknowlip.sar.sensors import SENSORS
    from sarknowlip.train.recipes import RECIPES

    cuda = torch.cuda.is_available()
    values: dict[str, Any] = {
        "sarknowlip": __version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        **{name: importlib.metadata.version(name) for name in _LIBRARIES},
        "gdal": rasterio.__gdal_version__,
    }
    tables = {
        "sensors": SENSORS,
        "sources": SOURCES,
        "stages": STAGES,
        "losses": LOSSES,
        "recipes": RECIPES,
        "tasks": (*SUITE, *TASKS),
        "sets": DATASETS,
        "models": ADAPTERS,
        "baselines": BASELINES,
    }
    values |= {name: ", ".join(table) for name, table in tables.items()}
    emit(values, as_json, "sarknowlip")
