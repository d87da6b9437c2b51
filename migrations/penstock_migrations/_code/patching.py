"""Says whether a module patches the standard library, before which nothing of ours must be imported."""

from __future__ import annotations

import ast

from penstock_migrations._code.module import Module

__all__ = ["patching"]

_PATCHES = "the module patches the standard library ({}), before which the runtime must not be imported"
_PATCHING = ("patch_all", "monkey_patch", "patch_socket", "patch_thread")
_PATCHERS = frozenset({"gevent", "eventlet"})


def patching(module: Module) -> list[str]:
    """Return what to look at before the module imports the runtime, for each call that patches."""
    calls = (call for call in module.calls_of(*_PATCHING) if _may_patch(module, call))
    return [_PATCHES.format(ast.unparse(call.func)) for call in calls]


def _may_patch(module: Module, call: ast.Call) -> bool:
    """Say whether a call is of a library that is known to patch, or of what cannot be seen; others trace or test."""
    name = module.qualified(call.func)
    return name is None or name.startswith(".") or name.partition(".")[0] in _PATCHERS
