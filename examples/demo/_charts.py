"""Charts as inline SVG: no script, no font, nothing to load; colours come from the page, which knows light and dark."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from examples.demo._measure import Figures, Request, Window, concurrency, within

__all__ = ["Timeline", "concurrency_chart", "connections_chart", "latency_chart", "refusals_chart"]

WIDTH, HEIGHT = 960, 300
LEFT, RIGHT, TOP, BOTTOM = 40, 100, 34, 30
_BIN_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Timeline:
    """The loads beside each other on one axis of time; what lies between them is left out."""

    windows: tuple[Window, ...]

    @property
    def seconds(self) -> float:
        """The length of all loads together."""
        return sum(window.end - window.start for window in self.windows)

    def start(self, window: Window) -> float:
        """Where on the axis a load starts, in seconds."""
        return sum(each.end - each.start for each in self.windows[: self.windows.index(window)])

    def x(self, window: Window, at: float) -> float:
        """Where a moment of a load lies, in the chart's units."""
        seconds = self.start(window) + min(max(at, window.start), window.end) - window.start
        return LEFT + seconds / self.seconds * (WIDTH - LEFT - RIGHT)


def concurrency_chart(timeline: Timeline, requests: Iterable[Request], *, limit: int, provider_limit: int) -> str:
    """Draw how many requests were open at the provider."""
    by_window = {window.name: concurrency(within(window, requests)) for window in timeline.windows}
    top = max(number for steps in by_window.values() for _, number in steps)
    y = _scale(top)
    body = [
        _grid(y, top),
        *_bands(timeline),
        *(_steps(timeline, window, by_window[window.name], y) for window in timeline.windows),
        _level(y(provider_limit), f"served: {provider_limit}", "bad"),
        _level(y(limit), f"limit: {limit}", "good"),
    ]
    return _svg("Requests open at the provider", _peaks(by_window), body)


def connections_chart(timeline: Timeline, connections: Iterable[tuple[float, int]], *, pool: int) -> str:
    """Draw how many connections to the database were open."""
    samples = list(connections)
    by_window = {
        window.name: [each for each in samples if window.start <= each[0] <= window.end] for window in timeline.windows
    }
    top = max((number for steps in by_window.values() for _, number in steps), default=pool)
    y = _scale(top)
    body = [
        _grid(y, top),
        *_bands(timeline),
        *(_steps(timeline, window, by_window[window.name], y) for window in timeline.windows),
        _level(y(pool), f"pool: {pool}", "good"),
    ]
    return _svg("Connections open at the database", _peaks(by_window), body)


def refusals_chart(timeline: Timeline, requests: Iterable[Request]) -> str:
    """Draw how many requests were answered with 429, by quarter seconds."""
    bars = []
    for window in timeline.windows:
        refused = [request.left for request in within(window, requests) if request.status == 429]
        for number in range(math.ceil((window.end - window.start) / _BIN_SECONDS)):
            begin = window.start + number * _BIN_SECONDS
            count = sum(begin <= at < begin + _BIN_SECONDS for at in refused)
            if count:
                bars.append((timeline.x(window, begin), timeline.x(window, begin + _BIN_SECONDS), count))
    top = max((count for _, _, count in bars), default=1)
    y = _scale(top)
    body = [_grid(y, top), *_bands(timeline)]
    body += [
        f'<rect class="bad-fill" x="{left:.1f}" y="{y(count):.1f}" width="{max(1.0, right - left - 1):.1f}" '
        f'height="{y(0) - y(count):.1f}"/>'
        for left, right, count in bars
    ]
    return _svg("Requests refused with 429, per quarter second", f"At most {top} in a quarter second.", body)


def latency_chart(figures: Sequence[Figures]) -> str:
    """Draw how long a call takes, from its first attempt to its answer: median and 99th percentile."""
    top = max(each.p99 for each in figures) or 1.0
    row, left = 44, 110
    height = row * len(figures) + 4

    def x(seconds: float) -> float:
        return left + seconds / top * (WIDTH - left - 80)

    body = []
    for number, each in enumerate(figures):
        y = row * number
        body.append(
            f'<text class="label" x="{left - 10}" y="{y + 21}" text-anchor="end">{html.escape(each.name)}</text>'
        )
        for style, words, value, offset in (("soft", "p50", each.p50, 2), ("line", "p99", each.p99, 18)):
            size = f'y="{y + offset}" width="{max(2.0, x(value) - left):.1f}" height="14" rx="2"'
            body.append(f'<rect class="{style}-fill" x="{left}" {size}/>')
            body.append(
                f'<text class="value" x="{x(value) + 6:.1f}" y="{y + offset + 11}">{words} {value:.2f} s</text>'
            )
    summary = "; ".join(f"{each.name}: p50 {each.p50:.2f} s, p99 {each.p99:.2f} s" for each in figures)
    return _svg("Seconds that a call takes, its retries included", summary, body, height)


def _svg(title: str, description: str, body: Iterable[str], height: int = HEIGHT) -> str:
    name = "chart-" + "".join(letter for letter in title.lower() if letter.isalpha())
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="{name}-title {name}-text">'
        f'<title id="{name}-title">{html.escape(title)}</title><desc id="{name}-text">{html.escape(description)}</desc>'
        + "".join(body)
        + "</svg>"
    )


def _scale(top: int) -> Callable[[float], float]:
    return lambda value: HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)


def _grid(y: Callable[[float], float], top: int) -> str:
    step = next(each for each in (1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000) if top / each <= 5)
    lines = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value}</text>'
        for value in range(0, top + 1, step)
    ]
    return "".join(lines)


def _bands(timeline: Timeline) -> Iterable[str]:
    """Each load's name, its seconds, and a line where the flag was flipped."""
    for number, window in enumerate(timeline.windows):
        left, right = timeline.x(window, window.start), timeline.x(window, window.end)
        if window.name == "enforce":
            size = f'width="{right - left:.1f}" height="{HEIGHT - TOP - BOTTOM}"'
            yield f'<rect class="band" x="{left:.1f}" y="{TOP}" {size}/>'
        if number:
            style = "restart" if number == 1 else "flip"
            yield f'<line class="{style}" x1="{left:.1f}" x2="{left:.1f}" y1="8" y2="{HEIGHT - BOTTOM + 6}"/>'
        yield f'<text class="label" x="{left + 6:.1f}" y="22">{html.escape(window.name)}</text>'
        yield (
            f'<text class="tick" x="{(left + right) / 2:.1f}" y="{HEIGHT - 10}" text-anchor="middle">'
            f"{window.end - window.start:.1f} s</text>"
        )


def _steps(timeline: Timeline, window: Window, steps: Sequence[tuple[float, int]], y: Callable[[float], float]) -> str:
    left, right, bottom = timeline.x(window, window.start), timeline.x(window, window.end), y(0)
    path = [f"M{left:.1f} {bottom:.1f}"]
    for at, number in steps:
        path.append(f"H{timeline.x(window, at):.1f}V{y(number):.1f}")
    path.append(f"H{right:.1f}V{bottom:.1f}")
    return f'<path class="area" d="{"".join(path)}"/>'


def _level(y: float, words: str, style: str) -> str:
    place = f'x="{WIDTH - RIGHT + 6}" y="{y + (-1 if style == "bad" else 11):.1f}"'
    return (
        f'<line class="level {style}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="level-label {style}" {place}>{words}</text>'
    )


def _peaks(by_window: dict[str, list[tuple[float, int]]]) -> str:
    peaks = (f"{name}: at most {max(number for _, number in steps)}" for name, steps in by_window.items() if steps)
    return "; ".join(peaks) + "."
