"""The page for Prometheus: every figure has a row, and every row is said in its words."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from actors.figures import Figures, Latency
from actors.observer.alarms import ALARMS
from actors.observer.metrics import BY_NAME, ROWS, to_prometheus
from actors.observer.rules import to_rules
from tests.shared_data import ROOT

NAME = re.compile(r'"(fillgate_[a-z_]+)"')
TABLES = {"metrics.py", "alarms.py"}


def _put_names() -> set[str]:
    files = [path for path in (ROOT / "actors").rglob("*.py") if path.name not in TABLES]
    text = "\n".join(path.read_text() for path in files)
    made = re.findall(r'f"(fillgate_gateway_)\{name\}(_total)?"', text)
    assert made, "the edge's figures are put by pattern"
    return set(NAME.findall(text))


def test_every_figure_that_is_put_has_a_row() -> None:
    assert _put_names() - BY_NAME.keys() == set()


def test_every_row_is_put_by_somebody() -> None:
    by_pattern = {name for name in BY_NAME if name.startswith("fillgate_gateway_")}
    used_by_alarms = {alarm.metric for alarm in ALARMS}
    put = _put_names() | by_pattern
    assert BY_NAME.keys() == put, "a row that nobody puts promises what is not there"
    assert used_by_alarms <= BY_NAME.keys()


def test_names_follow_prometheus_convention() -> None:
    for row in ROWS:
        assert re.fullmatch(r"fillgate_[a-z]+(_[a-z]+)*", row.name), row.name
        assert not re.search(r"_(ms|ns|us|mib|kb|percent)(_|$)", row.name), row.name
        assert row.says


def test_a_counter_a_gauge_and_a_latency_are_said_in_prometheus_words() -> None:
    told = Figures()
    told.put("fillgate_refusals_total", 3, "halted")
    told.put("fillgate_halts", 2)
    latency = Latency()
    latency.observe(150_000)
    latency.observe(60_000_000_000)
    told.put_latency("fillgate_order_segment_seconds", latency, "edge")
    page = to_prometheus({"router": told}).decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    refusals = families["fillgate_refusals"]
    assert refusals.type == "counter"
    assert refusals.samples[0].labels == {"role": "router", "code": "halted"}
    assert families["fillgate_halts"].samples[0].value == 2
    timed = families["fillgate_order_segment_seconds"]
    assert timed.type == "histogram"
    found = {(one.name, one.labels.get("le")): one.value for one in timed.samples}
    assert found["fillgate_order_segment_seconds_bucket", "0.0001"] == 0
    assert found["fillgate_order_segment_seconds_bucket", "0.0002"] == 1
    assert found["fillgate_order_segment_seconds_bucket", "+Inf"] == 2
    assert found["fillgate_order_segment_seconds_sum", None] == 60.00015


def test_two_roles_of_one_metric_are_two_series_of_one_family() -> None:
    node = {}
    for role in ("edge-0", "edge-1"):
        node[role] = Figures()
        node[role].put("fillgate_gateway_sessions", 1)
    page = to_prometheus(node).decode()
    assert page.count("# TYPE fillgate_gateway_sessions gauge") == 1
    assert page.count("fillgate_gateway_sessions{") == 2


def test_the_deployed_rules_are_those_of_the_catalogue_and_are_read() -> None:
    deploy = ROOT / "deploy"
    fix = "run `fillgate alarms rules > deploy/alerts.yml`"
    assert (deploy / "alerts.yml").read_text() == to_rules(), fix
    assert "- alerts.yml" in (deploy / "prometheus.yml").read_text()
    assert "./alerts.yml:/etc/prometheus/alerts.yml:ro" in (deploy / "compose.yaml").read_text()


def test_every_rule_is_an_alert_that_names_its_series_and_runbook() -> None:
    rules = yaml.safe_load(to_rules())["groups"][0]["rules"]
    assert [rule["alert"] for rule in rules] == [
        *(f"fillgate_{alarm.id}" for alarm in ALARMS),
        "fillgate_observer_silent",
    ]
    by_id = {rule["alert"]: rule for rule in rules}
    assert by_id["fillgate_break_found"]["expr"] == (
        'increase(fillgate_notices_total{kind="break"}[600s]) > 0'
    )
    assert by_id["fillgate_connection_down"]["expr"] == "fillgate_connection_up < 1"
    assert by_id["fillgate_connection_down"]["for"] == "15s"
    for rule in rules:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["runbook"].startswith("docs/operating/runbooks.md#")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus)")
def test_prometheus_itself_takes_the_rules() -> None:
    done = subprocess.run(
        ["promtool", "check", "rules", str(ROOT / "deploy" / "alerts.yml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
