"""A transport that sends under a policy; httpx and httpx2 share all of it but the base class."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import ModuleType, TracebackType
from typing import Any, ClassVar, Self

from penstock_limits import KeptSlot, Policy

from penstock_pooling._http.client_classes import as_stream
from penstock_pooling._http.client_errors import ClientErrors
from penstock_pooling._http.guard import Amounts, Guard, counts_as_failure

__all__ = ["GuardedTransport"]


class GuardedStream:
    """The body of a response, which keeps its slot until it is at its end, is closed, or is collected.

    Args:
        stream: The body.
        call: The slot.
        failure: What the response counts as, if its status says that the service has failed.
        errors: What the client's users expect.
        request: What the response answers.
    """

    def __init__(
        self, stream: Any, call: KeptSlot, failure: Exception | None, errors: ClientErrors, request: Any
    ) -> None:
        self._stream = stream
        self._call = call
        self._failure = failure
        self._errors = errors
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts = aiter(self._stream)
        try:
            while (part := await self._next(parts)) is not None:
                yield part
        except BaseException as error:
            self._call.close(error)
            raise
        self._call.close(self._failure)

    async def aclose(self) -> None:
        """Close it."""
        try:
            await self._stream.aclose()
        finally:
            self._call.close(self._failure)

    async def _next(self, parts: AsyncIterator[bytes]) -> bytes | None:
        with self._errors.spoken(self._request):
            return await self._call.in_time(anext(parts, None))


class GuardedTransport:
    """What the transports of httpx and httpx2 have in common; `PolicyTransport` says what it does.

    Args:
        policy: As for `PolicyTransport`, and so are the others.
        transport: What sends.
        amounts: Says of a request how much it will take of the rate.
    """

    _module: ClassVar[ModuleType]

    def __init__(self, policy: Policy | str, transport: Any = None, *, amounts: Amounts | None = None) -> None:
        self._guard = Guard(policy, amounts)
        self._transport = self._module.AsyncHTTPTransport() if transport is None else transport
        self._errors = ClientErrors.of(self._module)
        self._stream = as_stream(GuardedStream, self._module)

    def __repr__(self) -> str:
        return f"<PolicyTransport under {self._guard.policy!r}>"

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request when the policy admits it, and return its response.

        Raises:
            CircuitOpenError: The breaker refuses it.
            LimitReachedError: The limiter or the rate refuses it, or did not admit it in time.
            CallTimeoutError: A deadline has passed.
        """
        failure = None
        with self._errors.spoken(request):
            async with self._guard.slot(request) as slot:
                response = await self._transport.handle_async_request(request)
                if counts_as_failure(slot, response.status_code, response.headers):
                    failure = self._failure(request, response.status_code)
                call = slot.keep()
        if response.is_closed:  # a cache's or a mock's: nobody will read or close it
            call.close(failure)
            return response
        response.stream = self._stream(response.stream, call, failure, self._errors, request)
        return response

    async def aclose(self) -> None:
        """Close the transport beneath."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._transport.__aexit__(exc_type, exc_value, traceback)

    def _failure(self, request: Any, status: int) -> Exception:
        """Return what `raise_for_status` would raise, without headers: they have been learnt from."""
        response = self._module.Response(status, request=request)
        error: Exception = self._module.HTTPStatusError(f"status {status}", request=request, response=response)
        return error
