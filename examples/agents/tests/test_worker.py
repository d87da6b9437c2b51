import asyncio
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import penstock_limits

from agents.main import main
from agents.worker import Worker

ROOT = Path(__file__).parent.parent


def work(*jobs):
    results = io.StringIO()
    lines = "\n".join(job if isinstance(job, str) else json.dumps(job) for job in jobs)
    asyncio.run(Worker().run(io.StringIO(lines + "\n"), results))
    return [json.loads(line) for line in results.getvalue().splitlines()]


def test_jobs_are_done_in_order(folder, stub, tmp_path_factory):
    small = tmp_path_factory.mktemp("small")
    (small / "only.md").write_text("All there is.")
    jobs = [
        {"id": 1, "workflow": "research", "question": "Why?", "folder": str(folder)},
        {"id": 2, "workflow": "chat", "user": "ada", "message": "Hello"},
        {"id": 3, "workflow": "compare", "questions": ["Why?", "How?"], "folder": str(small)},
    ]
    research, chat, compared = work(*jobs)
    assert (research["id"], len(research["notes"]), research["lost"]) == (1, 72, 0)
    assert (chat["id"], chat["answer"][:2]) == (2, "1.")
    assert list(compared["summaries"]) == ["Why?", "How?"]


def test_a_bad_job_is_answered_and_the_next_one_done(stub):
    bad, unknown, good = work(
        "no json", {"id": 1, "workflow": "dance"}, {"id": 2, "workflow": "chat", "user": "ada", "message": "Hello"}
    )
    assert bad["error"].startswith("JSONDecodeError")
    assert unknown == {
        "id": 1,
        "error": "ValueError: unknown workflow 'dance'; known are: research, compare, chat, ask, status",
    }
    assert "answer" in good


def test_the_status_tells_of_every_limiter(stub):
    limiter = penstock_limits.Limiter("reports", max_running=3)
    (status,) = work({"id": 1, "workflow": "status"})
    assert (limiter.name, status["limiters"]["reports"]["max_running"]) == ("reports", 3)


def test_the_command_prints_a_report(folder, stub, capsys):
    assert main(["research", "Why?", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("# Why?\n")


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    assert main(["ask", "Why?", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("agents: retrieval is switched off")


def test_the_program_runs(stub):
    command = [sys.executable, "-m", "agents", "chat", "Hello"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1. part 1 of ")


def test_the_stress_test_counts_outcomes(stub):
    command = [sys.executable, str(ROOT / "scripts" / "stress_test.py"), "--calls", "20"]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "{'answered': 20}" in done.stdout
