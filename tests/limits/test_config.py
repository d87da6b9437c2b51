"""How ConcurrencyConfig is read, and what it refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from penstock_limits import (
    ConcurrencyConfig,
    ConfigurationError,
    LimitSettings,
    PolicySettings,
    configuration,
    configure,
    limiter,
)

RFC = {
    "default_semaphore_limit": 10,
    "stress_test_semaphore_limit": 5,
    "api_call_semaphore_limit": 20,
    "rag_pool_min_size": 5,
    "rag_pool_max_size": 20,
    "openai_requests_per_minute": 60,
    "anthropic_requests_per_minute": 50,
    "default_operation_timeout": 30.0,
    "llm_call_timeout": 60.0,
    "database_operation_timeout": 10.0,
    "enable_metrics": True,
    "alert_threshold_percentage": 0.8,
}


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_the_defaults_are_those_of_the_rfc() -> None:
    """Every field, every value and its type."""
    values = dataclasses.asdict(ConcurrencyConfig())
    tables = [dict(values.pop(name)) for name in ("limits", "policies")]

    assert (values, tables) == (RFC, [{}, {}])
    assert {name: type(value) for name, value in values.items()} == {name: type(value) for name, value in RFC.items()}


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    """A folder with neither file is no error."""
    assert ConcurrencyConfig.load(tmp_path) == ConcurrencyConfig()


def test_a_project_is_configured_in_its_pyproject(tmp_path: Path) -> None:
    """Under [tool.penstock], with named limits beneath."""
    write(
        tmp_path,
        "pyproject.toml",
        """
        [tool.penstock]
        api_call_semaphore_limit = 40
        llm_call_timeout = 90
        [tool.penstock.limits.embedding]
        max_running = 8
        max_queued = 100
        [tool.penstock.audit]
        exclude = ["vendor"]
        """,
    )

    config = ConcurrencyConfig.load(tmp_path)

    assert (config.api_call_semaphore_limit, config.llm_call_timeout) == (40, 90)
    assert config.named_limits()["embedding"] == LimitSettings(8, 100)


def test_penstock_toml_goes_before_pyproject(tmp_path: Path) -> None:
    """It needs no [tool.penstock]."""
    write(tmp_path, "pyproject.toml", "[tool.penstock]\ndefault_semaphore_limit = 1\n")
    write(tmp_path, "penstock.toml", "default_semaphore_limit = 2\n")

    assert ConcurrencyConfig.load(tmp_path).default_semaphore_limit == 2


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PENSTOCK_<FIELD>, of the type of the field."""
    write(tmp_path, "penstock.toml", "default_semaphore_limit = 2\n")
    monkeypatch.setenv("PENSTOCK_DEFAULT_SEMAPHORE_LIMIT", "3")
    monkeypatch.setenv("PENSTOCK_ENABLE_METRICS", "false")
    monkeypatch.setenv("PENSTOCK_LLM_CALL_TIMEOUT", "1.5")

    config = ConcurrencyConfig.load(tmp_path)

    assert (config.default_semaphore_limit, config.enable_metrics, config.llm_call_timeout) == (3, False, 1.5)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("default_semaphore_limit = 0", "default_semaphore_limit = 0; allowed is a whole number from 1"),
        ("api_call_semaphore_limit = '20'", "api_call_semaphore_limit = '20'; allowed is a whole number from 1"),
        ("api_call_semaphore_limit = true", "api_call_semaphore_limit = True; allowed is a whole number from 1"),
        ("llm_call_timeout = -1", "llm_call_timeout = -1; allowed is seconds above 0"),
        ("llm_call_timeout = inf", "llm_call_timeout = inf; allowed is seconds above 0"),
        ("enable_metrics = 1", "enable_metrics = 1; allowed is true or false"),
        ("alert_threshold_percentage = 80", "alert_threshold_percentage = 80; allowed is a share above 0, up to 1"),
        ("rag_pool_min_size = 30", r"rag_pool_min_size = 30; allowed is at most rag_pool_max_size \(20\)"),
        ("api_calls_semaphore_limit = 20", "api_calls_semaphore_limit = 20 is no setting; known are: default_sema"),
        ("default_semaphore_limitt = 'x'", "default_semaphore_limitt = 'x' is no setting; known are: default_sema"),
        ("api_call_semaphore_limit = 1\n[limits.api_call]\nmax_running = 2", "'api_call' is given twice"),
        ("limits = 3", "limits = 3; allowed is a table of tables"),
        ("[limits]\nx = 3", "limits.x = 3; allowed is a table with max_running"),
        ("[limits.x]\nmax_running = -1", "limits.x: max_running = -1; allowed is a whole number from 0"),
        ("[limits.x]\nmax_running = 1\nqueue = 1", "limits.x = .*; allowed is a table with max_running"),
        ("policies = 3", r"policies = 3; allowed is a table of tables: \[tool.penstock.policies.NAME\]"),
        (
            "[policies.x]\nretries = 3",
            "policies.x = {'retries': 3}; allowed is a table with any of: limit",
        ),
        ("[policies.x]\nattempts = 0", "policies.x: attempts = 0; allowed is a whole number from 1"),
        (
            "[policies.x]\nlimit = 'y'",
            "policies.x.limit = 'y'; allowed is a known limit: api_call, default",
        ),
        ("[policies.x]\ntotal_timeout = 0", "policies.x: total_timeout = 0; allowed is seconds above 0"),
        ("[policies.x]\nfailure_rate = 2", "policies.x: failure_rate = 2; allowed is a share above 0, up to 1"),
        ("[policies.x]\ntokens_per_minute = -1", "policies.x: tokens_per_minute = -1; allowed is a number above 0"),
        ("default_semaphore_limit =", "is no valid TOML"),
    ],
)
def test_a_wrong_value_is_refused(tmp_path: Path, line: str, message: str) -> None:
    """With file, key, value and what is allowed."""
    file = write(tmp_path, "penstock.toml", line + "\n")

    with pytest.raises(ConfigurationError, match=message) as caught:
        ConcurrencyConfig.load(tmp_path)

    assert str(caught.value).startswith(str(file))


def test_the_environment_goes_before_a_limits_table_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit can be raised without touching the file; what else its table says stays."""
    write(tmp_path, "penstock.toml", "[limits.api_call]\nmax_running = 5\nmax_queued = 7\n")
    monkeypatch.setenv("PENSTOCK_API_CALL_SEMAPHORE_LIMIT", "40")

    assert ConcurrencyConfig.load(tmp_path).named_limits()["api_call"] == LimitSettings(40, 7)


def test_a_limit_that_is_no_limit_settings_is_refused() -> None:
    """Where it is made, not where it is first used."""
    with pytest.raises(ConfigurationError, match=r"limits\['x'\] = .*; allowed is a LimitSettings"):
        ConcurrencyConfig(limits={"x": {"max_running": 3}})  # type: ignore[dict-item]


def test_a_wrong_value_in_the_environment_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable's name."""
    monkeypatch.setenv("PENSTOCK_DEFAULT_SEMAPHORE_LIMIT", "many")

    with pytest.raises(ConfigurationError, match="PENSTOCK_DEFAULT_SEMAPHORE_LIMIT: default_semaphore_limit = 'many'"):
        ConcurrencyConfig.load(tmp_path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A path that was named must exist."""
    with pytest.raises(ConfigurationError, match=r"absent\.toml: cannot be read: No such file"):
        ConcurrencyConfig.load(tmp_path / "absent.toml")


def test_the_configuration_that_holds_can_be_read() -> None:
    """That of the last call; before any, the defaults."""
    assert configuration() == ConcurrencyConfig()

    config = ConcurrencyConfig(rag_pool_max_size=7)
    configure(config)

    assert configuration() is config


def test_configuring_resizes_limits_in_use() -> None:
    """Nothing is rebuilt: whoever holds the limiter holds the same."""
    before = limiter("api_call")

    configure(ConcurrencyConfig(api_call_semaphore_limit=3, limits={"api_call": LimitSettings(4, 5)}))

    assert limiter("api_call") is before
    assert (before.max_running, before.max_queued) == (4, 5)


def test_there_is_a_policy_for_each_limit_and_each_provider() -> None:
    """A limit's only shares it; a provider's has its rate, and the deadline of a call of a language model."""
    policies = ConcurrencyConfig(limits={"embedding": LimitSettings(8)}).named_policies()

    assert set(policies) == {"api_call", "default", "stress_test", "embedding", "openai", "anthropic"}
    assert (policies["embedding"].limit, policies["embedding"].total_timeout) == ("embedding", 30.0)
    assert policies["embedding"].per_minute() == {}
    assert (policies["openai"].limit, policies["openai"].total_timeout) == ("api_call", 60.0)
    assert policies["openai"].per_minute() == {"requests": 60}


def test_a_policy_of_the_project_goes_before_the_defaults() -> None:
    """What it leaves open is filled in."""
    own = PolicySettings(limit="openai", tokens_per_minute=90_000, total_timeout=5)
    policies = ConcurrencyConfig(limits={"openai": LimitSettings(8)}, policies={"openai": own}).named_policies()

    assert policies["openai"] == dataclasses.replace(own, requests_per_minute=60)
    assert policies["openai"].per_minute() == {"requests": 60, "tokens": 90_000}
