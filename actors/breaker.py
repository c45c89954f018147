"""The circuit breaker of a connection: after repeated trouble it takes no new orders for a while.

pybreaker keeps the states and counts; time is ours, for its own is the wall clock's, and a step
of that would keep the breaker open for an hour. Trouble is what the way to the broker does (no
connection, no answer, a 5xx), never what the broker answers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from pybreaker import CircuitBreaker, CircuitBreakerError

from domain.accounts import BreakerState

NEVER_S = 10 * 365 * 86_400
"""pybreaker's own clock is not asked: whoever owns the breaker says when it is tried again."""
_STATE = {"closed": BreakerState.CLOSED, "open": BreakerState.OPEN,
          "half-open": BreakerState.HALF_OPEN}  # fmt: skip
assert set(_STATE.values()) == set(BreakerState)


class _Trouble(Exception):
    """What pybreaker is told of."""


def _fail() -> None:
    raise _Trouble


def _pass() -> None:
    return None


class Breaker:
    """Counts consecutive troubles; `changed(state, why)` is called at each change of state."""

    def __init__(self, failures_max: int, changed: Callable[[BreakerState, str], None]) -> None:
        self._breaker = CircuitBreaker(fail_max=failures_max, reset_timeout=NEVER_S)
        self._changed = changed
        self.failures_max = failures_max
        self.state = BreakerState.CLOSED

    @property
    def takes_orders(self) -> bool:
        """False while it is open or on trial: cancels alone pass then."""
        return self.state is BreakerState.CLOSED

    def succeeded(self) -> None:
        """The broker answered."""
        if self.state is BreakerState.CLOSED and self._breaker.fail_counter:
            self._breaker.call(_pass)

    def failed(self, why: str) -> None:
        """Nobody answered, or only a 5xx."""
        if self.state is not BreakerState.CLOSED:
            return
        with contextlib.suppress(_Trouble, CircuitBreakerError):
            self._breaker.call(_fail)
        self._look(f"{self._breaker.fail_counter} troubles in a row, the last: {why}")

    def begin_trial(self) -> bool:
        """True where it was open: something harmless is to be tried, and `end_trial` told."""
        if self.state is not BreakerState.OPEN:
            return False
        self._breaker.half_open()
        self._look("something harmless is tried")
        return True

    def end_trial(self, trouble: str | None) -> None:
        """Closes after a trial that went well, opens again after another."""
        if self.state is not BreakerState.HALF_OPEN:
            return
        with contextlib.suppress(_Trouble, CircuitBreakerError):
            self._breaker.call(_pass if trouble is None else _fail)
        self._look("the broker answers again" if trouble is None else f"the trial: {trouble}")

    def reset(self) -> None:
        """An operator closes it."""
        self._breaker.close()
        self._look("reset by an operator")

    def _look(self, why: str) -> None:
        state = _STATE[self._breaker.current_state]
        if state is not self.state:
            self.state = state
            self._changed(state, why)
