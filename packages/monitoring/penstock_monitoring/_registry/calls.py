"""Breakers, retries, their budgets, hedges and policies."""

from __future__ import annotations

from penstock_monitoring._registry.metric import Kind

__all__ = ["BREAKER", "HEDGE", "POLICY", "RETRY", "RETRY_BUDGET"]

_breaker = Kind("breaker", "penstock_breaker")

BREAKER = (
    _breaker.state("state", "1 for the state that the breaker is in.", "state", ("closed", "half_open", "open")),
    _breaker.gauge("window_calls", "Outcomes in the window.", "calls"),
    _breaker.gauge("failure_ratio", "The share of them that failed.", "failure_rate", "ratio", merge="max"),
    _breaker.gauge("slow_call_ratio", "The share of them that were slow.", "slow_call_rate", "ratio", merge="max"),
    _breaker.counter("succeeded", "Calls that went well."),
    _breaker.counter("failed", "Calls that failed."),
    _breaker.counter("slow", "Calls that were slow, whether they went well or failed."),
    _breaker.counter("ignored", "Calls that were not recorded."),
    _breaker.counter("rejected", "Calls that were refused."),
    _breaker.counter("bypassed", "Calls made though they would have been refused, in mode off."),
    _breaker.counter("would_reject", "Calls made though they would have been refused, in mode observe."),
    _breaker.counter("opened", "How often it has opened."),
    _breaker.gauge("trials", "Trial calls that are out."),
    _breaker.longest(
        "half_open_in", "How long until it lets trial calls through; absent unless it is open.", "half_open_in"
    ),
    _breaker.info("The mode that the breaker is in.", "mode"),
)

_retry = Kind("retry", "penstock_retry")

RETRY = (
    _retry.counter("calls", "Calls made."),
    _retry.counter("attempts", "Attempts, the first of each call included."),
    _retry.counter("retried", "Calls that were tried again."),
    _retry.counter("gave_up", "Calls that failed with what another attempt might have mended."),
    _retry.counter("without_budget", "Those of them for which the budget had no retry left.", "budget_refused"),
    _retry.counter("timeouts", "Those of them that were ended in the midst of an attempt.", "timed_out"),
    _retry.counter("retry_after_honoured", "Delays for which the service had asked."),
    _retry.seconds("delayed", "All delays together."),
    _retry.counter("would_retry", "Calls that would have been tried again, in mode observe."),
    _retry.seconds("would_delay", "The delays before those attempts together."),
    _retry.counter("would_time_out", "Calls that would have been ended, in mode observe."),
    _retry.info("The mode that the retry is in.", "mode"),
)

_budget = Kind("retry-budget", "penstock_retry_budget")

RETRY_BUDGET = (
    _budget.counter("calls", "Calls made, retries not counted."),
    _budget.counter("granted", "Retries granted."),
    _budget.counter("refused", "Retries refused."),
    _budget.gauge("balance", "How many retries would be granted now."),
)

_hedge = Kind("hedge", "penstock_hedge")

HEDGE = (
    _hedge.counter("calls", "Calls made."),
    _hedge.counter("attempts", "Attempts started, the first of each call included."),
    _hedge.counter("hedged", "Calls for which more than one attempt was started."),
    _hedge.counter("won", "Those of them whose result came from a later attempt than the first."),
    _hedge.counter("budget_refused", "Calls that would have had another attempt, had the budget had one left."),
    _hedge.counter("stuck", "Attempts that went on after they were cancelled."),
    _hedge.counter("would_hedge", "Calls that would have had another attempt, in mode observe."),
    _hedge.info("The mode that the hedge is in.", "mode"),
)

_policy = Kind("policy", "penstock_policy")

POLICY = (
    _policy.counter("attempts", "Attempts by how they ended.", "succeeded", fixed=(("outcome", "succeeded"),)),
    _policy.counter("attempts", "Attempts by how they ended.", "ignored", fixed=(("outcome", "ignored"),)),
    _policy.counter("attempts", "Attempts by how they ended.", "dropped", fixed=(("outcome", "dropped"),)),
    _policy.info("The mode of the policy's deadlines.", "mode"),
)
