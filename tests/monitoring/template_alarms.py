"""The template's alarms, by the lines of the logs that they read."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.stack.template import UNUSED_PARAMETERS, Stack
from tests.monitoring.alarm_states import Alarm, Sample, samples_of

STACK = Stack.read(
    {
        **UNUSED_PARAMETERS,
        "PrefectApiUrl": "http://127.0.0.1:4200/api",
        "PrefectAuth": "none",
        "QuietInbox": "HB0710/=6",
    }
)


def alarm(name: str, speedup: float = 1) -> Alarm:
    """An alarm as the template defines it."""
    return Alarm.of(name, STACK.properties(name), speedup)


def state_by_lines(name: str, lines: Sequence[str], before: str = "OK") -> str:
    """The state of an alarm in all of whose periods these lines were written.

    Args:
        name: the alarm's.
        lines: of a log, as they were written.
        before: its state before.
    """
    watched = alarm(name)
    found = [sample for line in lines for sample in samples_of(line, 1)]
    samples = [
        Sample(each.metric, -(period + 0.5) * watched.period, each.value)
        for period in range(watched.periods)
        for each in found
    ]
    return watched.state(samples, 0, before)
