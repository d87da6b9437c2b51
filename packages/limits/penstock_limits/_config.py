"""The RFC's ConcurrencyConfig: every field and default, read from TOML and the environment."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from penstock_limits._errors import ConfigurationError
from penstock_limits._project import blaming, read_section

__all__ = ["ConcurrencyConfig", "LimitSettings", "PolicySettings"]

_LIMIT = "_semaphore_limit"
_RATE = "_requests_per_minute"
_TABLES = ("limits", "policies")


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """One named limit: `[tool.penstock.limits.NAME]`.

    Attributes:
        max_running: How many may run at once; 0 or more.
        max_queued: How many callers may wait; None for any number.

    Raises:
        ConfigurationError: A value is wrong.
    """

    max_running: int
    max_queued: int | None = None

    def __post_init__(self) -> None:
        _require(_is_count(self.max_running), "max_running", self.max_running, "a whole number from 0")
        _require(
            self.max_queued is None or _is_count(self.max_queued),
            "max_queued",
            self.max_queued,
            "a whole number from 0",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """One named policy: `[tool.penstock.policies.NAME]`; times in seconds.

    Attributes:
        limit: The name of the limit that its calls share.
        total_timeout: Deadline of a call with all its attempts and waits; None means `llm_call_timeout` if the policy
            has a rate, else `default_operation_timeout`.
        attempt_timeout: Deadline of one attempt, from its admission; None for none.
        attempts: How often a call is tried; 1 for no retry.
        requests_per_minute: The provider's rate of requests; None for none.
        tokens_per_minute: The provider's rate of tokens; None for none.
        input_tokens_per_minute: The provider's rate of input tokens; None for none.
        output_tokens_per_minute: The provider's rate of output tokens; None for none.
        breaker: Whether a circuit breaker guards the calls.
        failure_rate: The share of failed calls, above 0 up to 1, that opens it.
        slow_call_seconds: From when a call is slow, which counts for the breaker like a failure; None for never.
        open_seconds: How long it stays open.

    Raises:
        ConfigurationError: A value is wrong.
    """

    limit: str = "default"
    total_timeout: float | None = None
    attempt_timeout: float | None = None
    attempts: int = 3
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    input_tokens_per_minute: float | None = None
    output_tokens_per_minute: float | None = None
    breaker: bool = True
    failure_rate: float = 0.5
    slow_call_seconds: float | None = None
    open_seconds: float = 30.0

    def __post_init__(self) -> None:
        _require(isinstance(self.limit, str), "limit", self.limit, "the name of a limit")
        _require(isinstance(self.breaker, bool), "breaker", self.breaker, "true or false")
        _require(_is_count(self.attempts) and self.attempts > 0, "attempts", self.attempts, "a whole number from 1")
        _require(_is_positive(self.failure_rate) and self.failure_rate <= 1, *_share("failure_rate", self.failure_rate))
        for key in ("total_timeout", "attempt_timeout", "slow_call_seconds", "open_seconds"):
            value = getattr(self, key)
            _require(value is None or _is_positive(value), key, value, "seconds above 0")
        for key, value in self.per_minute().items():
            _require(_is_positive(value), f"{key}_per_minute", value, "a number above 0")

    def per_minute(self) -> dict[str, float]:
        """Return how much of each dimension - `requests`, `tokens` ... - the provider admits per minute."""
        suffix = "_per_minute"
        rates = {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name.endswith(suffix)}
        return {name.removesuffix(suffix): rate for name, rate in rates.items() if rate is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencyConfig:
    """Centralized concurrency configuration; timeouts in seconds.

    Attributes:
        default_semaphore_limit: The limit named `default`.
        stress_test_semaphore_limit: The limit named `stress_test`.
        api_call_semaphore_limit: The limit named `api_call`.
        rag_pool_min_size: Connections that the pool `rag` keeps open.
        rag_pool_max_size: Connections that the pool `rag` may open.
        openai_requests_per_minute: Requests per minute to the provider `openai`.
        anthropic_requests_per_minute: Requests per minute to the provider `anthropic`.
        default_operation_timeout: Deadline of an operation without one of its own.
        llm_call_timeout: Deadline of a call of a language model.
        database_operation_timeout: Deadline of a database operation.
        enable_metrics: Whether metrics are collected.
        alert_threshold_percentage: The share of a limit, above 0 up to 1, from which its use alerts.
        limits: More named limits.
        policies: Named policies, beside one for each limit and each provider.

    Raises:
        ConfigurationError: A value is wrong; the message names the key, the value and what is allowed.
    """

    default_semaphore_limit: int = 10
    stress_test_semaphore_limit: int = 5
    api_call_semaphore_limit: int = 20
    rag_pool_min_size: int = 5
    rag_pool_max_size: int = 20
    openai_requests_per_minute: int = 60
    anthropic_requests_per_minute: int = 50
    default_operation_timeout: float = 30.0
    llm_call_timeout: float = 60.0
    database_operation_timeout: float = 10.0
    enable_metrics: bool = True
    alert_threshold_percentage: float = 0.8
    limits: Mapping[str, LimitSettings] = field(default_factory=dict)
    policies: Mapping[str, PolicySettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            if each.name not in _TABLES:
                _check(each.name, getattr(self, each.name))
        for name, limit in self.limits.items():
            _require(isinstance(limit, LimitSettings), f"limits[{name!r}]", limit, "a LimitSettings")
        known = self.named_limits()
        for name, policy in self.policies.items():
            _require(isinstance(policy, PolicySettings), f"policies[{name!r}]", policy, "a PolicySettings")
            _require(
                policy.limit in known,
                f"policies.{name}.limit",
                policy.limit,
                f"a known limit: {', '.join(sorted(known))}",
            )
        _require(
            self.rag_pool_min_size <= self.rag_pool_max_size,
            "rag_pool_min_size",
            self.rag_pool_min_size,
            f"at most rag_pool_max_size ({self.rag_pool_max_size})",
        )

    def named_limits(self) -> dict[str, LimitSettings]:
        """Return every limit by its name: `default`, `api_call`, `stress_test`, and those of `limits`."""
        fields = [each.name for each in dataclasses.fields(self) if each.name.endswith(_LIMIT)]
        named = {name.removesuffix(_LIMIT): LimitSettings(getattr(self, name)) for name in fields}
        return named | dict(self.limits)

    def named_policies(self) -> dict[str, PolicySettings]:
        """Return every policy by its name, with every default filled in.

        There is one for each limit, which does nothing but share it; one for each provider with a field
        `N_requests_per_minute`, which shares the limit of its name, or else `api_call`; and those of `policies`.
        """
        limits = self.named_limits()
        rates = {
            each.name.removesuffix(_RATE): float(getattr(self, each.name))
            for each in dataclasses.fields(self)
            if each.name.endswith(_RATE)
        }
        plain = {name: PolicySettings(limit=name, attempts=1, breaker=False) for name in limits}
        providers = {name: PolicySettings(limit=name if name in limits else "api_call") for name in rates}
        named = plain | providers | dict(self.policies)
        return {name: self._filled_in(policy, rates.get(name)) for name, policy in named.items()}

    def _filled_in(self, policy: PolicySettings, requests_per_minute: float | None) -> PolicySettings:
        if policy.requests_per_minute is None:
            policy = dataclasses.replace(policy, requests_per_minute=requests_per_minute)
        if policy.total_timeout is None:
            default = self.llm_call_timeout if policy.per_minute() else self.default_operation_timeout
            policy = dataclasses.replace(policy, total_timeout=default)
        return policy

    @classmethod
    def load(cls, path: str | os.PathLike[str] = ".") -> Self:
        """Read the configuration of a project, and let the environment override it.

        A folder is searched for `penstock.toml`, then for `pyproject.toml` with `[tool.penstock]`; with neither, the
        RFC's defaults hold. `PENSTOCK_<FIELD>` (`PENSTOCK_API_CALL_SEMAPHORE_LIMIT=40`) goes before both.

        Args:
            path: A TOML file, or the folder of one.

        Raises:
            ConfigurationError: A value, a key or the file is wrong; the message names file, key, value and what is
                allowed.
        """
        file, table = read_section(Path(path))
        _refuse_limits_given_twice(file, table)
        values = {key: _from_file(cls, file, key, value) for key, value in table.items() if _concerns(cls, key, value)}
        for each in dataclasses.fields(cls):
            variable = "PENSTOCK_" + each.name.upper()
            if each.name not in _TABLES and variable in os.environ:
                with blaming(variable):
                    values[each.name] = _parse(each.name, each.default, os.environ[variable])
                values["limits"] = _overridden(values.get("limits", {}), each.name, values[each.name])
        with blaming(f"{file}, with the environment over it"):
            return cls(**values)


def _refuse_limits_given_twice(file: Path, table: Mapping[str, Any]) -> None:
    limits = table.get("limits")
    for name in limits if isinstance(limits, dict) else ():
        if name + _LIMIT in table:
            raise ConfigurationError(
                f"{file}: the limit {name!r} is given twice, as {name + _LIMIT} and as limits.{name}; keep one"
            )


def _overridden(limits: Mapping[str, LimitSettings], field_name: str, value: Any) -> Mapping[str, LimitSettings]:
    """Let a limit's variable go before its table in the file, too."""
    name = field_name.removesuffix(_LIMIT)
    if name == field_name or name not in limits:
        return limits
    return {**limits, name: dataclasses.replace(limits[name], max_running=value)}


def _concerns(cls: type[ConcurrencyConfig], key: str, value: object) -> bool:
    """Other packages keep tables beside ours; anything else with an unknown key is a mistake."""
    return key in {each.name for each in dataclasses.fields(cls)} or not isinstance(value, dict)


def _from_file(cls: type[ConcurrencyConfig], file: Path, key: str, value: Any) -> Any:
    known = [each.name for each in dataclasses.fields(cls)]
    if key not in known:
        raise ConfigurationError(f"{file}: {key} = {value!r} is no setting; known are: {', '.join(known)}")
    with blaming(str(file)):
        if key in _TABLES:
            _require(isinstance(value, dict), key, value, f"a table of tables: [tool.penstock.{key}.NAME]")
            read = _limit if key == "limits" else _policy
            return {name: read(name, table) for name, table in value.items()}
        _check(key, value)
    return value


def _limit(name: str, table: object) -> LimitSettings:
    known = {each.name for each in dataclasses.fields(LimitSettings)}
    allowed = "a table with max_running, and max_queued if callers may be refused"
    if not isinstance(table, dict) or "max_running" not in table or set(table) - known:
        raise ConfigurationError(f"limits.{name} = {table!r}; allowed is {allowed}")
    with blaming(f"limits.{name}"):
        return LimitSettings(**table)


def _policy(name: str, table: object) -> PolicySettings:
    known = [each.name for each in dataclasses.fields(PolicySettings)]
    if not isinstance(table, dict) or set(table) - set(known):
        raise ConfigurationError(f"policies.{name} = {table!r}; allowed is a table with any of: {', '.join(known)}")
    with blaming(f"policies.{name}"):
        return PolicySettings(**table)


def _parse(name: str, default: object, text: str) -> object:
    """Read an environment variable as the type that the field's default has."""
    booleans = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)
    try:
        value = booleans[text.lower()] if isinstance(default, bool) else type(default)(text)  # type: ignore[call-arg]
    except (KeyError, ValueError):
        value = text
    _check(name, value)
    return value


def _check(name: str, value: object) -> None:
    if name == "enable_metrics":
        _require(isinstance(value, bool), name, value, "true or false")
    elif name == "alert_threshold_percentage":
        _require(_is_positive(value) and value <= 1, *_share(name, value))  # type: ignore[operator]
    elif name.endswith("_timeout"):
        _require(_is_positive(value), name, value, "seconds above 0")
    elif name == "rag_pool_min_size":
        _require(_is_count(value), name, value, "a whole number from 0")
    else:
        _require(_is_count(value) and value != 0, name, value, "a whole number from 1")


def _share(name: str, value: object) -> tuple[str, object, str]:
    return name, value, "a share above 0, up to 1"


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _require(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise ConfigurationError(f"{key} = {value!r}; allowed is {allowed}")
