"""docs/definitions.md names losses and options that there are."""

import re
from pathlib import Path

import pytest

import whyloss

ROWS = [
    line.split(" | ")
    for line in (Path(__file__).parents[1] / "docs/definitions.md").read_text().splitlines()
    if line.startswith("| ") and "---" not in line
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][2:40])
def test_what_the_table_names_exists(row: list[str]):
    named = re.findall(r"\w+Loss\b", " ".join(row))
    assert all(hasattr(whyloss, name) for name in named)
    of_row = re.findall(r"\w+Loss\b", row[0])
    all_of = whyloss.DiceLoss if "region" in row[0] else whyloss.CrossEntropyLoss
    classes = [getattr(whyloss, name) for name in of_row] or [all_of]
    for option in re.findall(r"`(\w+)=", row[-1]):
        in_call = option in ("normalizer", "weight")
        assert in_call or all(option in cls.fields() for cls in classes), option


def test_there_are_many():
    assert len(ROWS) > 40
