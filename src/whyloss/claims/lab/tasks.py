"""The data of the experiments: generated, with the best possible answer known, or what scikit-learn bundles.

Every array has a leading axis for the seeds, so that all seeds train side by side. Knows no losses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Features (seeds, rows, features), labels (seeds, rows), and the true probabilities of the classes where known."""

    x: Tensor
    y: Tensor
    p: Tensor | None = None

    def ceiling(self) -> Tensor:
        """The accuracy on these labels of deciding by the true probabilities, per seed."""
        assert self.p is not None
        return (self.p.argmax(-1) == self.y).float().mean(-1)


@dataclass(frozen=True)
class Task:
    """What is trained on, what tunes (learning rate, stopping point, threshold), and what judges. `test_share` is rows
    tested / rows trained on where the seeds are splits of one table, and 0 where each seed draws fresh rows."""

    train: Rows
    valid: Rows
    test: Rows
    classes: int
    test_share: float = 0.0

    def with_labels(self, change: Callable[[Tensor, torch.Generator], Tensor], seed: int, valid: bool = True) -> "Task":
        """The same task with other labels to train on, and to tune on unless `valid` is false."""
        generator = torch.Generator().manual_seed(seed + 77)
        train = replace(self.train, y=change(self.train.y, generator))
        changed = replace(self.valid, y=change(self.valid.y, generator)) if valid else self.valid
        return replace(self, train=train, valid=changed)


def mixture(
    seeds: Sequence[int],
    rows: tuple[int, int, int],
    classes: int = 3,
    features: int = 2,
    clusters: int = 1,
    spread: float = 1.0,
    distance: float = 2.0,
    priors: Sequence[float] | None = None,
    centres: Sequence[Sequence[Sequence[float]]] | None = None,
) -> Task:
    """Classes that are mixtures of `clusters` round Gaussians, with centres drawn anew for each seed from a Gaussian of
    standard deviation `distance`; the true probabilities follow from Bayes' rule. One cluster each and the same spread:
    a linear model is well specified. More clusters need a network. `rows`: of train, valid and test. `centres`, [class]
    [cluster][feature], are the same for every seed, and take the place of `clusters`, `features` and `distance`."""
    shares = np.asarray(priors if priors is not None else [1 / classes] * classes)
    parts: list[list[tuple[Tensor, Tensor, Tensor]]] = [[], [], []]
    for seed in seeds:
        rng = np.random.default_rng(seed)
        means = rng.normal(0, distance, (classes, clusters, features)) if centres is None else np.asarray(centres)
        for part, number in zip(parts, rows, strict=True):
            y = rng.choice(classes, number, p=shares)
            x = means[y, rng.integers(means.shape[1], size=number)] + rng.normal(0, spread, (number, means.shape[2]))
            distances = ((x[:, None, None] - means) ** 2).sum(-1)  # (rows, classes, clusters)
            log_density = np.logaddexp.reduce(-distances / (2 * spread**2), axis=-1) + np.log(shares)
            p = np.exp(log_density - np.logaddexp.reduce(log_density, axis=-1, keepdims=True))
            part.append((_floats(x), torch.from_numpy(y), torch.from_numpy(p)))
    train, valid, test = (Rows(*(torch.stack(group) for group in zip(*part, strict=True))) for part in parts)
    return Task(train, valid, test, classes)


def bundled(name: str, seeds: Sequence[int], train_share: float = 0.5, valid_share: float = 0.2) -> Task:
    """digits, breast_cancer, wine or iris of scikit-learn, split anew for each seed, features standardised on the
    training rows."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    x_all, y_all = getattr(datasets, f"load_{name}")(return_X_y=True)
    parts: list[list[tuple[Tensor, Tensor]]] = [[], [], []]
    held, tuning = round(len(y_all) * (1 - train_share - valid_share)), round(len(y_all) * valid_share)
    for seed in seeds:
        rest, test = train_test_split(np.arange(len(y_all)), test_size=held, stratify=y_all, random_state=seed)
        train, valid = train_test_split(rest, test_size=tuning, stratify=y_all[rest], random_state=seed)
        mean, scale = x_all[train].mean(0), x_all[train].std(0)
        for part, chosen in zip(parts, (train, valid, test), strict=True):
            part.append(
                (_floats((x_all[chosen] - mean) / np.where(scale > 0, scale, 1)), torch.from_numpy(y_all[chosen]))
            )
    made = [Rows(*(torch.stack(group) for group in zip(*part, strict=True))) for part in parts]
    share = made[2].y.shape[1] / made[0].y.shape[1]
    return Task(made[0], made[1], made[2], int(y_all.max()) + 1, share)


def symmetric_noise(rate: float, classes: int) -> Callable[[Tensor, torch.Generator], Tensor]:
    """With this probability a label becomes one of the others, all alike."""

    def change(y: Tensor, generator: torch.Generator) -> Tensor:
        hit = torch.rand(y.shape, generator=generator) < rate
        shift = torch.randint(1, classes, y.shape, generator=generator)
        return torch.where(hit, (y + shift) % classes, y)

    return change


def pair_noise(rate: float, classes: int) -> Callable[[Tensor, torch.Generator], Tensor]:
    """With this probability a label becomes the next class: asymmetric, as when two classes are confused."""

    def change(y: Tensor, generator: torch.Generator) -> Tensor:
        hit = torch.rand(y.shape, generator=generator) < rate
        return torch.where(hit, (y + 1) % classes, y)

    return change


def stacked(parts: Sequence[Rows]) -> Rows:
    """The rows of every seed as one, with a leading axis for the seeds."""
    p = [part.p for part in parts if part.p is not None]
    x, y = torch.stack([part.x for part in parts]), torch.stack([part.y for part in parts])
    return Rows(x, y, torch.stack(p) if p else None)


def _floats(x: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Tensor:
    return torch.from_numpy(x.astype(np.float32))
