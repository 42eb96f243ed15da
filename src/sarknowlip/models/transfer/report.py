"""What became of a checkpoint, for people and for the folder of a run."""

from __future__ import annotations

from sarknowlip.core.config import Config


class TransferReport(Config):
    """What became of a checkpoint.

    Attributes:
        file: Name of the file or its folder.
        sha256: Of the weights.
        layout: What the file was recognised as.
        numbers_taken: Numbers in the file that were used.
        numbers: Numbers in the file.
        taken: Parts taken as they are.
        adapted: Parts taken after a change, and which.
        neutral: Parts that start without effect.
        random: Parts that start at random.
        unused: First parts of keys of the file that were not taken, and how many tensors.
        assumed: What the file does not tell.
    """

    file: str
    sha256: str
    layout: str
    numbers_taken: int
    numbers: int
    taken: list[str]
    adapted: dict[str, str]
    neutral: list[str]
    random: list[str]
    unused: dict[str, int]
    assumed: dict[str, str]

    def line(self) -> str:
        """Return all of it as one line."""
        unused = [f"{key} ({count})" for key, count in self.unused.items()]
        groups = {
            "taken": self.taken,
            "adapted": [f"{key} ({how})" for key, how in self.adapted.items()],
            "without effect at first": self.neutral,
            "random": self.random,
            "unused in the file": unused or ["nothing"],
            "assumed": [f"{key} ({how})" for key, how in self.assumed.items()],
        }
        told = "; ".join(f"{name}: {', '.join(rows)}" for name, rows in groups.items() if rows)
        return (
            f"{self.file} is {self.layout}, sha256 {self.sha256[:12]}; {self.numbers_taken:,} of"
            f" {self.numbers:,} numbers are used; {told}"
        )
