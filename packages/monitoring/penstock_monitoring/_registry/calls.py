"""Breakers, retries, their budgets, hedges and policies."""

from __future__ import annotations

from penstock_monitoring._registry.metric import Kind

__all__ = ["BREAKER", "HEDGE", "POLICY", "RETRY", "RETRY_BUDGET"]

_breaker = Kind("breaker", "penstock_breaker")

BREAKER = (
    _breaker.state(
        "state", "1 for the state that the breaker is in, 0 for the others.", "state", ("closed", "half_open", "open")
    ),
    _breaker.gauge(
        "window_calls", "Outcomes in the breaker's window; while it is half open, of the trial calls.", "calls"
    ),
    _breaker.gauge(
        "failure_ratio",
        "Share of the calls in the window that failed; absent unless closed, with enough calls.",
        "failure_rate",
        "ratio",
        merge="max",
    ),
    _breaker.gauge(
        "slow_call_ratio",
        "Share of the calls in the window that were slow; absent unless closed, with enough calls.",
        "slow_call_rate",
        "ratio",
        merge="max",
    ),
    _breaker.counter("succeeded", "Calls that succeeded."),
    _breaker.counter("failed", "Calls that failed."),
    _breaker.counter("slow", "Calls that were slow, whether they succeeded or failed."),
    _breaker.counter(
        "ignored", "Calls that were not recorded: cancelled, rejected by a limit, or begun in an earlier state."
    ),
    _breaker.counter("rejected", "Calls rejected by the breaker."),
    _breaker.counter("bypassed", "In mode off: calls made that the breaker would have rejected."),
    _breaker.counter("would_reject", "In mode observe: calls made that the breaker would have rejected."),
    _breaker.counter("opened", "Times that the breaker opened."),
    _breaker.gauge("trials", "Trial calls under way."),
    _breaker.longest(
        "half_open_in", "Time until the breaker lets trial calls through; absent unless it is open.", "half_open_in"
    ),
    _breaker.info("The breaker's mode; always 1.", "mode"),
)

_retry = Kind("retry", "penstock_retry")

RETRY = (
    _retry.counter("calls", "Calls made."),
    _retry.counter("attempts", "Attempts made, the first of each call included."),
    _retry.counter("retried", "Calls that were retried."),
    _retry.counter(
        "gave_up", "Calls that failed though another attempt might have mended it, or at their total timeout."
    ),
    _retry.counter("without_budget", "Calls that gave up as the budget had no retry left.", "budget_refused"),
    _retry.counter("timeouts", "Calls that were ended by their total timeout during an attempt.", "timed_out"),
    _retry.counter("retry_after_honoured", "Delays that the service had asked for by Retry-After."),
    _retry.seconds("delayed", "Total delay before retries."),
    _retry.counter("would_retry", "In mode observe: calls that would have been retried."),
    _retry.seconds("would_delay", "In mode observe: total delay before those retries."),
    _retry.counter("would_time_out", "In mode observe: calls that the total timeout would have ended."),
    _retry.info("The retry's mode; always 1.", "mode"),
)

_budget = Kind("retry-budget", "penstock_retry_budget")

RETRY_BUDGET = (
    _budget.counter("calls", "Calls made, retries not counted."),
    _budget.counter("granted", "Retries granted by the budget."),
    _budget.counter("refused", "Retries refused by the budget."),
    _budget.gauge("balance", "Retries that the budget would grant now."),
)

_hedge = Kind("hedge", "penstock_hedge")

HEDGE = (
    _hedge.counter("calls", "Calls made."),
    _hedge.counter("attempts", "Attempts started, the first of each call included."),
    _hedge.counter("hedged", "Calls for which more than one attempt was started."),
    _hedge.counter("won", "Calls whose result came from a later attempt than the first."),
    _hedge.counter("budget_refused", "Calls without a further attempt as the budget had none left."),
    _hedge.counter("stuck", "Attempts that went on after they were cancelled, for longer than their grace."),
    _hedge.counter("would_hedge", "In mode observe: calls that would have been hedged."),
    _hedge.info("The hedge's mode; always 1.", "mode"),
)

_policy = Kind("policy", "penstock_policy")
_ENDED = "Attempts ended, by outcome: dropped by an overloaded service, ignored if they say nothing about it."

POLICY = (
    *(
        _policy.counter("attempts", _ENDED, outcome, fixed=(("outcome", outcome),))
        for outcome in ("succeeded", "ignored", "dropped")
    ),
    _policy.info("The mode of the policy's deadlines; always 1.", "mode"),
)
