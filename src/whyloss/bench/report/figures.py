"""Figures as people read them. Knows numbers only."""

NONE = "–"


def time(ms: float | None) -> str:
    """Three digits: 0.0512, 1.23, 45.6, 1131."""
    return NONE if ms is None else _three(ms)


def size(mib: float | None) -> str:
    if mib is None:
        return NONE
    return "0" if mib == 0 else "< 0.01" if mib < 0.01 else _three(mib)


def ratio(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}" if value < 99.5 else f"{value:.0f}"


def share(value: float | None) -> str:
    if value is None:
        return NONE
    return "< 1 %" if value < 0.01 else f"{100 * value:.0f} %"


def error(value: float | None) -> str:
    return NONE if value is None else "0" if value == 0 else f"{value:.0e}"


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _three(value: float) -> str:
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}" if value >= 0.9995 else f"{value:.3g}"
