"""Losses for several labels at once, some of which may be unknown."""
