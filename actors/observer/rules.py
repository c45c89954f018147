"""The alarm catalogue as Prometheus' alert rules: `fillgate alarms rules > deploy/alerts.yml`."""

from __future__ import annotations

from json import dumps

from actors.observer.alarms import ALARMS, Alarm, Beyond
from actors.observer.metrics import BY_NAME

HEAD = """# Written by `fillgate alarms rules` from the alarm catalogue; change that, not this.
groups:
  - name: fillgate
    rules:
"""
RULE = """
      - alert: fillgate_{id}
        expr: {expression}
        for: {for_s}s
        labels: {{severity: {severity}}}
        annotations:
          summary: {summary}
          description: {money}
          runbook: {runbook}
"""
UNSEEN = RULE.format(
    id="observer_silent",
    expression=dumps(
        "time() - max(fillgate_observed_timestamp_seconds) > 15"
        " or absent(fillgate_observed_timestamp_seconds)"
    ),
    for_s=30,
    severity="critical",
    summary=dumps("the node tells nothing: its observer, its edges or the node itself are away"),
    money=dumps("orders may go on or not: nobody here knows"),
    runbook=dumps("docs/operating/runbooks.md#observer_silent"),
)
"""The one alarm that a node cannot raise about itself."""


def to_rules() -> str:
    """The rule file, whole."""
    return HEAD + "".join(_rule(alarm) for alarm in ALARMS) + UNSEEN


def _rule(alarm: Alarm) -> str:
    return RULE.format(
        id=alarm.id,
        expression=dumps(_expression(alarm)),
        for_s=alarm.for_s,
        severity=alarm.severity.value,
        summary=dumps(f"{alarm.says} ({{{{ $labels.role }}}})"),
        money=dumps(alarm.money),
        runbook=dumps(alarm.runbook),
    )


def _expression(alarm: Alarm) -> str:
    label = BY_NAME[alarm.metric].label
    series = alarm.metric if alarm.label is None else f'{alarm.metric}{{{label}="{alarm.label}"}}'
    if alarm.when is Beyond.RISES_BY:
        series = f"increase({series}[{alarm.within_s}s])"
    sign = "<" if alarm.when is Beyond.BELOW else ">"
    return f"{series} {sign} {alarm.limit:g}"
