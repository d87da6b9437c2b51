"""What a test is guarded with: the command line, the environment, the ini file, its marker."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

__all__ = ["MODES", "Settings", "of_session", "of_test"]

MODES: Final = ("off", "report", "fail")
MARKER: Final = "penstock_guard"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a test is guarded.

    Attributes:
        mode: `off`, `report` or `fail`.
        fanout: How many tasks that one line made may live at once.
        block: For how many seconds the event loop may stand still.
        blockbuster: Whether blocking calls are looked for, if blockbuster is installed.
        ignore: The checks that are left out.
    """

    mode: str
    fanout: int = 100
    block: float = 0.5
    blockbuster: bool = True
    ignore: frozenset[str] = frozenset()


def of_session(config: pytest.Config) -> Settings:
    """Return what holds unless a marker says otherwise.

    Raises:
        pytest.UsageError: A value is wrong.
    """
    told = getattr(config, "workerinput", {}).get("penstock_guard")  # by the process that started this worker of xdist
    option, variable = config.getoption("penstock_guard"), told or os.environ.get("PENSTOCK_GUARD")
    if option:
        mode = _mode(option, "--penstock-guard", "; write --penstock-guard=report, with `=`")
    elif variable:
        mode = _mode(variable, "PENSTOCK_GUARD")
    else:
        mode = _mode(config.getini("penstock_guard") or "off", "penstock_guard in the ini file")
    return Settings(
        mode,
        _fanout(config.getini("penstock_guard_fanout"), "penstock_guard_fanout"),
        _block(config.getini("penstock_guard_block"), "penstock_guard_block"),
        bool(config.getini("penstock_guard_blockbuster")),
    )


def of_test(session: Settings, item: pytest.Item, *, forced_off: bool) -> Settings:
    """Return what holds for a test: its markers, the nearest first, go before the session.

    Raises:
        pytest.UsageError: A marker says what cannot be.
    """
    settings = session
    if forced_off:
        return replace(session, mode="off")
    for mark in reversed(list(item.iter_markers(MARKER))):
        settings = _marked(settings, mark, f"{item.nodeid}: the marker penstock_guard")
    return settings


def _marked(settings: Settings, mark: pytest.Mark, where: str) -> Settings:
    known = {"mode", "fanout", "block", "ignore"}
    if len(mark.args) > 1 or not mark.kwargs.keys() <= known or (mark.args and "mode" in mark.kwargs):
        raise pytest.UsageError(f"{where}: allowed are a mode, fanout=, block= and ignore=")
    said = dict(mark.kwargs)
    if mark.args:
        said["mode"] = mark.args[0]
    changed: dict[str, Any] = {}
    if "mode" in said:
        changed["mode"] = _mode(said["mode"], where)
    if "fanout" in said:
        changed["fanout"] = _fanout(said["fanout"], f"{where}: fanout")
    if "block" in said:
        changed["block"] = _block(said["block"], f"{where}: block")
    if "ignore" in said:
        changed["ignore"] = settings.ignore | _checks(said["ignore"], f"{where}: ignore")
    return replace(settings, **changed)


def _mode(value: Any, where: str, advice: str = "") -> str:
    if value in MODES:
        return str(value)
    raise pytest.UsageError(f"{where}: {value!r} is no mode; allowed are off, report, fail{advice}")


def _fanout(value: Any, where: str) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise pytest.UsageError(f"{where} = {value!r}; allowed is a whole number from 1")
    return number


def _block(value: Any, where: str) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise pytest.UsageError(f"{where} = {value!r}; allowed are seconds above 0")
    return seconds


def _checks(value: Any, where: str) -> frozenset[str]:
    names = frozenset([value] if isinstance(value, str) else value)
    from penstock_guard._checks import CHECKS  # not at import: pytest loads this in mode off, too

    known = [name for check in CHECKS for name in check.names]
    if unknown := names - set(known):
        raise pytest.UsageError(f"{where} = {', '.join(sorted(unknown))}; allowed are {', '.join(known)}")
    return names
