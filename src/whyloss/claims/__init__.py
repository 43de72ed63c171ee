"""Folklore about losses, each sentence with the experiment that settles it and the verdict that came out.

sentences/ holds the claims as data with their experiments, lab/ what these share; book.py lists the claims, run.py runs
them, verdict.py judges, report/ shows.
"""
