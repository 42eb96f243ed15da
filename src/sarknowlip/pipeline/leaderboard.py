"""The leaderboard of the benchmark: CSV, Markdown, and one HTML file opened without a network.

Everything comes from the folder of the benchmark: cells, pictures beside them, findings of the
audit. Data sets and models need not be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from sarknowlip.bench.adapter import AdapterCard
from sarknowlip.bench.adapters.sheet import Sheet
from sarknowlip.bench.audited import FOLDER, read_findings
from sarknowlip.bench.board import (
    LEGEND,
    WORSE,
    Line,
    is_worse,
    lines,
    overview,
    read_cells,
    write_csv,
    write_markdown,
)
from sarknowlip.bench.cells import Cell
from sarknowlip.bench.gallery import Item
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.thumbnails import TOLD, TRUE
from sarknowlip.core.config import Config
from sarknowlip.pipeline.leaderboard_figures import model_colours, radar_chart, score_bars
from sarknowlip.pipeline.page import data_uri, write_page

CSV, MARKDOWN, PAGE = "board.csv", "board.md", "leaderboard.html"

Kept = tuple[Path, Cell]


class Leaderboard(Config):
    """What was written.

    Attributes:
        csv: Every score.
        markdown: Main scores.
        page: Everything, with figures and pictures.
        cells: Read.
        models: Names.
        tasks: Names.
        sets: Names.
    """

    csv: str
    markdown: str
    page: str
    cells: int
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    sets: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Scores on one set, as the page shows them.

    Attributes:
        dataset: Name.
        scores: Names of columns.
        errors: Those of which less is better.
        rows: By model: its lines in the order of columns.
        chances: In the order of columns.
        notes: What a reader must know, each once.
    """

    dataset: str
    scores: tuple[str, ...]
    errors: tuple[str, ...]
    rows: tuple[tuple[Line, ...], ...]
    chances: tuple[float | None, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """What one model answered best and worst, with pictures as URIs."""

    model: str
    dataset: str
    best: tuple[tuple[Item, Markup], ...]
    worst: tuple[tuple[Item, Markup], ...]


def write_leaderboard(out: Path) -> Leaderboard:
    """Write `board.csv`, `board.md` and `leaderboard.html` into the folder of a benchmark.

    Raises:
        BenchError: There are no cells, or they do not go together.
        SarKnowlipError: A file is damaged, or cannot be written.
    """
    cells = read_cells(out)
    table = tuple(lines(cells))
    tasks, standing = overview(table)
    models = tuple(dict.fromkeys(line.model for line in table))
    sets = tuple(sorted({line.dataset for line in table}))
    colours = model_colours(models)
    write_csv(table, out / CSV)
    write_markdown(table, out / MARKDOWN)
    radar = radar_chart(tasks, standing, colours)
    write_page(
        out / PAGE,
        "leaderboard.html.j2",
        cells=len(cells),
        sets=sets,
        tasks=tasks,
        standing=standing,
        legend=LEGEND,
        worse=WORSE,
        is_worse=is_worse,
        colours=colours,
        true_colour=_hex(TRUE),
        told_colour=_hex(TOLD),
        radar=None if radar is None else data_uri(radar, "image/svg+xml"),
        cards=[_card(cells, model) for model in models],
        audits=[read_findings(path) for path in sorted((out / FOLDER).glob("*.json"))],
        sections=[_section(cells, table, task, colours) for task in tasks],
    )
    return Leaderboard(
        csv=str(out / CSV),
        markdown=str(out / MARKDOWN),
        page=str(out / PAGE),
        cells=len(cells),
        models=models,
        tasks=tasks,
        sets=sets,
    )


def _hex(colour: tuple[int, int, int]) -> str:
    return "#" + bytes(colour).hex()


def _card(cells: Sequence[Kept], model: str) -> AdapterCard:
    return next(cell.model for _, cell in cells if cell.model.name == model)


def _section(
    cells: Sequence[Kept], table: Sequence[Line], task: str, colours: dict[str, str]
) -> dict[str, object]:
    """Return what the page tells of one task."""
    own = [line for line in table if line.task == task]
    kept = [(path, cell) for path, cell in cells if cell.task == task]
    main = [line for line in own if line.main]
    sets = list(dict.fromkeys(line.dataset for line in own))
    return {
        "task": task,
        "what": kept[0][1].what,
        "version": main[0].version,
        "main": main[0].score,
        "bars": data_uri(score_bars(main, colours), "image/svg+xml"),
        "tables": [_table(own, kept, name) for name in sets],
        "shown": [shown for name in sets for shown in _shown(kept, main, name)],
    }


def _table(own: Sequence[Line], kept: Sequence[Kept], dataset: str) -> Table:
    some = [line for line in own if line.dataset == dataset]
    cells = [cell for _, cell in kept if cell.dataset == dataset]
    models = dict.fromkeys(line.model for line in some)
    rows = tuple(tuple(line for line in some if line.model == model) for model in models)
    return Table(
        dataset=dataset,
        scores=cells[0].names,
        errors=cells[0].errors,
        rows=tuple(sorted(rows, key=_rank)),
        chances=tuple(line.chance for line in rows[0]),
        notes=_notes(cells),
    )


def _rank(row: Sequence[Line]) -> tuple[bool, float]:
    """Return what puts the best main score first, and those without one last."""
    value = next((line.value for line in row if line.main), None)
    return value is None, -(value or 0.0)


def _notes(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Return what the cells of a set tell; what not all models tell stands with their names."""
    models = {cell.model.name for cell in cells}
    whose: dict[str, set[str]] = {}
    for cell in cells:
        for note in cell.notes:
            whose.setdefault(note, set()).add(cell.model.name)
    first = cells[0]
    unit = (
        f"{first.items} examples; intervals draw the {first.units} groups they are of."
        if first.unit == "block"
        else f"{first.items} examples; too few groups to draw, so that intervals draw examples as "
        "if they were independent, and are too narrow."
    )
    told = [
        note if names == models else f"{', '.join(sorted(names))}: {note}"
        for note, names in whose.items()
    ]
    return unit, *told


def _shown(kept: Sequence[Kept], main: Sequence[Line], dataset: str) -> list[Shown]:
    """Return pictures of the best model on a set, and of ours."""
    ours = Sheet.read("ours").card.title
    best = {line.model for line in main if line.dataset == dataset and line.best}
    shown = []
    for path, cell in kept:
        wanted = cell.model.name in best or cell.model.title == ours
        if cell.dataset == dataset and wanted and (cell.shown.best or cell.shown.worst):
            shown.append(
                Shown(
                    model=cell.model.name,
                    dataset=dataset,
                    best=tuple((item, _picture(path, item)) for item in cell.shown.best),
                    worst=tuple((item, _picture(path, item)) for item in cell.shown.worst),
                )
            )
    return shown


def _picture(path: Path, item: Item) -> Markup:
    place = path.parent / item.picture
    try:
        return data_uri(place.read_bytes(), "image/png")
    except OSError as error:
        raise BenchError(
            f"cannot read {place}: {error}", f"delete {path} and run the benchmark again"
        ) from error
