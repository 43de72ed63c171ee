"""One bar for the whole of a run, with what is being measured; a line for each case in a log."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Bar:
    """`with Bar(console, 12) as bar: bar.begin("logits-100x10", "focal"); bar.done()`"""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._last = console, ""
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            expand=True,
            disable=not console.is_terminal,
            auto_refresh=False,  # a clock that ticks would take its time from what is being measured
        )
        self._task = self._bar.add_task("floors", total=total)

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begin(self, case: str, subject: str) -> None:
        self._bar.update(self._task, description=f"{case} {subject}", refresh=True)
        if not self._console.is_terminal and case != self._last:
            self._console.print(f"{case} ...", highlight=False, markup=False)
        self._last = case

    def done(self) -> None:
        self._bar.advance(self._task)
        self._bar.refresh()
