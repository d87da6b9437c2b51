"""The concurrency configuration: limits, pools, rates and timeouts, with the defaults of the RFC."""

from __future__ import annotations

from pathlib import Path

from penstock_limits import ConcurrencyConfig

__all__ = ["ConcurrencyConfig", "load_config"]

PROJECT = Path(__file__).resolve().parents[3]


def load_config(path: Path = PROJECT) -> ConcurrencyConfig:
    """Read `[tool.penstock]` of the project's pyproject.toml, and what the environment overrides."""
    return ConcurrencyConfig.load(path)
