"""The catalogue as Markdown: `python -m whyloss.pages.markdown > docs/losses.md` (`make stubs`)."""

from whyloss import show
from whyloss.losses.catalogue import FAMILIES, catalogue


def text() -> str:
    """A table for each family: names, formula, source."""
    parts = [
        "# The losses",
        f"{len(catalogue())} losses. `whyloss show NAME` draws one, `whyloss list --out DIR` makes a page of each.",
        "Written by `make stubs` from the classes; not to be edited.",
    ]
    for family, package in FAMILIES.items():
        about = " ".join((package.__doc__ or "").split())
        parts += [f"## {family}", about, "| loss | short | formula | source |\n|---|---|---|---|"]
        for cls in show.losses(family):
            cells = (f"`{cls.__name__}`", ", ".join(cls.short), f"`{cls.equation}`", cls.source)
            parts[-1] += "\n| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(text(), end="")
