"""Circuit breakers that were passed by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import penstock_limits
from penstock_limits import CircuitBreaker, Event
from penstock_limits.introspection import CallSite

from penstock_guard._accusations import Accusation, accuse
from penstock_guard._checks.check import Watch
from penstock_guard._sites import site_here

__all__ = ["Breakers"]

BYPASSED: Final = ("PEN702", "Let the breaker enforce where its protection is tested; off makes every call.")
SWITCHED: Final = ("PEN701", "Test with the breaker as it is in production.")
PATCHED: Final = (
    "PEN704",
    "Give the breaker a clock and failures that the test controls, instead of patching it away.",
)
PROTECTS: Final = ("attempt", "check", "_begin")  # without them nothing is refused
_ORIGINALS: Final = {name: getattr(CircuitBreaker, name) for name in PROTECTS}


class _State:
    def __init__(self) -> None:
        self.bypassed = _bypassed()
        self.sites: dict[str, CallSite | None] = {}
        self.switched: list[CallSite | None] = []


class Breakers:
    """Reads the statistics of breakers, hears their events, and looks at their methods."""

    names = ("breaker",)

    def before(self, watch: Watch) -> _State:
        """Begin to listen."""
        state = _State()

        def told(event: Event) -> None:
            if not watch.test.owns_this():
                return
            if event.name == "breaker.bypassed" and event.details.get("mode") == "off":
                state.sites[event.resource] = site_here()
            elif event.name == "mode.switched_off" and event.resource == "governed-breaker":
                state.switched.append(site_here())

        watch.test.when_done(penstock_limits.add_listener(told))
        return state

    def after(self, watch: Watch, state: _State) -> Iterator[Accusation]:
        """Accuse calls past an open breaker, the switch, and the patch that is there still."""
        for breaker, number in _bypassed().items():
            more = number - state.bypassed.get(breaker, 0)
            if more > 0:
                message = f"{more} calls were made though the breaker {breaker.name!r}, which is off, would refuse them"
                yield accuse("breaker", BYPASSED, message, state.sites.get(breaker.name))
        for site in state.switched:
            yield accuse("breaker", SWITCHED, "the breakers were switched off", site)
        for name, original in _ORIGINALS.items():
            if getattr(CircuitBreaker, name) is not original:
                yield accuse("breaker", PATCHED, f"CircuitBreaker.{name} is patched", None)


def _bypassed() -> dict[Any, int]:
    return {
        each: each.statistics().bypassed for each in penstock_limits.resources() if isinstance(each, CircuitBreaker)
    }
