"""The same two passes in Triton: what a loss needs is generated from the statistics' table and its traced formula.

plan.py: sums, formula and pull-back as one graph. source.py: the graph and the templates as Triton. functions.py:
arithmetic as accurate as torch's. launch.py: which kernel for which shape. rows.py: the engine, an autograd function.
Only launch.py and functions.py import Triton, and only when a kernel is wanted."""
