"""Everything that can be seen, read now."""

from __future__ import annotations

import functools
import platform
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from typing import Any

from penstock_limits import CAPABILITIES, mode_of, mode_override, mode_source

from penstock_monitoring._reading.plain import Value, values
from penstock_monitoring._reading.shown import shown
from penstock_monitoring._reading.track import Track
from penstock_monitoring._registry.process import PHASES

__all__ = ["Build", "Monitored", "ResourceReading", "build", "capabilities", "facts", "threads"]


@dataclass(frozen=True, slots=True)
class ResourceReading:
    """What a resource told; its values are made when they are asked for.

    Attributes:
        kind: Its kind.
        name: Its name, as it may be shown.
        statistics: What it told, a frozen dataclass.
        track: What samples say; None if there are none of it.
    """

    kind: str
    name: str
    statistics: Any
    track: Track | None = None

    @property
    def mode(self) -> str | None:
        """The mode that it is in; None if it has none."""
        mode = getattr(self.statistics, "mode", None)
        return None if mode is None else str(mode)

    @property
    def values(self) -> dict[str, Value]:
        """The fields of its statistics, and what samples say beside them."""
        return {**(self.track.sampled() if self.track else {}), **values(self.statistics)}


@dataclass(frozen=True, slots=True)
class Monitored:
    """What there is to see.

    Attributes:
        resources: How many resources.
        unreadable: How many of them could not be read.
        threads: Threads of the process.
        daemon_threads: Those of them that its exit does not wait for.
        samples: How often everything was sampled.
        age: How old this is, in seconds.
    """

    resources: int
    unreadable: int
    threads: int
    daemon_threads: int
    samples: int
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Build:
    """What runs.

    Attributes:
        version: Of penstock-monitoring.
        python: The version of the language.
        implementation: Of the language.
    """

    version: str
    python: str
    implementation: str


@dataclass(frozen=True, slots=True)
class _Capability:
    capability: str
    mode: str
    overridden: int


@dataclass(frozen=True, slots=True)
class _Flags:
    environment: str
    source: str


@dataclass(frozen=True, slots=True)
class _Phase:
    phase: str
    capability: str


def facts(resources: int, unreadable: int, samples: int) -> Iterator[ResourceReading]:
    """Return what can be read of the process: modes, flags, phases, build, threads."""
    modes = capabilities()
    for capability, mode in modes.items():
        yield ResourceReading(
            "capability", capability, _Capability(capability, mode, int(_overridden(capability, mode)))
        )
    for capability, phase in PHASES.items():
        yield ResourceReading("phase", capability, _Phase(phase, capability))
    yield ResourceReading("flags", "flags", _Flags(*_source()))
    yield ResourceReading("build", "build", build())
    yield ResourceReading("monitor", "monitor", Monitored(resources, unreadable, *threads(), samples))


def threads() -> tuple[int, int]:
    """Return how many threads the process has, and how many of them are daemons."""
    alive = threading.enumerate()
    return len(alive), sum(thread.daemon for thread in alive)


def capabilities() -> dict[str, str]:
    """Return the mode of each capability that has one: of all, unless the mode source says which it knows."""
    # To ask a source for what it does not know would be logged as a mistake.
    asked = dict.fromkeys((*_known(), *filter(mode_override, CAPABILITIES)))
    return {capability: str(mode_of(capability)) for capability in asked}


def _overridden(capability: str, mode: str) -> bool:
    """Tell whether the environment says another mode than the mode source."""
    source = mode_source()
    if source is None or not mode_override(capability) or capability not in _known():
        return False
    try:
        return str(source.mode(capability)) != mode
    except Exception:  # noqa: BLE001 - a source that cannot tell does not say another
        return False


def _known() -> Collection[str]:
    """Return the capabilities that the mode source knows; all, if it does not say."""
    known: Collection[str] = getattr(getattr(mode_source(), "snapshot", None), "modes", CAPABILITIES)
    return known


def _source() -> tuple[str, str]:
    """Return the environment that the mode source is for, and where it has the modes from: of a file, its name."""
    source = mode_source()
    if source is None:
        return "", "none"
    told = getattr(source, "snapshot", None)
    where = str(getattr(told, "source", "")) or type(source).__name__
    return shown(str(getattr(told, "environment", None) or "")), shown(PurePath(where).name)


@functools.cache  # it reads files
def build() -> Build:
    """Return what runs."""
    try:
        ours = version("penstock-monitoring")
    except PackageNotFoundError:  # run from a folder
        ours = "unknown"
    return Build(ours, platform.python_version(), platform.python_implementation())
