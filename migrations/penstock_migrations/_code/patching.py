"""Says whether a module patches the standard library, before which nothing of ours must be imported."""

from __future__ import annotations

import ast

from penstock_migrations._code.module import Module

__all__ = ["patching"]

_PATCHES = "the module patches the standard library ({}), before which the runtime must not be imported"
_PATCHING = ("patch_all", "monkey_patch", "patch_socket", "patch_thread")


def patching(module: Module) -> list[str]:
    """Return what to look at before the module imports the runtime, for each call that patches."""
    return [_PATCHES.format(ast.unparse(call.func)) for call in module.calls_of(*_PATCHING)]
