"""Conditions, verdicts and their one-sentence reasons in words, in English and Chinese.

Knows cells, verdicts and vocabulary; computes every sentence, and knows none of a claim's."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from whyloss.claims.claim import Claim, Contradiction, Language, Statement, Text
from whyloss.claims.verdict import Cell, Verdict, Weighed, Where
from whyloss.claims.words import LEVELS, VERDICTS, factor, level

from . import figures

OUTCOMES: Mapping[str, Text] = {
    "both hold": Text("both hold", "双方都成立"),
    "both under conditions": Text("both, under conditions", "双方各在一定条件下成立"),
    "one side": Text("one side only", "仅一方成立"),
    "neither": Text("neither", "双方都不成立"),
    "undecided": VERDICTS["undecided"],
}
SHORT = Text("holds only when …", "有条件成立")  # where no condition follows
SAID: Mapping[str, Text] = {
    "all": Text("{word}: {figure}, margin {margin}, {seeds}.", "{word}：{figure}，等效界值 {margin}，{seeds}。"),
    "weakest": Text(
        "{word} in {all_cells} figures; the weakest ({where}): {figure}, margin {margin}, {seeds}.",
        "{word}，{cells} 项结果一致；其中最弱的一项（{where}）：{figure}，等效界值 {margin}，{seeds}。",
    ),
    "holds only when": Text(
        "Holds only when {condition}: {figure}, margin {margin}, {seeds}; against it, {against_where}: {against}.",
        "仅当{condition}时成立：{figure}，等效界值 {margin}，{seeds}；反面（{against_where}）：{against}。",
    ),
    "in part": Text("Holds in part. {parts}.", "部分成立。{parts}。"),
    "no condition": Text(
        "Holds in part of the figures, told apart by none of the conditions ({where}): {figure}, margin {margin}, "
        "{seeds}; against it, {against_where}: {against}.",
        "仅部分结果支持，且无法用任何条件区分（{where}）：{figure}，等效界值 {margin}，{seeds}；"
        "反面（{against_where}）：{against}。",
    ),
    "undecided": Text(
        "Undecided: {figure}, not clear of the margin of {margin}, {seeds}.",
        "未定：{figure}，未能明确落在等效界值（{margin}）的一侧，{seeds}。",
    ),
    "undecided at": Text(
        "Undecided; the most open figure ({where}): {figure}, not clear of the margin of {margin}, {seeds}.",
        "未定；其中最不确定的一项（{where}）：{figure}，未能明确落在等效界值（{margin}）的一侧，{seeds}。",
    ),
    "open": Text(" {open} of {cells} figures {are} open.", "{cells} 项结果中有 {open} 项未定。"),
    "quick": Text(" A quick run: a first look, not the last word.", "快速运行：仅供初看，并非定论。"),
    "sides": Text("{word}: {one}; {other}.", "{word}：{one}；{other}。"),
}
SIDE: Mapping[str, Text] = {
    "holds": Text("{id} holds, {figure}", "{id} 成立，{figure}"),
    "does not hold": Text("{id} does not hold, {figure}", "{id} 不成立，{figure}"),
    "equivalent": Text("{id} makes no difference beyond the margin, {figure}", "{id} 的差异未超出等效界值，{figure}"),
    "holds only when": Text("{id} holds when {condition}, {figure}", "{id} 在{condition}时成立，{figure}"),
    "undecided": Text("{id} is undecided, {figure}", "{id} 未定，{figure}"),
}
AGAINST = Text("against {}", "反面为 {}")
BETWEEN_PARTS = Text("; ", "；")
QUOTED = Text("“{}”", "“{}”")
INTERVAL = Text("{} ({})", "{}（{}）")
SEEDS, EXACT = Text("{} seeds", "{} 个种子"), Text("one exact value", "一个精确值")
SEED = Text("1 seed", "1 个种子")
IS = {
    "meaning": Text("{} {}", "{}{}"),  # the factor's name has the verb in it
    "statement": Text("it means {1}", "其含义为{1}"),
}
NO_PART = Text("{} has no part", "不涉及{}")
IS_ANY = Text("{} = {}", "{} = {}")
AND, OR, BETWEEN = Text(" and ", "且"), Text(" or ", "或"), Text("; or ", "；或")
SOME_FACTORS = Text("some of the conditions", "部分条件满足")


def verdict(word: str, language: Language) -> str:
    """A verdict by itself."""
    return (SHORT if word == "holds only when" else VERDICTS[word]).say(language)


@dataclass(frozen=True)
class Speaker:
    """Says what is found about one claim in one language."""

    claim: Claim
    language: Language

    def statement(self, key: str) -> Statement:
        return next(statement for statement in self.claim.statements if statement.key == key)

    def say(self, text: Text) -> str:
        """What the claim's author wrote."""
        return figures.typeset(text.say(self.language), self.language)

    def figure(self, cell: Cell) -> str:
        """'3.2 points (2.1 to 4.3)'."""
        between = self.span(cell)
        return INTERVAL.say(self.language).format(self.mean(cell), between) if between else self.mean(cell)

    def mean(self, cell: Cell) -> str:
        unit = self.statement(cell.statement).unit
        scale = max(abs(cell.low), abs(cell.high), cell.margin)
        alone = cell.seeds == 1 or not math.isfinite(scale)
        return figures.figure(cell.mean, unit, cell.margin, self.language, None if alone else scale)

    def span(self, cell: Cell) -> str:
        """'2.1 to 4.3'; nothing where there is one value."""
        if cell.seeds == 1 or not math.isfinite(cell.mean):
            return ""
        unit = self.statement(cell.statement).unit
        return figures.span(cell.low, cell.high, unit, cell.margin, self.language)

    def margin(self, cell: Cell) -> str:
        return figures.limit(cell.margin, self.statement(cell.statement).unit, self.language)

    def seeds(self, cell: Cell) -> str:
        if cell.seeds > 1:
            return SEEDS.say(self.language).format(cell.seeds)
        return (EXACT if cell.where.get("protocol") == "exact" else SEED).say(self.language)

    def where(self, where: Where, factors: Iterable[str] | None = None) -> str:
        """'tuned, digits, label noise 40 %': the levels, with the name of their factor where they are bare figures."""
        wanted = [name for name in where if name != "statement" and (factors is None or name in set(factors))]
        if len(wanted) > 1:
            wanted = [name for name in wanted if where[name] != "exact"]  # goes without saying
        return figures.typeset(self._and_so_on(self._level(name, where[name]) for name in wanted), self.language)

    def condition(self, found: Sequence[Where]) -> str:
        """'protocol is fixed and data is digits or wine'."""
        parts = [self._join(AND, [self._is(name, keys) for name, keys in where.items()]) for where in merged(found)]
        return figures.typeset(self._join(BETWEEN, parts), self.language)

    def text(self, verdict: Verdict, cells: Sequence[Cell], quick: bool = False) -> str:
        """The verdict and the figures it rests on, in one sentence."""
        if verdict.parts and verdict.word == "holds only when":
            return self._in_part(verdict, cells, quick)
        cell, against = verdict.deciding, verdict.against
        where = self._place(cell, verdict, cells)
        template = self._template(verdict, len(cells), where)
        said = (
            SAID[template]
            .say(self.language)
            .format(
                word=_capital(VERDICTS[verdict.word].say(self.language)),
                where=where,
                cells=len(cells),
                all_cells="both" if len(cells) == 2 else f"all {len(cells)}",
                condition=self.condition(verdict.condition),
                figure=self.figure(cell),
                margin=self.margin(cell),
                seeds=self.seeds(cell),
                against=self.figure(against) if against else "",
                against_where=self._place(against, verdict, cells) if against else "",
            )
        )
        said += self._open(cells)
        if quick:
            said += SAID["quick"].say(self.language)
        return figures.typeset(said, self.language)

    def side(self, verdict: Verdict) -> str:
        """This claim's part in a contradiction."""
        return self._brief(self.claim.id, verdict)

    def part(self, key: str, verdict: Verdict) -> str:
        """One statement's part in the claim: '“it loses accuracy” holds only when protocol is fixed, 3.2 points'."""
        quoted = QUOTED.say(self.language).format(self.say(self.statement(key).text))
        return figures.typeset(self._brief(quoted, verdict), self.language)

    def _in_part(self, verdict: Verdict, cells: Sequence[Cell], quick: bool) -> str:
        parts = self._join(BETWEEN_PARTS, [self.part(key, part) for key, part in verdict.parts])
        said = SAID["in part"].say(self.language).format(parts=parts) + self._open(cells)
        return figures.typeset(said + (SAID["quick"].say(self.language) if quick else ""), self.language)

    def _open(self, cells: Sequence[Cell]) -> str:
        """How many of several figures are undecided."""
        undecided = sum(cell.answer == "undecided" for cell in cells)
        if not undecided or len(cells) < 2:
            return ""
        are = "is" if undecided == 1 else "are"
        return SAID["open"].say(self.language).format(open=undecided, cells=len(cells), are=are)

    def _brief(self, name: str, verdict: Verdict) -> str:
        condition = self.condition(verdict.condition) or SOME_FACTORS.say(self.language)
        figure = self.figure(verdict.deciding)
        if verdict.against:
            against = AGAINST.say(self.language).format(self.figure(verdict.against))
            figure = self._and_so_on([figure, against])
        return SIDE[verdict.word].say(self.language).format(id=name, condition=condition, figure=figure)

    def _template(self, verdict: Verdict, cells: int, where: str) -> str:
        if verdict.word == "holds only when":
            return verdict.word if verdict.condition else "no condition"
        if verdict.word == "undecided":
            return "undecided at" if where else "undecided"
        return "weakest" if cells > 1 and where else "all"

    def _place(self, cell: Cell, verdict: Verdict, cells: Sequence[Cell]) -> str:
        """Which of the cells this is: what tells it from others of its statement, and that where it matters."""
        where = self.where(cell.where, varying([other for other in cells if other.statement == cell.statement]))
        several = len({other.statement for other in cells}) > 1
        if several and (not where or any("statement" in levels for levels in verdict.condition)):
            quoted = QUOTED.say(self.language).format(self.say(self.statement(cell.statement).text))
            return self._and_so_on(filter(None, [quoted, where]))
        return where or (self.where(cell.where) if verdict.word == "holds only when" else "")

    def _level(self, name: str, key: str) -> str:
        shown = level(key, self.claim.words, self.language)
        named = key in self.claim.words or key in LEVELS
        return shown if named else f"{factor(name, self.claim.words, self.language)} {shown}"

    def _is(self, name: str, keys: Sequence[str]) -> str:
        if name == "statement":
            levels = [QUOTED.say(self.language).format(self.say(self.statement(key).text)) for key in keys]
        else:
            levels = [level(key, self.claim.words, self.language) for key in keys]
        called = factor(name, self.claim.words, self.language)
        if keys == [""]:
            return NO_PART.say(self.language).format(called)
        levels = [part or NO_PART.say(self.language).format(called) for part in levels]
        return IS.get(name, IS_ANY).say(self.language).format(called, self._join(OR, levels))

    def _join(self, word: Text, parts: Iterable[str]) -> str:
        return word.say(self.language).join(parts)

    def _and_so_on(self, parts: Iterable[str]) -> str:
        return ("，" if self.language == "zh" else ", ").join(parts)


def merged(found: Sequence[Where]) -> list[dict[str, list[str]]]:
    """Combinations of levels with as few words as may be: two that differ in one factor alone become one."""
    return _joined([{name: [key] for name, key in where.items()} for where in found])


def _joined(groups: list[dict[str, list[str]]]) -> list[dict[str, list[str]]]:
    for one, other in combinations(range(len(groups)), 2):
        mine, theirs = groups[one], groups[other]
        differing = [name for name in mine if mine[name] != theirs.get(name)]
        if mine.keys() == theirs.keys() and len(differing) == 1:
            joined = {**mine, differing[0]: [*mine[differing[0]], *theirs[differing[0]]]}
            rest = [group for place, group in enumerate(groups) if place not in (one, other)]
            return _joined([*rest[:one], joined, *rest[one:]])
    return groups


def weighed_text(found: Weighed, sides: Sequence[tuple[Speaker, Verdict]], language: Language, quick: bool) -> str:
    """The verdict of a contradiction and what each side rests on."""
    one, other = (speaker.side(verdict) for speaker, verdict in sides)
    said = SAID["sides"].say(language).format(word=_capital(OUTCOMES[found.word].say(language)), one=one, other=other)
    if quick:
        said += SAID["quick"].say(language)
    return figures.typeset(said, language)


GROUPS = ("S1", "S2", "folk", "C")


def group(name: str) -> str:
    """Which part of the ledger an id belongs to."""
    start = name.partition("-")[0]
    return start if start in ("S1", "S2", "C") else "folk"


def anchor(name: str) -> str:
    """S1-6/8 as part of a file's name or of an address in a page."""
    return name.replace("/", "-")


def page_of(contradiction: Contradiction) -> str:
    return f"contradiction-{anchor(contradiction.id)}.html"


def varying(cells: Sequence[Cell]) -> list[str]:
    """The factors that tell cells apart, in order of appearance."""
    names = dict.fromkeys(name for cell in cells for name in cell.where)
    return [name for name in names if len({cell.where.get(name) for cell in cells}) > 1]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
