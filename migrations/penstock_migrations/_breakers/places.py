"""`Places`: what kind of code a node stands in, as far as its names and imports tell."""

from __future__ import annotations

import ast
import re
from functools import cached_property

from penstock_migrations._breakers.words import (
    ADMINISTRATION,
    METHODS,
    PERFORMANCE,
    PROBES,
    REPORTS,
    names_breaker,
)
from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import last_name, own_nodes
from penstock_migrations._code.tree import walk
from penstock_migrations._code.vocabulary import mentions, words

__all__ = ["Places", "is_announced", "is_audited"]

_TEST_MODULES = ("pytest", "unittest", "locust", "pytest_benchmark", "hypothesis")
_LOAD_MODULES = ("locust", "pytest_benchmark", "molotov")
_LOAD_TEXT = re.compile(
    r"\b(load|stress|performance|perf|soak|throughput|latency|spike)[ -]*(test|bench|run|scenario|suite)|benchmark",
    re.IGNORECASE,
)
_TESTED = frozenset(["test", "testing"])
_WITHOUT = frozenset(
    [
        "without",
        "no",
        "bypass",
        "bypassed",
        "bypassing",
        "disabled",
        "disable",
        "skip",
        "off",
        "raw",
        "direct",
        "unguarded",
    ]
)
_LOGS = frozenset(
    [
        "warning",
        "warn",
        "error",
        "critical",
        "info",
        "exception",
        "log",
        "audit",
        "emit",
        "inc",
        "increment",
        "incr",
        "publish",
        "notify",
    ]
)
_ABOUT = re.compile(r"breaker|circuit|bypass", re.IGNORECASE)
_AUDITS = frozenset(["audit", "metric", "event", "counter"])


class Places:
    """Answers whether a node is in a performance test, another test, a probe, a breaker's own code, an admin's."""

    def __init__(self, module: Module) -> None:
        self.module = module

    @cached_property
    def _is_load_module(self) -> bool:
        text = ast.get_docstring(self.module.tree) or ""
        return not self.module.roots.isdisjoint(_LOAD_MODULES) or bool(_LOAD_TEXT.search(text.partition("\n\n")[0]))

    def around(self, node: ast.AST) -> list[Function | ast.ClassDef]:
        """Return the functions and classes around a node, innermost first."""
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        found = [node] if isinstance(node, kinds) else []
        return found + [one for one in self.module.ancestors(node) if isinstance(one, kinds)]

    def is_performance(self, node: ast.AST) -> bool:
        """Say whether a node is part of a performance or load test."""
        if self._is_load_module:
            return True
        return any(self._sounds_like_load(one) for one in self.around(node))

    def is_test(self, node: ast.AST) -> bool:
        """Say whether a node is part of any test."""
        if not self.module.roots.isdisjoint(_TEST_MODULES):
            return True
        return any(one.name.startswith("Test") or mentions(one.name, _TESTED) for one in self.around(node))

    def is_left_alone(self, node: ast.AST) -> bool:
        """Say whether a bypass is nobody's fault here: in a test, unless of load; in a probe; in a breaker's own code.

        A test of load that is a test of the breaker itself counts as such a test.
        """
        if self.is_test(node) and (not self.is_performance(node) or self._tests_breaker(node)):
            return True
        return self.is_probe(node) or self.is_implementation(node)

    def is_implementation(self, node: ast.AST) -> bool:
        """Say whether a node is part of a class that is a breaker, or holds breakers."""
        return any(isinstance(one, ast.ClassDef) and _is_breaker_class(one) for one in self.around(node))

    def is_probe(self, node: ast.AST) -> bool:
        """Say whether a node is part of a health check."""
        return self._within(node, PROBES)

    def is_report(self, node: ast.AST) -> bool:
        """Say whether a node is part of a function that reports a state."""
        return self._within(node, REPORTS)

    def is_administration(self, node: ast.AST) -> bool:
        """Say whether a node is part of a function that somebody calls to reset or to end something."""
        return self._within(node, ADMINISTRATION)

    def said(self, node: ast.AST) -> str:
        """Return what a message adds for a performance test."""
        return " in a performance test" if self.is_performance(node) else ""

    def _within(self, node: ast.AST, vocabulary: frozenset[str]) -> bool:
        function = self.module.function(node)
        named = [one for one in self.around(node) if not isinstance(one, ast.ClassDef)] if function else []
        return any(not vocabulary.isdisjoint(words(one.name)) for one in named)

    def _sounds_like_load(self, one: Function | ast.ClassDef) -> bool:
        found = words(one.name)
        tested = one.name.startswith(("test_", "Test", "bench", "Bench", "run_", "simulate_")) or "test" in found
        if not tested and not {"benchmark", "bench", "stress", "soak", "loadtest"} & set(found):
            return self._has_mark(one)
        return not PERFORMANCE.isdisjoint(found) or self._has_mark(one)

    def _has_mark(self, one: Function | ast.ClassDef) -> bool:
        marks = {word for mark in one.decorator_list for word in words(last_name(mark))}
        fixtures = {arg.arg for arg in one.args.args} if not isinstance(one, ast.ClassDef) else set()
        return not PERFORMANCE.isdisjoint(marks) or "benchmark" in fixtures

    def _tests_breaker(self, node: ast.AST) -> bool:
        """Say whether the test around a node is of the breaker: by its name, or by what it asserts."""
        for one in self.around(node):
            if names_breaker(one.name, short=True) and _WITHOUT.isdisjoint(words(one.name)):
                return True
            if not isinstance(one, ast.ClassDef) and any(_asserts_breaker(inner) for inner in own_nodes(one)):
                return True
        return False


def _is_breaker_class(found: ast.ClassDef) -> bool:
    """Say whether a class implements a breaker: one named after what it is used for has none of its methods."""
    if not names_breaker(found.name):
        return False
    methods = {one.name for one in found.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    return words(found.name)[-1] != "breaker" or not methods.isdisjoint(METHODS)


def _asserts_breaker(node: ast.AST) -> bool:
    """Say whether a statement asserts a breaker's state, or expects its error."""
    if isinstance(node, ast.Assert):
        found = [inner for inner in walk(node.test) if isinstance(inner, ast.Attribute | ast.Name)]
        return any(names_breaker(last_name(inner)) for inner in found)
    if isinstance(node, ast.Call) and last_name(node.func) in ("raises", "assertRaises"):
        return any(names_breaker(last_name(arg), short=True) for arg in node.args)
    return False


def is_audited(body: list[ast.stmt]) -> bool:
    """Say whether a block logs, warns or counts what it does."""
    return any(_audits(node) for statement in body for node in walk(statement))


def is_announced(body: list[ast.stmt]) -> bool:
    """Say whether a block logs, warns or counts something about a breaker."""
    found = [node for statement in body for node in walk(statement) if _audits(node)]
    return any(_ABOUT.search(ast.unparse(node)) for node in found)


def _audits(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    return last_name(node.func) in _LOGS or not _AUDITS.isdisjoint(words(last_name(node.func)))
