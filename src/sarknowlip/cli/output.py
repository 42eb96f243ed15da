"""How verbs speak: rich tables and progress bars for people, JSON for machines."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

console = Console(stderr=True)


def emit(value: Mapping[str, Any], as_json: bool, title: str) -> None:
    """Print a result: one JSON document on standard output, or a two-column table.

    Args:
        value: Result; the table rounds numbers to four digits.
        as_json: Whether a machine reads it.
        title: Heading of the table.
    """
    if as_json:
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")
        return
    table = Table(title=Text(title), show_header=False, title_justify="left")
    for key, content in value.items():
        table.add_row(str(key), Text(_shown(content)))
    Console().print(table)


def _shown(content: Any) -> str:
    """Return a value as a person reads it: a mapping of mappings has a line for each of them."""
    if isinstance(content, str):
        return content
    if isinstance(content, float):
        return f"{content:.4g}" if abs(content) < 1e4 else f"{content:.0f}"
    if isinstance(content, Mapping) and content:
        deep = any(isinstance(part, Mapping) for part in content.values())
        parts = (f"{key}: {_shown(part)}" for key, part in content.items())
        return ("\n" if deep else ", ").join(parts)
    return json.dumps(content, ensure_ascii=False)


def tell(line: str) -> None:
    """Print one line on standard error, as `warn` does but not as a warning."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def warn(line: str) -> None:
    """Print one line on standard error, whatever it holds and however wide the terminal is."""
    console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def bar(label: str, quiet: bool = False) -> Iterator[Callable[[int, int, str], None]]:
    """Yield a function (done, total, item) that drives a progress bar on standard error."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[item]}", markup=False),
        console=console,
        disable=quiet,
        transient=not console.is_terminal,
    ) as progress:
        task = progress.add_task(label, total=None, item="")

        def advance(done: int, total: int, item: str) -> None:
            progress.update(task, completed=done, total=total, item=item[:48])

        yield advance
