"""The table that everything in `advise` works on: typed features, coded labels, and what was left out.

Knows nothing of files, models or losses."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from whyloss.advise.finding import Finding

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Table:
    """N rows with features and one label each.

    Row i is data row i of the file, always: reading drops columns, never rows."""

    name: str
    features: pd.DataFrame
    label: NDArray[np.int64]  # (N,) codes 0..C-1
    classes: list[str]  # names in code order; in the user's order when `ordered`
    groups: NDArray[np.int64] | None  # (N,) rows of one group must share a fold
    numeric: list[str]
    categorical: list[str]
    ordered: bool
    dropped: list[dict[str, str]]  # {"column", "reason"}
    label_column: str
    notes: list[Finding] = field(default_factory=list[Finding])  # what reading noticed

    def __len__(self) -> int:
        return len(self.label)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Rows of each class, in code order."""
        return np.bincount(self.label, minlength=len(self.classes)).astype(np.int64)

    def take(self, rows: NDArray[np.integer] | list[int]) -> "Table":
        """The table of these rows only. Codes and classes stay as they are, even if a class loses all its rows."""
        index = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            features=self.features.iloc[index].reset_index(drop=True),
            label=self.label[index],
            groups=None if self.groups is None else self.groups[index],
        )
