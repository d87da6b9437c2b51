"""What the gate reads in code: which limits and pools it uses, and whether a monitor is started."""

import pytest
from penstock_migrations._proving.visibility import starts_monitor, used_in, where_to_start

MONITOR = "from penstock_monitoring import ConcurrencyMonitor\n"
COLLECTOR = "import penstock_monitoring\n"
ENTERED = "async def main():\n    async with {}:\n        pass\n"


@pytest.fixture
def written(tmp_path):
    """Write a file and return it."""

    def written(source, name="agents/main.py"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
        return file

    return written


@pytest.mark.parametrize(
    "source",
    [
        MONITOR + ENTERED.format("ConcurrencyMonitor(page=0)"),
        MONITOR + ENTERED.format("ConcurrencyMonitor(hooks=[print])"),
        MONITOR + ENTERED.format("ConcurrencyMonitor() as monitor, other(monitor.serve())"),
        MONITOR + "monitor = ConcurrencyMonitor()\nasync def main():\n    print(monitor.snapshot())\n",
        MONITOR + "async def main(stack):\n    await stack.enter_async_context(ConcurrencyMonitor(page=8431))\n",
        "from penstock_monitoring import ConcurrencyMonitor as Monitor\n" + ENTERED.format("Monitor(page=0)"),
        COLLECTOR + "penstock_monitoring.PrometheusCollector().register()\n",
        "import penstock_monitoring as m\ncollector = m.PrometheusCollector()\nprint(collector.render())\n",
        COLLECTOR + "registry.register(penstock_monitoring.PrometheusCollector())\n",
        "def main():\n    from penstock_monitoring import OpenTelemetryBridge\n    OpenTelemetryBridge().register()\n",
        MONITOR + "monitor = ConcurrencyMonitor()\nasync def look():\n    await asyncio.to_thread(monitor.snapshot)\n",
        MONITOR + "async def lifespan(app):\n    app.state.monitor = ConcurrencyMonitor(page=0)\n"
        "    async with app.state.monitor:\n        yield\n",
        MONITOR
        + "def make():\n    monitor = ConcurrencyMonitor(page=0)\n    return monitor\n"
        + ENTERED.format("make()"),
        MONITOR + "async def run(monitor):\n    async with monitor:\n        ...\nrun(ConcurrencyMonitor(page=0))\n",
        MONITOR + "class Watch(ConcurrencyMonitor): ...\n" + ENTERED.format("Watch(page=0)"),
        MONITOR + "async def start():\n    this, that = ConcurrencyMonitor(page=0), 1\n    await this.__aenter__()\n",
        "from penstock_monitoring import *\ncollector = PrometheusCollector()\nREGISTRY.register(collector)\n",
    ],
)
def test_a_monitor_that_shows_something_is_found(written, tmp_path, source):
    """By its page, its hooks, a snapshot, a collector or a bridge, under whatever name, wherever it is kept."""
    file = written(source)

    assert starts_monitor(tmp_path, [file]) == file


@pytest.mark.parametrize(
    "source",
    [
        "",
        "import penstock_monitoring\n",
        "class ConcurrencyMonitor: ...\n" + ENTERED.format("ConcurrencyMonitor(page=0)"),
        "from agents.monitoring import ConcurrencyMonitor\n# unlike penstock_monitoring\n"
        + ENTERED.format("ConcurrencyMonitor(page=0)"),
        MONITOR + ENTERED.format("ConcurrencyMonitor()"),
        MONITOR + ENTERED.format("ConcurrencyMonitor(page=None)"),
        MONITOR + "ConcurrencyMonitor(page=0)\n",
        COLLECTOR + "collector = penstock_monitoring.PrometheusCollector()\n",
        COLLECTOR + "def main(:\n",
        MONITOR + ENTERED.format("ConcurrencyMonitor(hooks=[])"),
        MONITOR + "monitor = ConcurrencyMonitor(page=0)\n" + ENTERED.format("httpx.AsyncClient()"),
        MONITOR + "monitor = ConcurrencyMonitor()\nasync def main():\n    await uvicorn.Server().serve()\n",
        MONITOR + "monitor = ConcurrencyMonitor()\nprint(manager.metrics.snapshot())\n",
        COLLECTOR + "collector = penstock_monitoring.PrometheusCollector()\natexit.register(print)\n",
        COLLECTOR + "collector = penstock_monitoring.PrometheusCollector()\npage = template.render()\n",
        COLLECTOR + "one, (two, three) = penstock_monitoring.PrometheusCollector()\n[print][0].register()\n",
    ],
)
def test_a_monitor_that_nobody_can_look_at_is_none(written, tmp_path, source):
    """Nor is one of the project's own, one that is never entered, or a file that cannot be parsed.

    What another object registers, renders or serves, or enters, does not make it one.
    """
    assert starts_monitor(tmp_path, [written(source)]) is None


@pytest.mark.parametrize(
    "name",
    ["tests/main.py", "scripts/main.py", "examples/main.py", "conftest.py", "agents/test_main.py", "main_test.py"],
)
def test_a_monitor_beside_the_application_does_not_count(written, tmp_path, name):
    """It does not run where the application does."""
    file = written(COLLECTOR + "penstock_monitoring.PrometheusCollector().register()\n", name)

    assert starts_monitor(tmp_path, [file]) is None


def test_each_limit_and_the_pools_are_told_once_with_their_first_place(written, tmp_path):
    """Tasks and threads have no limit to be seen; a name that is no literal cannot be told."""
    first = written(
        """\
import penstock_limits, penstock_pooling, penstock_tasks
await penstock_limits.gather(*work, limit="api_call")
await penstock_limits.gather(*work, limit="api_call")
await penstock_limits.gather(*work, limit=limit)
await penstock_limits.gather(*work, limit=None)
penstock_limits.set_mode_source(source)
penstock_tasks.Thread(target=print).start()
other.gather(*work, limit="other")
"""
    )
    second = written(
        """\
import penstock_limits, penstock_pooling.psycopg
penstock_pooling.http("provider")
penstock_pooling.close_pools()
penstock_pooling.psycopg.connect(dsn)
penstock_pooling.connect(dsn)
penstock_limits.create_task(work, limit="reports")
""",
        "agents/store.py",
    )
    script = written('import penstock_limits\npenstock_limits.gather(limit="stress_test")\n', "scripts/stress.py")

    used = used_in(tmp_path, [first, second, script, tmp_path / "gone.py"])

    assert [(each.package, each.name, each.place) for each in used] == [
        ("penstock_limits", "api_call", "agents/main.py:2"),
        ("penstock_pooling", None, "agents/store.py:4"),
        ("penstock_limits", "reports", "agents/store.py:6"),
    ]


def test_where_a_monitor_belongs_is_where_the_program_starts(written, tmp_path):
    """The function of the project's script, the file that is run, or nothing that can be named."""
    nothing = where_to_start(tmp_path, [])
    file = written('if __name__ == "__main__":\n    pass\n')
    run = where_to_start(tmp_path, [file])
    written('[project]\nname = "agents"\nscripts = {agents = "agents.main:main"}\n', "pyproject.toml")

    assert (nothing, run) == ("where the program starts", "in agents/main.py")
    assert where_to_start(tmp_path, [file]) == "in main() of agents/main.py"
