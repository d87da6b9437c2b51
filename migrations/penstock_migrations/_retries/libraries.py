"""Finds what retry libraries are told: tenacity, backoff, retrying, retry, urllib3, celery, stamina, aiohttp_retry."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.tree import walk
from penstock_migrations._retries.delays import Delays
from penstock_migrations._retries.words import ABSENT, LOCAL_ERRORS

__all__ = [
    "is_true",
    "keyword_of",
    "plain_calls",
    "plain_waits",
    "unlimited_retries",
    "unwaited_retries",
    "urllib3_retries",
]

_RETRIES = frozenset(
    {"tenacity.retry", "tenacity.Retrying", "tenacity.AsyncRetrying", "tenacity.asyncio.AsyncRetrying"}
    | {"tenacity._asyncio.AsyncRetrying", "tenacity.tornadoweb.TornadoRetrying"}
)
_PLAIN = ("wait_exponential", "wait_fixed", "wait_incrementing")
_JITTERED = frozenset({"wait_exponential_jitter", "wait_full_jitter", "wait_random", "wait_random_exponential"})
_BACKOFF = frozenset({"backoff.on_exception", "backoff.on_predicate"})
_RETRYING = frozenset({"retrying.retry", "retrying.Retrying"})
_RETRY = frozenset({"retry.retry", "retry.retry_call", "retry.api.retry", "retry.api.retry_call", "reretry.retry"})
_STAMINA = frozenset(
    {"stamina.retry", "stamina.retry_context", "stamina.RetryingCaller", "stamina.AsyncRetryingCaller"}
)
_BARE = frozenset({"tenacity.retry", "retrying.retry", "retry.retry"})
_RETRYING_ENDS = ("stop_max_attempt_number", "stop_max_delay", "stop_func", "stop", "retry_on_result")
_AIOHTTP = ("ExponentialRetry", "FibonacciRetry", "ListRetry")
_URLLIB3 = re.compile(r"(.*\.)?urllib3(\.util(\.retry)?)?\.Retry|requests\.adapters\.Retry")
_POLLING = re.compile(r"retry_(if|unless)_(not_)?result|retry_if_not")


# -- arguments ------------------------------------------------------------------------------------------------------


def keyword_of(call: ast.Call, name: str) -> ast.expr | None:
    """Return a keyword argument."""
    return next((one.value for one in call.keywords if one.arg == name), None)


def is_true(node: ast.expr | None) -> bool | None:
    """Return the truth of a constant; None for what is no constant."""
    return bool(node.value) if isinstance(node, ast.Constant) else None


def _has(call: ast.Call, *names: str) -> bool:
    return any(keyword_of(call, name) is not None for name in names)


def _is_open(call: ast.Call) -> bool:
    """Say whether arguments are handed on that cannot be seen."""
    return any(one.arg is None for one in call.keywords) or any(isinstance(one, ast.Starred) for one in call.args)


# -- tenacity -------------------------------------------------------------------------------------------------------


def plain_waits(module: Module) -> Iterator[ast.Call]:
    """Yield tenacity's waits without a random part that no random one is added to."""
    names = frozenset(f"tenacity.{home}{name}" for name in _PLAIN for home in ("", "wait."))
    for call in module.calls_to(names):
        if not _is_zero(call) and not _is_sum(module, call) and not _is_named_sum(module, call):
            around = next((one for one in module.ancestors(call) if _is_retry(module, one)), None)
            if not isinstance(around, ast.Call) or not _is_no_retry(around):
                yield call


def unwaited_retries(module: Module) -> Iterator[ast.Call]:
    """Yield tenacity's retries that try again at once."""
    for call in module.calls_to(_RETRIES):
        if _has(call, "stop") and not _has(call, "wait") and not _is_open(call) and not _is_no_retry(call):
            yield call


def _is_retry(module: Module, node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and module.qualified(node.func) in _RETRIES


def _is_no_retry(call: ast.Call) -> bool:
    """Say whether a state is polled, or a file of this machine is tried: by what is tried again for."""
    condition = keyword_of(call, "retry")
    if condition is None:
        return False
    called = [last_name(part) for part in walk(condition) if isinstance(part, ast.Call)]
    if called and all(_POLLING.match(name) for name in called):
        return True
    errors = [last_name(part) for part in walk(condition) if isinstance(part, ast.Name | ast.Attribute)]
    errors = [name for name in errors if name[:1].isupper()]
    return bool(errors) and all(name in LOCAL_ERRORS or ABSENT.search(name) for name in errors)


def _is_zero(call: ast.Call) -> bool:
    return bool(call.args) and is_true(call.args[0]) is False


def _is_sum(module: Module, node: ast.AST) -> bool:
    """Say whether a wait is part of a sum, a combination or a chain with a random one."""
    for around in module.ancestors(node):
        if isinstance(around, ast.stmt) or _is_retry(module, around):
            return False
        joins = isinstance(around, ast.BinOp) or (
            isinstance(around, ast.Call) and last_name(around.func) in {"wait_combine", "wait_chain", "sum"}
        )
        if joins and any(_is_random(part) for part in walk(around)):
            return True
    return False


def _is_random(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=func):
            return last_name(func) in _JITTERED or "jitter" in last_name(func).lower()
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return "jitter" in name.lower()
        case _:
            return False


def _is_named_sum(module: Module, call: ast.Call) -> bool:
    """Say whether a wait has a name that a random one is added to: `wait=base + wait_random(0, 1)`."""
    parent = module.parents[call]
    names = {ast.unparse(target) for target in parent.targets} if isinstance(parent, ast.Assign) else set()
    if not names:
        return False
    for other in module.calls_of(*sorted(_JITTERED), "wait_combine"):
        around = module.parents[other] if last_name(other.func) != "wait_combine" else other
        if isinstance(around, ast.BinOp | ast.Call) and any(
            isinstance(part, ast.Name | ast.Attribute) and ast.unparse(part) in names for part in walk(around)
        ):
            return True
    return False


# -- other libraries ------------------------------------------------------------------------------------------------


def urllib3_retries(module: Module) -> Iterator[ast.Call]:
    """Yield the calls of urllib3's `Retry`, also by the names under which requests has it."""
    renamed = [alias for alias, target in module.imports.items() if _URLLIB3.fullmatch(target)]
    for call in module.calls_of("Retry", *renamed):
        if _URLLIB3.fullmatch(module.qualified(call.func) or ""):
            yield call


def plain_calls(module: Module) -> Iterator[tuple[ast.Call, str, str]]:
    """Yield the other libraries' retries without jitter: the call, what it lacks, and what to give it."""
    for call in urllib3_retries(module):
        factor = keyword_of(call, "backoff_factor")
        waits = factor is not None and is_true(factor) is not False
        if waits and not _has(call, "backoff_jitter") and not _is_open(call):
            yield call, "urllib3's Retry(backoff_factor=...) has no jitter", "backoff_jitter= (urllib3 2)"
    for call in module.calls_to(_BACKOFF):
        jitter = keyword_of(call, "jitter")
        if isinstance(jitter, ast.Constant) and jitter.value is None and not _is_poll(call):
            yield call, "backoff with jitter=None", "backoff.full_jitter, its default"
    for call in module.calls_to(frozenset(f"aiohttp_retry.{name}" for name in _AIOHTTP)):
        yield call, f"aiohttp_retry.{last_name(call.func)} has no jitter", "aiohttp_retry.JitterRetry"
    yield from _plain_decorators(module)
    yield from _celery(module)


def _plain_decorators(module: Module) -> Iterator[tuple[ast.Call, str, str]]:
    """Yield the calls of retrying, retry and stamina that wait without jitter."""
    for call in module.calls_to(_RETRYING):
        waits = _has(call, "wait_fixed", "wait_exponential_multiplier", "wait_incrementing_start")
        if waits and not _has(call, "wait_jitter_max", "wait_random_min", "wait_random_max") and not _is_open(call):
            yield call, "retrying waits without jitter", "wait_jitter_max="
    for call in module.calls_to(_RETRY):
        jitter = keyword_of(call, "jitter")
        if _has(call, "delay", "backoff") and (jitter is None or is_true(jitter) is False):
            yield call, "retry waits without jitter", "jitter="
    for call in module.calls_to(_STAMINA):
        if is_true(keyword_of(call, "wait_jitter")) is False:
            yield call, "stamina with wait_jitter=0", "its default"


def _is_poll(call: ast.Call) -> bool:
    return last_name(call.func) == "on_predicate" and bool(call.args) and last_name(call.args[0]) == "constant"


def _celery(module: Module) -> Iterator[tuple[ast.Call, str, str]]:
    """Yield celery's tasks that turn jitter off, and those that retry themselves after a delay without it."""
    tasks = module.calls_of("task", "shared_task", "periodic_task")
    for call in tasks:
        if is_true(keyword_of(call, "retry_jitter")) is False:
            yield call, "celery task with retry_jitter=False", "celery's default, full jitter"
    if not tasks and not any(target.partition(".")[0] == "celery" for target in module.imports.values()):
        return
    for call in module.calls_of("retry"):
        countdown = keyword_of(call, "countdown")
        if countdown is None or is_true(countdown) is False or not _is_of_task(call):
            continue
        if Delays(module).of(countdown).plain:
            what = f"celery retry after countdown={ast.unparse(countdown)}, without jitter"
            yield call, what, "autoretry_for= with retry_backoff=, whose jitter is on"


def _is_of_task(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name)


# -- without an end -------------------------------------------------------------------------------------------------


def unlimited_retries(module: Module) -> Iterator[tuple[ast.expr, str, str]]:
    """Yield retries without an end: the call or decorator, its name, and what it lacks."""
    for call in module.calls_to(_RETRIES):
        stop = keyword_of(call, "stop")
        never = stop is not None and last_name(stop) == "stop_never"
        if (never or (stop is None and _is_closed(call))) and not _is_no_retry(call):
            yield call, f"tenacity.{last_name(call.func)} without stop", "stop=stop_after_attempt(...)"
    for call in module.calls_to(_BACKOFF):
        if not _has(call, "max_tries", "max_time") and not _is_open(call) and last_name(call.func) == "on_exception":
            yield call, "backoff.on_exception without max_tries", "max_tries= or max_time="
    for call in module.calls_to(_RETRYING):
        if not _has(call, *_RETRYING_ENDS) and _is_closed(call):
            yield call, "retrying without stop_max_attempt_number", "stop_max_attempt_number="
    for call in module.calls_to(_RETRY):
        if not _has(call, "tries") and not _is_open(call) and len(call.args) < 2 and last_name(call.func) == "retry":
            yield call, "retry without tries", "tries="
    yield from _bare_decorators(module)


def _bare_decorators(module: Module) -> Iterator[tuple[ast.expr, str, str]]:
    for function in (one for found in module.functions.values() for one in found):
        for decorator in function.decorator_list:
            if (name := module.qualified(decorator)) in _BARE:
                yield decorator, f"{name} without arguments", "an end and a wait with jitter"


def _is_closed(call: ast.Call) -> bool:
    """Say whether all that a retry is told can be seen, and it is no `retry(f)` in place."""
    return not _is_open(call) and not _is_wrapping(call)


def _is_wrapping(call: ast.Call) -> bool:
    """Say whether a function is handed over in place: `retry(f)`."""
    return bool(call.args) and ABSENT.search(last_name(call.args[0])) is None
