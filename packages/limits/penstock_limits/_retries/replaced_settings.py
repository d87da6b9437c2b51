"""Which settings of other retry libraries `retry` replaces, and with what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from penstock_limits._errors import ConfigurationError

__all__ = ["ReplacedSetting", "replaced_settings"]


@dataclass(frozen=True, slots=True)
class ReplacedSetting:
    """A setting of another library.

    Attributes:
        theirs: Its dotted name; a parameter as `name(parameter=)`.
        ours: What to write; empty if there is no counterpart.
        note: What is different, or why there is none.
    """

    theirs: str
    ours: str
    note: str = ""


_RESULTS = "`retry` judges errors, not results: raise an error for a result that is none"
_HOOK = "no hook for each attempt: `statistics()` counts, and the event `retry.gave_up` tells"
_JITTER = "full jitter always: delays without it bring failed callers back together"

_TENACITY: Final = (
    ReplacedSetting(
        "tenacity.retry", "@retry()", "no retries without end: 3 attempts and 45 s unless you say otherwise"
    ),
    ReplacedSetting("tenacity.Retrying", "for attempt in retry():"),
    ReplacedSetting("tenacity.AsyncRetrying", "async for attempt in retry():", "may be shared by tasks"),
    ReplacedSetting("tenacity.BaseRetrying(sleep=)", "sleep=", "in threads; a coroutine waits with `asyncio.sleep`"),
    ReplacedSetting("tenacity.BaseRetrying(stop=)", "attempts=, total_timeout="),
    ReplacedSetting("tenacity.BaseRetrying(wait=)", "base=, cap="),
    ReplacedSetting("tenacity.BaseRetrying(retry=)", "on="),
    ReplacedSetting("tenacity.BaseRetrying(before=)", "", _HOOK),
    ReplacedSetting("tenacity.BaseRetrying(after=)", "", _HOOK),
    ReplacedSetting("tenacity.BaseRetrying(before_sleep=)", "", _HOOK),
    ReplacedSetting("tenacity.BaseRetrying(reraise=)", "always", "the error itself is raised, with a note"),
    ReplacedSetting("tenacity.BaseRetrying(retry_error_cls=)", "", "catch the error itself"),
    ReplacedSetting("tenacity.BaseRetrying(retry_error_callback=)", "", "`try` and `except` around the call"),
    ReplacedSetting("tenacity.BaseRetrying(name=)", "name"),
    ReplacedSetting("tenacity.BaseRetrying(enabled=)", 'mode="off"', "can be turned while the program runs"),
    ReplacedSetting("tenacity.RetryError", "", "the error itself is raised"),
    ReplacedSetting("tenacity.TryAgain", "", "raise an error that `on` knows"),
    ReplacedSetting("tenacity.stop_never", "attempts=sys.maxsize, total_timeout=None"),
    ReplacedSetting("tenacity.stop_after_attempt", "attempts="),
    ReplacedSetting(
        "tenacity.stop_after_delay", "total_timeout=", "also ends the attempt that is running, in coroutines"
    ),
    ReplacedSetting("tenacity.stop_before_delay", "total_timeout=", "no delay is begun that would not end in time"),
    ReplacedSetting("tenacity.stop_when_event_set", "", "cancel the task"),
    ReplacedSetting("tenacity.stop_any", "attempts=, total_timeout=", "whichever comes first"),
    ReplacedSetting("tenacity.stop_all", "", "attempts and time both bound a call"),
    ReplacedSetting("tenacity.wait_none", "base=0"),
    ReplacedSetting("tenacity.wait_fixed", "base=, cap=", _JITTER + ". With cap equal to base the bound is fixed"),
    ReplacedSetting("tenacity.wait_random", "base=, cap=", "with cap equal to base: from 0 to cap"),
    ReplacedSetting("tenacity.wait_incrementing", "base=, cap=", "the bound doubles"),
    ReplacedSetting("tenacity.wait_exponential", "base=, cap=", _JITTER),
    ReplacedSetting("tenacity.wait_random_exponential", "base=, cap=", "the same: base is its multiplier, cap its max"),
    ReplacedSetting("tenacity.wait_full_jitter", "base=, cap=", "the same"),
    ReplacedSetting("tenacity.wait_exponential_jitter", "base=, cap=", _JITTER),
    ReplacedSetting("tenacity.wait_combine", "", "one kind of delay"),
    ReplacedSetting("tenacity.wait_chain", "", "one kind of delay"),
    ReplacedSetting("tenacity.wait_exception", "", "Retry-After is honoured unasked"),
    ReplacedSetting("tenacity.retry_if_exception", "on=", "a function that tells"),
    ReplacedSetting("tenacity.retry_if_exception_type", "on=", "one class or several"),
    ReplacedSetting(
        "tenacity.retry_if_not_exception_type",
        "on=lambda error: not isinstance(error, ...)",
        "never swallows a cancellation",
    ),
    ReplacedSetting("tenacity.retry_unless_exception_type", "", _RESULTS),
    ReplacedSetting("tenacity.retry_if_exception_cause_type", "on=lambda error: isinstance(error.__cause__, ...)"),
    ReplacedSetting("tenacity.retry_if_exception_message", 'on=lambda error: "..." in str(error)'),
    ReplacedSetting("tenacity.retry_if_not_exception_message", 'on=lambda error: "..." not in str(error)'),
    ReplacedSetting("tenacity.retry_if_result", "", _RESULTS),
    ReplacedSetting("tenacity.retry_if_not_result", "", _RESULTS),
    ReplacedSetting("tenacity.retry_any", "on=", "`or` in a function"),
    ReplacedSetting("tenacity.retry_all", "on=", "`and` in a function"),
    ReplacedSetting("tenacity.retry_always", "on=Exception"),
    ReplacedSetting("tenacity.retry_never", "attempts=1"),
)
_BACKOFF: Final = (
    ReplacedSetting("backoff.on_exception", "@retry()"),
    ReplacedSetting("backoff.on_exception(wait_gen=)", "base=, cap="),
    ReplacedSetting("backoff.on_exception(exception=)", "on="),
    ReplacedSetting(
        "backoff.on_exception(max_tries=)", "attempts=", "3 unless you say otherwise; theirs is any number"
    ),
    ReplacedSetting(
        "backoff.on_exception(max_time=)", "total_timeout=", "also ends the attempt that is running, in coroutines"
    ),
    ReplacedSetting("backoff.on_exception(jitter=)", "always", _JITTER),
    ReplacedSetting("backoff.on_exception(giveup=)", "on=lambda error: not ..."),
    ReplacedSetting("backoff.on_exception(on_success=)", "", _HOOK),
    ReplacedSetting("backoff.on_exception(on_backoff=)", "", _HOOK),
    ReplacedSetting("backoff.on_exception(on_giveup=)", "add_listener", "the event `retry.gave_up`"),
    ReplacedSetting("backoff.on_exception(raise_on_giveup=)", "always", "`contextlib.suppress` around the call"),
    ReplacedSetting("backoff.on_exception(logger=)", "", "the logger `penstock.limits`"),
    ReplacedSetting("backoff.on_exception(backoff_log_level=)", "", _HOOK),
    ReplacedSetting("backoff.on_exception(giveup_log_level=)", "", "INFO, at most once a second"),
    ReplacedSetting("backoff.on_predicate", "", _RESULTS),
    ReplacedSetting("backoff.expo", "base=, cap=", "base is its factor, cap its max_value"),
    ReplacedSetting("backoff.fibo", "base=, cap=", "the bound doubles"),
    ReplacedSetting("backoff.constant", "base=, cap=", "with cap equal to base"),
    ReplacedSetting("backoff.runtime", "", "Retry-After is honoured unasked"),
    ReplacedSetting("backoff.full_jitter", "always"),
    ReplacedSetting("backoff.random_jitter", "", "full jitter always"),
)
_STAMINA: Final = (
    ReplacedSetting("stamina.retry", "@retry()"),
    ReplacedSetting("stamina.retry_context", "async for attempt in retry():", "in a thread `for attempt in retry():`"),
    ReplacedSetting(
        "stamina.retry(on=)", "on=", "a function returns whether, not how long: Retry-After is honoured unasked"
    ),
    ReplacedSetting("stamina.retry(attempts=)", "attempts=", "3 unless you say otherwise; theirs is 10"),
    ReplacedSetting(
        "stamina.retry(timeout=)", "total_timeout=", "also ends the attempt that is running, in coroutines"
    ),
    ReplacedSetting("stamina.retry(wait_initial=)", "base="),
    ReplacedSetting("stamina.retry(wait_max=)", "cap="),
    ReplacedSetting("stamina.retry(wait_jitter=)", "always", _JITTER),
    ReplacedSetting("stamina.retry(wait_exp_base=)", "", "always 2"),
    ReplacedSetting("stamina.RetryingCaller", "", "a function, decorated"),
    ReplacedSetting("stamina.AsyncRetryingCaller", "await retry().call(function, ...)"),
    ReplacedSetting("stamina.set_active", 'mode="off"'),
    ReplacedSetting("stamina.set_testing", "base=0"),
    ReplacedSetting("stamina.instrumentation", "add_listener, resources"),
)
_URLLIB3: Final = (
    ReplacedSetting("urllib3.Retry", "@retry()", "around the function that makes the request, whatever the client"),
    ReplacedSetting("urllib3.Retry(total=)", "attempts=", "one more: `attempts` counts the first"),
    ReplacedSetting("urllib3.Retry(connect=)", "", "one count for all reasons"),
    ReplacedSetting("urllib3.Retry(read=)", "", "one count for all reasons"),
    ReplacedSetting("urllib3.Retry(redirect=)", "", "the client follows redirects"),
    ReplacedSetting("urllib3.Retry(status=)", "", "one count for all reasons"),
    ReplacedSetting("urllib3.Retry(other=)", "", "one count for all reasons"),
    ReplacedSetting("urllib3.Retry(allowed_methods=)", "", "guard only what may be made twice"),
    ReplacedSetting("urllib3.Retry(status_forcelist=)", "on=", "by default 408, 425, 429, 500, 502, 503, 504, 529"),
    ReplacedSetting("urllib3.Retry(backoff_factor=)", "base="),
    ReplacedSetting("urllib3.Retry(backoff_max=)", "cap="),
    ReplacedSetting("urllib3.Retry(raise_on_redirect=)", "", "the client follows redirects"),
    ReplacedSetting("urllib3.Retry(raise_on_status=)", "", "call `response.raise_for_status()` in the function"),
    ReplacedSetting("urllib3.Retry(history=)", "", "`statistics()` counts"),
    ReplacedSetting("urllib3.Retry(respect_retry_after_header=)", "always"),
    ReplacedSetting("urllib3.Retry(remove_headers_on_redirect=)", "", "the client follows redirects"),
    ReplacedSetting("urllib3.Retry(backoff_jitter=)", "always", _JITTER),
    ReplacedSetting("urllib3.Retry(retry_after_max=)", "total_timeout=", "what does not fit is not waited for"),
)
_RETRYING: Final = (
    ReplacedSetting("retrying.retry", "@retry()", "no retries without end; times are seconds, theirs are milliseconds"),
    ReplacedSetting("retrying.Retrying(stop=)", "attempts=, total_timeout="),
    ReplacedSetting("retrying.Retrying(wait=)", "base=, cap="),
    ReplacedSetting("retrying.Retrying(stop_max_attempt_number=)", "attempts="),
    ReplacedSetting("retrying.Retrying(stop_max_delay=)", "total_timeout="),
    ReplacedSetting("retrying.Retrying(stop_func=)", "attempts=, total_timeout="),
    ReplacedSetting("retrying.Retrying(wait_fixed=)", "base=, cap=", _JITTER),
    ReplacedSetting("retrying.Retrying(wait_random_min=)", "", "from 0"),
    ReplacedSetting("retrying.Retrying(wait_random_max=)", "base=, cap=", "with cap equal to base"),
    ReplacedSetting("retrying.Retrying(wait_incrementing_start=)", "base=", "the bound doubles"),
    ReplacedSetting("retrying.Retrying(wait_incrementing_increment=)", "", "the bound doubles"),
    ReplacedSetting("retrying.Retrying(wait_incrementing_max=)", "cap="),
    ReplacedSetting("retrying.Retrying(wait_exponential_multiplier=)", "base="),
    ReplacedSetting("retrying.Retrying(wait_exponential_max=)", "cap="),
    ReplacedSetting("retrying.Retrying(wait_func=)", "base=, cap="),
    ReplacedSetting("retrying.Retrying(wait_jitter_max=)", "always", _JITTER),
    ReplacedSetting("retrying.Retrying(retry_on_exception=)", "on="),
    ReplacedSetting("retrying.Retrying(retry_on_result=)", "", _RESULTS),
    ReplacedSetting("retrying.Retrying(wrap_exception=)", "", "the error itself is raised"),
    ReplacedSetting("retrying.Retrying(before_attempts=)", "", _HOOK),
    ReplacedSetting("retrying.Retrying(after_attempts=)", "", _HOOK),
    ReplacedSetting("retrying.Retrying(logger=)", "", "the logger `penstock.limits`"),
)
_LIBRARIES: Final = {
    "backoff": _BACKOFF,
    "retrying": _RETRYING,
    "stamina": _STAMINA,
    "tenacity": _TENACITY,
    "urllib3": _URLLIB3,
}


def replaced_settings(library: str) -> tuple[ReplacedSetting, ...]:
    """Return which settings of another retry library `retry` replaces, with what, and which it does not.

    Args:
        library: `tenacity`, `backoff`, `stamina`, `urllib3` or `retrying`.

    Raises:
        ConfigurationError: Nothing is known of that library.
    """
    if library not in _LIBRARIES:
        raise ConfigurationError(f"library = {library!r}; known are {', '.join(_LIBRARIES)}")
    return _LIBRARIES[library]
