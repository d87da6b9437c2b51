"""Runs are measured, baselines are files, and `penstock perf` compares."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner
from penstock_limits import ConfigurationError
from penstock_monitoring import measured
from penstock_monitoring._perf import run as running
from penstock_monitoring._perf.baseline import Baseline, Machine
from penstock_monitoring._perf.latencies import bucket, percentile
from penstock_monitoring.commands import perf
from penstock_monitoring.perf import BaselineError, PerfError, Run, RunError, Verdict, compare, run_command
from rich.console import Console

LOAD = """
import asyncio, sys
import penstock_limits
from penstock_monitoring import measured

api = penstock_limits.Limiter("api", max_running=5)

@measured("call")
async def call(number):
    async with api:
        await asyncio.sleep(0)
        if number % 10 == 9:
            raise ValueError(number)

async def main():
    await asyncio.gather(*(call(number) for number in range(100)), return_exceptions=True)

asyncio.run(main())
"""


@pytest.fixture
def load(tmp_path):
    (tmp_path / "load.py").write_text(LOAD, "utf-8")
    return (sys.executable, "load.py")


def measure(command, folder, timeout=60.0):
    return run_command(command, folder=folder, timeout=timeout)


def python(source):
    return (sys.executable, "-c", source)


def run_of(cpu, **figures):
    return Run(wall_seconds=1.0, cpu_seconds=cpu, **figures)


def noisy(cpu, seed=1, noise=0.02):
    chance = random.Random(seed)
    return lambda: run_of(cpu * (1 + noise * chance.uniform(-1, 1)))


def assert_ended(pid):
    """It is gone, or was killed and waits for whoever collects orphans."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process, deadline = psutil.Process(pid), time.monotonic() + 30
        while process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, process
            time.sleep(0.01)


def invoke(*arguments):
    return CliRunner().invoke(perf, [str(each) for each in arguments])


# --- a run


def test_a_run_has_what_its_operations_did(load, tmp_path):
    """How many, how many failed, how long they took, and how long somebody waited for the limit."""
    run = measure(load, tmp_path)

    assert (run.operations, run.failed) == (90, 10)
    assert run.cpu_seconds > (run.cpu_per_operation or 0) * 90 > 0
    assert run.throughput >= 90 / run.wall_seconds
    assert 0 < run.p50 <= run.p99 <= run.wall_seconds
    assert 0 < run.saturation <= 1


def test_a_program_that_marks_nothing_has_cpu_and_wall_time(tmp_path):
    """And nothing else; the CPU time of its children is its own."""
    spin = "import time\nwhile time.process_time() < 0.3: pass"
    run = measure(python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"), tmp_path)

    assert run.cpu_seconds > 0.29
    assert run.wall_seconds > 0.29
    assert dataclasses.astuple(run)[2:] == (None,) * 7


def test_several_processes_are_one_run(load, tmp_path):
    """Each leaves what it has seen, and a forked one not what its parent had."""
    (tmp_path / "forking.py").write_text(
        "import os, sys\n"
        "from penstock_monitoring import measured\n"
        "with measured('parent'): pass\n"
        "child = os.fork()\n"
        "for _ in range(3):\n"
        "    with measured('both'): pass\n"
        "if child: os.waitpid(child, 0)\n",
        "utf-8",
    )

    assert measure((sys.executable, "forking.py"), tmp_path).operations == 7


def test_an_operation_that_a_fork_leaves_is_the_parents(tmp_path):
    """The child, in which it ends as well, does not count it."""
    source = (
        "import os\n"
        "from penstock_monitoring import measured\n"
        "with measured('whole'):\n"
        "    child = os.fork()\n"
        "if child: os.waitpid(child, 0)\n"
    )

    assert measure(python(source), tmp_path).operations == 1


def test_who_has_gone_at_exit_was_seen_before(tmp_path):
    """A limiter that lives no longer than its part of the program: its queue counts all the same."""
    source = (
        "import asyncio, penstock_limits\n"
        "from penstock_monitoring import measured\n"
        "async def call(limiter):\n"
        "    with measured('call'):\n"
        "        async with limiter: await asyncio.sleep(0.05)\n"
        "async def part():\n"
        "    limiter = penstock_limits.Limiter('short', max_running=1)\n"
        "    await asyncio.gather(*(call(limiter) for _ in range(6)))\n"
        "asyncio.run(part())\n"
    )

    assert measure(python(source), tmp_path).saturation > 0


def test_a_resource_that_cannot_tell_its_kind_fails_no_operation(tmp_path):
    """It is somebody else's, and the others are read all the same."""
    source = (
        "from penstock_limits import enter_resource\n"
        "from penstock_monitoring import measured\n"
        "class Odd:\n"
        "    name, statistics = 'odd', dict\n"
        "    @property\n"
        "    def kind(self): raise RuntimeError\n"
        "odd = Odd()\n"
        "enter_resource(odd)\n"
        "with measured('call'): pass\n"
    )

    assert measure(python(source), tmp_path).operations == 1


def test_a_command_that_fails_is_no_run(tmp_path):
    """The message has the status and the end of what it wrote."""
    with pytest.raises(RunError, match=r"(?s)status 3:\n.*no database"):
        measure(python("print('no database'); raise SystemExit(3)"), tmp_path)


def test_what_a_command_said_is_shown_without_secrets(tmp_path):
    """Logs of pipelines are read by many."""
    with pytest.raises(RunError, match=r"no database at postgres://\*\*\*@host") as refused:
        measure(python("raise SystemExit('no database at postgres://' + 'me:hunter' + '22@host/db')"), tmp_path)
    assert "hunter22" not in str(refused.value)


def test_a_command_that_is_not_there_is_no_run(tmp_path):
    """The message names it."""
    with pytest.raises(RunError, match="no-such-command cannot be started"):
        measure(("no-such-command",), tmp_path)


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path):
    """After the timeout nothing of it runs."""
    nap = f"[{sys.executable!r}, '-c', 'import time; time.sleep(600)']"
    source = f"import subprocess; p = subprocess.Popen({nap}); open('pid', 'w').write(str(p.pid)); p.wait()"
    with pytest.raises(RunError, match="not ended after 3 seconds"):
        measure(python(source), tmp_path, timeout=3)

    assert_ended(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=lambda each: f"{each}",
)
def test_who_ends_the_recording_ends_the_command(tmp_path, number, status):
    """By Ctrl-C, a pipeline or a terminal that is closed: the status says so, no process and no file is left."""
    source = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
    command = [sys.executable, "-m", "penstock_cli", "perf", "record", "--", sys.executable, "-c", source]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == status
    assert ("nothing was written" in errors) is (number == signal.SIGINT)
    assert_ended(int((tmp_path / "pid").read_text()))
    assert [each.name for each in tmp_path.iterdir()] == ["pid"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the environment of other processes")
@pytest.mark.parametrize("how", ["process_group=0", "start_new_session=True"])
def test_who_has_left_the_commands_group_is_killed_with_it(tmp_path, how):
    """A background job of a shell, or a daemon: the next run begins without it."""
    nap = f"[{sys.executable!r}, '-c', 'import time; time.sleep(600)']"
    measure(
        python(f"import subprocess; p = subprocess.Popen({nap}, {how}); open('pid', 'w').write(str(p.pid))"), tmp_path
    )

    assert_ended(int((tmp_path / "pid").read_text()))


def test_the_cpu_time_of_others_is_not_the_commands(tmp_path):
    """A child of this process that ends meanwhile is another's."""
    (tmp_path / "go").touch()
    spin = "import time\nwhile time.process_time() < 1: pass"
    wait = "import os, time\nwhile os.path.exists('go'): time.sleep(0.01)"

    def other() -> None:
        subprocess.run(python(spin), check=True)
        (tmp_path / "go").unlink()

    thread = threading.Thread(target=other)
    thread.start()
    run = measure(python(wait), tmp_path)
    thread.join()

    assert run.cpu_seconds < 0.9


@pytest.mark.parametrize("timeout", [0, -1.0, math.nan, math.inf, 1e12])
def test_a_timeout_that_no_clock_knows_is_refused(tmp_path, timeout):
    """Else the command would run without one."""
    with pytest.raises(ConfigurationError, match=r"timeout = .*more than 0"):
        measure(python("open('ran', 'w')"), tmp_path, timeout=timeout)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_named(tmp_path):
    """The program is there, so "python: no such file" would mislead."""
    with pytest.raises(RunError, match=r"cannot be started in .*gone: No such file"):
        measure(python("pass"), tmp_path / "gone")


def test_a_command_with_a_null_byte_is_no_run(tmp_path):
    """It may come from a file."""
    with pytest.raises(RunError, match="null byte"):
        measure(("a\0b",), tmp_path)


def test_a_full_disk_is_no_run(tmp_path, monkeypatch):
    """What a run needs for itself cannot be written."""

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", fail)
    with pytest.raises(RunError, match="No space left"):
        measure(python("pass"), tmp_path)


@pytest.mark.parametrize("figure", [math.nan, math.inf, -1.0, None, True, "1", 10**400], ids=lambda each: f"{each}"[:5])
def test_a_run_has_numbers(figure):
    """Anything else is refused at once, not after all runs."""
    with pytest.raises(ConfigurationError, match="no number for cpu_seconds"):
        Run(wall_seconds=1.0, cpu_seconds=figure)


# --- operations


def test_measured_does_nothing_elsewhere():
    """Values, exceptions and cancellation pass; nothing is kept."""

    @measured("add")
    def add(a, b):
        return a + b

    @measured("wait")
    async def wait():
        await asyncio.Event().wait()

    async def cancel():
        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        task.cancel()
        await task

    assert add(1, b=2) == 3
    assert inspect.iscoroutinefunction(wait)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_of_multiprocessing_are_counted(tmp_path, method):
    """They end without the functions of atexit."""
    (tmp_path / "load.py").write_text(
        "import multiprocessing\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from penstock_monitoring import measured\n"
        "@measured('work')\n"
        "def work(number): return number\n"
        "if __name__ == '__main__':\n"
        f"    context = multiprocessing.get_context({method!r})\n"
        "    work(0)\n"
        "    with ProcessPoolExecutor(2, mp_context=context) as pool: list(pool.map(work, range(10)))\n"
        "    process = context.Process(target=work, args=(1,))\n"
        "    process.start(); process.join()\n",
        "utf-8",
    )

    assert measure((sys.executable, "load.py"), tmp_path).operations == 12


@pytest.mark.parametrize("left", ["{'first': 1", "[]", "{}"])
def test_what_another_version_leaves_is_no_run(tmp_path, left):
    """The command's environment may have another penstock_monitoring."""
    source = f"import os, pathlib; pathlib.Path(os.environ['PENSTOCK_PERF_DIR'], '1-1.json').write_text({left!r})"
    with pytest.raises(RunError, match="another version"):
        measure(python(source), tmp_path)


@pytest.mark.parametrize("end", ["os._exit(0)", "raise OSError(28, 'No space left on device')"])
def test_a_process_that_cannot_tell_what_it_did_is_missed(tmp_path, end):
    """It was killed, or the disk was full: without its operations the run would seem slow, or have none."""
    source = (
        "import pathlib, os\n"
        "from penstock_monitoring import measured\n"
        "with measured('one'): pass\n"
        "child = os.fork()\n"
        "if child: os.waitpid(child, 0)\n"
        "else:\n"
        "    with measured('two'): pass\n"
        "    write = pathlib.Path.write_text\n"
        "    def half(file, text, **options):\n"
        "        write(file, text[:20], **options)\n"
        f"        {end}\n"
        "    pathlib.Path.write_text = half\n"
    )
    with pytest.raises(RunError, match="killed, or the disk was full"):
        measure(python(source), tmp_path)


def test_a_run_all_of_whose_operations_fail_is_none(tmp_path):
    """Nothing of it could be compared."""
    source = (
        "from penstock_monitoring import measured\ntry:\n with measured('x'): 1 / 0\nexcept ZeroDivisionError: pass"
    )
    with pytest.raises(RunError, match="all of the command's operations failed: 1"):
        measure(python(source), tmp_path)


def test_a_generator_cannot_be_marked():
    """Its call only makes it: the time would be that of nothing."""

    async def stream():
        yield 1

    def lines():
        yield 1

    for each in (stream, lines):
        with pytest.raises(TypeError, match=r"around the loop over it"):
            measured("answer")(each)


def test_measured_is_for_one_operation():
    """Entered again it would forget when the first began."""
    operation = measured("once")
    with operation:
        pass

    with pytest.raises(RuntimeError, match="second time"):
        operation.__enter__()


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99, 1.0])
def test_percentiles_are_right_to_half_a_percent(share):
    """Of 1,000 latencies between a microsecond and a hundred seconds."""
    latencies = sorted(random.Random(1).choices([10**exponent / 7 for exponent in range(-6, 3)], k=1000))
    buckets = {number: [bucket(each) for each in latencies].count(number) for number in {*map(bucket, latencies)}}

    assert percentile(buckets, share) == pytest.approx(latencies[max(0, int(share * 1000) - 1)], rel=0.005)
    assert percentile({}, share) is None


# --- comparing


@pytest.mark.parametrize(
    ("cpu", "verdict"), [(1.0, Verdict.SAME), (1.3, Verdict.REGRESSED), (0.7, Verdict.BETTER), (1.1, None)]
)
def test_a_comparison_finds_what_is(cpu, verdict):
    """At the very margin no verdict is a must, but "the same" and "better" are wrong."""
    found = compare("work", noisy(1.0), noisy(cpu, seed=2), margins={"cpu": 0.1}, chance=random.Random(3))

    assert found.verdict is verdict or (verdict is None and found.verdict is not Verdict.BETTER)
    assert len(found.baseline) == len(found.candidate) == found.metrics[0].pairs


def test_both_sides_run_first_now_and_then():
    """A coin decides, so that neither has the quiet moments."""
    order: list[str] = []

    def run(name):
        return lambda: order.append(name) or run_of(1.0)

    compare("work", run("baseline"), run("candidate"), margins={"cpu": 0.001}, pairs=40, chance=random.Random(1))

    assert {"baseline", "candidate"} == set(order[::2])


def test_with_noise_and_few_pairs_nothing_is_said():
    """Inconclusive is neither the same nor better."""
    found = compare("work", noisy(1.0, noise=0.5), noisy(1.0, seed=2, noise=0.5), pairs=8)

    assert found.verdict is Verdict.INCONCLUSIVE


def test_recorded_runs_are_all_that_there_is():
    """No more pairs than runs; nothing is run for the baseline."""
    found = compare("work", [run_of(1.0)] * 6, noisy(1.0, noise=0.9), margins={"cpu": 0.1})

    assert (len(found.candidate), found.interleaved) == (6, False)


def test_any_regression_is_one():
    """CPU time the same and p99 worse: regressed. Less throughput is worse, too."""
    figures = {"operations": 10, "failed": 0, "cpu_per_operation": 0.1}
    before = run_of(1.0, **figures, throughput=100.0, p99=0.1)
    slower = dataclasses.replace(before, p99=0.2)
    fewer = dataclasses.replace(before, throughput=50.0)

    for after, metric in ((slower, "p99"), (fewer, "throughput")):
        found = compare("work", lambda: before, lambda after=after: after)
        assert found.verdict is Verdict.REGRESSED
        assert [each.metric for each in found.metrics if each.verdict is Verdict.REGRESSED] == [metric]
        assert [each.change for each in found.metrics if each.metric == metric] == [pytest.approx(1.0)]


@pytest.mark.parametrize(("failed", "verdict"), [(0, Verdict.SAME), (1, Verdict.SAME), (100, Verdict.REGRESSED)])
def test_who_fails_more_operations_is_not_better(failed, verdict):
    """The rest may well be as fast, or faster: each success takes more attempts."""
    before = run_of(1.0, operations=100, failed=0, cpu_per_operation=0.1, throughput=10.0, p50=0.1, p99=0.1)
    after = dataclasses.replace(before, failed=failed)
    found = compare("work", lambda: before, lambda: after)

    assert found.verdict is verdict
    assert [each.metric for each in found.metrics] == ["cpu", "throughput", "p99", "attempts"]


def test_recorded_runs_have_no_probability():
    """What else the machine did then is not known; in turn a coin makes it fair."""
    recorded = compare("work", [run_of(1.0)] * 20, lambda: run_of(1.0), margins={"cpu": 0.1})
    in_turn = compare("work", lambda: run_of(1.0), lambda: run_of(1.0), margins={"cpu": 0.1}, error=0.001)

    assert "right only if the machine is as it was" in printed(recorded)
    assert "probability" not in printed(recorded)
    assert "at most 0.1 %" in printed(in_turn)


@pytest.mark.parametrize("cost", [1.0, 1.05, 1e-9, 1e9])
def test_a_comparison_fits_into_80_columns(cost):
    """Whatever the figures are, nothing is cut."""
    figures = {"operations": 10, "failed": 0}
    before = run_of(1.0, **figures, cpu_per_operation=123e-6, throughput=12345.0, p50=0.1, p99=0.1234)
    after = dataclasses.replace(before, cpu_per_operation=cost, throughput=min(1e9, 1e6 / cost), p50=cost, p99=cost)
    for pairs in (1, 50):
        text = printed(compare("work", lambda: before, lambda after=after: after, pairs=pairs))

        assert "worse by" in text
        assert "\u2026" not in text
        assert max(map(len, text.splitlines())) <= 80


def printed(what):
    console = Console(width=80, highlight=False)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"margins": {"speed": 0.1}}, "known are cpu, throughput"),
        ({"margins": {"cpu": 0.0}}, "0.001 to 10"),
        ({"error": 1.0}, "above 0 and below 1"),
        ({"pairs": 0}, "1 and more"),
    ],
)
def test_wrong_values_are_refused(arguments, message):
    """Before anything runs."""
    with pytest.raises(ConfigurationError, match=message):
        compare("work", pytest.fail, pytest.fail, **arguments)


def test_a_metric_that_runs_do_not_have_is_refused():
    """The message says how to have it."""
    with pytest.raises(PerfError, match=r"no p99: mark its operations with penstock_monitoring\.measured"):
        compare("work", noisy(1.0), noisy(1.0), margins={"p99": 0.1})


def test_operations_are_not_compared_with_whole_runs():
    """A candidate all of whose operations fail costs little; it is refused, not better."""
    before = run_of(1.0, operations=10, failed=0, cpu_per_operation=0.1, throughput=10.0, p99=0.1)
    failing = run_of(0.01, operations=0, failed=10)

    with pytest.raises(PerfError, match="the candidate has no operations that succeeded"):
        compare("work", lambda: before, lambda: failing, margins={"cpu": 0.1})


# --- files


def test_a_baseline_is_read_as_it_was_written(tmp_path):
    """All of it."""
    runs = (run_of(1.0), run_of(2.0, operations=5, failed=0, p50=0.1))
    written = Baseline("work", ("python", "load.py"), "..", runs)
    written.write(tmp_path / "deep" / "work.perf.json")

    assert Baseline.read(tmp_path / "deep" / "work.perf.json") == written


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version 2, this penstock reads 1"),
        ({"kind": "other"}, "no performance baseline"),
        ({"runs": []}, "no runs"),
        ({"runs": [{"wall_seconds": 1}]}, "no number for cpu_seconds"),
        ({"runs": [{"wall_seconds": 1, "cpu_seconds": "1"}]}, "no number for cpu_seconds"),
        ({"runs": [{"wall_seconds": 1, "cpu_seconds": 10**400}]}, "no number for cpu_seconds"),
        ({"command": "true"}, "no list of a program"),
        ({"command": [1]}, "no list of a program"),
        ({"command": ["tr\0ue"]}, "no list of a program"),
        ({"machine": {}}, "no baseline"),
        ({"runs": 3}, "no baseline"),
    ],
)
def test_what_is_no_baseline_is_refused(tmp_path, change, message):
    """The message says why, and what to do."""
    file = tmp_path / "work.perf.json"
    Baseline("work", ("true",), ".", (run_of(1.0),)).write(file)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))

    with pytest.raises(BaselineError, match=message) as refused:
        Baseline.read(file)
    assert "penstock perf record" in str(refused.value)


@pytest.mark.parametrize("content", [None, "{", "[]", "[" * 100_000], ids=["none", "half", "other", "deep"])
def test_files_that_are_none_are_refused(tmp_path, content):
    """Missing, half, or something else."""
    file = tmp_path / "work.perf.json"
    if content is not None:
        file.write_text(content)

    with pytest.raises(BaselineError, match=r"work\.perf\.json"):
        Baseline.read(file)


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    """And nothing beside it."""
    file = tmp_path / "work.perf.json"
    baseline = Baseline("work", ("true",), ".", (run_of(1.0),))
    baseline.write(file)
    before = file.read_text()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(BaselineError, match="No space left"):
        baseline.write(file)
    assert file.read_text() == before
    assert [each.name for each in tmp_path.iterdir()] == ["work.perf.json"]


def test_a_pipe_is_written_and_not_replaced(tmp_path):
    """Nor is a device: for the administrator, /dev/null would be a file from then on."""
    pipe, text = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: text.append(pipe.read_text()), daemon=True)
    reader.start()
    Baseline("work", ("true",), ".", (run_of(1.0),)).write(pipe)
    if pipe.is_fifo():
        reader.join()

    assert pipe.is_fifo()
    assert json.loads(text[0])["kind"] == "performance-baseline"


def test_a_file_is_as_private_as_before(tmp_path):
    """A new one as the user's mask says; and the file behind a link is replaced, not the link."""
    file, link = tmp_path / "work.perf.json", tmp_path / "link.json"
    mask = os.umask(0o077)
    try:
        Baseline("work", ("true",), ".", (run_of(1.0),)).write(file)
        assert file.stat().st_mode & 0o777 == 0o600
        file.chmod(0o640)
        link.symlink_to(file)
        Baseline("again", ("true",), ".", (run_of(1.0),)).write(link)
    finally:
        os.umask(mask)

    assert file.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert Baseline.read(file).name == "again"


# --- commands


def recorded(tmp_path, command, runs, **fields):
    file = tmp_path / "work.perf.json"
    Baseline("work", command, ".", runs, **fields).write(file)
    return file


def fake_runs(monkeypatch, costs):
    """Let a command cost what is said of its first argument, without being run."""
    monkeypatch.setattr(running, "run_command", lambda command, **_: run_of(costs[command[0]]))


def test_record_writes_a_baseline(load, tmp_path):
    """Of a real program; the warm-up is not in it."""
    file = tmp_path / "load.perf.json"
    done = invoke("record", "--output", file, "--runs", 2, "--folder", tmp_path, "--", *load)

    assert done.exit_code == 0, done.output
    baseline = Baseline.read(file)
    assert (baseline.name, baseline.command, baseline.folder) == ("load", load, ".")
    assert [run.operations for run in baseline.runs] == [90, 90]


def test_a_real_regression_is_found(tmp_path):
    """A program that does three times the work, run in turn with the one that was recorded."""
    spin = "import time\nwhile time.process_time() < {}: pass"
    file = tmp_path / "spin.perf.json"
    assert invoke("record", "--output", file, "--runs", 2, "--", *python(spin.format(0.1))).exit_code == 0
    evidence = tmp_path / "evidence.json"
    done = invoke("compare", file, "--metric", "cpu", "--evidence", evidence, "--", *python(spin.format(0.3)))

    assert done.exit_code == 1, done.output
    assert json.loads(evidence.read_text())["verdict"] == "regressed"


@pytest.mark.parametrize(("cost", "status"), [(1.0, 0), (0.5, 0), (2.0, 1)])
def test_the_exit_status_is_the_verdict(tmp_path, monkeypatch, cost, status):
    """0 the same or better, 1 regressed."""
    file = recorded(tmp_path, ("old",), (run_of(1.0),) * 20)
    fake_runs(monkeypatch, {"old": 1.0, "new": cost})

    done = invoke("compare", file, "--metric", "cpu=5", "--", "new")

    assert done.exit_code == status, done.output


def test_too_few_runs_are_inconclusive(tmp_path, monkeypatch):
    """Status 3."""
    file = recorded(tmp_path, ("old",), (run_of(1.0),) * 2)
    fake_runs(monkeypatch, {"old": 1.0})

    done = invoke("compare", file)

    assert done.exit_code == 3
    assert "not enough runs" in done.output


def test_a_command_is_not_compared_with_itself_in_turn(tmp_path, monkeypatch):
    """The same command in the same folder has changed since: only the recorded runs tell what it was."""
    file = recorded(tmp_path, ("old",), (run_of(1.0),) * 20)
    fake_runs(monkeypatch, {"old": 2.0})

    done = invoke("compare", file, "--folder", tmp_path, "--", "old")

    assert done.exit_code == 1
    assert "against recorded runs" in done.output


def test_runs_of_another_machine_prove_nothing(tmp_path, monkeypatch):
    """Status 3 without a run; in turn it may be compared all the same."""
    elsewhere = dataclasses.replace(Machine.this(), cpus=999)
    file = recorded(tmp_path, ("old",), (run_of(1.0),) * 20, machine=elsewhere)
    fake_runs(monkeypatch, {"old": 1.0, "new": 1.0})

    assert invoke("compare", file).exit_code == 3
    assert invoke("compare", file, "--", "new").exit_code == 0


def test_a_metric_that_the_program_does_not_have_is_a_usage_error(tmp_path, monkeypatch):
    """Status 2, and how to have it."""
    file = recorded(tmp_path, ("old",), (run_of(1.0),) * 2)
    fake_runs(monkeypatch, {"old": 1.0})

    done = invoke("compare", file, "--metric", "p99")

    assert done.exit_code == 2
    assert "penstock_monitoring.measured" in done.output


def test_a_candidate_that_fails_is_inconclusive(tmp_path):
    """It was not measured."""
    file = recorded(tmp_path, python("pass"), (run_of(1.0),) * 2)
    done = invoke("compare", file, "--", *python("raise SystemExit(1)"))

    assert done.exit_code == 3
    assert "ended with status 1" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compare", "missing.json"), "does not exist"),
        (("compare", "missing.json", "--metric", "speed"), "known are cpu"),
        (("compare", "missing.json", "--metric", "cpu=much"), "no number"),
        (("compare", "missing.json", "--metric", "cpu=0"), "0.1 to 1000"),
        (("compare", "missing.json", "--error", "1"), "--error"),
        (("record",), "COMMAND"),
    ],
)
def test_usage_errors_say_what_is_allowed(arguments, message):
    """Status 2."""
    done = invoke(*arguments)

    assert done.exit_code == 2
    assert message in done.output


@pytest.mark.parametrize(
    "secret",
    [
        ("postgres://me:hunter22@host/db",),
        ("--api-key=sk-planted-secret-1234",),
        ("--password", "hunter22"),
        ("--api-key", "hunter22"),
        ("*** --token=hunter22",),
        (f"--url=http://host/{'x' * 130}?token=hunter22",),
        ("-H", "Authorization: Basic aHVudGVyMjI="),
        ("-H", "Authorization: Bearer hunter22"),
    ],
    ids=lambda each: each[-1][:20],
)
def test_secrets_do_not_get_into_a_baseline(tmp_path, secret, monkeypatch):
    """The command is refused before it runs, and is not repeated."""
    monkeypatch.chdir(tmp_path)
    done = invoke("record", "--runs", 2, "--", sys.executable, "-c", "pass", *secret)

    assert done.exit_code == 2
    assert secret[-1] not in done.output
    assert "environment variable" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("word", ["--token-file", "x" * 200, "\udcff", "--password=***", "--key", "-v"])
def test_what_is_no_secret_is_recorded(tmp_path, word):
    """As it was given."""
    file = tmp_path / "work.perf.json"
    done = invoke("record", "--runs", 2, "--warmup", 0, "--output", file, "--", *python("pass"), word, "-x")

    assert done.exit_code == 0, done.output
    assert Baseline.read(file).command == (*python("pass"), word, "-x")


@pytest.mark.parametrize("command", ["record", "compare"])
def test_a_file_that_cannot_be_written_is_known_before_anything_runs(tmp_path, command):
    """Not after hours; status 2."""
    (tmp_path / "file").touch()
    there, ran = tmp_path / "file" / "x.json", tmp_path / "ran"
    arguments = {
        "record": ("--output", there),
        "compare": (recorded(tmp_path, ("true",), (run_of(1.0),) * 2), "--pairs", 1, "--evidence", there),
    }
    done = invoke(command, *arguments[command], "--", *python(f"open({str(ran)!r}, 'w')"))

    assert done.exit_code == 2
    assert "cannot be written" in done.output
    assert not ran.exists()


def test_a_baseline_behind_a_link_knows_its_folder(tmp_path, monkeypatch):
    """What lies above a linked folder is not what lies above the link."""
    (tmp_path / "project").mkdir()
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "project" / "results").symlink_to(tmp_path / "far" / "deep")
    (tmp_path / "project" / "load.py").write_text("pass")
    monkeypatch.chdir(tmp_path / "project")
    command = ("--", sys.executable, "load.py")

    assert invoke("record", "--runs", 2, "--output", "results/work.perf.json", *command).exit_code == 0
    done = invoke("compare", "results/work.perf.json")
    assert done.exit_code == 3
    assert "not enough runs" in done.output


def test_nothing_but_errors_is_said_where_nobody_looks(tmp_path):
    """No progress in the log of a pipeline."""
    command = [sys.executable, "-m", "penstock_cli", "perf", "record", "--runs", "2", "--", *python("pass")]

    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stderr == b""


def test_the_evidence_has_what_a_gate_needs(tmp_path):
    """The fields that the page of baselines lists."""
    found = compare("work", noisy(1.0), noisy(1.0, seed=2), margins={"cpu": 0.1})
    found.write(tmp_path / "evidence.json")
    document = json.loads((tmp_path / "evidence.json").read_text())

    assert {key: document[key] for key in ("version", "kind", "name", "verdict", "error", "interleaved")} == {
        "version": 1,
        "kind": "performance-comparison",
        "name": "work",
        "verdict": "same",
        "error": 0.05,
        "interleaved": True,
    }
    assert set(document["metrics"][0]) == {
        "metric", "verdict", "baseline", "candidate", "change", "low", "high", "margin", "pairs"
    }  # fmt: skip
    assert len(document["candidate"]) == document["metrics"][0]["pairs"]


def test_nothing_heavy_is_imported_for_the_help(tmp_path):
    """`penstock --help` loads the command; rich and the rest come when it runs."""
    heavy = ("rich", "prometheus_client", "opentelemetry")
    source = f"import sys, penstock_monitoring.commands; print([each for each in {heavy} if each in sys.modules])"
    done = subprocess.run(python(source), capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
