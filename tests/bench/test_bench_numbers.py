"""The pure parts of the benches: counting, schedules, splitting, judging."""

from __future__ import annotations

import itertools

import pytest

from bench.histogram import HIGHEST_NS, Histogram, median_of
from bench.machine import cpu_model, filesystem_of, versions
from bench.processors import difference, part_of, total, us_per_order
from bench.report import judge
from bench.stub import ANSWER_ORDER, split_request
from bench.workload import NS, arrivals, tickets

MS = 1_000_000
PAIRS = ("EUR/USD", "USD/JPY")


def test_percentiles_are_right_to_three_digits() -> None:
    found = Histogram(n * MS for n in range(1, 1001)).percentiles()
    assert found.p50_ms == pytest.approx(500, rel=1e-3)
    assert found.p99_ms == pytest.approx(990, rel=1e-3)
    assert found.p999_ms == pytest.approx(999, rel=1e-3)
    assert found.n == 1000


def test_a_duration_beyond_the_range_still_counts() -> None:
    found = Histogram([0, 10 * HIGHEST_NS])
    assert found.n == 2
    assert found.at_ms(100) == pytest.approx(60_000, rel=1e-3)


def test_merging_adds_every_count() -> None:
    one = Histogram([MS])
    one.merge(Histogram([3 * MS, 3 * MS]))
    assert one.n == 3
    assert one.at_ms(50) == pytest.approx(3, rel=1e-3)


def test_the_curve_rises_and_ends_where_the_count_ends() -> None:
    points = list(Histogram(n * MS for n in range(1, 101)).curve())
    assert points == sorted(points)
    assert 99 < points[-1][0] < 100


def test_an_empty_histogram_has_no_curve() -> None:
    assert list(Histogram().curve()) == []


def test_the_median_of_runs_is_taken_number_by_number() -> None:
    runs = [Histogram([n * MS] * 10).percentiles() for n in (1, 9, 2)]
    found = median_of(runs)
    assert found.p50_ms == runs[2].p50_ms
    assert found.n == 10


def test_the_same_seed_gives_the_same_orders() -> None:
    first, again = (list(itertools.islice(tickets(PAIRS, 5), 50)) for _ in range(2))
    assert first == again
    assert [ticket.number for ticket in first] == list(range(1, 51))


def test_every_second_order_leaves_no_position() -> None:
    held: dict[str, int] = {}
    for ticket in itertools.islice(tickets(PAIRS, 5), 400):
        held[ticket.instrument] = held.get(ticket.instrument, 0) + ticket.units
        if ticket.number % 2 == 0:
            assert held[ticket.instrument] == 0
    assert held.keys() == set(PAIRS)


def test_even_arrivals_keep_the_rate() -> None:
    due = arrivals(500, 2, None)
    assert len(due) == 1000
    assert due[0] == 0
    assert {later - sooner for sooner, later in itertools.pairwise(due)} == {NS // 500}


def test_poisson_arrivals_keep_the_rate_and_the_time() -> None:
    due = arrivals(500, 20, 1)
    assert due == sorted(due)
    assert due[-1] < 20 * NS
    assert len(due) == pytest.approx(10_000, rel=0.05)
    assert due == arrivals(500, 20, 1)


def test_the_stub_waits_for_the_whole_body() -> None:
    request = b"POST /v2/orders HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd"
    assert split_request(request[:-1]) is None
    assert split_request(request[:20]) is None
    assert split_request(request + b"GET") == (request, b"GET")


def test_the_stub_announces_the_length_it_sends() -> None:
    head, _, body = ANSWER_ORDER.partition(b"\r\n\r\n")
    assert head.endswith(f"Content-Length: {len(body)}".encode())


def test_a_process_is_known_by_its_command() -> None:
    assert part_of(["python", "-m", "brokers.simulators.oanda"]) == "simulator"
    assert part_of(["/somewhere/raylet", "--x"]) == "ray"
    assert part_of(["sleep", "1"]) == "other"


def test_processor_time_is_shared_out_per_order() -> None:
    use = difference({"router": 1_000, "edge": 5_000}, {"router": 41_000, "edge": 25_000})
    assert total([use, use]) == {"router": 80_000, "edge": 40_000}
    assert us_per_order(use, 10) == {"router": 4.0, "edge": 2.0, "total": 6.0}


def test_a_part_that_restarted_counts_nothing_rather_than_less() -> None:
    assert difference({"router": 9_000}, {"router": 1_000}) == {"router": 0}


def test_the_machine_is_read_from_the_systems_own_words() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: Fast One\n") == "Fast One"
    assert cpu_model("") is None


def test_the_longest_mount_point_above_a_path_is_its_file_system(tmp_path) -> None:  # type: ignore[no-untyped-def]
    mounts = f"/dev/a / ext4 rw 0 0\nnone {tmp_path} tmpfs rw 0 0\n"
    assert filesystem_of(tmp_path / "journal", mounts) == "tmpfs"
    assert filesystem_of(tmp_path.parent, mounts) == "ext4"


def test_a_package_that_is_absent_is_left_out() -> None:
    assert versions(["no-such-package-here"]) == []
    assert versions(["msgspec"])[0][0] == "msgspec"


GOOD = {
    "orders": 3, "filled": 3, "one_at_a_time": 2, "two_records_each": 2, "refused": 0, "denied": 0,
    "rejected": 0, "lost": 0, "doubled": 0, "unknown": 0, "differences": 0, "details": [],
}  # fmt: skip


def test_a_run_without_a_fault_passes() -> None:
    verdict = judge([GOOD, GOOD])
    assert verdict["passed"]
    assert verdict["orders"] == 6


@pytest.mark.parametrize(
    "fault",
    [{"filled": 2}, {"two_records_each": 1}, {"lost": 1}, {"refused": 1}, {"differences": 1}],
    ids=lambda fault: next(iter(fault)),
)
def test_one_fault_in_one_run_fails_all(fault: dict[str, int]) -> None:
    assert not judge([GOOD, {**GOOD, **fault}])["passed"]
