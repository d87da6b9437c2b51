"""What holds for every module: it compiles, only what was aimed at changes, and with the mode off it does the same."""

import ast
import asyncio
import textwrap
import tokenize
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._rewriting.codemod import plan
from penstock_migrations._rewriting.rewrite import rewrite

from tests.migrations.project import bound_gathers

SHAPES = (
    "return await asyncio.gather(*[work(x) for x in xs])",
    "return await asyncio.gather(*(work(x) for x in xs), return_exceptions=True)",
    "tasks = []\nfor x in xs:\n    tasks.append(work(x))  # one each\nreturn list(await asyncio.gather(*tasks))",
    "ts = [\n    asyncio.create_task(\n        work(x)\n    )\n    for x in xs\n]\nreturn await asyncio.gather(*ts)",
    "return await asyncio.wait_for(asyncio.gather(\n    *map(work, xs),\n    return_exceptions=False,  # raise\n), 5)",
    "work_of = {x: work(x) for x in xs}\nreturn await asyncio.gather(*work_of.values(),)",
    "return await asyncio.gather(\n    *[\n        work(x)\n        for x in xs\n    ]\n)",
)
HEADS = (
    "",
    '"""Doc."""\n\n',
    "#!/usr/bin/env python\n",
    "from __future__ import annotations\n",
    '"""Doc."""\nimport os\n\n',
)
IMPORTS = ("import asyncio\n", "import asyncio\nimport zlib\n", "import asyncio\n\nfrom collections import deque\n\n")
WORK = "async def work(x):\n    LOG.append(x)\n    await asyncio.sleep(0)\n    return 12 // x\n"


@st.composite
def modules(draw):
    """Modules of people with different habits, each with a few fan-outs."""
    functions = [
        f"async def run{number}(xs):\n" + textwrap.indent(shape, draw(st.sampled_from(["    ", "  ", "\t"]))) + "\n"
        for number, shape in enumerate(draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=4)))
    ]
    blank = draw(st.sampled_from(["\n", "\n\n", "\n# next\n", "\n   \n"]))
    source = draw(st.sampled_from(HEADS)) + draw(st.sampled_from(IMPORTS)) + blank + blank.join([WORK, *functions])
    return source.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


def rewritten(source: str) -> str:
    """Rewrite what the rules find, as the command does."""
    result = rewrite(source.encode(), [bound_gathers(source)])
    assert not result.refused
    return result.source.decode()


def run(source: str, items: list[int]) -> object:
    """Run every function of a module; return what they return or raise, and in which order the work began."""
    log: list[int] = []
    names: dict[str, object] = {"LOG": log}
    exec(compile(source, "module", "exec"), names)
    functions = [each for name, each in sorted(names.items()) if name.startswith("run")]

    async def outcomes():
        seen = []
        for function in functions:
            try:
                seen.append(repr(await function(items)))
            except ZeroDivisionError as error:
                seen.append(repr(error))
            await asyncio.sleep(0.0)
        return seen

    return asyncio.run(outcomes()), log


def comments(source: str) -> list[str]:
    return [
        token.string for token in tokenize.tokenize(BytesIO(source.encode()).readline) if token.type == tokenize.COMMENT
    ]


@given(modules())
def test_it_compiles_and_keeps_every_comment(source):
    """Whatever the layout."""
    result = rewritten(source)

    compile(result, "module", "exec")
    assert comments(result) == comments(source)


@given(modules())
def test_only_fan_outs_change(source):
    """Without its calls of gather and create_task and its import, the tree is the one that was."""

    class Plain(ast.NodeTransformer):
        def visit_Call(self, node):
            self.generic_visit(node)
            name = ast.unparse(node.func)
            if name == "asyncio.create_task":
                return node.args[0]
            if name.endswith(".gather"):
                keywords = [each for each in node.keywords if each.arg != "limit"]
                return ast.Call(ast.Name("gather"), node.args, keywords)
            return node

        def visit_Import(self, node):
            return None if node.names[0].name == "penstock_limits" else node

    def plain(text):
        return ast.unparse(Plain().visit(ast.parse(text)))

    assert plain(rewritten(source)) == plain(source)


@given(modules())
def test_line_ends_stay(source):
    """A file with Windows line ends has no others afterwards."""
    result = rewritten(source)

    assert ("\r\n" in source) == ("\r\n" in result)
    assert result.count("\r") == result.count("\n") or "\r" not in result


@settings(deadline=None, max_examples=40)
@given(modules(), st.lists(st.integers(min_value=0, max_value=9), max_size=8, unique=True))
def test_with_the_mode_off_it_does_what_it_did(source, items):
    """Same results in the same order, same exceptions, same order of starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENSTOCK_MODE", "off")
        assert run(rewritten(source), items) == run(source, items)


@settings(deadline=None, max_examples=40)
@given(modules(), st.lists(st.integers(min_value=1, max_value=99), max_size=40, unique=True))
def test_enforced_it_returns_what_it_returned(source, items):
    """A limit changes when work runs, never what it gives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENSTOCK_MODE", "enforce")
        assert run(rewritten(source), items)[0] == run(source, items)[0]


@settings(deadline=None, max_examples=25)
@given(source=modules())
def test_the_audit_finds_nothing_to_rewrite_in_what_was_rewritten(source, tmp_path_factory):
    """The whole way: audited, rewritten, audited, nothing left that is safe to rewrite."""
    folder = tmp_path_factory.mktemp("module")
    (folder / "module.py").write_bytes(source.encode())
    planned = plan([folder], Settings())
    assert planned.mended
    (folder / "module.py").write_bytes(planned.edits[0].after)

    assert audit([folder], Settings()).findings == ()
    assert plan([folder], Settings()).edits == []
