"""Decides how a thread or a timer that nothing ends gets an owner."""

from __future__ import annotations

import ast

from penstock_migrations._code.module import Module
from penstock_migrations._code.vocabulary import mentions, vocabulary
from penstock_migrations._owning.swaps import Remark, Swap, Swaps
from penstock_migrations._threads.owners import LostThread
from penstock_migrations._threads.words import KILLING
from penstock_migrations.rule import Fix

__all__ = ["thread_swap"]

_KILLS = "it is there to end the process itself, when all else hangs: the exit must not end it first"
_FIRES = "the process waits until it has fired; enforced, the exit cancels it: may what it does be left out then?"
_CHAIN = "it keeps the process alive; enforced, the exit cancels it: does the program end only when it is told to?"
_NAMED = "by its name it ends the process when all else hangs: must it outlive the exit?"
_LASTS = "enforced, the exit waits for it up to a deadline, unless its loop waits on penstock_tasks.stop_event()"
_ENDS_PROCESS = vocabulary("abort die exit kill killer orphan orphaned suicide watchdog")


def thread_swap(module: Module, lost: LostThread) -> Swap:
    """Decide for one thread or timer."""
    return module.analysis(Swaps).swap(lost.call, lost.kind, _remarks(module, lost), _note(lost))


def _remarks(module: Module, lost: LostThread) -> list[Remark]:
    if lost.work.watches_process or _kills(module, lost):
        return [(Fix.NONE, _KILLS)]
    if mentions(lost.work.name, _ENDS_PROCESS):
        return [(Fix.REVIEW, _NAMED)]
    if lost.kind == "Timer" and lost.daemon is not True:
        return [(Fix.REVIEW, _CHAIN if lost.work.rearms else _FIRES)]
    return []


def _kills(module: Module, lost: LostThread) -> bool:
    """Say whether what is run, or handed to what is run, ends the process: `Timer(10, os._exit, (1,))`."""
    given = [lost.work.target, *lost.work.handed]
    return any(isinstance(one, ast.Name | ast.Attribute) and module.qualified(one) in KILLING for one in given)


def _note(lost: LostThread) -> str | None:
    """Say that a daemon that does not end by itself makes the exit longer."""
    lasts = lost.work.loops or lost.work.reads_pipe or lost.work.runners
    return _LASTS if lost.kind == "Thread" and lost.daemon is not False and lasts else None
