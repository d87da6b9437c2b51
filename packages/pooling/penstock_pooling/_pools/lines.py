"""The lines to a server, and whether anything came over one while nobody asked."""

from __future__ import annotations

import select
from collections.abc import Callable

__all__ = ["has_news", "news_of"]


def news_of(descriptor: int) -> Callable[[], object]:
    """Return what tells whether something came over a line: the server has ended a session, or is about to.

    Args:
        descriptor: The socket's; what is returned must not be asked when it is closed.
    """
    if not hasattr(select, "poll"):
        return lambda: select.select([descriptor], [], [], 0)[0]
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return lambda: poll.poll(0)


def has_news(descriptor: int) -> bool:
    """Tell whether something came over a line."""
    return bool(news_of(descriptor)())
