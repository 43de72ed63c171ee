"""The candidates as a table to paste into a paper: LaTeX (booktabs) and Markdown.

Knows the rows of the view; nothing of pages or terminals."""

import re

from . import wording
from .view import Report, Row, rows

LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
} | {symbol: "\\" + symbol for symbol in "&%$#_{}"}


def latex_table(report: Report) -> str:
    head, body = _cells(report)
    lines = [" & ".join(_latex(cell) for cell in line) + r" \\" for line in [head, *body]]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{_latex(_caption(report))}}}",
            r"  \begin{tabular}{llrrrrr}",
            r"    \toprule",
            f"    {lines[0]}",
            r"    \midrule",
            *(f"    {line}" for line in lines[1:]),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def markdown_table(report: Report) -> str:
    head, body = _cells(report)
    rule = ["---", "---", "---:", "---:", "---:", "---:", "---:"]
    lines = ["| " + " | ".join(_markdown(cell) for cell in line) + " |" for line in [head, *body]]
    lines.insert(1, "| " + " | ".join(rule) + " |")
    return "\n".join([*lines, "", _markdown(_caption(report)), ""])


def _cells(report: Report) -> tuple[list[str], list[list[str]]]:
    metric = wording.metric_name(report["metric"]["name"])
    head = ["Loss", "Rule", wording.capital(metric), "Difference", "95 % interval", "P(better)", "P(equivalent)"]
    return head, [_line(row) for row in rows(report) if row.standing != "screened"]


def _line(row: Row) -> list[str]:
    name = wording.loss_name(row.loss) + (f" ({row.parameters})" if row.parameters else "")
    return [name, row.rule, row.mean, row.difference, row.difference_interval, row.p_better, row.p_equivalent]


def _caption(report: Report) -> str:
    data, metric = report["data"], report["metric"]
    unit = "" if metric["name"] in wording.PLAIN else " in points"
    return (
        f"Training losses on {data['name']} ({wording.count(data['rows'])} rows): {metric['text']}{unit}, and the "
        f"paired difference from cross-entropy with its tuned rule; margin of practical equivalence "
        f"{wording.value(metric['margin'], metric['name'])}."
    )


def _latex(text: str) -> str:
    escaped = "".join(LATEX.get(symbol, symbol) for symbol in text)
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", escaped)


def _markdown(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
