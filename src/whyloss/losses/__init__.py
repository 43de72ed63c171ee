"""Floor 1: the formulas. Knows statistics, not how they were got.

`loss.py` has the base classes, `rows.py` the door through which every call comes, the other files the families."""
