"""Do some classes belong together? Only where errors gather in a pair more than chance, and the pair lies near.

Label noise confuses classes too, so the null is not "no errors". It is: as many errors as there are in each predicted
class, spread over the other classes evenly, or in proportion to how frequent those are. Symmetric noise of any rate
satisfies it, and so do different rates in different classes. Knows confusions and class centres only."""

import numpy as np

from whyloss.advise.diagnose.case import MOST_ROWS, Case, Floats, Ints, percent, worst
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
    excess, bound = _excess(table, np.bincount(case.label, minlength=count), case.generator(3))
    distance = _distances(case)
    pairs = np.triu_indices(count, 1)
    near = distance <= np.median(distance[pairs])
    related = [(i, j) for i, j in zip(*pairs, strict=True) if excess[i, j] > bound and near[i, j]]
    if not related:
        return []
    related.sort(key=lambda pair: -excess[pair])
    together = _both(table)
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
            text=f"Errors gather in pairs of classes that lie near each other ({names}): {percent(inside / errors)} of "
            f"all errors are in such a pair, more than chance or symmetric noise would put there.{doubt}",
            value=inside / errors,
            interval=(float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))),
            rows=worst(rows, 1 - case.p[rows, case.label[rows]]),
            advice="Features that separate these classes help most. Merge classes that nobody needs apart; if such "
            "errors cost less, say so with a cost matrix or a hierarchy.",
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


def _excess(table: Floats, frequency: Ints, generator: np.random.Generator) -> tuple[Floats, float]:
    """Standardised excess of each unordered pair, and what the largest of all exceeds in 5 % of null tables."""
    apart = 1 - np.eye(len(table))
    nulls = [apart * columns for columns in (np.ones(len(table)), np.maximum(frequency, 1e-9))]
    nulls = [null / null.sum(1, keepdims=True) for null in nulls]
    sizes = table.sum(1).astype(int)
    expected = np.max([_both(sizes[:, None] * null) for null in nulls], axis=0)
    draws = max(40, min(DRAWS, int(3e6 / table.size)))
    bounds: list[float] = []
    for null in nulls:
        drawn = generator.multinomial(sizes, null, size=(draws, len(sizes))).astype(float)
        bounds.append(float(np.quantile(((_both(drawn) - expected) / np.sqrt(expected + 1)).max((1, 2)), 0.95)))
    return (_both(table) - expected) / np.sqrt(expected + 1), max(bounds)


def _both(table: Floats) -> Floats:
    return table + np.swapaxes(table, -1, -2)


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
