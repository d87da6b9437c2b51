"""The projects whose own tests are run, and how: from their source distributions, without a network or a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["PROJECTS", "Project"]


@dataclass(frozen=True)
class Project:
    """A published project with tests of its own.

    Attributes:
        name: Its name on the package index.
        version: Its version.
        extras: Its extras that the tests need.
        requirements: What the tests need besides.
        arguments: What pytest is given.
        environment: Variables that the tests are run with.
        skipped: What of its tests does not run here, and why.
    """

    name: str
    version: str
    extras: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ("pytest", "pytest-asyncio")
    arguments: tuple[str, ...] = ("tests",)
    environment: Mapping[str, str] = field(default_factory=dict)
    skipped: str = ""

    @property
    def folder(self) -> str:
        """The folder in its source distribution."""
        return f"{self.name.replace('-', '_')}-{self.version}"


PROJECTS = (
    Project(
        "autogen-core",
        "0.7.5",
        requirements=(
            "pytest",
            "pytest-asyncio",
            "pytest-mock",
            "asyncio_atexit",
            "grpcio",
            "opentelemetry-sdk",
            "pandas",
            "pydantic[email]",
            "autogen-ext==0.7.5",
        ),
        skipped="Files that import autogen_test_utils, which was never published, cannot be collected.",
    ),
    Project(
        "graphiti-core",
        "0.31.2",
        extras=("anthropic", "groq", "google-genai", "falkordb", "voyageai", "tracing", "neptune"),
        arguments=("tests", "-m", "not integration"),
        environment=dict.fromkeys(("DISABLE_NEO4J", "DISABLE_FALKORDB", "DISABLE_KUZU", "DISABLE_NEPTUNE"), "1"),
        skipped="Integration tests need servers and keys; its Makefile deselects them in the same way.",
    ),
)
