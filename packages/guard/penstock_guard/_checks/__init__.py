"""What a test may be accused of: one file for each check, in the order in which they look."""

from __future__ import annotations

from typing import Final

from penstock_guard._checks.async_generators import AsyncGenerators
from penstock_guard._checks.blocked_loops import BlockedLoops
from penstock_guard._checks.blocking_calls import BlockingCalls
from penstock_guard._checks.breakers import Breakers
from penstock_guard._checks.check import Check, Watch
from penstock_guard._checks.clients import Clients
from penstock_guard._checks.connections import Connections
from penstock_guard._checks.executors import Executors
from penstock_guard._checks.fan_outs import FanOuts
from penstock_guard._checks.files import Files
from penstock_guard._checks.permits import Permits
from penstock_guard._checks.retries import Retries
from penstock_guard._checks.sockets import Sockets
from penstock_guard._checks.subprocesses import Subprocesses
from penstock_guard._checks.tasks import Tasks
from penstock_guard._checks.threads import Threads

__all__ = ["CHECKS", "Check", "Watch"]

# What holds others comes before what it holds: a client before its sockets, an executor before its threads.
CHECKS: Final[tuple[Check, ...]] = (
    Clients(),
    Executors(),
    Subprocesses(),
    Tasks(),
    AsyncGenerators(),
    Threads(),
    Sockets(),
    Files(),
    BlockingCalls(),
    BlockedLoops(),
    FanOuts(),
    Connections(),
    Permits(),
    Breakers(),
    Retries(),
)
