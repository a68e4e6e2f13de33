"""Shows the steps of a rehearsal: a live table on a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import Progress, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

MARKS = {"done": "[green]✔", "failed": "[red]✘", "stopped": "[yellow]■"}


class Step:
    """One line of the display; `say` changes what it shows while it runs."""

    def __init__(self, display: "Display", name: str, usual: str) -> None:
        self._display, self.name, self._started, self._last = display, name, time.monotonic(), ""
        self._row = display.progress.add_task(name, total=None, note=usual, ended="")
        if not display.live:
            display.plain(f"{name} ... {usual}")

    @property
    def seconds(self) -> float:
        """Since the step began."""
        return time.monotonic() - self._started

    def say(self, note: str) -> None:
        """Show what the step is doing now; repeating the same note prints nothing."""
        if note != self._last:
            self._last = note
            self._display.progress.update(self._row, note=note)
            if not self._display.live:
                self._display.plain(f"{self.name}: {note}")

    def glance(self, note: str) -> None:
        """Show what passes by, on a terminal only: as plain lines it would drown the rest."""
        if self._display.live:
            self.say(note)

    def end(self, word: str) -> None:
        """Close the line; `word` is one of MARKS."""
        note = self._last if word == "done" else f"{word}  {self._last}"
        self._display.progress.update(self._row, total=1, completed=1, note=note, ended=word)
        self._display.progress.stop_task(self._row)
        if not self._display.live:
            self._display.plain(f"{self.name}: {word} after {self.seconds:.1f} s")


class Display:
    """Steps may run in several threads at once.

    Args:
        console: where to; rich decides by it whether this is a terminal.
    """

    def __init__(self, console: Console) -> None:
        self.console, self.live = console, console.is_terminal
        note = Column(ratio=1, no_wrap=True, overflow="ellipsis")  # gives way when the terminal is narrow
        self.progress = Progress(
            _Mark(table_column=Column(width=1)),
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            TimeElapsedColumn(table_column=Column(width=7, no_wrap=True)),
            TextColumn("{task.fields[note]}", style="dim", markup=False, table_column=note),
            console=console,
            disable=not self.live,
            expand=True,
        )
        self._started, self._lock = time.monotonic(), threading.Lock()

    def __enter__(self) -> "Display":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    @contextmanager
    def step(self, name: str, usual: str = "") -> Iterator[Step]:
        """A step of the work; closed as done, as failed when an exception passes, as stopped after a Ctrl-C."""
        step = Step(self, name, usual)
        try:
            yield step
        except BaseException as error:
            step.end("failed" if isinstance(error, Exception) else "stopped")
            raise
        step.end("done")

    def plain(self, text: str) -> None:
        """One line with the time since the start."""
        with self._lock:
            self.console.print(
                f"{time.monotonic() - self._started:6.1f} s  {text}", markup=False, highlight=False, soft_wrap=True
            )


class _Mark(SpinnerColumn):
    """A spinner, and then how the step ended."""

    def render(self, task: Task) -> RenderableType:
        ended = task.fields["ended"]
        return Text.from_markup(MARKS[ended]) if ended else super().render(task)
