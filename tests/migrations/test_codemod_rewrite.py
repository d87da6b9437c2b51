"""What a rewrite makes of a file's text."""

import textwrap

import pytest
from penstock_migrations._rewriting.rewrite import rewrite
from penstock_migrations._rewriting.source_text import RewriteError
from penstock_migrations.rule import ReplaceCall, UnwrapCall

from tests.migrations.project import bound_gathers, finding


def rewritten(source: str, **options) -> str:
    """Rewrite every gather and create_task of a source."""
    result = rewrite(source.encode(), [bound_gathers(source)], **options)
    assert not result.refused
    return result.source.decode()


def body_of(source: str) -> str:
    """Rewrite lines that stand alone, and return them without the import."""
    code = rewritten(f"import penstock_limits\n{textwrap.dedent(source)}")
    return code.removeprefix("import penstock_limits\n")


def refusal(source: str, *rewrites) -> str:
    """Return why a rewrite was refused, having checked that nothing was changed."""
    result = rewrite(source.encode(), [finding(*rewrites)])
    assert result.source.decode() == source
    return result.refused[0].reason


LIMITED = 'penstock_limits.gather(*xs, limit="api_call")'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("r = asyncio.gather(*xs)\n", f"r = {LIMITED}\n"),
        ("r = g.gather(*xs, **kw)\n", 'r = penstock_limits.gather(*xs, **kw, limit="api_call")\n'),
        ("r = (asyncio.gather(*xs))\n", f"r = ({LIMITED})\n"),
        ("r = gather(*xs,)\n", 'r = penstock_limits.gather(*xs, limit="api_call",)\n'),
        ("r = gather(\n    *xs, a=1\n)\n", 'r = penstock_limits.gather(\n    *xs, a=1, limit="api_call"\n)\n'),
        ("r = gather(\n\t*xs,  # all\n)\n", 'r = penstock_limits.gather(\n\t*xs,  # all\n\tlimit="api_call",\n)\n'),
        (
            "r = gather(\n    *xs,\n    a=1  # last\n)\n",
            'r = penstock_limits.gather(\n    *xs,\n    a=1,  # last\n    limit="api_call"\n)\n',
        ),
        (
            "r = gather(\n    *[\n        x\n    ]\n)\n",
            'r = penstock_limits.gather(\n    *[\n        x\n    ],\n    limit="api_call",\n)\n',
        ),
    ],
)
def test_the_keyword_is_appended_in_the_calls_own_layout(before, after):
    """Inline where the arguments are inline, on a line of its own where they have theirs; comments stay in place."""
    assert body_of(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("t = [create_task(f(x)) for x in xs]\n", "t = [f(x) for x in xs]\n"),
        ("t = [loop().create_task(f(x)) for x in xs]\n", "t = [f(x) for x in xs]\n"),
        ("t = [create_task(f(x),) for x in xs]\n", "t = [f(x) for x in xs]\n"),
        ("t = [create_task(f(x) or g(x)) for x in xs]\n", "t = [(f(x) or g(x)) for x in xs]\n"),
        ("t = [\n    create_task(\n        a\n        .f(x)\n    )\n]\n", "t = [\n    (a\n    .f(x))\n]\n"),
        (
            "t.append(\n    create_task(\n        f(\n            x\n        )\n    )\n)\n",
            "t.append(\n    f(\n        x\n    )\n)\n",
        ),
    ],
)
def test_a_task_gives_way_to_its_coroutine(before, after):
    """The argument stands where the call stood, in parentheses where it could not stand alone."""
    assert body_of(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import asyncio\n\nx = 1\n", "import asyncio\n\nimport penstock_limits\n\nx = 1\n"),
        ("import asyncio\nimport zmq\n", "import asyncio\nimport penstock_limits\nimport zmq\n"),
        ("import asyncio\n\nfrom zmq import a\n", "import asyncio\n\nimport penstock_limits\nfrom zmq import a\n"),
        ("import asyncio\n\nfrom . import a\n", "import asyncio\n\nimport penstock_limits\n\nfrom . import a\n"),
        ("import asyncio\n\nimport agents\n", "import asyncio\n\nimport penstock_limits\n\nimport agents\n"),
        ('"""Doc."""\n\nx = 1\n', '"""Doc."""\n\nimport penstock_limits\n\nx = 1\n'),
        ("#!/bin/python\n# us\nx = 1\n", "#!/bin/python\n# us\nimport penstock_limits\n\nx = 1\n"),
        (
            '"""Doc."""\nfrom __future__ import division\n# ours\nfrom agents import a\n',
            '"""Doc."""\nfrom __future__ import division\n\nimport penstock_limits\n\n# ours\nfrom agents import a\n',
        ),
        (
            "import typing\nif typing.TYPE_CHECKING:\n    import penstock_limits\n",
            "import typing\n\nimport penstock_limits\n\nif typing.TYPE_CHECKING:\n    import penstock_limits\n",
        ),
        (
            "try:\n    import asyncio\nexcept ImportError:\n    raise\n",
            "import penstock_limits\n\ntry:\n    import asyncio\nexcept ImportError:\n    raise\n",
        ),
        ("import penstock_limits\n", "import penstock_limits\n"),
        ("import penstock_limits as p\n", "import penstock_limits\nimport penstock_limits as p\n"),
    ],
)
def test_the_import_goes_where_the_file_keeps_such_imports(before, after):
    """After docstring and `__future__`, with the third-party imports in order, else in a group of its own; once."""
    code = rewritten(before + "asyncio.gather(*xs)\n", first_party=frozenset({"agents"}))

    assert code == after + LIMITED + "\n"


@pytest.mark.parametrize(
    "source",
    [
        b"import asyncio\r\n\r\nasyncio.gather(*xs)\r\n",
        b"\xef\xbb\xbfimport asyncio\nasyncio.gather(*xs)\n",
        b"# -*- coding: latin-1 -*-\nimport asyncio\nname = '\xe9'\nasyncio.gather(*xs)\n",
        b"import asyncio\nif 1:\n\tasyncio.gather(*xs)  \n   \n\n",
        b"import asyncio\nasyncio.gather(*xs)",
        b"import asyncio\r\nx = 1\nasyncio.gather(*xs)\r\n",
        b"import asyncio\nx = '''a\r\nb'''\nasyncio.gather(*xs)\n",
    ],
    ids=["crlf", "mark", "latin-1", "tabs", "no-newline", "mixed", "newlines-in-a-string"],
)
def test_every_other_byte_stays(source):
    """Taking the rewrite back by hand gives the very bytes that were there."""
    text = source.decode("latin-1")
    at = bound_gathers(text.removeprefix("\xef\xbb\xbf"))

    result = rewrite(source, [at]).source

    newline = b"\r\n" if source.startswith(b"import asyncio\r\n") else b"\n"
    back = result.replace(newline + b"import penstock_limits" + newline, newline, 1).replace(
        b'penstock_limits.gather(*xs, limit="api_call")', b"asyncio.gather(*xs)"
    )
    assert back.replace(newline, b"") == source.replace(newline, b"")
    assert b"penstock_limits.gather" in result


def test_a_file_that_libcst_would_not_give_back_is_refused():
    """A form feed would be lost elsewhere in the file."""
    with pytest.raises(RewriteError, match="form feed"):
        rewrite(b"x = 1\n\x0cy = 2\n", [finding(UnwrapCall(1, 0))])


@pytest.mark.parametrize(
    "binding",
    [
        "penstock_limits = 1",
        "def penstock_limits(): ...",
        "import x as penstock_limits",
        "f = lambda penstock_limits: 1",
    ],
)
def test_a_file_that_uses_the_name_otherwise_is_refused(binding):
    """The qualified name would mean the wrong thing."""
    source = f"{binding}\ngather(*xs)\n"

    assert "means something else" in refusal(source, *bound_gathers(source).rewrites)


@pytest.mark.parametrize(
    ("source", "rewrite_", "reason"),
    [
        ("f(x)\n", ReplaceCall(2, 0, "m.f"), "no call starts"),
        ("f(x).g(y)\n", UnwrapCall(1, 0), "several calls start"),
        ("f().g()\n", UnwrapCall(1, 0), "exactly one"),
        ("f(x, limit=1)\n", ReplaceCall(1, 0, "m.f", (("limit", "2"),)), "has a keyword 'limit' already"),
        ("f(x for x in y)\n", ReplaceCall(1, 0, "m.f", (("limit", "2"),)), "bare generator"),
        ("f(x, name=1)\n", UnwrapCall(1, 0), "exactly one"),
        ("f(*x)\n", UnwrapCall(1, 0), "exactly one"),
        ("f(  # why\n    x\n)\n", UnwrapCall(1, 0), "comment"),
    ],
)
def test_what_is_not_as_the_finding_says_is_refused(source, rewrite_, reason):
    """When in doubt nothing is rewritten, and the reason says why."""
    assert reason in refusal(source, rewrite_)


def test_a_finding_is_mended_wholly_or_not_at_all():
    """A gather whose tasks cannot be unwrapped keeps its tasks and its name."""
    source = "t = [create_task(f(x), name=1) for x in xs]\ngather(*t)\n"

    assert "exactly one" in refusal(source, *bound_gathers(source).rewrites)


def test_the_other_findings_of_a_file_go_on():
    """One refusal does not keep the rest from being mended."""
    source = "gather(*a, limit=1)\ngather(*b)\n"
    first, second = (finding(each) for each in bound_gathers(source).rewrites)

    result = rewrite(source.encode(), [first, second])

    assert result.applied == (second,)
    assert 'gather(*b, limit="api_call")' in result.source.decode()


@pytest.mark.parametrize("text", ['f"{gather(*ys)}"', "f'''\n{gather(*ys)!r:>9}\n'''", '"a" f"{1:{gather(*ys)}}"'])
def test_a_call_in_an_f_string_is_refused_by_itself(text):
    """Before Python 3.12 its quotes may not be those of the string; the other calls of the file are rewritten."""
    source = f"a = {text}\nb = gather(*xs)\n"
    inner = next(line for line in enumerate(source.splitlines(), 1) if "*ys" in line[1])
    gather = ("penstock_limits.gather", (("limit", '"api_call"'),))
    last = source.count("\n")
    findings = [
        finding(ReplaceCall(inner[0], inner[1].index("gather"), *gather)),
        finding(ReplaceCall(last, 4, *gather)),
    ]
    result = rewrite(source.encode(), findings)

    assert [each.reason for each in result.refused] == [
        "the call stands inside an f-string: give it a line of its own before"
    ]
    assert result.applied == (findings[1],)
    assert text in result.source.decode()


@pytest.mark.parametrize(
    "before",
    [
        "import sys; import threading; threading.Thread(target=print).start()\n",
        "import threading\nthreading.Thread(target=print).start()\nimport requests\n",
        "import threading\n\ndef f():\n    threading.Thread(target=print).start()\n\nf()\nimport penstock_tasks\n",
        "import threading\n\nif threading.Thread(target=print).start():\n    pass\n\nimport ours\nfrom . import x\n",
    ],
)
def test_the_import_goes_before_what_uses_it(before):
    """A script may import more after its first call, or on the line of it."""
    line, text = next((at, text) for at, text in enumerate(before.splitlines(), 1) if "Thread(" in text)
    replaced = ReplaceCall(line, text.index("threading.Thread("), "penstock_tasks.Thread", called="threading.Thread")
    after = rewrite(before.encode(), [finding(replaced)]).source.decode()

    assert after.index("import penstock_tasks\n") < after.index("penstock_tasks.Thread(")


def test_code_on_the_line_of_the_docstring_is_left_alone():
    """No import can go before it and after the docstring."""
    source = "'doc'; import threading; threading.Thread(target=print).start()\n"
    replaced = ReplaceCall(1, 25, "penstock_tasks.Thread", called="threading.Thread")

    with pytest.raises(RewriteError, match="docstring is followed by code"):
        rewrite(source.encode(), [finding(replaced)])


def test_a_module_within_a_package_is_imported_as_such():
    """Two modules of one package are two imports, and a callee may be deeper than its module."""
    source = (
        "import psycopg\n\none = psycopg.connect(a)\ntwo = psycopg.AsyncConnection.connect(b)\nthree = connect(c)\n"
    )
    inner = {"module": "penstock_pooling.psycopg"}
    result = rewrite(
        source.encode(),
        [
            finding(ReplaceCall(3, 6, "penstock_pooling.psycopg.connect", **inner)),
            finding(ReplaceCall(4, 6, "penstock_pooling.psycopg.AsyncConnection.connect", **inner)),
            finding(ReplaceCall(5, 8, "penstock_pooling.connect")),
        ],
    )

    assert result.source.decode() == (
        "import penstock_pooling\nimport penstock_pooling.psycopg\nimport psycopg\n\n"
        "one = penstock_pooling.psycopg.connect(a)\n"
        "two = penstock_pooling.psycopg.AsyncConnection.connect(b)\n"
        "three = penstock_pooling.connect(c)\n"
    )


def test_a_name_that_a_package_needs_is_not_taken_from_the_file():
    """The package's first name counts, whatever module of it is imported."""
    source = b"penstock_pooling = 1\nconnect(c)\n"
    replacement = ReplaceCall(2, 0, "penstock_pooling.psycopg.connect", module="penstock_pooling.psycopg")
    (refused,) = rewrite(source, [finding(replacement)]).refused

    assert "the name penstock_pooling means something else" in refused.reason
