"""Several processes that are scraped as one, as under gunicorn."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock_limits import ConfigurationError, Limiter
from penstock_monitoring import ConcurrencyMonitor, PrometheusCollector
from penstock_monitoring._reading import workers
from penstock_monitoring._reading.workers import Worker, worker_in
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.monitoring.helpers import until, wait_for

PROGRAM = Path(__file__).with_name("worker.py")
ROOT = Path(__file__).parents[2]


class Process:
    """A real one, told what to do by its standard input."""

    def __init__(self, folder: Path, held: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(held)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def scrape(self) -> dict[str, float]:
        """Return how many permits are out in each process, by its label."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("scrape\n")
        self.process.stdin.flush()
        lines = iter(self.process.stdout.readline, "# END\n")
        return running("".join(lines))

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def running(text: str) -> dict[str, float]:
    return {
        sample.labels["worker"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "penstock_limiter_running"
    }


@pytest.fixture
def start(tmp_path: Path) -> Iterator[object]:
    started: list[Process] = []

    def begin(held: int) -> Process:
        started.append(Process(tmp_path / "shared", held))
        return started[-1]

    yield begin
    for process in started:
        process.close()


def test_whichever_process_is_asked_shows_all(start) -> None:
    """Each under its number, and the one that is asked as it is now."""
    first, second, third = start(1), start(2), start(3)

    for asked in (first, second, third):
        wait_for(lambda asked=asked: asked.scrape() == {"0": 1, "1": 2, "2": 3})


def test_a_dead_process_is_forgotten_and_its_number_is_given_again(start, tmp_path: Path) -> None:
    """However it ended: it was killed in the midst of its work."""
    first, second = start(1), start(2)
    wait_for(lambda: first.scrape() == {"0": 1, "1": 2})

    second.kill()
    assert first.scrape() == {"0": 1}
    assert not (tmp_path / "shared" / "penstock-1.json").exists()

    third = start(3)
    wait_for(lambda: third.scrape() == {"0": 1, "1": 3})


def test_a_process_that_is_killed_while_it_writes_leaves_nothing_half_written(start) -> None:
    """The others see what was before, or all of it."""
    first = start(1)
    for _ in range(3):
        second = start(2)
        wait_for(lambda: len(first.scrape()) == 2)
        second.kill()
        assert first.scrape() == {"0": 1}


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "shared"))
    return tmp_path / "shared"


def scrape() -> str:
    registry = CollectorRegistry()
    PrometheusCollector().register(registry)
    return generate_latest(registry).decode()


def test_a_process_has_one_place_however_many_collectors_it_has(shared: Path) -> None:
    """It would be counted twice."""
    limiter = Limiter("api", max_running=3)
    limiter.acquire_nowait()

    scrape()

    assert running(scrape()) == {"0": 1}
    assert worker_in(shared) is worker_in(shared)


def test_a_forked_child_has_a_place_of_its_own(shared: Path) -> None:
    """And does not keep that of its parent, should it outlive it."""
    parent = worker_in(shared)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child
        with contextlib.suppress(BaseException):
            os.write(writing, str(worker_in(shared).number).encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert (parent.number, os.read(reading, 10)) == (0, b"1")
    os.close(reading)
    os.close(writing)


def test_a_forked_child_lets_go_of_its_parents_lock(shared: Path) -> None:
    """Or the parent's file would be shown for as long as the child lives."""
    parent = worker_in(shared)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child
        try:
            os.fstat(parent._descriptor)
        except OSError:
            os.write(writing, b"closed")
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)

    assert os.read(reading, 10) == b"closed"
    os.close(reading)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"at": "now", "series": {}}'])
def test_a_file_that_cannot_be_read_is_passed_over(shared: Path, text: str) -> None:
    """Of another version, or damaged."""
    other = Worker(shared)
    (shared / f"penstock-{other.number}.json").write_text(text)

    limiter = Limiter("api", max_running=3)

    assert set(running(scrape())) == {"1"}
    assert limiter.name == "api"
    os.close(other._descriptor)


def test_series_of_another_version_are_passed_over(shared: Path) -> None:
    """Metrics that are unknown here, and labels that are more."""
    other = Worker(shared)
    other.write({"penstock_limiter_running": {("api", "more"): 1.0, ("b",): 2.0}, "penstock_unknown": {(): 1.0}})

    text = scrape()

    assert running(text)["0"] == 2
    assert "penstock_unknown" not in text
    assert "more" not in text
    os.close(other._descriptor)


def test_how_old_another_process_is_shown(shared: Path) -> None:
    """One whose event loop is blocked does not write."""
    other = Worker(shared)
    other.write({})
    file = shared / f"penstock-{other.number}.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "at": time.time() - 100}))

    ages = [
        sample.value
        for family in text_string_to_metric_families(scrape())
        for sample in family.samples
        if sample.name == "penstock_monitor_age_seconds" and sample.labels["worker"] == "0"
    ]

    assert 99 < ages[0] < 200
    os.close(other._descriptor)


def test_a_folder_that_cannot_be_used_is_told_with_the_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """When the monitor is entered, or when somebody scrapes."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "file"))

    with pytest.raises(ConfigurationError, match=r"PROMETHEUS_MULTIPROC_DIR: .* cannot be used"):
        list(PrometheusCollector().collect())


def test_more_processes_than_there_are_numbers_are_refused(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a folder of somebody else's, most likely."""
    monkeypatch.setattr(workers, "MOST", 1)
    first = Worker(shared)

    with pytest.raises(ConfigurationError, match="1 processes use"):
        Worker(shared)
    os.close(first._descriptor)


async def test_what_a_monitor_has_shown_is_taken_away_when_it_is_left(shared: Path) -> None:
    """It would grow old in a process that lives on."""
    async with ConcurrencyMonitor(interval=0.01, window=1):
        file = shared / f"penstock-{worker_in(shared).number}.json"
        from tests.monitoring.helpers import until

        await until(file.exists)

    assert not file.exists()


GUNICORN = """
import asyncio, os
from penstock_limits import Limiter
from penstock_monitoring import ConcurrencyMonitor, PrometheusCollector
from prometheus_client import CollectorRegistry, generate_latest

limiter = Limiter("api", max_running=10)
registry = CollectorRegistry()
PrometheusCollector().register(registry)

def app(environ, start_response):
    if environ["PATH_INFO"] == "/hold":
        limiter.acquire_nowait()
    body = generate_latest(registry)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
"""


@pytest.mark.slow
def test_gunicorn_workers_are_scraped_as_one(tmp_path: Path) -> None:
    """Real ones, forked by a master that has made the collector before."""
    pytest.importorskip("gunicorn", reason="gunicorn is not installed")
    (tmp_path / "served.py").write_text(GUNICORN)
    command = [sys.executable, "-m", "gunicorn", "served:app", "--workers=3", "--preload", "--bind=127.0.0.1:0"]
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "shared")}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            line = next(line for line in server.stderr if "Listening at" in line)
            url = line.split("Listening at: ")[1].split()[0]
            wait_for(lambda: set(running(_get(url))) == {"0", "1", "2"})
        finally:
            server.terminate()
            server.communicate()


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read().decode()


def test_a_scrape_needs_no_room_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk is when people look; it is told once, and what this process shows of itself is shown."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    registry = CollectorRegistry()
    limiter = Limiter("shared", max_running=1)
    PrometheusCollector().register(registry)

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        texts = [generate_latest(registry).decode() for _ in range(3)]

    assert all(f'name="{limiter.name}"' in text for text in texts)
    assert [record.message for record in caplog.records] == ["what this process shows cannot be shared: OSError"]


async def test_what_cannot_be_shared_is_logged_once(
    shared: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried at every interval, and a log of the same is none."""
    tried: list[None] = []

    def fail(*_: object) -> None:
        tried.append(None)
        raise ValueError("a secret")

    monitor = ConcurrencyMonitor(interval=0.01)
    monkeypatch.setattr(monitor, "_series", fail)
    async with monitor:
        await until(lambda: len(tried) > 2)

    assert [record.message for record in caplog.records] == ["what this process shows cannot be shared: ValueError"]


def test_a_process_whose_folder_was_emptied_claims_a_number_again(tmp_path: Path) -> None:
    """Its lock went with the folder, so that two would have the same number."""
    folder = tmp_path / "shared"
    first = Worker(folder)
    shutil.rmtree(folder)
    second = Worker(folder)
    assert first.number == second.number == 0

    first.write({})
    second.write({})

    assert first.number == 1
    assert [label for label, _, _ in second.others()] == ["1"]


def test_the_file_of_the_dead_is_removed_while_nobody_can_get_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise that of the next to have it could be."""
    worker = Worker(tmp_path)
    Worker(tmp_path).forget()
    others: list[Worker] = []
    unlink = Path.unlink

    def late(file: Path, missing_ok: bool = False) -> None:
        if not others:
            others.append(Worker.__new__(Worker))
            others[0].__init__(tmp_path)  # type: ignore[misc]
        unlink(file, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", late)
    assert list(worker.others()) == []
    assert [other.number for other in others] == [2]


def test_a_file_that_cannot_be_removed_does_not_end_the_scrape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be another user's."""
    worker = Worker(tmp_path)
    Worker(tmp_path).forget()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    assert list(worker.others()) == []
