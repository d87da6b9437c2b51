"""How clients are configured, and what is not shown of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from penstock_limits import ConfigurationError
from penstock_pooling import ClientSettings


def test_the_defaults_are_those_of_httpx() -> None:
    """So that a name in place of `httpx.AsyncClient()` changes nothing."""
    import httpx

    settings, client = ClientSettings(), httpx.AsyncClient()

    assert httpx.Timeout(**settings.timeouts()) == client.timeout  # type: ignore[arg-type]
    assert settings.max_connections == httpx._config.DEFAULT_LIMITS.max_connections
    assert settings.max_keepalive_connections == httpx._config.DEFAULT_LIMITS.max_keepalive_connections
    assert settings.keepalive_expiry == httpx._config.DEFAULT_LIMITS.keepalive_expiry


def test_inf_means_any_time() -> None:
    """TOML has it, and has no null."""
    assert ClientSettings(read_timeout=math.inf).timeouts()["read"] is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"module": "requests"}, "module = 'requests'; allowed is one of httpx, httpx2, aiohttp"),
        ({"max_connections": 0}, "max_connections = 0; allowed is a whole number from 1"),
        ({"max_connections": True}, "max_connections = True"),
        ({"max_keepalive_connections": -1}, "max_keepalive_connections = -1; allowed is a whole number from 0"),
        ({"connect_retries": 1.5}, "connect_retries = 1.5"),
        ({"read_timeout": 0}, "read_timeout = 0; allowed is seconds above 0, or inf"),
        ({"connect_timeout": math.nan}, "connect_timeout = nan"),
        ({"policy": 3}, "policy = 3; allowed is the name of a policy"),
        ({"base_url": 3}, "base_url = <class 'int'>; allowed is a URL"),
        ({"headers": {"a": 1}}, "headers = '...'; allowed is a table of texts"),
        ({"header_variables": ["a"]}, "header_variables = '...'; allowed is a table of variables' names"),
    ],
)
def test_a_wrong_value_is_refused(wrong: dict[str, Any], message: str) -> None:
    """With what is allowed."""
    with pytest.raises(ConfigurationError, match="^" + message.replace("(", r"\(")):
        ClientSettings(**wrong)


def test_no_secret_is_shown() -> None:
    """Neither of a header nor of a URL, whether it is right or wrong."""
    shown = repr(ClientSettings(base_url="https://me:pw@host/v1", headers={"Authorization": "Bearer pw"}))

    assert shown == "ClientSettings(base_url='https://host/v1', headers=['Authorization'])"
    with pytest.raises(ConfigurationError) as caught:
        ClientSettings(headers={"Authorization": b"pw"})  # type: ignore[dict-item]
    assert "pw" not in str(caught.value)


def test_headers_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the client is opened; one that is not set is an error that names it."""
    settings = ClientSettings(headers={"A": "1"}, header_variables={"B": "SECRET"})

    with pytest.raises(ConfigurationError, match="header_variables: B is to be in SECRET, which is not set; set it"):
        settings.all_headers()
    monkeypatch.setenv("SECRET", "2")
    assert settings.all_headers() == {"A": "1", "B": "2"}


TABLE = '[{}clients.openai]\nbase_url = "https://api"\nread_timeout = inf\nheader_variables = {{ A = "B" }}\n'


@pytest.mark.parametrize(("name", "prefix"), [("penstock.toml", ""), ("pyproject.toml", "tool.penstock.")])
def test_clients_are_read_from_a_project(tmp_path: Path, name: str, prefix: str) -> None:
    """From the file or its folder."""
    (tmp_path / name).write_text(TABLE.format(prefix) + f"[{prefix}limits.x]\nmax_running = 1\n")
    wanted = {
        "openai": ClientSettings(base_url="https://api", read_timeout=math.inf, header_variables={"A": "B"}),
    }

    assert ClientSettings.load(tmp_path) == ClientSettings.load(tmp_path / name) == wanted


@pytest.mark.parametrize("text", ["", "[limits.x]\nmax_running = 1\n"])
def test_a_project_without_clients_has_none(tmp_path: Path, text: str) -> None:
    """With a file and without."""
    assert ClientSettings.load(tmp_path) == {}
    (tmp_path / "penstock.toml").write_text(text)
    assert ClientSettings.load(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clients = 3", r"penstock\.toml: clients is no table; allowed are tables"),
        ("[clients]\nopenai = 3", r"penstock\.toml: clients\.openai is no table; allowed is one with any of: module"),
        ("[clients.openai]\ntimeout = 3", r"clients\.openai\.timeout is no setting; known are: module, base_url"),
        ("[clients.openai]\nread_timeout = -3", r"clients\.openai: read_timeout = -3; allowed is seconds above 0"),
        ("[clients", r"penstock\.toml: is no valid TOML"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """With the place."""
    (tmp_path / "penstock.toml").write_text(text)

    with pytest.raises(ConfigurationError, match=message):
        ClientSettings.load(tmp_path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """With the reason."""
    with pytest.raises(ConfigurationError, match="cannot be read: No such file or directory"):
        ClientSettings.load(tmp_path / "none.toml")
