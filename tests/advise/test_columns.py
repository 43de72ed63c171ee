"""Columns, labels and the encoder: types, what is dropped and why, class names, leaks, and their refusals."""

import numpy as np
import pandas as pd
import pytest

from whyloss.advise.data import Table, encoder, read
from whyloss.advise.finding import InputError

ROWS = 60


def frame(**columns: object) -> pd.DataFrame:
    random = np.random.default_rng(0)
    base = {
        "a": random.normal(size=ROWS),
        "b": random.choice(list("uvw"), ROWS),
        "y": random.choice(["no", "yes"], ROWS),
    }
    return pd.DataFrame(base | columns)


def encoded(table: Table) -> np.ndarray:
    return encoder(table).fit_transform(table.features)


def reasons(table: Table) -> dict[str, str]:
    return {item["column"]: item["reason"] for item in table.dropped}


# Columns


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1.5", "?", "3"] * 20, [1.5, np.nan, 3]),
        (["1", "NA", ""] * 20, [1, np.nan, np.nan]),
        ([" 1 ", "2", None] * 20, [1, 2, np.nan]),
        (["1,5", "2,25", "3"] * 20, [1.5, 2.25, 3]),
        (["1,500", "22,250,000", "3"] * 20, [1500, 22250000, 3]),
        ([np.inf, 2.0, -1e300] * 20, [np.nan, 2, np.nan]),
        (["2020-01-01", "2020-01-03", None] * 20, [18262, 18264, np.nan]),
        (["31/12/2019", "01/01/2020", "02/01/2020"] * 20, [18261, 18262, 18263]),
    ],
)
def test_numbers_and_dates_in_text(values: list[object], expected: list[float]) -> None:
    table = read(frame(q=values), "y")
    assert "q" in table.numeric
    np.testing.assert_allclose(table.features["q"][:3], expected)


def test_missing_categories_stay_missing() -> None:
    table = read(frame(q=["u", " ? ", ""] * 20), "y")
    assert "q" in table.categorical
    assert table.features["q"].isna().sum() == 40


def test_stray_text_in_numbers_is_told() -> None:
    table = read(frame(q=[*map(str, np.arange(ROWS - 1) ** 2), "broken"]), "y")
    assert "q" in table.numeric
    assert [note.id for note in table.notes] == ["text_in_numbers"]
    assert "'broken'" in table.notes[0].text


def test_useless_columns_are_dropped_with_a_reason() -> None:
    order = np.random.default_rng(1).permutation(ROWS)
    table = read(
        frame(
            number=range(5, 5 + ROWS),
            customer_id=order,
            code=[f"k{i}" for i in order],
            remark=[f"the customer called {i} times and was told to wait" for i in order],
            same=3,
            empty=np.nan,
            lists=[[1, 2]] * ROWS,
            acid=order,
        ),
        "y",
    )
    assert (table.numeric, table.categorical) == (["a", "acid"], ["b"])
    found = reasons(table)
    assert set(found) == {"number", "customer_id", "code", "remark", "same", "empty", "lists"}
    assert "row number" in found["number"]
    assert "identifier" in found["customer_id"]
    assert "identifier" in found["code"]
    assert "free text" in found["remark"]
    assert "constant" in found["same"]
    assert "missing" in found["empty"]


def test_identifier_that_repeats_suggests_a_group() -> None:
    table = read(pd.concat([frame(patientId=np.arange(ROWS) % 31)] * 2, ignore_index=True), "y")
    assert "patientId" in reasons(table)
    note = next(note for note in table.notes if note.id == "id_with_repeats")
    assert "--group patientId" in note.advice


def test_many_columns_dropped_for_one_reason_are_bundled() -> None:
    table = read(frame(**{f"c{i}": 0 for i in range(40)}), "y")
    assert [item["column"] for item in table.dropped] == ["c0, c1, c2 and 37 more"]


def test_drop_and_its_slips() -> None:
    table = read(frame(), "y", drop=["b"])
    assert reasons(table) == {"b": "left out by the user"}
    with pytest.raises(InputError, match=r"'aa' .--drop.* Did you mean 'a'"):
        read(frame(), "y", drop=["aa"])
    with pytest.raises(InputError, match="cannot be left out"):
        read(frame(), "y", drop=["y"])


# Labels


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([10.0, 2.0, 1.0], ["1", "2", "10"]),
        (["10", "9", "2"], ["2", "9", "10"]),
        ([True, False, True], ["False", "True"]),
        ([0.5, 1.0, 1.5], ["0.5", "1", "1.5"]),
        ([" <=50K", " >50K", " >50K"], ["<=50K", ">50K"]),
        (["'-1'", "'1'", "'1'"], ["-1", "1"]),
        (["C", "C++", "C#"], ["C", "C#", "C++"]),
        (["+", "-", "."], ["+", "-", "."]),
    ],
)
def test_class_names(values: list[object], classes: list[str]) -> None:
    table = read(frame(y=values * 20), "y")
    assert table.classes == classes
    assert table.label.dtype == np.int64


def test_ordered_gives_the_codes() -> None:
    table = read(frame(y=["low", "high", "mid"] * 20), "y", ordered=["low", "mid", "high"])
    assert table.ordered
    assert table.classes == ["low", "mid", "high"]
    assert table.label[:3].tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["yes", "yes ", "no"], ["spelled two ways", "'yes' (20 rows)", "'yes ' (20 rows)", "str.strip"]),
        (["Yes", "yes", "no"], ["spelled two ways", "'Yes' (20 rows)"]),
        ([">50K", ">50K.", "<=50K"], ["spelled two ways", "'>50K.' (20 rows)"]),
        (["a", "b", None], ["missing", "20 of 60", "row 2, 5, 8"]),
        (["a", "b", " NA"], ["missing", "20 of 60"]),
        ([None] * 3, ["empty in all 60 rows"]),
        (["a"] * 3, ["one class", "'a'"]),
    ],
)
def test_labels_refused(labels: list[object], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read(frame(y=labels * 20), "y")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a"] * 29 + ["b"] + ["c"] * 30, ["'b'", "one row", "row 29", "Merge"]),
        ([f"k{i}" for i in range(ROWS)], ["identifier", "--label"]),
        (list(range(ROWS)), ["different"]),
        ([f"k{max(i, 9)}" for i in range(ROWS)], ["51 classes for 60 rows", "merge"]),
        (np.linspace(0, 1, ROWS), ["continuous", "HL-Gauss", "regression"]),
    ],
)
def test_labels_refused_for_their_counts(labels: list[object], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read(frame(y=labels), "y")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (["no"], ["Not listed: 'yes'"]),
        (["no", "yes", "maybe"], ["Not a class: 'maybe'"]),
        (["no", "no", "yes"], ["twice"]),
    ],
)
def test_ordered_refused(order: list[str], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read(frame(), "y", ordered=order)
    for word in [*words, "'no', 'yes'"]:
        assert word in str(caught.value)


# Features


def test_constant_or_no_features_are_refused() -> None:
    with pytest.raises(InputError, match=r"All features are constant .'a'"):
        read(frame()[["y"]].assign(a=1, b="x"), "y")
    with pytest.raises(InputError, match=r"No numeric or categorical feature.*'code' .identifier"):
        read(frame()[["y"]].assign(code=[f"k{i}" for i in range(ROWS)]), "y")
    with pytest.raises(InputError, match="no column beside the label"):
        read(frame()[["y"]], "y")


@pytest.mark.parametrize("copy", [lambda y: y, lambda y: y == "yes", lambda y: np.where(y == "yes", 7.5, 2)])
def test_copy_of_the_label_is_refused_until_dropped(copy: object) -> None:
    data = frame()
    data["outcome"] = copy(data["y"])  # type: ignore[operator]
    with pytest.raises(InputError, match=r"'outcome' is a copy of the label 'y'.*--drop outcome"):
        read(data, "y")
    assert read(data, "y", drop=["outcome"]).numeric == ["a"]


def test_perfect_columns_are_reported() -> None:
    data, random = frame(), np.random.default_rng(2)
    yes = (data["y"] == "yes").to_numpy()
    data["score"] = random.random(ROWS) + 2 * yes
    data["branch"] = np.where(yes, random.choice(["p", "q"], ROWS), random.choice(["r", "s"], ROWS))
    data["ended"] = np.where(yes, random.random(ROWS), np.nan)
    notes = {note.details["column"]: note for note in read(data, "y").notes if note.id == "leak_suspect"}
    assert set(notes) == {"score", "branch", "ended"}
    assert all(note.severity == "serious" and "--drop" in note.advice for note in notes.values())


def test_ordinary_columns_are_no_leaks() -> None:
    assert not read(frame(pure=np.arange(ROWS) % 7), "y").notes


# The encoder


def test_encoder_is_dense_float32_and_standardised() -> None:
    random = np.random.default_rng(0)
    table = read(frame(heavy=np.exp(3 * random.normal(size=ROWS)), gaps=[1.5, np.nan, 3] * 20), "y")
    values = encoded(table)
    assert values.dtype == np.float32
    assert values.shape == (ROWS, 3 + 1 + 3)  # numbers, one missing indicator, categories of b
    np.testing.assert_allclose(values[:, :4].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(values[:, :4].std(0), 1, atol=1e-5)
    assert len(encoder(table).fit(table.features).get_feature_names_out()) == 7


def test_encoder_tames_heavy_tails() -> None:
    heavy = np.exp(4 * np.random.default_rng(0).normal(size=ROWS))
    values = encoded(read(frame(heavy=heavy), "y", drop=["a", "b"]))[:, 0]
    assert np.abs(values).max() < 4  # 7.5 standard deviations when only standardised
    assert (np.argsort(values) == np.argsort(heavy)).all()


def test_encoder_survives_what_a_fold_lacks() -> None:
    late = {
        "n": [np.nan] * 30 + list(range(30)),
        "c": [None] * 30 + ["u", "v", "w"] * 10,
        "d": ["u", "v"] * 29 + ["w", None],
    }
    table = read(frame(**late), "y")
    fitted = encoder(table).fit(table.features[:8].assign(a=1.0))  # constant, empty and unseen values
    values = fitted.transform(table.features)
    assert np.isfinite(values).all()
    assert np.abs(values).max() <= 10


def test_encoder_bounds_the_number_of_categories() -> None:
    many = [f"k{i % 45}" for i in range(200)]
    table = read(pd.DataFrame({"b": many, "y": np.random.default_rng(0).integers(0, 2, 200)}), "y")
    assert encoded(table).shape == (200, 30)
