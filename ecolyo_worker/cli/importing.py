"""What the imports of files have in common: progress, refused lines, sums, and the exit code."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ecolyo_worker import exits
from ecolyo_worker.cli.files import chunks, opened, read_lines
from ecolyo_worker.cli.output import Output
from ecolyo_worker.requests import FactsReport, ImportReport, Line, ReadingsReport

__all__ = ["pieces", "show_report"]

_MOST_SHOWN = 50


@contextmanager
def pieces(output: Output, file: Path) -> Iterator[Iterator[list[Line]]]:
    """Open a file, and give the pieces that are imported in one transaction each.

    A bar shows how far it is. Raises `CommandRefused` if the file cannot be read.
    """
    with opened(file) as source, _progress(output) as progress:
        total = os.fstat(source.fileno()).st_size or None
        yield _pieces(source, progress, progress.add_task(f"importing {file}", total=total, seen=0))


def show_report(output: Output, report: ImportReport | FactsReport) -> int:
    """Print what an import came to, and why lines were refused: the first ones, as JSON all.

    Gives the exit code.
    """
    if output.as_json:
        output.document(report)
    else:
        _show_refusals(output, report)
        known = f" · known {report.known}" if isinstance(report, ImportReport) else ""
        output.line(f"accepted {report.accepted}{known} · refused {len(report.refused)}")
        if isinstance(report, ReadingsReport) and report.beneath:
            output.line(
                f"of these {report.beneath} without effect: fetched readings go before them"
            )
    return exits.BAD_DATA if report.refused else exits.OK


def _pieces(source: IO[bytes], progress: Progress, task: TaskID) -> Iterator[list[Line]]:
    seen = 0
    for lines in chunks(read_lines(source)):
        yield lines
        seen += len(lines)
        size = sum(len(line.text) + 1 for line in lines)
        progress.update(task, advance=size, seen=seen)


def _show_refusals(output: Output, report: ImportReport | FactsReport) -> None:
    refused = report.refused
    rows = [(item.line, item.field or "–", item.reason) for item in refused[:_MOST_SHOWN]]
    if rows:
        output.table(["line", "field", "why it was refused"], rows)
    if len(refused) > len(rows):
        output.talk(f"and {len(refused) - len(rows)} more; --json gives them all")


def _progress(output: Output) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[seen]} lines"),
        TimeElapsedColumn(),
        console=output.console,
        transient=True,
        disable=not output.console.is_terminal,
    )
