"""Opens the flags that the arguments, the environment variables or the folders around name."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from functools import partial
from urllib.parse import urlsplit

from penstock_flags._connection import file_client, streaming_client
from penstock_flags._errors import InvalidFlagsError, Problem
from penstock_flags._flags import Flags
from penstock_flags._project import DIRECTORY, Project, packaged_declarations

__all__ = ["open"]

logger = logging.getLogger("penstock.flags")

# A file is there at once; so long only if its file system hangs.
FILE_SECONDS = 30.0


def open(  # noqa: A001 - `penstock_flags.open()` reads as what it does
    environment: str | None = None,
    directory: str | os.PathLike[str] | None = None,
    *,
    instance: str | None = None,
    wait: float = 2.0,
) -> Flags:
    """Open the flags of one environment.

    With `LAUNCHDARKLY_SDK_KEY` set they stream from LaunchDarkly (or from `LAUNCHDARKLY_STREAM_URI`, such as a Relay
    Proxy's). Otherwise they come from the environment's file, and a change of the file is seen within a second.
    Where neither is configured, every mode is its default, which is `off`, and one warning says so.

    A broken file changes nothing: the last good flags stay, or the defaults at the start, and one line is logged.

    Args:
        environment: The environment's name; by default `PENSTOCK_ENVIRONMENT`, else `development`.
        directory: The folder with `flags.toml`; by default `PENSTOCK_FLAGS_DIRECTORY`, else the nearest
            `feature_flags/` in the current folder or above it.
        instance: What rollouts choose by; by default `PENSTOCK_INSTANCE`, else the host's name.
        wait: How many seconds to wait for LaunchDarkly's first answer at most, and inside a running event loop not at
            all; until it comes, every mode is its default. A file is read before this returns.

    Raises:
        FlagsNotFoundError: The folder that is named has no `flags.toml`.
        UnknownEnvironmentError: The environment has no file.
        InvalidFlagsError: `flags.toml` is broken, or `LAUNCHDARKLY_STREAM_URI` is no address.
    """
    project = Project.find(directory)
    declarations = project.declarations() if project else packaged_declarations()
    environment = environment or os.environ.get("PENSTOCK_ENVIRONMENT") or None
    make = partial(Flags, declarations=declarations, instance=instance or _instance())
    if key := os.environ.get("LAUNCHDARKLY_SDK_KEY", "").strip():
        stream_uri = _stream_uri()
        # A function shows nothing of what it closes over: the key is in no repr.
        flags = make(lambda: streaming_client(key, stream_uri, wait), environment=environment, source="LaunchDarkly")
        if not flags.wait(0 if _in_event_loop() else wait):
            logger.warning("flags: LaunchDarkly has not answered yet; every flag counts as its default until it does")
    elif project:
        environment = environment or "development"
        path = project.environment_file(environment)
        flags = make(partial(file_client, path, declarations), environment=environment, source=str(path))
        flags.wait(FILE_SECONDS)
    else:
        flags = make(None, environment=environment, source="defaults")
        logger.warning(
            "flags: LAUNCHDARKLY_SDK_KEY and PENSTOCK_FLAGS_DIRECTORY are not set, and no folder from here upwards has "
            "%s/flags.toml; every flag counts as its default",
            DIRECTORY,
        )
    logger.info("flags: opened %r", flags)
    return flags


def _instance() -> str:
    return os.environ.get("PENSTOCK_INSTANCE") or socket.gethostname()


def _stream_uri() -> str | None:
    uri = os.environ.get("LAUNCHDARKLY_STREAM_URI")
    try:
        good = not uri or (urlsplit(uri).scheme in {"http", "https"} and urlsplit(uri).hostname)
    except ValueError:
        good = False
    if not good:
        raise InvalidFlagsError([Problem("LAUNCHDARKLY_STREAM_URI", "", f"{uri!r} is no address; write https://HOST")])
    return uri or None


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
