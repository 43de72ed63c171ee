"""The sentences, a module for each group of claims, and the experiments that settle them."""
