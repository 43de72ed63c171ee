"""Do some classes belong together? Only where errors gather in a pair more than chance, and the pair lies near.

Label noise confuses classes too, so the null is not "no errors". It is: whoever errs, errs into the other classes in
proportion to how often they are given (quasi-independence, the diagonal left out). Symmetric noise of any rate
satisfies it. Knows confusions and class centres only."""

import numpy as np

from whyloss.advise.diagnose.case import MOST_ROWS, Case, Floats, percent
from whyloss.advise.diagnose.noise import Noise
from whyloss.advise.finding import Finding

DRAWS = 300


def relation_findings(case: Case, noise: Noise) -> list[Finding]:
    count = len(case.classes)
    errors = int(case.wrong.sum())
    if count < 3 or errors < 10:
        return []
    confusion = np.zeros((count, count))
    np.add.at(confusion, (case.predicted, case.label), 1)
    table = confusion - np.diag(np.diag(confusion))
    excess, bound = _excess(table, case.generator(3))
    distance = _distances(case)
    pairs = np.triu_indices(count, 1)
    near = distance <= np.median(distance[pairs])
    related = [(i, j) for i, j in zip(*pairs, strict=True) if excess[i, j] > bound and near[i, j]]
    if not related:
        return []
    related.sort(key=lambda pair: -excess[pair])
    together = table + table.T
    inside = int(sum(together[pair] for pair in related))
    draws = case.generator(4).binomial(errors, inside / errors, 1000) / errors
    names = ", ".join(f"{case.classes[i]} with {case.classes[j]}" for i, j in related[:3])
    among = np.isin(
        case.predicted * count + case.label, [a * count + b for i, j in related for a, b in ((i, j), (j, i))]
    )
    rows = np.flatnonzero(among)
    doubt = " Labels are noisy here: a pair may also be a habit of whoever wrote the labels." if noise.trusted else ""
    return [
        Finding(
            id="class_relations",
            severity="note",
            text=f"Errors gather in pairs of classes that lie near each other ({names}): {percent(inside / errors)} of all errors "
            f"are in such a pair, more than chance or symmetric noise would put there.{doubt}",
            value=inside / errors,
            interval=(float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))),
            rows=[int(row) for row in rows[np.argsort(case.p[rows, case.label[rows]], kind="stable")][:MOST_ROWS]],
            advice="Features that separate these classes help most. If such errors cost less, say so with a cost matrix or a "
            "hierarchy; else merge classes that nobody needs apart.",
            details={
                "matrix": confusion.T.astype(int).tolist(),
                "labels": case.classes,
                "title": "given label (row) and predicted class (column), out of fold",
                "pairs": [
                    {
                        "classes": [case.classes[i], case.classes[j]],
                        "errors": int(together[i, j]),
                        "excess": float(excess[i, j]),
                    }
                    for i, j in related[:MOST_ROWS]
                ],
            },
        )
    ]


def _excess(table: Floats, generator: np.random.Generator) -> tuple[Floats, float]:
    """Standardised excess of each unordered pair, and the value that the largest of all exceeds in 5 % of null tables."""
    expected = _quasi_independent(table[None])[0]
    sizes = table.sum(1).astype(int)
    chances = expected / np.maximum(expected.sum(1, keepdims=True), 1e-12)
    chances[expected.sum(1) == 0] = 1 / len(table)
    draws = max(60, min(DRAWS, int(3e6 / table.size)))
    null = generator.multinomial(sizes, chances, size=(draws, len(sizes))).astype(float)
    null[:, np.arange(len(table)), np.arange(len(table))] = 0
    largest = _residual(null, _quasi_independent(null)).max((1, 2))
    return _residual(table[None], expected[None])[0], float(np.quantile(largest, 0.95))


def _residual(table: Floats, expected: Floats) -> Floats:
    both, fitted = table + table.transpose(0, 2, 1), expected + expected.transpose(0, 2, 1)
    return (both - fitted) / np.sqrt(fitted + 1)


def _quasi_independent(tables: Floats) -> Floats:
    """Expected counts with the same margins and no cell on the diagonal, by iterative proportional fitting."""
    rows, columns = tables.sum(2, keepdims=True), tables.sum(1, keepdims=True)
    fitted = np.broadcast_to(1.0 - np.eye(tables.shape[1]), tables.shape).copy()
    for _ in range(25):
        fitted *= rows / np.maximum(fitted.sum(2, keepdims=True), 1e-12)
        fitted *= columns / np.maximum(fitted.sum(1, keepdims=True), 1e-12)
    return fitted


def _distances(case: Case) -> Floats:
    """Between centres of what the model takes for each class: wrong labels would pull the given centres together."""
    count = len(case.classes)
    weight = np.zeros((count, case.rows))
    weight[case.predicted, np.arange(case.rows)] = 1
    total = weight.sum(1, keepdims=True)
    centre = weight @ case.features / np.maximum(total, 1)
    distance = np.linalg.norm(centre[:, None] - centre[None], axis=-1)
    empty = total[:, 0] == 0
    distance[empty] = distance[:, empty] = np.inf
    return distance
