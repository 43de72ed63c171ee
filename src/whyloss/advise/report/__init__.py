"""The report of `advise`: one dictionary in; terminal text, JSON, one HTML page and tables for a paper out.

Knows the dictionary's fields, never how its numbers were got."""

from .files import write
from .paper import latex_table, markdown_table
from .steps import Steps
from .terminal import show
from .wording import PLAIN

__all__ = ["PLAIN", "Steps", "latex_table", "markdown_table", "show", "write"]
