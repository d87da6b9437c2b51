"""`Following`: keeps questions that lead to further questions from running in circles, or without end."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Following"]

T = TypeVar("T")
_DEEP = 24
_STEPS = 2_000


class Following:
    """The questions under way: none is asked within itself, and one from outside leads to so many steps only."""

    def __init__(self) -> None:
        self._way: set[tuple[str, ast.AST]] = set()
        self._steps = 0

    def ask(self, question: str, node: ast.AST, answer: Callable[[], T], otherwise: T) -> T:
        """Answer a question about a node.

        Args:
            question: Its name.
            node: What it is about.
            answer: Finds the answer, and may ask on.
            otherwise: The answer where following goes too far.
        """
        key = (question, node)
        self._steps = self._steps + 1 if self._way else 0
        if key in self._way or len(self._way) > _DEEP or self._steps > _STEPS:
            return otherwise
        self._way.add(key)
        try:
            return answer()
        finally:
            self._way.discard(key)
