"""`rewrite`: apply the rewrites of a file's findings with libcst, and leave every other byte as it is."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import libcst as cst
from libcst import matchers
from libcst.metadata import MetadataWrapper, PositionProvider

from penstock_migrations._rewriting.calls import check_called, check_replaceable, check_unwrappable, replaced, unwrapped
from penstock_migrations._rewriting.imports import add_import, binds
from penstock_migrations._rewriting.source_text import RewriteError, SourceText
from penstock_migrations.rule import Finding, ReplaceCall, Rewrite

__all__ = ["Refusal", "Rewritten", "parse", "rewrite"]

Place = tuple[int, int]
Rewrites = dict[cst.Call, Rewrite]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A finding that was not rewritten, and why."""

    finding: Finding
    reason: str


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What became of a file.

    Attributes:
        source: Its bytes, rewritten.
        applied: The findings that were mended.
        refused: Those that were not.
    """

    source: bytes
    applied: tuple[Finding, ...]
    refused: tuple[Refusal, ...]


def parse(text: str) -> cst.Module:
    """Parse for rewriting.

    Raises:
        RewriteError: libcst cannot parse the text, or would not give it back to the letter.
    """
    try:
        tree = cst.parse_module(text)
    except (cst.ParserSyntaxError, RecursionError) as error:
        raise RewriteError(f"cannot be parsed for rewriting: {str(error).splitlines()[0]}") from None
    if tree.code != text:
        raise RewriteError("has characters that the rewriting would change elsewhere, such as a form feed")
    return tree


def rewrite(source: bytes, findings: Iterable[Finding], first_party: frozenset[str] = frozenset()) -> Rewritten:
    """Apply the rewrites of findings, each wholly or not at all, and import what they call.

    Args:
        source: The file's bytes, those that were audited.
        findings: The file's findings to be rewritten.
        first_party: The project's own top-level names, to place the import.

    Raises:
        RewriteError: The file as a whole cannot be rewritten.
    """
    text = SourceText.decode(source)
    tree = parse(text.text)
    calls = _calls_by_place(tree)
    in_text = _calls_in_text(tree)
    names = ast.parse(text.text)
    accepted: Rewrites = {}
    applied: list[Finding] = []
    refused: list[Refusal] = []
    for finding in findings:
        try:
            _check_names(names, finding)
            rewrites = _checked(finding, calls, accepted)
            if not in_text.isdisjoint(rewrites):
                raise RewriteError("the call stands inside an f-string: give it a line of its own before")
            accepted |= rewrites
            applied.append(finding)
        except RewriteError as error:
            refused.append(Refusal(finding, str(error)))
    changed = tree.visit(_Rewriter(accepted)) if accepted else tree
    for module in sorted(_modules(accepted.values())):
        changed = add_import(changed, module, first_party)
    return Rewritten(text.encode_valid(changed.code), tuple(applied), tuple(refused))


def _calls_by_place(tree: cst.Module) -> dict[Place, list[cst.Call]]:
    """Find the calls by where they start; several start at one place in `f(x).g(y)`."""
    calls: dict[Place, list[cst.Call]] = defaultdict(list)
    positions = MetadataWrapper(tree, unsafe_skip_copy=True).resolve(PositionProvider)
    for node, position in positions.items():
        if isinstance(node, cst.Call):
            calls[position.start.line, position.start.column].append(node)
    return calls


def _calls_in_text(tree: cst.Module) -> set[cst.Call]:
    """Return the calls inside f-strings: their new text could hold the string's own quotes."""
    texts = matchers.findall(tree, matchers.FormattedString())
    return {call for text in texts for call in matchers.findall(text, matchers.Call()) if isinstance(call, cst.Call)}


def _check_names(names: ast.Module, finding: Finding) -> None:
    for name in {module.partition(".")[0] for module in _modules(finding.rewrites)}:
        if binds(names, name):
            raise RewriteError(f"the name {name} means something else in this file")


def _checked(finding: Finding, calls: dict[Place, list[cst.Call]], accepted: Rewrites) -> Rewrites:
    """Return the calls that a finding rewrites, those checked; all or none."""
    if not finding.rewrites:
        raise RewriteError("the rule offers no rewrite")
    checked: Rewrites = {}
    for each in finding.rewrites:
        call = _only(calls.get((each.line, each.column), []), each)
        if accepted.get(call, each) != each:
            raise RewriteError(f"line {each.line}: another finding rewrites the same call differently")
        checked[call] = each
    return checked


def _only(calls: Sequence[cst.Call], rewrite: Rewrite) -> cst.Call:
    """Return the one call, of those that start at the place, to which the rewrite can be done."""
    place = f"line {rewrite.line}, column {rewrite.column + 1}"
    fitting: list[cst.Call] = []
    reason = f"no call starts at {place}"
    for call in calls:
        try:
            _check(call, rewrite)
            fitting.append(call)
        except RewriteError as error:
            reason = str(error)
    if len(fitting) > 1:
        raise RewriteError(f"several calls start at {place}")
    if not fitting:
        raise RewriteError(reason)
    return fitting[0]


def _check(call: cst.Call, rewrite: Rewrite) -> None:
    if isinstance(rewrite, ReplaceCall):
        check_called(call, rewrite.called)
        check_replaceable(call, rewrite.keywords)
    else:
        check_unwrappable(call)


def _modules(rewrites: Iterable[Rewrite]) -> set[str]:
    return {each.imported for each in rewrites if isinstance(each, ReplaceCall)}


class _Rewriter(cst.CSTTransformer):
    def __init__(self, rewrites: Rewrites) -> None:
        super().__init__()
        self.rewrites = rewrites

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:  # noqa: N802
        match self.rewrites.get(original_node):
            case None:
                return updated_node
            case ReplaceCall(callee=callee, keywords=keywords):
                return replaced(updated_node, callee, keywords)
            case _:
                return unwrapped(updated_node)
