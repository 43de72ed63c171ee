"""What was found, told: figures, conditions, sentences, records, scales, pictures and pages, in both languages."""

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from claims import planted
from claims.planted import one, settle

from whyloss.claims.claim import Curve, Measured, Panel, Results, Scale, Text
from whyloss.claims.report import Run, figures, forest, records, wording
from whyloss.claims.report.pictures import Bars, pictures
from whyloss.claims.report.records import claim_record
from whyloss.claims.run import Settled
from whyloss.claims.sentences.contradictions import CONTRADICTIONS
from whyloss.claims.verdict import Cell, Verdict, weigh
from whyloss.claims.words import VERDICTS

PROMISED = {"id", "sentence", "verdict", "protocol", "figure", "interval", "margin", "seeds", "seconds", "text"}


@pytest.fixture(scope="module")
def ledger() -> list[Settled]:
    return planted.settled()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0"),
        (0.5, "0.5"),
        (-0.5, "−0.5"),
        (12.0, "12"),
        (123.4, "123"),
        (9.996, "10"),
        (1234.5, "1,234"),
        (0.00123, "0.00123"),
        (1.5e-7, "1.5×10⁻⁷"),
        (1e-12, "10⁻¹²"),
        (-2.25e8, "−2.25×10⁸"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (math.nan, "–"),
    ],
)
def test_numbers_have_three_digits_and_real_signs(value: float, said: str) -> None:
    assert figures.number(value) == said


def test_figures_by_unit() -> None:
    assert figures.figure(0.032, "points", 0.01, "en") == "3.2 points"
    assert figures.figure(0.01, "points", 0.01, "en") == "1.0 point"
    assert figures.figure(-0.0001, "points", 0.01, "en") == "0.0 points"
    assert figures.figure(0.00002, "points", 0.0001, "en") == "0.002 points", "the margin is seen"
    assert figures.figure(0.032, "points", 0.01, "zh") == "3.2 个百分点"
    assert figures.figure(1.2, "factor", 1.0, "en") == "×2.30"
    assert figures.figure(-1.0, "factor", 1.0, "en") == "×0.50"
    assert figures.figure(math.inf, "factor", 1.0, "en") == "×∞"
    assert figures.limit(0.01, "points", "en") == "1 point"
    assert figures.limit(0.02, "points", "zh") == "2 个百分点"
    assert figures.limit(1.0, "factor", "en") == "×2"
    assert figures.limit(1e-12, "plain", "en") == "10⁻¹²"
    assert figures.span(0.021, 0.043, "points", 0.01, "en") == "2.1 to 4.3"
    assert figures.span(-1.0, 1.0, "factor", 1.0, "zh") == "×0.50 至 ×2.00"
    assert figures.span(0.07, 0.08444, "plain", 0.02, "en") == "0.0700 to 0.0844", "both with as many decimals"
    assert figures.figure(0.077, "plain", 0.02, "en", scale=0.12) == "0.077"
    assert [figures.bare(math.log2(r), "factor", 1.0) for r in (0.0123, 0.266, 9.99, 13.9, 123.4)] == [
        "×0.0123",
        "×0.27",
        "×9.99",
        "×13.9",
        "×123",
    ]


def test_durations() -> None:
    assert [figures.duration(s, "en") for s in (0.01, 3.14, 31.4, 125.2)] == ["< 0.1 s", "3.1 s", "31 s", "2 min 05 s"]
    assert figures.duration(125.2, "zh") == "2 分 05 秒"


def test_chinese_is_set_with_spaces_around_latin() -> None:
    assert figures.typeset("标签噪声为40 %时,MSE指×2;好吗?", "zh") == "标签噪声为 40 % 时，MSE 指 ×2；好吗？"
    assert figures.typeset("用`a, b`(z, y)即可", "zh") == "用`a, b`(z, y)即可"
    assert figures.typeset("as, it: is", "en") == "as, it: is"


def test_conditions_in_words(ledger: list[Settled]) -> None:
    claim = one(ledger, "S1-6/8").claim
    english, chinese = wording.Speaker(claim, "en"), wording.Speaker(claim, "zh")
    assert english.condition(({"protocol": "fixed"},)) == "protocol = fixed"
    both = ({"meaning": "linear"}, {"meaning": "codes"})
    assert english.condition(both) == "MSE means least squares on linear outputs or regression to integer codes"
    assert chinese.condition(both) == "MSE 指对线性输出的最小二乘或对整数编码的回归"
    nested = ({"protocol": "fixed", "noise": "20 %"}, {"protocol": "fixed", "noise": "40 %"}, {"protocol": "tuned"})
    assert english.condition(nested) == "protocol = fixed and label noise = 20 % or 40 %; or protocol = tuned"
    assert chinese.condition(nested[:2]) == "协议 = 固定且标签噪声 = 20 % 或 40 %"
    assert english.condition(({"statement": "b"},)) == "it means “training diverges at a smaller learning rate”"
    crossed = [{"protocol": p, "noise": n} for p in ("fixed", "tuned") for n in ("20 %", "40 %")]
    assert wording.merged(crossed) == [{"protocol": ["fixed", "tuned"], "noise": ["20 %", "40 %"]}]
    assert english.where({"protocol": "tuned", "noise": "40 %", "statement": "a"}) == "tuned, label noise 40 %"
    assert english.where({"protocol": "exact", "meaning": "codes"}) == "regression to integer codes"


def test_the_sentence_of_a_verdict(ledger: list[Settled]) -> None:
    item = one(ledger, "S1-5")
    said = wording.Speaker(item.claim, "en").text(item.verdict, item.cells)
    assert said == (
        "Holds only when protocol = fixed: ×13.9 (×12.0 to ×16.1), margin ×2, 10 seeds; against it, tuned, squared "
        "error on probabilities, small weights, Gaussian classes: ×1.07 (×0.87 to ×1.32)."
    )
    chinese = wording.Speaker(item.claim, "zh").text(item.verdict, item.cells, quick=True)
    assert chinese.startswith("仅当协议 = 固定时成立：×13.9（×12.0 至 ×16.1），等效界值 ×2，10 个种子；反面（")
    assert chinese.endswith("快速运行：仅供初看，并非定论。")
    item = one(ledger, "S1-11")
    said = wording.Speaker(item.claim, "en").text(item.verdict, item.cells)
    assert said == "Does not hold: 2.3×10⁻¹⁶, margin 10⁻¹², one exact value."


def test_a_sentence_that_states_several_things_is_told_part_by_part(ledger: list[Settled]) -> None:
    item = one(ledger, "S1-6/8")
    english, chinese = wording.Speaker(item.claim, "en"), wording.Speaker(item.claim, "zh")
    assert item.verdict.word == "holds only when"
    assert [key for key, _ in item.verdict.parts] == [s.key for s in item.claim.statements]
    said = english.text(item.verdict, item.cells)
    assert said.startswith("Holds in part. “")
    assert said.count("“") == len(item.verdict.parts)
    assert chinese.text(item.verdict, item.cells).startswith("部分成立。“")
    record = claim_record(item, Run())
    assert [part["verdict"] for part in record["parts"]] == [part.word for _, part in item.verdict.parts]


def test_every_verdict_can_be_told_in_both_languages(ledger: list[Settled]) -> None:
    assert {item.verdict.word for item in ledger} == set(VERDICTS)
    for item in ledger:
        for language in ("en", "zh"):
            for quick in (False, True):
                said = wording.Speaker(item.claim, language).text(item.verdict, item.cells, quick)
                assert "{" not in said
                assert said.endswith((".", "。"))
                assert ("quick" in said or "快速" in said) == quick
    assert set(wording.OUTCOMES) == {"both hold", "both under conditions", "one side", "neither", "undecided"}


def test_figures_that_no_condition_tells_apart() -> None:
    claim, _ = planted.plain("S9-9", 0, 0)
    where = {"protocol": "exact"}
    found = settle(claim, Results((Measured("a", where, (0.5,)), Measured("a", where, (-0.5,)))))
    said = wording.Speaker(claim, "en").text(found.verdict, found.cells)
    assert said.startswith("Holds in part of the figures, told apart by none of the conditions (exact)")


def verdict(word: Any, slack: float = 1.0) -> Verdict:
    return Verdict(word, Cell("a", {"protocol": "fixed"}, 0.0, 0.0, 0.0, 0.01, 8, "undecided", slack))


@pytest.mark.parametrize(
    ("one", "other", "word", "right"),
    [
        ("holds", "holds", "both hold", (True, True)),
        ("holds", "holds only when", "both under conditions", (True, True)),
        ("holds only when", "holds only when", "both under conditions", (True, True)),
        ("holds only when", "equivalent", "one side", (True, False)),
        ("does not hold", "holds", "one side", (False, True)),
        ("does not hold", "equivalent", "neither", (False, False)),
        ("holds", "undecided", "undecided", (True, False)),
    ],
)
def test_two_sides_weighed(one: str, other: str, word: str, right: tuple[bool, bool]) -> None:
    found = weigh(verdict(one, 2.0), verdict(other, 1.0))
    assert (found.word, found.right, found.deciding.slack) == (word, right, 1.0)
    turned = weigh(verdict(other), verdict(one))
    assert (turned.word, turned.right) == (word, right[::-1])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_records_keep_their_promise(ledger: list[Settled], language: Any) -> None:
    run = Run(Scale(3, True), language, "whyloss claims --quick", {"whyloss": "0"})
    found = records(ledger, planted.opposed(ledger), run)
    assert [record["id"] for record in found] == [i.claim.id for i in ledger] + [c.id for c in CONTRADICTIONS]
    for record in found:
        assert record.keys() >= PROMISED | {"quick", "seed", "unit", "statement", "verdict_text", "instead", "command"}
        assert record["quick"] is True
        assert record["seed"] == 3
        assert record["seeds"] >= 1
        assert record["verdict"] in {*VERDICTS, *wording.OUTCOMES}, "the word is the same in all languages"
        chinese = re.search(r"[\u4e00-\u9fff]", record["text"] + record["sentence"] + record["verdict_text"])
        assert bool(chinese) == (language == "zh")
    first = found[1]
    assert first["protocols"]["fixed"]["verdict"] == "holds"
    assert first["protocols"]["tuned"]["verdict"] == "equivalent"
    assert first["protocols_differ"] is True
    assert first["condition"] == [{"protocol": "fixed"}]
    assert first["against"]["protocol"] == "tuned"
    assert len(first["cells"]) == 12
    sides = {record["id"]: [side["id"] for side in record["sides"]] for record in found if "sides" in record}
    assert sides == {pair.id: list(pair.sides) for pair in CONTRADICTIONS}


def test_a_scale_keeps_zero_and_the_margin_in_view(ledger: list[Settled]) -> None:
    item = one(ledger, "S1-5")
    (group,) = forest.groups(item, wording.Speaker(item.claim, "en"))
    assert 0 < group.band[0] < group.zero < group.band[1] < 100
    assert math.isclose(group.band[1] - group.zero, group.zero - group.band[0], abs_tol=0.02)
    lines = [line for _, lines in group.protocols for line in lines]
    assert [name for name, _ in group.protocols] == ["fixed", "tuned"]
    assert all(0 <= line.low <= line.mean <= line.high <= 100 for line in lines)
    assert all(line.low > group.band[1] for line in lines if line.answer == "holds")
    assert sum(line.decides for line in lines) == 2
    assert lines[0].label == "squared error on probabilities, confidently wrong, Gaussian classes"
    assert [label for _, label in group.ticks] == ["×1", "×4", "×16"]


def test_what_lies_far_off_is_an_arrow(ledger: list[Settled]) -> None:
    claim, _ = planted.plain("S9-9", 0, 0)
    values = {"20 %": 0.01, "30 %": 0.02, "40 %": -5.0, "50 %": math.inf}
    cells = tuple(Measured("a", {"protocol": "exact", "noise": n}, (v,)) for n, v in values.items())
    (group,) = forest.groups(settle(claim, Results(cells)), wording.Speaker(claim, "en"))
    assert [line.arrow for line in group.protocols[0][1]] == [0, 0, -1, 1]


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 0.031), (-250.0, 90.0), (-1e-12, 1e-16)])
def test_round_numbers_on_a_scale(low: float, high: float) -> None:
    at = forest.steps(low, high, "plain")
    assert 2 <= len(at) <= 6
    assert all(low - 1e-9 * abs(low) <= value <= high + 1e-9 * abs(high) for value in at)
    assert any(value == 0 for value in at)


def test_pictures_are_drawn_in_the_pages_colours(ledger: list[Settled]) -> None:
    gradient, steps = pictures(one(ledger, "S1-5"), "zh")
    assert isinstance(gradient.drawn, str)
    assert gradient.drawn.startswith("<svg viewBox=")
    assert "var(--series-1)" in gradient.drawn
    assert not re.search(r'(?:fill|stroke)="(?!none|var\()', gradient.drawn), "no colour of its own"
    assert "style=" not in gradient.drawn
    assert "10⁻⁴" in gradient.drawn
    assert [name for _, _, name in steps.legend] == ["交叉熵", "对概率的平方误差", "对线性输出的最小二乘"]
    assert len({dashes for _, dashes, _ in steps.legend}) == 3
    assert "对概率的平方误差：0.333 (1) 至 0.97 (20,000)" in steps.description


def test_bars_lie_on_one_scale(ledger: list[Settled]) -> None:
    bars = pictures(one(ledger, "S1-6/8"), "en")[1].drawn
    assert isinstance(bars, Bars)
    assert bars.log
    assert bars.groups[0][0] == "squared error on probabilities"
    widths = {bar.figure: bar.width for _, group in bars.groups for bar in group}
    assert widths["0.0031"] < widths["0.21"] < widths["3"] < widths["12"] <= 100


def test_what_cannot_be_drawn_is_left_out() -> None:
    claim, _ = planted.plain("S9-9", 0, 0)
    panel = Panel("p", Text("t", "t"), Text("x", "x"), Text("y", "y"), log_x=True, log_y=True)
    many = tuple(range(1, 1001))
    curves = (
        Curve("p", "ce", (0.0, 1.0, 10.0, 100.0), (1.0, math.nan, 0.0, 3.0)),
        Curve("p", "mae", many, many),
        Curve("p", "gone", (1.0,), (-1.0,)),
    )
    found = settle(replace(claim, panels=(panel,)), Results((Measured("a", {"protocol": "exact"}, (0.0,)),), curves))
    (picture,) = pictures(found, "en")
    assert [name for _, _, name in picture.legend] == ["cross-entropy", "MAE"]
    assert len(picture.drawn) < 20_000
    assert pictures(replace(found, curves=curves[2:]), "en") == []
