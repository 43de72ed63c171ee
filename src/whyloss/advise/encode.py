"""From typed columns to the float array that models are trained on.

Returns unfitted scikit-learn transformers: medians, scales and categories are learnt from training rows only."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, RobustScaler, StandardScaler

from whyloss.advise.table import Table

SKEW = 2.0  # above this (either side) a column is compressed before it is scaled
FURTHEST = 10.0  # standard deviations; a value never seen in training must not dwarf everything else
CATEGORIES = 30  # per column; the rarest share one


def encoder(table: Table) -> Pipeline:
    """DataFrame -> dense float32 array (N, D). The whole table decides which columns are compressed."""
    skewed = [name for name in table.numeric if abs(_skew(table.features[name])) > SKEW]
    plain = [name for name in table.numeric if name not in set(skewed)]
    # arcsinh is linear near the median and logarithmic in both tails. Unlike quantiles and power transforms it needs no
    # minimum of rows and survives a column that is mostly one value.
    compress: list[BaseEstimator] = [RobustScaler(), FunctionTransformer(np.arcsinh, feature_names_out="one-to-one")]
    columns = ColumnTransformer(
        [
            ("plain", _numbers([]), plain),
            ("skewed", _numbers(compress), skewed),
            (
                "categorical",
                make_pipeline(
                    SimpleImputer(strategy="constant", fill_value="(missing)", keep_empty_features=True),
                    OneHotEncoder(
                        min_frequency=2,
                        max_categories=CATEGORIES,
                        handle_unknown="infrequent_if_exist",
                        sparse_output=False,
                        dtype=np.float32,  # pyright: ignore[reportArgumentType]
                    ),
                ),
                table.categorical,
            ),
        ],
        sparse_threshold=0.0,
        verbose_feature_names_out=False,
    )
    return make_pipeline(columns, FunctionTransformer(_single, feature_names_out="one-to-one"))


def _numbers(compress: list[BaseEstimator]) -> Pipeline:
    # keep_empty_features: a column may be empty in one fold. Indicators appear only where training rows lack values.
    impute = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    clip = FunctionTransformer(np.clip, kw_args={"a_min": -FURTHEST, "a_max": FURTHEST}, feature_names_out="one-to-one")
    return make_pipeline(impute, *compress, StandardScaler(), clip)


def _skew(column: Any) -> float:
    return float(column.skew())


def _single(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)
