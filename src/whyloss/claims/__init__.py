"""Folklore about losses, each sentence with the experiment that settles it and the verdict that came out.

A group of claims is a module (coding, gradients, …): sentences as data, and the functions that measure them. book.py
lists them, run.py runs them, verdict.py judges, report/ shows."""
