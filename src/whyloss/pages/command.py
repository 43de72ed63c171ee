"""`whyloss list` and `whyloss show`: the catalogue in the terminal, as JSON, as pages; one loss with its picture."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from whyloss import show
from whyloss.advise.finding import InputError
from whyloss.losses.catalogue import catalogue
from whyloss.pages.write import write


def list_losses(family: str | None, json: bool, out: Path | None) -> None:
    if out is not None:
        print(f"Pages written: {_pages(out)}")
    elif json:
        print(show.as_json(family))
    else:
        show.print_list(Console(highlight=False), family)


def show_loss(name: str, parameters: Sequence[str], out: Path | None) -> None:
    try:
        loss = show.build(name, parameters)
        show.check_file(out)
    except (KeyError, ValueError) as error:  # from the catalogue and the losses themselves, written for users
        raise InputError(str(error.args[0])) from None
    show.print_loss(Console(highlight=False), loss)
    if out is not None:
        try:
            show.write(loss, out)
        except OSError as error:
            raise InputError(f"The picture cannot be written to {str(out)!r}: {error.strerror or error}.") from None
        print(f"Picture written to {out}")


def _pages(folder: Path) -> Path:
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("pages", total=len(catalogue()))
            return write(folder, lambda name: progress.advance(task))
    except OSError as error:
        raise InputError(f"Pages cannot be written to {str(folder)!r}: {error.strerror or error}.") from None
