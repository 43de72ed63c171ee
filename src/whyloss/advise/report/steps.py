"""Progress of a long run: a bar with elapsed and remaining time in a terminal, plain lines in a log.

Knows the names of stages and how far they are; not what they do."""

from dataclasses import dataclass
from time import perf_counter
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from . import wording


@dataclass(frozen=True)
class Words:
    """What a log is told where there is no bar; a time is `time` in English, or `seconds`."""

    begun: str = "{name} ... ({total} parts)"
    begun_unknown: str = "{name} ..."
    done: str = "{name} done in {time}"


class Steps:
    """`with Steps(console) as steps: steps.start("race", total=120); steps.advance("race")`

    Starting a stage ends the one before it. `seconds` holds what each stage took, for the report."""

    def __init__(self, console: Console, words: Words = Words()) -> None:
        self.seconds: dict[str, float] = {}
        self._console = console
        self._words = words
        self._began: dict[str, float] = {}
        self._running: str | None = None
        self._tasks: dict[str, TaskID] = {}
        self._bars = (
            Progress(
                TextColumn("[bold]{task.description:<10}"),
                BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=console,
                expand=True,
            )
            if console.is_terminal
            else None
        )

    def __enter__(self) -> "Steps":
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        if self._bars:
            self._bars.stop()

    def start(self, name: str, total: int | None = None) -> None:
        """Begin a stage; `total` is the number of its parts, None when nobody knows."""
        self.finish()
        self._running, self._began[name] = name, perf_counter()
        if self._bars:
            self._tasks[name] = self._bars.add_task(name, total=total)
        else:
            begun = self._words.begun if total else self._words.begun_unknown
            self._say(begun.format(name=name, total=total))

    def advance(self, name: str, by: int = 1) -> None:
        if self._bars and name in self._tasks:
            self._bars.advance(self._tasks[name], by)

    def finish(self) -> None:
        """End the stage that is running, if there is one."""
        name, self._running = self._running, None
        if name is None:
            return
        self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - self._began[name]
        if self._bars:
            task = self._bars.tasks[self._bars.task_ids.index(self._tasks[name])]
            total = task.total or max(task.completed, 1)
            self._bars.update(task.id, total=total, completed=total)
        else:
            took = self.seconds[name]
            self._say(self._words.done.format(name=name, time=wording.duration(took), seconds=took))

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False)
