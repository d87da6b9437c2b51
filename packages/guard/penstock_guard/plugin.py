"""What pytest loads: options, the marker, and the hooks around each test. Mode off imports and installs no more."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from penstock_guard import _baseline, _report, _settings

if TYPE_CHECKING:
    from penstock_guard._watchdog import Watchdog

__all__: list[str] = []

ATTRIBUTE: Final = "penstock_guard"  # of a test's report, which xdist hands on


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what can be said on the command line and in the ini file."""
    group = parser.getgroup("penstock_guard", "penstock guard: tests that leak, block or fan out")
    group.addoption(
        "--penstock-guard",
        nargs="?",
        const="report",
        metavar="MODE",
        help="off, report or fail; report if no mode is given. off goes before every marker.",
    )
    group.addoption("--penstock-guard-report", metavar="FILE", help="write what tests are accused of, as JSON")
    group.addoption(
        "--penstock-guard-update-baseline",
        action="store_true",
        help="write what this run accuses to the baseline; nothing fails",
    )
    parser.addini("penstock_guard", "off (default), report or fail", default="off")
    parser.addini("penstock_guard_fanout", "how many tasks of one line may live at once (default: 100)", default="100")
    parser.addini(
        "penstock_guard_block", "for how many seconds the event loop may stand still (default: 0.5)", default="0.5"
    )
    parser.addini(
        "penstock_guard_blockbuster",
        "whether blocking calls are looked for, if blockbuster is installed (default: true)",
        type="bool",
        default=True,
    )
    parser.addini(
        "penstock_guard_baseline",
        f"the file of what is known, relative to the root (default: {_baseline.DEFAULT})",
        default=_baseline.DEFAULT,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and the hooks of a session."""
    config.addinivalue_line(
        "markers",
        "penstock_guard(mode, *, fanout, block, ignore): how penstock_guard watches this test; "
        "ignore is a check, or several",
    )
    config.pluginmanager.register(Guard(config), "penstock_guard_session")


class Guard:
    """The guard of one session; with xdist, of one process of it.

    Args:
        config: The session's.

    Raises:
        pytest.UsageError: A setting is wrong.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._settings = _settings.of_session(config)
        self._forced_off = config.getoption("penstock_guard") == "off"
        self._report_path = config.getoption("penstock_guard_report") or os.environ.get("PENSTOCK_GUARD_REPORT")
        self._taken = _take_environment()
        self._updates = bool(config.getoption("penstock_guard_update_baseline"))
        self._baseline_path = config.rootpath / config.getini("penstock_guard_baseline")
        self._known = None if self._updates else _baseline.read(self._baseline_path)
        self._watchdog: Watchdog | None = None
        self._entries: list[dict[str, Any]] = []
        self._broken: dict[str, int] = {}
        self._resources: set[tuple[str, str, str]] = set()
        self._tests = self._unguarded = 0

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of xdist the mode, as the environment no longer says it."""
        node.workerinput[ATTRIBUTE] = self._settings.mode

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Watch a test while it is called, before its fixtures and the plugin of its event loop clean up."""
        settings = _settings.of_test(self._settings, item, forced_off=self._forced_off)
        if settings.mode == "off":
            return (yield)
        from penstock_guard._guarding import guarded
        from penstock_guard._visible import visible

        with guarded(item, settings, self._dog()) as verdict:
            result = yield
        entries = [_report.as_entry(each, item.nodeid, self._config.rootpath) for each in verdict.accusations]
        for entry in entries:
            entry["baseline"] = self._known is not None and _baseline.key_of(entry) in self._known
        item.stash[VERDICT] = {
            "entries": entries,
            "guarded": verdict.guarded,
            "broken": list(verdict.broken),
            "resources": visible(),
        }
        failing = [] if self._updates else self._failing(settings.mode, entries)
        if failing:
            pytest.fail(f"penstock guard:\n{_report.as_text(failing)}", pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach what a test is accused of to its report."""
        report = yield
        if call.when == "call" and VERDICT in item.stash:
            setattr(report, ATTRIBUTE, item.stash[VERDICT])
            del item.stash[VERDICT]  # what runs again is watched again
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect what tests are accused of, in this process or in a worker of xdist."""
        verdict = getattr(report, ATTRIBUTE, None)
        if verdict is None:
            return
        self._tests += verdict["guarded"]
        self._unguarded += not verdict["guarded"]
        self._entries += verdict["entries"]
        self._resources.update(map(tuple, verdict["resources"]))
        for each in verdict["broken"]:
            self._broken[each] = self._broken.get(each, 0) + 1

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """End the watchdog, and write the files; of xdist's processes only the one that has collected all."""
        if self._watchdog is not None:
            self._watchdog.stop()
        if hasattr(self._config, "workerinput"):
            return
        if self._report_path and (self._settings.mode != "off" or self._tests):
            path = Path(self._report_path)
            _report.write(
                path, self._settings.mode, self._entries, self._tests, list(self._broken), sorted(self._resources)
            )
        if self._updates:
            _baseline.write(self._baseline_path, self._entries)

    def pytest_unconfigure(self) -> None:
        """Give the environment back."""
        os.environ.update(self._taken)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what tests are accused of."""
        _report.summarize(terminalreporter, self._entries, tests=self._tests, unguarded=self._unguarded)
        for each, number in self._broken.items():
            terminalreporter.write_line(f"penstock guard failed itself, in {number} tests: {each}", yellow=True)
        if self._updates:
            terminalreporter.write_line(f"penstock guard: the baseline is {self._baseline_path}")

    def _failing(self, mode: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what fails a test: in mode fail all of it, in mode report what a baseline does not know."""
        if mode == "fail":
            return entries
        return [] if self._known is None else [entry for entry in entries if not entry["baseline"]]

    def _dog(self) -> Watchdog:
        if self._watchdog is None:
            from penstock_guard._watchdog import Watchdog

            self._watchdog = Watchdog()
        return self._watchdog


def _take_environment() -> dict[str, str]:
    """Take our variables out of the environment: what tests start of pytest themselves is not to be watched."""
    return {name: os.environ.pop(name) for name in ("PENSTOCK_GUARD", "PENSTOCK_GUARD_REPORT") if name in os.environ}


VERDICT = pytest.StashKey[dict[str, Any]]()
