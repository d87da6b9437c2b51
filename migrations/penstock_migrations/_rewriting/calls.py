"""The two ways in which a call is rewritten: another callee with some keywords more, or its argument alone."""

from __future__ import annotations

import ast

import libcst as cst

from penstock_migrations._rewriting.source_text import RewriteError

__all__ = ["check_called", "check_replaceable", "check_unwrappable", "replaced", "unwrapped"]

_NO_PARENTHESES_NEEDED = (cst.Call, cst.Name, cst.Attribute, cst.Subscript)


def check_called(call: cst.Call, called: str) -> None:
    """Refuse a call of something else than what was found; an empty text stands for anything.

    Raises:
        RewriteError: It is one.
    """
    if called and _unparsed(call.func) != called:
        raise RewriteError(f"the call is not one of {called}")


def _unparsed(node: cst.BaseExpression) -> str:
    return ast.unparse(ast.parse(f"({cst.Module([]).code_for_node(node)})", mode="eval"))


def check_replaceable(call: cst.Call, keywords: tuple[tuple[str, str], ...]) -> None:
    """Refuse a call to which the keywords cannot be appended.

    Raises:
        RewriteError: It has one of them, or a bare generator as its only argument.
    """
    given = {arg.keyword.value for arg in call.args if arg.keyword is not None}
    for name, _ in keywords:
        if name in given:
            raise RewriteError(f"the call has a keyword {name!r} already")
    if len(call.args) == 1 and isinstance(call.args[0].value, cst.GeneratorExp) and not call.args[0].value.lpar:
        raise RewriteError("the call's only argument is a bare generator")


def replaced(call: cst.Call, callee: str, keywords: tuple[tuple[str, str], ...]) -> cst.Call:
    """Return the call with another callee, which keeps its parentheses, and the keywords appended."""
    func = cst.parse_expression(callee).with_changes(lpar=call.func.lpar, rpar=call.func.rpar)
    args = list(call.args)
    for name, value in keywords:
        args = _appended(args, _keyword(name, value), call.whitespace_before_args)
    return call.with_changes(func=func, args=args)


def _keyword(name: str, value: str) -> cst.Arg:
    bare = cst.AssignEqual(whitespace_before=cst.SimpleWhitespace(""), whitespace_after=cst.SimpleWhitespace(""))
    return cst.Arg(cst.parse_expression(value), keyword=cst.Name(name), equal=bare)


def _appended(args: list[cst.Arg], new: cst.Arg, opening: cst.BaseParenthesizableWhitespace) -> list[cst.Arg]:
    """Append an argument in the layout of the others: on a line of its own where they have theirs."""
    if not args:
        return [new]
    *others, last = args
    ended = isinstance(last.comma, cst.Comma)
    between = others[-1].comma.whitespace_after if others and isinstance(others[-1].comma, cst.Comma) else opening
    trailing = last.comma.whitespace_after if isinstance(last.comma, cst.Comma) else last.whitespace_after_arg
    own_line = ended or _has_comment(trailing) or (bool(others) and _breaks(between)) or _spans_lines(last.value)
    if own_line and isinstance(trailing, cst.ParenthesizedWhitespace):
        indent = between.last_line if isinstance(between, cst.ParenthesizedWhitespace) else trailing.last_line
        return [*others, *_on_lines_of_their_own(last, new, trailing, indent, comma=ended or not others)]
    moved = new.with_changes(comma=last.comma, whitespace_after_arg=last.whitespace_after_arg)
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    return [*others, last.with_changes(comma=comma, whitespace_after_arg=cst.SimpleWhitespace("")), moved]


def _on_lines_of_their_own(
    last: cst.Arg, new: cst.Arg, trailing: cst.ParenthesizedWhitespace, indent: cst.SimpleWhitespace, *, comma: bool
) -> tuple[cst.Arg, cst.Arg]:
    """Keep the last argument's comment on its line, and the closing parenthesis on its own."""
    after_last = cst.Comma(whitespace_after=trailing.with_changes(last_line=indent))
    kept = last.with_changes(comma=after_last, whitespace_after_arg=cst.SimpleWhitespace(""))
    end = cst.ParenthesizedWhitespace(
        first_line=cst.TrailingWhitespace(newline=trailing.first_line.newline),
        indent=trailing.indent,
        last_line=trailing.last_line,
    )
    if comma:
        return kept, new.with_changes(comma=cst.Comma(whitespace_after=end))
    return kept, new.with_changes(whitespace_after_arg=end)


def _breaks(whitespace: cst.BaseParenthesizableWhitespace | None) -> bool:
    return isinstance(whitespace, cst.ParenthesizedWhitespace)


def _spans_lines(value: cst.BaseExpression) -> bool:
    return "\n" in cst.Module([]).code_for_node(value)


def _has_comment(whitespace: cst.CSTNode | cst.MaybeSentinel) -> bool:
    return isinstance(whitespace, cst.CSTNode) and "#" in cst.Module([]).code_for_node(whitespace)


def check_unwrappable(call: cst.Call) -> None:
    """Refuse a call that is more than a wrapper around its one argument.

    Raises:
        RewriteError: It has not exactly one positional argument, or a comment would be lost.
    """
    if len(call.args) != 1 or call.args[0].star or call.args[0].keyword is not None:
        raise RewriteError("the call to be unwrapped has not exactly one positional argument")
    arg = call.args[0]
    lost = (call.whitespace_after_func, call.whitespace_before_args, arg.whitespace_after_arg, arg.comma)
    if any(map(_has_comment, lost)):
        raise RewriteError("a comment inside the call to be unwrapped would be lost")


def unwrapped(call: cst.Call) -> cst.BaseExpression:
    """Return the call's argument, in parentheses where it does not stand alone."""
    value = call.args[0].value
    if isinstance(call.whitespace_before_args, cst.ParenthesizedWhitespace):
        value = _outdented(value, call)
    if not value.lpar and not (isinstance(value, _NO_PARENTHESES_NEEDED) and _stands_alone(value)):
        value = value.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    return value.with_changes(lpar=[*call.lpar, *value.lpar], rpar=[*value.rpar, *call.rpar])


def _stands_alone(value: cst.BaseExpression) -> bool:
    try:
        ast.parse(cst.Module([]).code_for_node(value))
    except SyntaxError:
        return False
    return True


def _outdented(value: cst.BaseExpression, call: cst.Call) -> cst.BaseExpression:
    """Move the argument's further lines left by as much as its first line moves."""
    opening = call.whitespace_before_args
    closing = call.args[0].comma if isinstance(call.args[0].comma, cst.Comma) else call.args[0]
    end = closing.whitespace_after if isinstance(closing, cst.Comma) else closing.whitespace_after_arg
    if not (isinstance(opening, cst.ParenthesizedWhitespace) and isinstance(end, cst.ParenthesizedWhitespace)):
        return value
    by = len(opening.last_line.value) - len(end.last_line.value)
    moved = value.visit(_Outdent(by)) if by > 0 else value
    return moved if isinstance(moved, cst.BaseExpression) else value


class _Outdent(cst.CSTTransformer):
    def __init__(self, by: int) -> None:
        super().__init__()
        self.by = by

    def leave_ParenthesizedWhitespace(  # noqa: N802 - libcst's name
        self, original_node: cst.ParenthesizedWhitespace, updated_node: cst.ParenthesizedWhitespace
    ) -> cst.ParenthesizedWhitespace:
        indent = original_node.last_line.value
        return updated_node.with_changes(last_line=cst.SimpleWhitespace(indent[min(self.by, len(indent)) :]))
