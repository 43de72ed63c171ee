"""Diagnoses that several test files look at, made once."""

import pytest
from diagnosed import Array, findings, noisy, scaled
from sklearn.datasets import load_digits

from whyloss.advise.finding import Finding


@pytest.fixture(scope="module")
def digits() -> tuple[Array, Array]:
    features, label = load_digits(return_X_y=True)
    return scaled(features), label


@pytest.fixture(scope="module")
def clean(digits: tuple[Array, Array]) -> dict[str, Finding]:
    return findings(*digits)


@pytest.fixture(scope="module")
def four_tenths(digits: tuple[Array, Array]) -> dict[str, Finding]:
    return findings(digits[0], noisy(digits[1], 0.4))
