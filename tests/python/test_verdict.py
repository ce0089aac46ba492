"""The verdict on the books: what must hold, and that nothing that breaks it goes unseen."""

import dataclasses

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from redislock._verdict import Books, conclude, judge


@dataclasses.dataclass(frozen=True)
class Entry:
    amount: int
    balance: int


amounts = st.integers(1, 2**62)
# What became of a withdrawal: answered ok, or never answered and applied or not.
changes = st.lists(st.tuples(st.sampled_from(["ok", "applied", "dropped", "deposit"]), amounts), max_size=30)


def keep_books(start, changes, limit):
    """Keep the books of an honest account, as those who asked see them."""
    balance, ok, unknown, unknown_count, deposits, entries = start, 0, 0, 0, 0, []
    for kind, amount in changes:
        if kind == "deposit":
            balance += amount
            deposits += amount
            entries.insert(0, Entry(-amount, balance))
            continue
        if kind != "dropped" and amount <= balance:
            balance -= amount
            entries.insert(0, Entry(amount, balance))
            if kind == "ok":
                ok += amount
        if kind != "ok":
            unknown += amount
            unknown_count += 1
    return Books(
        user="1",
        start=start,
        end=balance,
        ok=ok,
        unknown=unknown,
        unknown_count=unknown_count,
        deposits=deposits,
        entries=entries[:limit],
        history_limit=limit,
    )


books = st.builds(keep_books, st.integers(0, 2**63 - 1), changes, st.integers(0, 8))


def without_unknown(kept):
    assume(kept.unknown_count == 0)
    return kept


@given(books)
def test_an_honest_account_holds(kept):
    verdict = conclude([judge(kept)])
    assert verdict.held
    assert verdict
    assert verdict.lost == 0
    assert verdict.detail == ""
    assert verdict.word == (f"held, {kept.unknown_count} unknown" if kept.unknown_count else "held")


@given(books.map(without_unknown), st.integers(-(2**62), 2**62).filter(bool))
def test_what_is_missing_or_too_much_is_told_to_the_unit(kept, planted):
    found = judge(dataclasses.replace(kept, end=kept.end + planted))
    assert found.lost == abs(planted)
    assert conclude([found]).word == f"lost {abs(planted)}"


@given(books, amounts)
def test_more_than_the_unknown_can_explain_is_lost(kept, planted):
    least = kept.start + kept.deposits - kept.ok - kept.unknown
    assert judge(dataclasses.replace(kept, end=least - planted)).lost == planted
    most = kept.start + kept.deposits - kept.ok
    assert judge(dataclasses.replace(kept, end=most + planted)).lost == planted


@given(books, amounts)
def test_a_withdrawal_that_was_overwritten_is_seen(kept, amount):
    # Answered ok, but the balance does not show it.
    found = judge(
        dataclasses.replace(kept, ok=kept.ok + amount, unknown=0, end=kept.start + kept.deposits - kept.ok)
    )
    assert found.lost == amount
    assert "never deducted" in found.detail


@given(books, st.data())
def test_a_history_that_was_changed_is_seen(kept, data):
    assume(kept.entries)
    index = data.draw(st.integers(0, len(kept.entries) - 1))
    by = data.draw(st.integers(-100, 100).filter(bool))
    entries = list(kept.entries)
    entries[index] = dataclasses.replace(entries[index], balance=entries[index].balance + by)
    assert not conclude([judge(dataclasses.replace(kept, entries=entries))]).held


@settings(suppress_health_check=[HealthCheck.filter_too_much])  # histories are often empty or full
@given(books, st.data())
def test_an_entry_that_is_gone_is_seen(kept, data):
    assume(0 < len(kept.entries) < kept.history_limit)
    index = data.draw(st.integers(0, len(kept.entries) - 1))
    entries = [*kept.entries[:index], *kept.entries[index + 1 :]]
    assert judge(dataclasses.replace(kept, entries=entries)).lost > 0


def test_the_oldest_of_a_full_history_needs_no_predecessor():
    kept = Books("1", 100, 90, ok=10, entries=[Entry(1, 90), Entry(1, 91)], history_limit=2)
    assert judge(kept).lost == 0


def test_a_negative_balance_is_lost_money_even_where_the_sum_is_right():
    found = judge(Books("1", 5, -2, ok=7, entries=[Entry(7, -2)], history_limit=10))
    assert found.lost == 2
    assert "negative" in found.detail


def test_a_balance_that_is_gone_is_lost():
    found = judge(Books("1", 50, None, ok=20))
    assert (found.lost, found.detail) == (30, "its balance is gone; 30 should be left")
    assert judge(Books("1", 0, None)).lost == 1
    assert "no number" in judge(Books("1", 50, None, unreadable="no number")).detail


def test_without_a_history_only_the_balance_counts():
    assert judge(Books("1", 50, 30, ok=20, history_limit=0)).lost == 0


def test_accounts_are_added_up_and_the_first_ones_told():
    findings = [judge(Books(str(n), 10, 11, unknown_count=1, unknown=5)) for n in range(5)]
    verdict = conclude([*findings, judge(Books("ok", 10, 10))])
    assert verdict.lost == 5
    assert verdict.unknown == 5
    assert verdict.word == "lost 5"
    assert str(verdict) == "lost 5"
    assert "account 0: 1 was paid out" in verdict.detail
    assert verdict.detail.endswith("and 2 accounts more")
    assert verdict.as_dict() == {
        "word": "lost 5",
        "held": False,
        "unknown": 5,
        "lost": 5,
        "detail": verdict.detail,
    }


def test_nothing_to_judge_holds():
    assert conclude([]).word == "held"
