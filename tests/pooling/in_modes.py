"""Programs that do the same in every mode."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

MODES = ["enforce", "off", "observe"]


def in_modes(programs: Iterable[tuple[str, Any]]) -> list[Any]:
    """Return every mode with every program, by its id.

    The fast tier has each in mode `enforce`, where it is the drop-in that answers, and the first in the others, where
    it is the driver itself; the slow tier has them all.
    """
    return [
        pytest.param(mode, each, id=f"{name}-{mode}", marks=[pytest.mark.slow] if number and mode != "enforce" else [])
        for number, (name, each) in enumerate(programs)
        for mode in MODES
    ]
