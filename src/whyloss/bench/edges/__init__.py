"""The edge contract beside other packages: the same inputs, what came, and what should have come.

A case is data (edge.py, cases/), what is right is a formula in float64 (truths.py), and the verdict is computed from
the two (judge.py). One test holds ours to every case."""
