"""Which settings of other retry libraries `retry` replaces."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from penstock_limits import ConfigurationError, ReplacedSetting, replaced_settings, retry

PAGE = Path(__file__).parents[2] / "docs" / "runtime" / "retry.md"
LIBRARIES = ("tenacity", "backoff", "stamina", "urllib3", "retrying")
SETTING = re.compile(r"(?P<name>[\w.]+)(?:\((?P<parameter>\w+)=\))?")
COMPLETE = {
    "tenacity": ["tenacity.BaseRetrying"],
    "backoff": ["backoff.on_exception"],
    "stamina": ["stamina.retry"],
    "urllib3": ["urllib3.Retry"],
    "retrying": ["retrying.Retrying"],
}
NO_SETTING = {"self", "wait_gen_kwargs", "retry_base", "stop_base", "wait_base"}


def found(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    pytest.importorskip(module.partition(".")[0], reason="this peer is not installed")
    return getattr(importlib.import_module(module), attribute)


def parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in NO_SETTING]


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_setting_that_is_said_to_be_replaced_exists(library: str) -> None:
    """In the version that is installed: a table of what never was would help nobody."""
    for setting in replaced_settings(library):
        match = SETTING.fullmatch(setting.theirs)
        assert match is not None, setting
        assert match["name"].startswith(f"{library}.")
        function = found(match["name"])
        if match["parameter"]:
            assert match["parameter"] in inspect.signature(function).parameters, setting


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_parameter_is_passed_over(library: str) -> None:
    """What has no counterpart is there too, and says so."""
    said = {setting.theirs for setting in replaced_settings(library)}

    for name in COMPLETE[library]:
        assert [key for key in parameters(found(name)) if f"{name}({key}=)" not in said] == []


@pytest.mark.parametrize("prefix", ["stop_", "wait_", "retry_"])
def test_none_of_tenacitys_strategies_is_passed_over(prefix: str) -> None:
    """It has the most."""
    tenacity = pytest.importorskip("tenacity")
    said = {setting.theirs for setting in replaced_settings("tenacity")}

    names = [name for name in dir(tenacity) if name.startswith(prefix) and name not in NO_SETTING]
    assert [name for name in names if f"tenacity.{name}" not in said] == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_is_said_to_replace_a_setting_exists(library: str) -> None:
    """Every `name=` is a parameter of ours; what has no counterpart says why."""
    for setting in replaced_settings(library):
        ours = re.findall(r"(?:^|[ (])(\w+)=(?!=)", setting.ours)
        assert set(ours) <= set(inspect.signature(retry).parameters), setting
        assert setting.ours or setting.note, setting


def test_an_unknown_library_is_refused() -> None:
    """The message names those that are known."""
    with pytest.raises(
        ConfigurationError, match="'aiobreaker'; known are backoff, retrying, stamina, tenacity, urllib3"
    ):
        replaced_settings("aiobreaker")


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_page_shows_what_the_function_returns(library: str) -> None:
    """Line by line; `table` below makes them."""
    assert "\n".join(table(replaced_settings(library))) in PAGE.read_text(encoding="utf-8")


def table(settings: tuple[ReplacedSetting, ...]) -> Iterator[str]:
    yield "| theirs | ours | |"
    yield "|---|---|---|"
    for setting in settings:
        ours = f"`{setting.ours}`" if setting.ours else "none"
        yield f"| `{setting.theirs}` | {ours} | {setting.note} |"


if __name__ == "__main__":
    for each in LIBRARIES:
        print(f"### From {each}\n", *table(replaced_settings(each)), "", sep="\n")  # noqa: T201 - to paste into the page
