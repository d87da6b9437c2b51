"""Whether a search of memory finds everything."""

from __future__ import annotations

import gc
import sys

__all__ = ["is_partly_hidden"]


def is_partly_hidden() -> bool:
    """Tell whether something may be referred to unseen.

    What `gc.freeze()` has set aside, as servers do that load a program before they fork, `gc.get_referrers()` does not
    see, whatever is put into it later. It sets aside all that is there, so what has always been there tells.
    """
    return not any(each is sys.modules for each in gc.get_referrers(sys))
