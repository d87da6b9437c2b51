"""What the audit does with many files: several processes, its cache, and questions across modules."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from penstock_migrations._auditing import told as told_module
from penstock_migrations._auditing import workers
from penstock_migrations._auditing.audit import Unused, audit
from penstock_migrations._auditing.examine import examine_facts
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._auditing.source import read
from penstock_migrations._code.facts import MODULE, ModuleFacts
from penstock_migrations._code.project import Project

GATHER = "await asyncio.gather(*[f(x) for x in xs])"
DEFECT = f"import asyncio\n\nasync def run(xs):\n    {GATHER}\n"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, source in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source, encoding="utf-8")
    return folder


def project_of(folder: Path) -> Project:
    files = sorted(folder.rglob("*.py"))
    shown = {file: file.relative_to(folder).as_posix() for file in files}
    return Project(dict.fromkeys(files, folder), shown, lambda file: examine_facts(read(file)))


def without_time(report):
    return dataclasses.replace(report, elapsed_seconds=0.0)


@pytest.fixture
def many(tmp_path):
    """A folder with more files than one process takes, some of them broken."""
    files = {f"p{number % 7}/m{number}.py": DEFECT * (number % 3) for number in range(60)}
    return write(tmp_path, files | {"broken.py": "def f(:\n", "p1/nul.py": "x = '\0'\n"})


def test_finds_the_same_with_any_number_of_processes(many, monkeypatch, tmp_path_factory):
    """One process and three find the same, in the same order."""
    monkeypatch.setattr(workers, "_WORTH_PROCESSES", 10)
    reports = []
    for jobs in (1, 3):
        monkeypatch.setenv("PENSTOCK_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        reports.append(without_time(audit([many], Settings(), jobs=jobs)))

    assert reports[0] == reports[1]
    assert reports[0].findings
    assert [one.path for one in reports[0].unreadable] == ["broken.py", "p1/nul.py"]


def test_counts_every_file_once_in_its_progress(many):
    """The progress ends with all files done, cached or not."""
    for _ in range(2):
        seen = []
        audit([many], Settings(), progress=lambda *counts, seen=seen: seen.append(counts))

        assert seen[-1] == (62, 62)


def test_a_process_that_is_ended_from_outside_is_one_clear_error(many, monkeypatch):
    """Nobody gets a traceback of the process pool; the message says what to try."""
    monkeypatch.setattr(workers, "_WORTH_PROCESSES", 10)
    monkeypatch.setattr(workers, "_prepare", _end)

    with pytest.raises(workers.WorkerError, match="--jobs 1"):
        audit([many], Settings(), jobs=2)


def _end() -> None:
    os._exit(9)


def test_an_unchanged_run_examines_nothing(many, monkeypatch):
    """The second run takes all from the cache, unreadable files and comments included."""
    write(many, {"m.py": f"{DEFECT.rstrip()}  # penstock: ignore[PEN102]\n"})
    first = audit([many], Settings())
    monkeypatch.setattr(told_module, "examine_all", lambda *_: pytest.fail("examined again"))

    assert without_time(audit([many], Settings())) == without_time(first)


def test_one_changed_file_is_examined_alone(many, monkeypatch):
    """The others come from the cache."""
    audit([many], Settings())
    write(many, {"p0/m0.py": f"{DEFECT}# changed\n"})
    examined = []
    real = workers.examine_all
    monkeypatch.setattr(
        told_module, "examine_all", lambda files, *rest: (examined.extend(files), real(files, *rest))[1]
    )
    report = audit([many], Settings())

    assert examined == [many / "p0/m0.py"]
    assert "p0/m0.py" in {one.path for one in report.findings}


def test_a_change_that_tells_nothing_new_asks_nothing_across_files(many, monkeypatch):
    """What is asked across files depends on what each of them tells, and on no more."""
    first = audit([many], Settings())
    write(many, {"p1/m1.py": f"{DEFECT}# changed\n"})
    monkeypatch.setattr(told_module, "Project", lambda *_: pytest.fail("asked again"))

    again = audit([many], Settings())

    assert [one.fingerprint for one in again.findings] == [one.fingerprint for one in first.findings]
    assert [one.sha256 for one in again.findings] != [one.sha256 for one in first.findings]


def test_a_change_that_tells_something_new_is_asked_across_files(many):
    """Also when the file that it concerns has not changed, and after a change that told nothing new."""
    work = "import asyncio\nlimit = asyncio.Semaphore(3)\nasync def f(x):\n    {}"
    caller = f"import asyncio\nfrom work import f\nasync def run(xs):\n    {GATHER}\n"
    write(many, {"work.py": work.format("async with limit:\n        pass\n"), "caller.py": caller})
    assert "caller.py" not in {one.path for one in audit([many], Settings()).findings}
    write(many, {"work.py": work.format("async with limit:\n        pass  # still\n")})
    assert "caller.py" not in {one.path for one in audit([many], Settings()).findings}

    write(many, {"work.py": work.format("pass\n")})

    assert "caller.py" in {one.path for one in audit([many], Settings()).findings}


def test_a_callee_outside_of_what_is_audited_is_read_anew_each_time(tmp_path):
    """What depends on files that are not audited is not taken from an earlier run."""
    work = "import asyncio\nlimit = asyncio.Semaphore(3)\nasync def f(x):\n    {}"
    caller = f"import asyncio\nfrom work import f\nasync def run(xs):\n    {GATHER}\n"
    write(tmp_path, {"work.py": work.format("async with limit:\n        pass\n"), "caller.py": caller})

    assert not audit([tmp_path / "caller.py"], Settings()).findings
    write(tmp_path, {"work.py": work.format("pass\n")})
    assert audit([tmp_path / "caller.py"], Settings()).findings


@pytest.mark.parametrize(
    ("comment", "vain"),
    [
        ("ignore[PEN101]", None),
        ("ignore", None),
        ("ignore[PEN102]", ("PEN102",)),
        ("ignore[PEN101, PEN102]", ("PEN102",)),
        ("ignore[PEN199]", ("PEN199",)),
    ],
)
def test_tells_of_comments_that_suppress_nothing(tmp_path, comment, vain):
    """Each code that suppresses nothing is named, also one that is no rule's."""
    write(tmp_path, {"m.py": f"{DEFECT.rstrip()}  # penstock: {comment} known\n"})
    report = audit([tmp_path], Settings())

    assert report.unused == (() if vain is None else (Unused("m.py", 4, vain),))


def test_tells_of_a_comment_beside_clean_code(tmp_path):
    """A comment that names no code and suppresses nothing is told of, if all rules ran."""
    write(tmp_path, {"m.py": "x = 1  # penstock: ignore\n"})

    assert audit([tmp_path], Settings()).unused == (Unused("m.py", 1, ()),)
    assert audit([tmp_path], Settings(select=("PEN101",))).unused == ()


def test_a_comment_for_a_rule_that_did_not_run_is_not_judged(tmp_path):
    """`--ignore PEN101` makes no comment for PEN101 a vain one."""
    write(tmp_path, {"m.py": f"{DEFECT.rstrip()}  # penstock: ignore[PEN101]\n"})

    assert audit([tmp_path], Settings(ignore=("PEN101",))).unused == ()


def test_facts_survive_the_cache(tmp_path):
    """What a file tells is the same after it was JSON."""
    source = (
        "import work\nclass A(work.B):\n    async def f(self):\n        await self.g()\n        work.h()\nwork.h()\n"
    )
    facts = examine_facts(read(write(tmp_path, {"m.py": source}) / "m.py"))

    assert ModuleFacts.of_data(facts.as_data()) == facts
    assert [(call.reference, call.how) for call in facts.functions["A.f"].calls] == [
        (":A.g", "awaited"),
        ("work.h", "called"),
    ]
    assert [call.reference for call in facts.functions[MODULE].calls] == ["work.h"]


def test_finds_callers_in_other_modules(tmp_path):
    """Callers are found through imports, aliases, base classes and module-level code, and look-alikes are not."""
    write(
        tmp_path,
        {
            "db.py": "def connect():\n    pass\n\ndef use():\n    connect()\n",
            "a.py": "from db import connect as c\n\ndef load():\n    c()\n",
            "b.py": "import db\n\ndb.connect()\n",
            "other.py": "def connect():\n    pass\n\ndef use():\n    connect()\n",
        },
    )
    found = project_of(tmp_path).callers(tmp_path / "db.py", "connect")

    assert [(one.file.name, one.name) for one in found] == [("a.py", "load"), ("b.py", MODULE), ("db.py", "use")]


def test_finds_methods_of_base_classes(tmp_path):
    """`self.fetch()` is found where a base class in another module defines it."""
    write(
        tmp_path,
        {
            "base.py": "class Base:\n    def fetch(self):\n        pass\n",
            "sub.py": "from base import Base\n\nclass Sub(Base):\n    def run(self):\n        self.fetch()\n",
        },
    )
    found = project_of(tmp_path).callers(tmp_path / "base.py", "Base.fetch")

    assert [(one.file.name, one.name) for one in found] == [("sub.py", "Sub.run")]
