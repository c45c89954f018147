from __future__ import annotations

import json

import pytest
from oanda_builders import SHARED, spec

from brokers import oanda_words as words
from brokers.oanda_transactions import TRANSLATE


def enum(name: str) -> set[str]:
    return set(spec()["definitions"][name]["enum"])


def test_every_reject_reason_of_the_spec_has_a_unified_error_and_none_is_invented():
    assert words.REJECTS.keys() == enum("TransactionRejectReason")
    assert len(words.REJECTS) == 143


def test_every_cancel_reason_of_the_spec_is_wanted_or_has_a_unified_error():
    assert words.WANTED_CANCELS | words.CANCEL_ERRORS.keys() == enum("OrderCancelReason")
    assert not words.WANTED_CANCELS & words.CANCEL_ERRORS.keys()


def test_the_words_that_mean_not_fillable_are_cancel_reasons():
    assert words.CANCEL_ERRORS.keys() >= words.NOT_FILLABLE


def test_every_fill_reason_of_the_spec_is_known():
    assert enum("OrderFillReason") == words.FILL_REASONS


def test_every_transaction_type_is_translated_or_listed_as_carrying_no_order_event():
    assert TRANSLATE.keys() == enum("TransactionType")
    assert enum("TransactionType") > words.NO_ORDER_EVENT


def test_every_order_type_and_time_in_force_of_the_spec_is_known():
    assert words.ORDER_TYPE.keys() == enum("OrderType")
    assert words.TIME_IN_FORCE.keys() == enum("TimeInForce")


def test_the_second_published_schema_knows_no_other_reject_reason():
    folder = SHARED / "specs" / "oanda" / "jsonschema-trickl" / "transaction"
    if not folder.exists():
        pytest.skip("needs the second OANDA schema in ../shared/data/specs")
    seen: set[str] = set()
    for path in folder.glob("*.json"):
        properties = json.loads(path.read_bytes()).get("properties", {})
        seen |= set(properties.get("rejectReason", {}).get("enum", []))
    assert seen
    assert seen <= words.REJECTS.keys()


def test_a_word_listed_under_two_errors_is_a_bug():
    twice = {words.U.AUTH: "LOCKED", words.U.CONNECTION: "LOCKED"}
    with pytest.raises(AssertionError):
        words._by_word(twice)
