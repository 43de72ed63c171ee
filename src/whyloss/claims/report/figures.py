"""Numbers of the claims as people read them: points, ratios, plain figures, intervals, in English and Chinese.

Knows values and their units, nothing of claims."""

import math
import re

from whyloss.claims.claim import Language, Text, Unit

NONE = "–"
POINT, POINTS = Text("point", "个百分点"), Text("points", "个百分点")
TO = Text("{} to {}", "{} 至 {}")
SECONDS, MINUTES = Text("{} s", "{} 秒"), Text("{} min {:02} s", "{} 分 {:02} 秒")
FULL = {",": "，", ";": "；", ":": "：", "?": "？", "!": "！"}
RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def number(value: float, digits: int = 3) -> str:
    """Significant digits, with a real minus sign; very small and very large ones with a power of ten."""
    if math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    power = int(exponent)
    if -3 <= power < 6:
        return minus(f"{value:,.{max(0, digits - 1 - power)}f}", trim=power < digits - 1)
    mantissa = minus(mantissa, trim=True)
    return f"10{str(power).translate(RAISED)}" if mantissa == "1" else f"{mantissa}×10{str(power).translate(RAISED)}"


def alike(value: float, scale: float) -> str:
    """With as many decimals as a figure of that size has, so that figures beside each other can be compared."""
    power = math.floor(math.log10(scale)) if 0 < scale < math.inf else 9
    if not (-3 <= power < 6 and math.isfinite(value)):
        return number(value)
    return minus(f"{value:,.{max(0, 2 - power)}f}")


def bare(value: float, unit: Unit, margin: float, scale: float | None = None) -> str:
    """The figure without the name of its unit: 3.2, ×2.30, 0.012. `scale`: the largest of the figures beside it."""
    if unit == "factor":
        return f"×{_ratio(value)}"
    if unit == "points" and math.isfinite(value):
        decimals = 1 if not 0 < margin < 0.001 else min(6, math.ceil(-math.log10(100 * margin)) + 1)
        return minus(f"{100 * value:,.{decimals}f}")
    return number(value) if scale is None else alike(value, scale)


def figure(value: float, unit: Unit, margin: float, language: Language, scale: float | None = None) -> str:
    shown = bare(value, unit, margin, scale)
    if unit != "points":
        return shown
    return f"{shown} {(POINT if shown in ('1.0', '−1.0') else POINTS).say(language)}"


def limit(margin: float, unit: Unit, language: Language) -> str:
    """The margin: 1 point, ×2, 0.02."""
    if unit == "points":
        return f"{number(100 * margin)} {(POINT if round(100 * margin, 9) == 1 else POINTS).say(language)}"
    return tick(margin, unit)


def span(low: float, high: float, unit: Unit, margin: float, language: Language) -> str:
    """'2.1 to 4.3'."""
    scale = max(abs(low), abs(high), margin)
    return TO.say(language).format(bare(low, unit, margin, scale), bare(high, unit, margin, scale))


def tick(value: float, unit: Unit) -> str:
    """A round number on an axis: without the name of its unit, and with no more digits than it has."""
    return f"×{number(_power(value))}" if unit == "factor" else number(100 * value if unit == "points" else value)


def duration(seconds: float, language: Language) -> str:
    if seconds < 100:
        shown = "< 0.1" if seconds < 0.05 else f"{seconds:.{int(seconds < 10)}f}"
        return SECONDS.say(language).format(shown)
    return MINUTES.say(language).format(*divmod(round(seconds), 60))


def minus(text: str, trim: bool = False) -> str:
    """A real minus sign, none before a zero, and no zeros behind the last digit if `trim`."""
    if trim and "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.lstrip("-") if not text.strip("-0.,") else text.replace("-", "−")


def typeset(text: str, language: Language) -> str:
    """Chinese with its own punctuation, and with a space between its characters and Latin letters or digits."""
    if language != "zh":
        return text
    beside = r"(?<=[\u4e00-\u9fff”）])[,;:?!] ?|[,;:?!] ?(?=[\u4e00-\u9fff“（])"
    text = re.sub(beside, lambda sign: FULL[sign[0].strip()], text)
    text = re.sub(r"(?<=[\u4e00-\u9fff])(?=[A-Za-z0-9×−∞<])", " ", text)
    return re.sub(r"(?<=[A-Za-z0-9%⁰¹²³⁴-⁹∞])(?=[\u4e00-\u9fff])", " ", text)


def _ratio(value: float) -> str:
    """Two decimals or three digits, whichever is more."""
    ratio = _power(value)
    return f"{ratio:.{1 + (ratio < 9.995)}f}" if 0.095 <= ratio < 99.95 else number(ratio)


def _power(value: float) -> float:
    return math.inf if value > 1000 else 2.0**value
