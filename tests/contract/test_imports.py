"""What importing a package brings in."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"libcst", "prometheus_client", "httpx", "asyncpg", "psycopg", "aiohttp", "sqlalchemy", "redis", "ldclient"}
RUNTIME = [
    "penstock_limits",
    "penstock_pooling",
    "penstock_tasks",
    "penstock_guard",
    "penstock_monitoring",
    "penstock_flags",
    "penstock_cli",
]


def modules_after(statement: str) -> set[str]:
    program = f"import sys, json; {statement}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("package", RUNTIME)
def test_importing_a_runtime_package_brings_in_nothing_heavy(package: str) -> None:
    """Drivers, clients and libcst stay out until they are asked for."""
    assert not modules_after(f"import {package}") & HEAVY


def test_importing_the_limits_brings_in_the_standard_library_only() -> None:
    """Everybody imports this package."""
    brought_in = modules_after("import penstock_limits") - modules_after("pass")
    top = {name.partition(".")[0] for name in brought_in}

    assert top - sys.stdlib_module_names == {"penstock_limits"}
