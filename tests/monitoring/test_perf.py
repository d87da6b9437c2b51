"""Runs are measured, baselines are files, and `penstock perf` compares."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import json
import random
import signal
import subprocess
import sys
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


def test_a_command_that_fails_is_no_run(tmp_path):
    """The message has the status and the end of what it wrote."""
    with pytest.raises(RunError, match=r"(?s)status 3:\n.*no database"):
        measure(python("print('no database'); raise SystemExit(3)"), tmp_path)


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

    pid = int((tmp_path / "pid").read_text())
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(30)
    assert not psutil.pid_exists(pid)


def test_ctrl_c_ends_the_command(tmp_path):
    """`penstock perf record` says that nothing was written, exits with 130, and leaves no process."""
    source = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
    command = [sys.executable, "-m", "penstock_cli", "perf", "record", "--", sys.executable, "-c", source]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "nothing was written" in errors
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
    assert [each.name for each in tmp_path.iterdir()] == ["pid"]


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


@pytest.mark.parametrize("content", [None, "{", "[]"])
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


@pytest.mark.parametrize("secret", ["postgres://me:hunter22@host/db", "--api-key=sk-planted-secret-1234"])
def test_secrets_do_not_get_into_a_baseline(tmp_path, secret, monkeypatch):
    """The command is refused before it runs, and is not repeated."""
    monkeypatch.chdir(tmp_path)
    done = invoke("record", "--runs", 2, "--", sys.executable, "-c", "pass", secret)

    assert done.exit_code == 2
    assert secret not in done.output
    assert "environment variable" in done.output
    assert list(tmp_path.iterdir()) == []


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
