"""NITF files that carry SICD or SIDD: what they hold, their metadata, and windows of their pixels.

Sources: MIL-STD-2500C (file header, table A-1; image and data extension subheaders), NGA.STND.0024
volume 2 (SICD in NITF) and NGA.STND.0025 volume 2 (SIDD in NITF). Containers and XML are decoded by
sarkit; pixels are read here, because sarkit reads a SIDD image only whole.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from lxml import etree

from sarknowlip.core.errors import ProductError

Kind = Literal["SICD", "SIDD"]
Pixels = npt.NDArray[Any]

FETCH_AGAIN = "the file is damaged or incomplete; fetch it again"

_MAGIC = (b"NITF", b"NSIF")
_LENGTH_AT = 342
"""Offset of FL: file length (12 digits), then header length (6), then the segment counts."""
_STREAMING = 999_999_999_999
"""FL of a file whose length was not known when its header was written."""
_TABLES = ((6, 10), (4, 6), (0, 0), (4, 5), (4, 9))
"""Digits of subheader and segment length: images, graphics, reserved (none), texts, extensions."""


@dataclass(frozen=True)
class _Layout:
    """Segment positions stated by a file header.

    Attributes:
        length: Length of the file in bytes; None if the header doesn't say.
        images: Offset of each image subheader.
        extensions: Offset and length of each data extension subheader.
    """

    length: int | None
    images: tuple[int, ...]
    extensions: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class NitfImage:
    """Where the pixels of one image lie in its file; no handle is kept open.

    Attributes:
        path: File.
        shape: Rows and columns.
        dtype: Stored pixel, big-endian.
        segments: Offset in bytes and number of rows of each image segment, from the first row on.
    """

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    segments: tuple[tuple[int, int], ...]

    def read(self, rows: slice, columns: slice) -> Pixels:
        """Read a window that lies inside the image; only its pages are touched.

        Args:
            rows: First row (included) and last (excluded).
            columns: First column (included) and last (excluded).

        Returns:
            Shape (rows, columns), stored type.

        Raises:
            ProductError: The file has gone or become shorter.
        """
        window = np.empty((rows.stop - rows.start, columns.stop - columns.start), self.dtype)
        first = 0
        for offset, count in self.segments:
            top, bottom = max(rows.start, first), min(rows.stop, first + count)
            if top < bottom:
                try:
                    stored = np.memmap(
                        self.path, self.dtype, "r", offset=offset, shape=(count, self.shape[1])
                    )
                except (OSError, ValueError) as error:
                    raise ProductError(
                        f"cannot read pixels of {self.path}: {error}", FETCH_AGAIN
                    ) from error
                window[top - rows.start : bottom - rows.start] = stored[
                    top - first : bottom - first, columns
                ]
            first += count
        return window


class Metadata:
    """SICD or SIDD XML, read by element path through sarkit's transcoders.

    Args:
        path: File the XML comes from, for error messages.
        helper: `sarkit.sicd.XmlHelper` or `sarkit.sidd.XmlHelper`.
    """

    def __init__(self, path: Path, helper: Any) -> None:
        self.path = path
        self.tree = helper.element_tree
        self._helper = helper

    def get(self, element: str) -> Any:
        """Return the decoded content of the first such element, None if there is none.

        Args:
            element: Path below the root, "SCPCOA/SideOfTrack".

        Raises:
            ProductError: The element's content is not what the standard prescribes.
        """
        try:
            return self._helper.load("/".join(f"{{*}}{part}" for part in element.split("/")))
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise ProductError(
                f"{self.path} has an unreadable {element}: {error}", "ask its provider to repair it"
            ) from error

    def need(self, element: str) -> Any:
        """Return the decoded content of the first such element.

        Raises:
            ProductError: There is no such element, or its content is not as prescribed.
        """
        value = self.get(element)
        if value is None:
            raise ProductError(
                f"{self.path} lacks the mandatory element {element}",
                "ask its provider to repair it",
            )
        return value


def kind(path: Path) -> Kind | None:
    """Tell what a file holds from its header and subheaders: SICD, SIDD, or neither.

    The data extension subheaders name the XML's namespace; a SIDD file may carry SICD metadata too
    and then names SIDD first. Where they cannot be reached (a truncated file: they follow the
    pixels), the first image's identifier tells.
    """
    if not path.is_file():
        return None
    with path.open("rb") as handle:
        layout = _layout(handle)
        if layout is None:
            return None
        for offset, length in layout.extensions:
            handle.seek(offset)
            found = re.search(rb"urn:(SICD|SIDD):", handle.read(length))
            if found:
                return "SICD" if found[1] == b"SICD" else "SIDD"
        for offset in layout.images:
            handle.seek(offset + 2)
            identifier = handle.read(4)
            if identifier in {b"SICD", b"SIDD"}:
                return "SICD" if identifier == b"SICD" else "SIDD"
    return None


def require(path: Path, wanted: Kind) -> None:
    """Check that a file is a whole NITF file of one kind.

    Raises:
        ProductError: It is absent, empty, not NITF, truncated, or of another kind.
    """
    if not path.is_file():
        raise ProductError(f"no such file: {path}", "check the path")
    size = path.stat().st_size
    if size == 0:
        raise ProductError(f"{path} is empty (0 bytes)", "fetch it again")
    with path.open("rb") as handle:
        layout = _layout(handle)
    if layout is None:
        raise ProductError(f"{path} is no NITF file", f"give a {wanted} file in NITF 2.1")
    if layout.length is not None and size < layout.length:
        raise ProductError(
            f"{path} is truncated: {size} of {layout.length} bytes", "fetch it again"
        )
    if kind(path) != wanted:
        raise ProductError(
            f"{path} is a NITF file without {wanted} metadata", f"give a {wanted} file"
        )


@contextlib.contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn what sarkit raises about a malformed container or XML into a `ProductError`."""
    try:
        yield
    except (
        OSError, ValueError, TypeError, AttributeError, LookupError, RuntimeError, AssertionError,
        etree.LxmlError,
    ) as error:  # fmt: skip
        reason = str(error) or type(error).__name__
        raise ProductError(
            f"cannot decode the metadata of {path}: {reason}", FETCH_AGAIN
        ) from error


def image(path: Path, container: Any, prefix: str, dtype: np.dtype[Any]) -> NitfImage:
    """Locate the pixels of one image.

    Args:
        path: File.
        container: `jbpy.Jbp` of the file.
        prefix: What the identifiers (IID1) of the image's segments begin with.
        dtype: Pixel type in memory order.

    Raises:
        ProductError: The image is compressed, masked or blocked, or its segments don't fit.
    """
    found = [
        segment
        for segment in container["ImageSegments"]
        if segment["subheader"]["IID1"].value.startswith(prefix)
        and segment["subheader"]["ICAT"].value == "SAR"
    ]
    if not found:
        raise ProductError(f"{path} has no image segment {prefix}", FETCH_AGAIN)
    found.sort(key=lambda segment: str(segment["subheader"]["IID1"].value))
    columns = int(found[0]["subheader"]["NCOLS"].value)
    segments = []
    for segment in found:
        header = segment["subheader"]
        compression, blocks = header["IC"].value, (header["NBPR"].value, header["NBPC"].value)
        if compression != "NC" or blocks != (1, 1):
            raise ProductError(
                f"{path} has compressed or blocked pixels (IC={compression}, blocks {blocks})",
                "convert it to an uncompressed, unblocked file",
            )
        rows = int(header["NROWS"].value)
        if int(header["NCOLS"].value) != columns or (
            int(segment["Data"].size) != rows * columns * dtype.itemsize
        ):
            raise ProductError(f"{path} has an image segment of the wrong size", FETCH_AGAIN)
        segments.append((int(segment["Data"].get_offset()), rows))
    shape = sum(rows for _, rows in segments), columns
    return NitfImage(path, shape, dtype.newbyteorder(">"), tuple(segments))


def _layout(handle: BinaryIO) -> _Layout | None:
    """Parse a NITF 2.1 or NSIF 1.0 file header; None if it is neither or is cut off."""
    if handle.read(4) not in _MAGIC:
        return None
    handle.seek(_LENGTH_AT)
    try:
        length = int(handle.read(12))
        position = int(handle.read(6))
        tables = []
        for subheader_digits, data_digits in _TABLES:
            rows = []
            for _ in range(int(handle.read(3))):
                subheader = int(handle.read(subheader_digits))
                rows.append((position, subheader))
                position += subheader + int(handle.read(data_digits))
            tables.append(rows)
    except ValueError:
        return None
    images, extensions = tables[0], tables[-1]
    return _Layout(
        length=None if length == _STREAMING else length,
        images=tuple(offset for offset, _ in images),
        extensions=tuple(extensions),
    )
