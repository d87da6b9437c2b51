"""How somebody wants to see it; light, as the command line needs it before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["SORTS", "VIEWS", "Look"]

SORTS: Final = ("use", "name", "kind", "waiting", "done", "refused")
VIEWS: Final = ("all", "resources", "tasks")


@dataclass(slots=True)
class Look:
    """How somebody wants to see it.

    Attributes:
        sort: What resources are sorted by, one of `SORTS`.
        turned: Whether the order is turned round.
        filter: Words that what is shown must have.
        typing: Whether the filter is being typed.
        view: One of `VIEWS`.
        paused: Whether it stays as it is.
        first: The first row that is shown.
        said: What is to be told of the connection.
        lost: Whether that is that it is lost.
        page: How many rows fit.
    """

    sort: str = "use"
    turned: bool = False
    filter: str = ""
    typing: bool = False
    view: str = "all"
    paused: bool = False
    first: int = 0
    said: str = ""
    lost: bool = False
    page: int = 1
