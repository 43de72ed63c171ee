"""Floor 0: a few numbers per row of logits, and the way back from what each is worth to a gradient.

Knows torch only. Knows nothing of losses: a loss is handed down as a `Rows`, a formula with the names of the statistics
that it reads."""
