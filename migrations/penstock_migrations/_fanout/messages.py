"""Says in words what a fan-out does, and how much it matters."""

from __future__ import annotations

import ast

from penstock_migrations._code.endings import Ending
from penstock_migrations._code.sizes import Size
from penstock_migrations._fanout.fan_outs import FanOut
from penstock_migrations._fanout.work import Work
from penstock_migrations.rule import Severity

__all__ = ["describe", "severity_of"]

_OFTEN = {Size.OWN: "for everything the object holds", Size.ARRIVALS: "in each turn of a loop"}


def severity_of(fan_out: FanOut) -> Severity:
    """Say how much a fan-out matters: what never ends, and what the object itself holds, is advice."""
    return max((_severity(work) for work in fan_out.works), key=list(Severity)[::-1].index)


def describe(fan_out: FanOut) -> str:
    """Say what is started, how often, and that nothing limits it."""
    work = max(fan_out.works, key=lambda work: work.size)
    if work.call is None:
        return "starts what its caller hands in, however many that are, at once"
    return f"starts `{_shortened(work.call.func)}` {_often(work)}, all at once"


def _often(work: Work) -> str:
    if work.size is Size.ARRIVALS or work.element.over is None:
        return _OFTEN.get(work.size, "once for each item")
    return f"once for each of `{_shortened(work.element.over)}`"


def _severity(work: Work) -> Severity:
    if work.ending is Ending.NEVER or work.size in _OFTEN:
        return Severity.LOW
    return Severity.MEDIUM if work.call is None else Severity.HIGH


def _shortened(node: ast.expr) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
