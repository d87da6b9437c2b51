"""The audit: paths in, findings out, whatever the files are like."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock_migrations._auditing import examine as examine_module
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._command_line.audit import audit_command
from penstock_migrations.rule import Fix, Severity

DEFECT = "import asyncio\n\nasync def run(xs):\n    await asyncio.gather(*[f(x) for x in xs])\n"
ANY_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def write(folder: Path, **files: str) -> Path:
    for name, source in files.items():
        file = folder / f"{name.replace('__', '/') if name != '__init__' else name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source), encoding="utf-8")
    return folder


def findings(folder: Path, **options):
    return audit([folder], Settings(**options)).findings


def test_says_where_and_what(tmp_path):
    """A finding names rule, place, function and file's hash; the column counts characters from 1."""
    source = (
        "import asyncio\nclass A:\n    async def b(self, xs):\n        é = 'ä'; await asyncio.gather(*map(f, xs))\n"
    )
    (found,) = findings(write(tmp_path, one=source))

    assert (found.code, found.name, found.issue, found.phase) == ("PEN101", "unbounded-gather", 1, 1)
    assert (found.line, found.end_line, found.column, found.function) == (4, 4, 24, "A.b")
    assert found.rewrites[-1].column == 23
    assert len(found.sha256) == 64


def test_shows_paths_relative_to_the_working_directory(tmp_path, monkeypatch):
    """A file beneath the working directory is shown relative to it, another relative to the audited path."""
    write(tmp_path, inner__one=DEFECT)

    monkeypatch.chdir(tmp_path)
    assert [one.path for one in findings(Path("inner"))] == ["inner/one.py"]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert [one.path for one in findings(tmp_path)] == ["inner/one.py"]
    assert [one.path for one in findings(tmp_path / "inner/one.py")] == ["one.py"]


def test_tells_files_apart_that_would_be_shown_alike(tmp_path, monkeypatch):
    """From a folder beneath, or with two folders given, each finding belongs to its own file, and none is lost."""
    write(tmp_path, app=DEFECT, svc__app="x = 1\n", other__app=f"\n{DEFECT}")

    line = findings(tmp_path / "app.py")[0].line
    monkeypatch.chdir(tmp_path / "svc")
    assert [one.path for one in findings(Path(".."))] == ["../app.py", "other/app.py"]
    found = audit([tmp_path / "other", tmp_path / "app.py"], Settings()).findings
    assert [(one.path, one.line) for one in found] == [("../app.py", line), ("../other/app.py", line + 1)]


def test_sorts_by_place(tmp_path):
    """Findings are ordered by path, line and column, whatever the order of the arguments."""
    write(tmp_path, b=DEFECT, a=DEFECT + "    await asyncio.gather(*[f(x) for x in xs])\n")

    found = audit([tmp_path / "b.py", tmp_path / "a.py"], Settings()).findings
    assert [(Path(one.path).name, one.line) for one in found] == [("a.py", 4), ("a.py", 5), ("b.py", 4)]


def test_audits_a_file_once(tmp_path):
    """A file named twice, or linked to, is audited once."""
    write(tmp_path, one=DEFECT)
    (tmp_path / "two.py").symlink_to(tmp_path / "one.py")

    assert len(audit([tmp_path, tmp_path / "one.py"], Settings()).findings) == 1


@given(blank=st.integers(0, 30), before=st.sampled_from(["\n", "# a comment\n", "import os\n"]))
@ANY_FOLDER
def test_knows_a_finding_again_when_lines_move(tmp_path, blank, before):
    """The fingerprint stays when lines are put before the finding."""
    (first,) = findings(write(tmp_path, one=DEFECT))
    (moved,) = findings(write(tmp_path, one=before * blank + DEFECT))

    assert moved.fingerprint == first.fingerprint
    assert moved.line == first.line + blank


def test_tells_equal_calls_apart(tmp_path):
    """Two equal calls in one function have two fingerprints."""
    found = findings(write(tmp_path, one=DEFECT + "    await asyncio.gather(*[f(x) for x in xs])\n"))

    assert len({one.fingerprint for one in found}) == 2


@pytest.mark.parametrize(
    ("comment", "count"),
    [
        ("# penstock: ignore[PEN101] three at most", 0),
        ("# penstock: ignore", 0),
        ("# noqa  # penstock: ignore[PEN102, PEN101]", 0),
        ("# penstock: ignore  # noqa", 0),
        ("# penstock: ignore[PEN102]", 1),
        ("# penstock: ignored elsewhere", 1),
        ("# penstock: ignore the cost, not the limit", 1),
        ("# penstock: ignore [PEN102]", 1),
        ("# penstock: ignore[gather]", 1),
        ("# penstock: ignore[]", 1),
        ("+ '# penstock: ignore'", 1),
    ],
)
def test_leaves_out_what_a_comment_ignores(tmp_path, comment, count):
    """A comment on a line of the call leaves it out: all rules, or those named; a string or a remark does not."""
    source = f"import asyncio\nasync def run(xs):\n    await asyncio.gather(*[f(x) for x in xs]) {comment}\n"

    assert len(findings(write(tmp_path, one=source))) == count


def test_selects_and_ignores_by_code_and_issue(tmp_path):
    """Codes and issue numbers choose; an issue without rules chooses nothing."""
    write(tmp_path, one=DEFECT)

    assert len(findings(tmp_path, select=("1",))) == len(findings(tmp_path, select=("PEN101", "8"))) == 1
    assert not findings(tmp_path, select=("8",))
    assert not findings(tmp_path, ignore=("1",)) + findings(tmp_path, ignore=("PEN101",))


def test_calls_what_an_object_holds_advice(tmp_path):
    """A fan-out over the object's own attribute is of low severity, and left out from medium on."""
    write(
        tmp_path,
        one="""
        import asyncio

        class Message:
            async def send(self):
                await asyncio.gather(*[element.send() for element in self.elements])
        """,
    )

    assert [one.severity for one in findings(tmp_path)] == [Severity.LOW]
    assert not findings(tmp_path, severity=Severity.MEDIUM)


def test_excludes_by_name_and_path(tmp_path, monkeypatch):
    """Globs match names and shown paths; hidden folders, environments and caches are left out anyway."""
    write(tmp_path, a__one=DEFECT, b__two=DEFECT, c__three=DEFECT)
    write(tmp_path / ".hidden", one=DEFECT)
    write(tmp_path / "venv", one=DEFECT)
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    monkeypatch.chdir(tmp_path)

    assert [one.path for one in findings(Path(), exclude=("b", "c/*.py"))] == ["a/one.py"]


# -- callees in other modules -----------------------------------------------------------------------------------------

CALLER = "import asyncio\n{imported}\n\nasync def run(xs):\n    await asyncio.gather(*[{call}(x) for x in xs])\n"
LIMITED = (
    "import asyncio\n\nlimit = asyncio.Semaphore(3)\n\nasync def fetch(x):\n    async with limit:\n        return x\n"
)
FREE = "async def fetch(x):\n    return x\n"


@pytest.mark.parametrize(
    ("imported", "call"),
    [
        ("from app.client import fetch", "fetch"),
        ("from .client import fetch as get", "get"),
        ("from app import client", "client.fetch"),
        ("import app.client", "app.client.fetch"),
        ("from . import fetch", "fetch"),
    ],
)
def test_follows_imports_to_a_limiter(tmp_path, imported, call):
    """A function of another module that takes a semaphore limits, however it is imported; else it does not."""
    write(tmp_path / "app", __init__="from .client import fetch\n", client=LIMITED)
    write(tmp_path / "app", run=CALLER.format(imported=imported, call=call))

    assert not findings(tmp_path)
    write(tmp_path / "app", client=FREE)
    assert len(findings(tmp_path)) == 1, "the cache must not remember what another file said"


def test_follows_imports_to_work_that_never_ends(tmp_path):
    """A function of another module that takes its work from a queue is advice without a rewrite."""
    endless = "async def fetch(queue):\n    while True:\n        await use(await queue.get())\n"
    write(tmp_path, client=endless, run=CALLER.format(imported="from client import fetch", call="fetch"))
    (found,) = findings(tmp_path)

    assert (found.severity, found.fix, found.rewrites) == (Severity.LOW, Fix.NONE, ())


def test_follows_methods_of_typed_attributes(tmp_path):
    """A limiter two classes away counts, if annotations lead there."""
    write(
        tmp_path,
        pool="""
        import asyncio
        from contextlib import asynccontextmanager

        class Pool:
            def __init__(self):
                self.semaphore = asyncio.Semaphore(2)

            @asynccontextmanager
            async def throttle(self):
                async with self.semaphore:
                    yield
        """,
        scraper="""
        import asyncio
        from pool import Pool

        class Scraper:
            def __init__(self, workers: Pool):
                self.workers = workers

            async def scrape(self, url):
                async with self.workers.throttle():
                    return url

            async def run(self, urls):
                return await asyncio.gather(*(self.scrape(url) for url in urls))
        """,
    )

    assert not findings(tmp_path)


# -- bad input --------------------------------------------------------------------------------------------------------

BAD_INPUT = {
    "a syntax error": (b"def f(:\n", "line 1"),
    "NUL bytes": (b"x = 1\0\n", "null bytes"),
    "an unknown encoding": (b"# coding: klingon\n", "klingon"),
    "bytes that are not UTF-8": ("x = 'é'".encode("latin-1"), "utf-8"),
    "brackets nested too deeply": (b"x = " + b"(" * 5000 + b")" * 5000, "nested"),
    "operators nested too deeply": (b"x = " + b"-" * 50_000 + b"1", "nested"),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_lists_what_it_cannot_parse_and_goes_on(tmp_path, name):
    """A file that cannot be parsed is one clear line; the others are audited."""
    data, word = BAD_INPUT[name]
    write(tmp_path, good=DEFECT)
    (tmp_path / "bad.py").write_bytes(data)
    report = audit([tmp_path], Settings())

    (unreadable,) = report.unreadable
    assert word in unreadable.reason.lower()
    assert "\n" not in unreadable.reason
    assert (report.files, len(report.findings)) == (1, 1)


GOOD_INPUT = {
    "CRLF": DEFECT.replace("\n", "\r\n").encode(),
    "old Mac line ends": DEFECT.replace("\n", "\r").encode(),
    "a byte order mark": b"\xef\xbb\xbf" + DEFECT.encode(),
    "tabs": DEFECT.replace("    ", "\t").encode(),
    "another encoding": b"# coding: latin-1\nX = '\xe9'\n" + DEFECT.encode(),
    "form feeds": DEFECT.replace("\n\n", "\n\x0c\n").encode(),
    "a huge literal": DEFECT.encode() + b"X = [" + b"1," * 200_000 + b"]\n",
    "a line continued": DEFECT.replace("gather(", "gather \\\n    (").encode(),
}


@pytest.mark.parametrize("name", GOOD_INPUT)
def test_reads_every_way_of_writing(tmp_path, name):
    """Line ends, encodings, tabs and marks change nothing."""
    (tmp_path / "one.py").write_bytes(GOOD_INPUT[name])

    assert [one.code for one in findings(tmp_path)] == ["PEN101"]


def test_shows_a_file_name_that_is_no_text(tmp_path):
    """A name with bytes that are no UTF-8 is audited and printed with escapes."""
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.py"))).write_text(DEFECT)
    said = CliRunner().invoke(audit_command, [str(tmp_path)])

    assert said.exit_code == 1
    assert "\\udcff.py:4:11" in said.stdout


def test_reads_an_empty_file(tmp_path):
    """An empty file is read and clean."""
    (tmp_path / "one.py").touch()

    assert audit([tmp_path], Settings()).files == 1


def test_lists_what_is_no_file(tmp_path):
    """A link to itself, a dangling link and a pipe are one line each; links to folders are not followed."""
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    (tmp_path / "again").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.py")

    assert len(audit([tmp_path], Settings()).unreadable) == 3


def test_lists_a_file_that_vanishes_while_it_runs(tmp_path):
    """A file that is gone when its turn comes is one line."""
    write(tmp_path, a=DEFECT, b=DEFECT)
    report = audit([tmp_path], Settings(), progress=lambda _done, _total: (tmp_path / "b.py").unlink(missing_ok=True))

    assert [Path(one.path).name for one in report.unreadable] == ["b.py"]
    assert len(report.findings) == 1


def test_goes_on_after_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    """A refused read is one line that says so."""
    write(tmp_path, a=DEFECT, b=DEFECT)
    real = Path.read_bytes

    def refused(file: Path) -> bytes:
        if file.name == "a.py":
            raise PermissionError(13, "Permission denied")
        return real(file)

    monkeypatch.setattr(Path, "read_bytes", refused)
    report = audit([tmp_path], Settings())

    assert [one.reason for one in report.unreadable] == ["cannot be read: Permission denied"]
    assert len(report.findings) == 1


@pytest.mark.parametrize("source", ["x = " + "1 + " * 3000 + "1", "x = " + "a." * 3000 + "b", "f" + "()" * 3000])
def test_survives_deep_trees(tmp_path, source):
    """What the parser takes but recursion may not is either audited or listed."""
    report = audit(
        [write(tmp_path, one=f"{DEFECT}    await asyncio.gather(*[{source[4:]} for x in xs])\n")], Settings()
    )

    assert report.files + len(report.unreadable) == 1


@given(text=st.text(max_size=200))
@ANY_FOLDER
def test_never_fails_on_any_text(tmp_path, text):
    """Whatever a file holds, the audit ends with a report."""
    (tmp_path / "one.py").write_bytes(f"import asyncio\nasyncio.gather(*x)\n{text}".encode(errors="surrogatepass"))
    report = audit([tmp_path], Settings())

    assert report.files + len(report.unreadable) == 1


PIECES = [
    "xs",
    "f(x)",
    "[f(x) for x in xs]",
    "xs[:2]",
    "asyncio.create_task(f(x))",
    "self.xs",
    "map(f, xs)",
    "await g()",
]


@given(star=st.sampled_from(PIECES), name=st.sampled_from(["xs", "x", "tasks"]), value=st.sampled_from(PIECES))
@ANY_FOLDER
def test_never_fails_on_any_mix_of_shapes(tmp_path, star, name, value):
    """Names bound to each other in any order end in a report, not in a loop."""
    source = f"""
    import asyncio

    class A:
        async def run(self, xs):
            for x in xs:
                {name} = {value}
                xs.append({star})
                tasks = {name}
            {name} = [*{name}, *tasks]
            await asyncio.gather(*{star}, *tasks)
    """
    write(tmp_path, one=source)

    assert audit([tmp_path], Settings()).files == 1


def test_ends_on_names_that_depend_on_each_other_again_and_again(tmp_path):
    """What would take two to the power of sixty steps to follow is cut short."""
    doubled = "".join(f"    a{number + 1} = [*a{number}, *a{number}]\n" for number in range(60))
    woven = "".join(f"        b{number} = [*b{(number + 1) % 9}, *b{(number + 4) % 9}]\n" for number in range(9))
    source = (
        f"import asyncio\nasync def run(a0, b0):\n{doubled}    while a0:\n{woven}    await asyncio.gather(*a60, *b0)\n"
    )
    write(tmp_path, one=source)

    assert audit([tmp_path], Settings()).files == 1


# -- the cache --------------------------------------------------------------------------------------------------------


def test_reads_an_unchanged_file_from_the_cache(tmp_path, monkeypatch):
    """The second run parses nothing and finds the same."""
    write(tmp_path, one=DEFECT)
    first = findings(tmp_path)
    monkeypatch.setattr(examine_module, "parse", lambda _source: pytest.fail("parsed again"))

    assert findings(tmp_path) == first


def test_parses_a_changed_file_again(tmp_path):
    """A changed file is not served from the cache."""
    write(tmp_path, one=DEFECT)
    findings(tmp_path)
    write(tmp_path, one="x = 1\n")

    assert not findings(tmp_path)


@pytest.mark.parametrize("content", [b"no database", b"", b"SQLite format 3\0" + b"\xff" * 500])
def test_does_without_a_broken_cache(tmp_path, monkeypatch, content):
    """A cache that is broken is an empty one."""
    monkeypatch.setenv("PENSTOCK_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "audit.sqlite").write_bytes(content)
    write(tmp_path / "code", one=DEFECT)

    assert len(findings(tmp_path / "code")) == len(findings(tmp_path / "code")) == 1


def test_does_without_a_cache_folder(tmp_path, monkeypatch):
    """A cache folder that cannot be made is harmless."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("PENSTOCK_CACHE_DIR", str(tmp_path / "file" / "cache"))

    assert len(findings(write(tmp_path / "code", one=DEFECT))) == 1
