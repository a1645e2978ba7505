"""Numbers for people: decimals that follow the interval, counts with a unit, ranges, durations, sizes."""

from __future__ import annotations

from collections.abc import Callable

from leaderboard.board.views import Span
from leaderboard.statistics.intervals import Estimate

NONE = "\N{EM DASH}"
"""What stands where there is no number."""

MINUS = "\N{MINUS SIGN}"


def opening(words: str) -> str:
    """Return words as they open a sentence: a capital first, the rest as written (`RigL` stays)."""
    return words[:1].upper() + words[1:]


def fixed(value: float | None, digits: int = 2) -> str:
    """Format a number with so many decimals; a true minus sign, and a dash for None."""
    if value is None:
        return NONE
    text = f"{value:,.{digits}f}"
    text = text.removeprefix("-") if float(text.replace(",", "")) == 0 else text
    return text.replace("-", MINUS)


def signed(value: float | None, digits: int = 2) -> str:
    """Format a difference: with its sign, unless it rounds to nothing."""
    text = fixed(value, digits)
    rounds_to_nothing = value is None or text.strip("0.") == ""
    return text if rounds_to_nothing or text.startswith(MINUS) else f"+{text}"


def decimals(estimate: Estimate) -> int:
    """Return how many decimals to show: two, or as many more as tell the ends of the interval apart."""
    if estimate.low is None or estimate.high is None:
        return 2
    return next((digits for digits in range(2, 9) if fixed(estimate.low, digits) != fixed(estimate.high, digits)), 9)


def raw(value: float | None) -> str:
    """Format a raw return: one decimal, none from 10,000 on."""
    return fixed(value, 0 if value is not None and abs(value) >= 10_000 else 1)


def si(value: float | None) -> str:
    """Format a count with at most three digits and a unit: 1.62M, 16k."""
    if value is None:
        return NONE
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{float(f'{value / size:.3g}'):g}{unit}"
    return f"{value:g}"


def whole(value: int) -> str:
    """Format a whole number with groups of three digits."""
    return f"{value:,}"


def percent(value: float) -> str:
    """Format a fraction as a percentage with at most three digits."""
    return f"{100 * value:.3g}\N{NARROW NO-BREAK SPACE}%"


def duration(seconds: float) -> str:
    """Format seconds in the largest fitting unit with at most three digits: 45 s, 12.5 min, 3.1 h, 2.4 d."""
    for size, unit in ((172_800, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / (86_400 if unit == 'd' else size):.3g}\N{NARROW NO-BREAK SPACE}{unit}"
    return f"{seconds:.3g}\N{NARROW NO-BREAK SPACE}s"


def size(count: int) -> str:
    """Format a number of bytes: 812 B, 41 kB, 1.2 MB."""
    for unit_size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit_size:
            return f"{count / unit_size:.3g}\N{NARROW NO-BREAK SPACE}{unit}"
    return f"{count}\N{NARROW NO-BREAK SPACE}B"


_FORMS: dict[str, Callable[[float], str]] = {
    "si": si,
    "percent": percent,
    "whole": "{:.0f}".format,
    "duration": duration,
}


def span(value: Span | None, form: str = "si") -> str:
    """Format a range, a number or unit that both ends share only once: as `si`, `percent`, `duration` or `whole`."""
    if value is None:
        return NONE
    show = _FORMS[form]
    low, high = show(value.low), show(value.high)
    if low == high:
        return low
    number, space, unit = low.partition("\N{NARROW NO-BREAK SPACE}")
    return f"{number if high.endswith(space + unit) else low}\N{EN DASH}{high}"
