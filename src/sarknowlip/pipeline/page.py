"""Pages with everything inside: one HTML file from a template, opened without a network."""

from __future__ import annotations

import base64
import functools
from pathlib import Path

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from sarknowlip.core.files import write_bytes


def write_page(path: Path, template: str, **told: object) -> None:
    """Write a page.

    Args:
        path: File.
        template: Name of a template beside this module.
        told: What the template shows, by name; strings are escaped.

    Raises:
        StorageError: The file cannot be written.
    """
    write_bytes(path, _environment().get_template(template).render(**told).encode())


def data_uri(content: bytes, kind: str) -> Markup:
    """Return content as a URI for a picture's source; `kind` is its media type."""
    return Markup(f"data:{kind};base64,{base64.b64encode(content).decode()}")


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("sarknowlip.pipeline", "."),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
