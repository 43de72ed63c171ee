"""Planted results of each kind give each verdict, and the condition that was planted is the one that is found."""

import numpy as np
import pytest

from whyloss.claims.claim import Measured, Statement, Text
from whyloss.claims.verdict import Cell, Verdict, combine, condition, judge, under

NOTHING = Text("", "")


def statement(kind: str = "more", margin: float = 0.01, key: str = "a") -> Statement:
    return Statement(key, NOTHING, NOTHING, margin, kind=kind)  # pyright: ignore[reportArgumentType]


def seeds(mean: float, spread: float = 0.001, number: int = 10) -> tuple[float, ...]:
    """Values with exactly this mean and standard deviation."""
    noise = np.random.default_rng(0).normal(size=number)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    return tuple((mean + spread * noise).tolist())


def cell(mean: float, spread: float = 0.001, kind: str = "more", **where: str) -> Cell:
    return judge(Measured("a", {"protocol": "fixed", **where}, seeds(mean, spread)), statement(kind))


@pytest.mark.parametrize(
    ("kind", "mean", "answer"),
    [
        ("more", 0.05, "holds"),
        ("more", 0.0, "equivalent"),
        ("more", -0.05, "does not hold"),
        ("cannot", 0.05, "holds"),
        ("cannot", 0.0, "does not hold"),
        ("cannot", -0.05, "does not hold"),
        ("same", 0.0, "holds"),
        ("same", 0.05, "does not hold"),
        ("same", -0.05, "does not hold"),
    ],
)
def test_one_figure_that_is_clear(kind: str, mean: float, answer: str):
    assert cell(mean, kind=kind).answer == answer


@pytest.mark.parametrize("kind", ["more", "cannot", "same"])
def test_an_interval_across_the_margin_is_undecided(kind: str):
    found = cell(0.01, spread=0.02, kind=kind)
    assert found.low < 0.01 < found.high
    assert found.answer == "undecided"
    assert found.slack < 0


def test_below_the_margin_but_perhaps_far_below_refutes_only_what_leaves_no_room():
    assert cell(-0.01, spread=0.02, kind="cannot").answer == "does not hold"
    assert cell(-0.01, spread=0.02, kind="more").answer == "undecided"


def test_the_interval_is_students():
    found = cell(0.05, spread=0.01)
    half = 2.2621571628 * 0.01 / np.sqrt(10)  # t(9), 97.5 %
    assert (found.low, found.high) == pytest.approx((0.05 - half, 0.05 + half))
    assert found.seeds == 10


def test_splits_of_one_table_widen_the_interval():
    one = judge(Measured("a", {"protocol": "fixed"}, seeds(0.05)), statement())
    shared = judge(Measured("a", {"protocol": "fixed"}, seeds(0.05), test_share=0.5), statement())
    assert (shared.high - shared.low) / (one.high - one.low) == pytest.approx(((1 / 10 + 0.5) / (1 / 10)) ** 0.5)


def test_an_exact_figure_has_no_spread():
    found = judge(Measured("a", {"protocol": "exact"}, (1e-17,)), statement("cannot", 1e-12))
    assert (found.low, found.high, found.answer) == (1e-17, 1e-17, "does not hold")


def test_what_is_not_finite_is_undecided():
    broken = judge(Measured("a", {"protocol": "fixed"}, (0.1, float("nan"), 0.1)), statement())
    assert broken.answer == "undecided"


@pytest.mark.parametrize(
    ("means", "word"),
    [
        ([0.05, 0.03], "holds"),
        ([0.0, 0.0], "equivalent"),
        ([-0.05, -0.05], "does not hold"),
        ([-0.05, 0.0], "does not hold"),
        ([0.05, 0.0], "holds only when"),
        ([0.05, -0.05], "holds only when"),
    ],
)
def test_cells_together(means: list[float], word: str):
    found = combine([cell(mean, data=str(place)) for place, mean in enumerate(means)])
    assert found.word == word


def test_one_open_cell_among_cells_that_agree_leaves_it_open():
    assert combine([cell(0.05, data="x"), cell(0.01, spread=0.02, data="y")]).word == "undecided"
    mixed = combine([cell(0.05, data="x"), cell(0.0, data="y"), cell(0.01, spread=0.02, data="z")])
    assert mixed.word == "holds only when"
    assert mixed.condition == ({"data": "x"},)


def test_the_weakest_needed_figure_decides():
    found = combine([cell(0.05, data="x"), cell(0.02, data="y"), cell(0.09, data="z")])
    assert found.deciding.where["data"] == "y"
    assert found.against is None


def test_where_both_happen_the_clearest_of_each_are_shown():
    found = combine([cell(0.05, data="x"), cell(0.08, data="y"), cell(-0.03, data="z"), cell(-0.09, data="u")])
    assert found.deciding.where["data"] == "y"
    assert found.against is not None
    assert found.against.where["data"] == "u"
    assert found.condition == ({"data": "x"}, {"data": "y"})


def test_the_planted_condition_is_found():
    grid = [
        {"protocol": protocol, "meaning": meaning, "data": data}
        for protocol in ("fixed", "tuned")
        for meaning in ("linear", "codes")
        for data in ("x", "y")
    ]

    def found(**planted: str) -> tuple[object, ...]:
        picks = [all(where[k] == v for k, v in planted.items()) for where in grid]
        cells = [cell(0.05 if pick else 0.0, **where) for pick, where in zip(picks, grid, strict=True)]
        return combine(cells).condition

    assert found(protocol="fixed") == ({"protocol": "fixed"},)
    assert found(meaning="codes") == ({"meaning": "codes"},)
    assert found(protocol="fixed", data="x") == ({"protocol": "fixed", "data": "x"},)
    assert found(protocol="tuned", meaning="codes", data="y") == (
        {"protocol": "tuned", "meaning": "codes", "data": "y"},
    )


def test_a_condition_says_no_more_than_it_must():
    holding = [{"a": "1", "b": "1"}, {"a": "1", "b": "2"}, {"a": "2", "b": "1"}]
    assert condition(holding, [{"a": "2", "b": "2"}]) == ({"a": "1"}, {"b": "1"})


def test_the_protocol_is_named_before_other_factors_that_tell_as_much():
    assert condition([{"x": "1", "protocol": "fixed"}], [{"x": "2", "protocol": "tuned"}]) == ({"protocol": "fixed"},)


def test_a_statement_is_named_rather_than_that_its_figure_is_exact():
    exact, fixed = {"protocol": "exact", "statement": "a"}, {"protocol": "fixed", "statement": "b"}
    assert condition([exact], [fixed]) == ({"statement": "a"},)


def test_a_factor_that_some_cells_lack_can_be_the_condition():
    found = condition([{"protocol": "fixed", "loss": "mae"}], [{"protocol": "fixed"}])
    assert found == ({"loss": "mae"},)


def test_that_a_factor_has_no_part_is_said_where_nothing_else_tells():
    tuned = {"protocol": "tuned"}
    assert condition([tuned], [{**tuned, "noise": "40 %"}]) == ({"noise": ""},)
    fixed = [{"protocol": "fixed"}, {"protocol": "fixed", "noise": "40 %"}]
    found = condition([tuned], [{**tuned, "noise": "40 %"}, *fixed])
    assert found == ({"protocol": "tuned", "noise": ""},)


def test_exact_figures_count_under_both_protocols():
    cells = [cell(0.05, protocol="fixed"), cell(0.05, protocol="tuned"), cell(0.05, protocol="exact")]
    assert [len(under(cells, protocol)) for protocol in ("fixed", "tuned")] == [2, 2]


def test_no_cells_no_verdict():
    with pytest.raises(ValueError, match="at least one"):
        combine([])


def test_equal_truths_are_rarely_called_different():
    """Values around zero, inside a margin that is two standard errors wide: a false "holds" needs a deviation of more
    than four standard errors."""
    rng = np.random.default_rng(1)
    answers = [
        judge(Measured("a", {"protocol": "fixed"}, tuple(rng.normal(0, 0.01, 10).tolist())), statement(margin=0.0063))
        for _ in range(2000)
    ]
    wrong = sum(found.answer in ("holds", "does not hold") for found in answers)
    assert wrong <= 4


def test_at_the_margin_the_error_is_that_of_the_interval():
    rng = np.random.default_rng(2)
    answers = [
        judge(Measured("a", {"protocol": "fixed"}, tuple(rng.normal(0.01, 0.01, 10).tolist())), statement())
        for _ in range(4000)
    ]
    share = sum(found.answer == "holds" for found in answers) / len(answers)
    assert share == pytest.approx(0.025, abs=0.008)


def test_a_verdict_is_data():
    found = combine([cell(0.05)])
    assert isinstance(found, Verdict)
    assert found == combine([cell(0.05)])
