"""One product's contribution to a corpus, `.build/scenes/<scene>.json`.

A fragment without tiles reserves a scene's name while its tiles are being made; with tiles it is
written when all of them are on disk.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from sarknowlip import __version__
from sarknowlip.core.config import Config
from sarknowlip.core.files import write_json
from sarknowlip.core.hashing import digest
from sarknowlip.corpus.record import TileRecord

FRAGMENTS = ".build"
SCENES = "scenes"

log = logging.getLogger(__name__)


class Fragment(Config):
    """What is known of one scene of the corpus.

    Attributes:
        input: File or folder name of the product.
        scene: Name in the corpus, unique there.
        sha256: Digest of the product's content.
        place: Digest of the path where the product was last seen: tells that a product changed
            from another product of the same name.
        version: Release of this package that made it.
        records: Tiles; none while they are being made.
        rejected_tiles: Refused tiles by reason.
    """

    input: str
    scene: str
    sha256: str
    place: str
    version: str = __version__
    records: tuple[TileRecord, ...] = ()
    rejected_tiles: dict[str, int] = Field(default_factory=dict)

    def write(self, root: Path) -> None:
        """Write to where `fragment_path` says, atomically."""
        write_json(fragment_path(root, self.scene), self.model_dump(mode="json", by_alias=True))


@dataclass(frozen=True)
class Known:
    """A fragment without its tiles.

    Attributes:
        scene: As in `Fragment`, like the next two.
        sha256: Digest of the product's content.
        place: Digest of the product's path.
        finished: Whether it has tiles.
        complete: Whether this release made them and all are on disk.
    """

    scene: str
    sha256: str
    place: str
    finished: bool
    complete: bool


def fragment_path(root: Path, scene: str) -> Path:
    """Return where a scene's fragment lies in corpus `root`."""
    return root / FRAGMENTS / SCENES / f"{scene}.json"


def place_of(path: Path) -> str:
    """Return what `Fragment.place` holds for a product at `path`."""
    return digest(str(path))


def load_fragment(path: Path) -> Fragment | None:
    """Read a fragment; None if there is none, or if it is damaged or of another format."""
    if not path.is_file():
        return None
    try:
        return Fragment.model_validate_json(path.read_text("utf-8"))
    except ValidationError:
        log.warning("%s is not usable; its scene is built again", path)
        return None


def fragments(root: Path) -> Iterator[Fragment]:
    """Yield the fragments of a corpus by scene name, one in memory at a time.

    One that is not usable is deleted.
    """
    for path in sorted((root / FRAGMENTS / SCENES).glob("*.json")):
        fragment = load_fragment(path)
        if fragment is None:
            path.unlink()
        else:
            yield fragment


def known_fragments(root: Path) -> list[Known]:
    """Return the fragments of a corpus, by scene name, without their tiles."""
    return [
        Known(f.scene, f.sha256, f.place, bool(f.records), _is_complete(root, f))
        for f in fragments(root)
    ]


def _is_complete(root: Path, fragment: Fragment) -> bool:
    if fragment.version != __version__ or not fragment.records:
        return False
    return all((root / record.storage.href).is_file() for record in fragment.records)
