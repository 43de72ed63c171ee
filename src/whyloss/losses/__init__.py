"""Floor 1: the formulas. Knows statistics, not how they were got.

`loss.py` has the base classes, `rows.py` the door through which every call comes; the folders are the families. Losses
that are no function of sums over a row have bases of their own: `whole.py`, `label_sets.py`, `batch.py`,
`region/region.py`."""
