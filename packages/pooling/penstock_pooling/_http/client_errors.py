"""The limits' refusals as errors that the code around an HTTP client knows, too."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self

from penstock_limits import CircuitOpenError, LimitReachedError, PenstockError, RequestTooLargeError

__all__ = ["ClientErrors"]

_REFUSALS = (CircuitOpenError, LimitReachedError, RequestTooLargeError)


@dataclass(frozen=True, slots=True)
class ClientErrors:
    """What a client's users expect of a transport.

    Attributes:
        timeout: The class of its timeouts.
        transport: The class of everything else that keeps a request from being sent.
    """

    timeout: type[Exception]
    transport: type[Exception]

    @classmethod
    def of(cls, module: ModuleType) -> Self:
        """Return what the users of httpx or httpx2 expect."""
        return cls(timeout=module.TimeoutException, transport=module.TransportError)

    def closed(self) -> Exception:
        """Return what a request is told that comes, or comes from the queue, when its client is closed."""
        return self.transport("this client is closed and sends nothing any more: borrow it anew")

    @contextmanager
    def spoken(self, request: Any) -> Iterator[None]:
        """Let refusals and deadlines leave the block as errors that are the limits' and the client's as well.

        A handler that was written for the client goes on to work when a policy is put under it.

        Args:
            request: What they say they are about, if the client's errors do.
        """
        try:
            yield
        except PenstockError as error:
            base: Any = self.timeout if isinstance(error, TimeoutError) else self.transport
            if isinstance(error, base) or not isinstance(error, (TimeoutError, *_REFUSALS)):
                raise
            kind: Any = type(error)
            raise _both(kind, base)(error, request) from error


@functools.cache
def _both(kind: Any, base: Any) -> Any:
    def init(self: Any, error: PenstockError, request: Any) -> None:
        # Not by the constructors: the two classes take different arguments.
        self.args = error.args
        self.__dict__.update(vars(error))
        if hasattr(base, "request"):
            self.request = request

    def reduce(self: Any) -> object:
        return self.__cause__.__reduce__()  # elsewhere, it is what it is without the client

    methods = {"__init__": init, "__reduce__": reduce, "__doc__": kind.__doc__, "__module__": __name__}
    return type(kind.__name__, (kind, base), methods)
