"""Losses that know how classes relate: ordered, in a tree, or at a cost for each confusion."""
