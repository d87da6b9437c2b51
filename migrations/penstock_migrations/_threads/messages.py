"""Says in words what becomes of a thread or executor that nobody ends, and how much it matters."""

from __future__ import annotations

from penstock_migrations._threads.owners import LostExecutor, LostThread, Stop
from penstock_migrations.rule import Severity

__all__ = ["describe_thread", "executor_severity", "thread_severity"]


def thread_severity(lost: LostThread) -> Severity:
    """Say how much it matters: less where nothing is lost when the thread dies, or where there is one for a script."""
    work = lost.work
    harmless = work.reads_pipe or work.warms_up or work.watches_process or lost.stop is Stop.FLAG or lost.is_script
    once = lost.kind == "Timer" and not lost.work.rearms and not lost.work.loops
    return Severity.LOW if harmless or once else Severity.MEDIUM


def describe_thread(lost: LostThread) -> str:
    """Say what is started and what becomes of it."""
    what = f"threading.{lost.kind}"
    runs = f" runs `{_shortened(lost.work.name)}`," if lost.work.name else " is started,"
    if lost.stop is Stop.FLAG:
        return f"{what}{runs} a flag tells it to end and nothing joins it"
    fate = (
        "at exit it dies in the middle of its work"
        if lost.daemon is not False
        else "the process cannot exit before it ends"
    )
    return f"{what}{runs} nothing joins or stops it, and {fate}"


def executor_severity(lost: LostExecutor) -> Severity:
    """Say how much it matters: one that lives as long as the process leaks once."""
    return Severity.LOW if lost.is_single else Severity.MEDIUM


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."
