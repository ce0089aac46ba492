"""`redislock.testing.check_strategy`: what it finds, what it says, and what it refuses to judge."""

import asyncio
import pickle
import subprocess
import sys
import threading
import time

import pytest

import redislock
from redislock import testing
from redislock.testing import LostMoneyError

pytestmark = pytest.mark.threads

BRIEF = {"users": 4, "duration": 0.15}


@pytest.fixture
def bank(redislock_server):
    with redislock.Client(redislock_server.url, timeout=30) as client:
        yield client


class Drawer:
    """Money in this process, for code that is no client of anybody."""

    def __init__(self):
        self.left = {}
        self.mutex = threading.Lock()

    def init(self, user, balance):
        self.left[user] = balance

    def balance(self, user):
        return self.left[user]

    def take(self, user, amount):
        with self.mutex:
            if self.left[user] < amount:
                return False
            self.left[user] -= amount
            return True


@pytest.mark.parametrize("strategy", ["lua", "lock", "watch"])
def test_ours_are_safe(check_strategy, bank, strategy):
    report = check_strategy(getattr(bank, f"withdraw_{strategy}"), bank=bank, users=16, duration=0.3)
    assert report.verdict.held
    assert report.paid == report.deducted == 3 * report.ok > 0
    assert report.raised == 0
    assert report.latency.count == report.ok
    assert report.name == f"Client.withdraw_{strategy}"
    assert str(report).startswith(f"{report.name}: held; 16 users took 3 at a time for ")


def test_the_naive_one_is_not(check_strategy, bank):
    with pytest.raises(AssertionError, match=r"withdraw_naive: lost \d+") as caught:
        check_strategy(bank.withdraw_naive, bank=bank, users=8, duration=1.0)
    report = caught.value.report
    assert not report.verdict.held
    assert report.lost == report.verdict.lost == report.paid - report.deducted > 0


def test_the_accounts_are_gone_afterwards(bank, monkeypatch):
    pytest.importorskip("redis")
    from redis import Redis

    testing.check_strategy(bank.withdraw_lua, bank=bank, **BRIEF)
    with pytest.raises(LostMoneyError):
        testing.check_strategy(bank.withdraw_naive, bank=bank, users=8, duration=1.0)
    monkeypatch.setattr(redislock.Client, "balance", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        testing.check_strategy(bank.withdraw_lua, bank=bank, **BRIEF)
    with Redis.from_url(bank.url) as raw:
        assert raw.keys("*check-*:balance") == []


def test_the_accounts_run_out_so_that_the_last_unit_is_fought_for():
    drawer = Drawer()
    report = testing.check_strategy(drawer.take, bank=drawer, users=4, duration=1.0)
    assert report.refused >= report.users
    assert report.accounts > 1


def test_a_bank_of_ones_own():
    drawer = Drawer()
    report = testing.check_strategy(drawer.take, bank=drawer, users=4, duration=1.0)
    assert report.verdict.held
    assert 2 in drawer.left.values(), "one unit less than another withdrawal"


def test_money_that_leaves_without_an_answer_is_missing():
    drawer = Drawer()

    def pay(user, amount):
        return drawer.take(user, amount) and not drawer.left[user] % 2

    with pytest.raises(AssertionError, match="are missing"):
        testing.check_strategy(pay, bank=drawer, **BRIEF)


def test_who_never_refuses_is_caught_and_ends():
    drawer = Drawer()

    def pay(user, amount):
        with drawer.mutex:
            drawer.left[user] -= amount
        return True

    with pytest.raises(AssertionError, match="its balance is negative: -"):
        testing.check_strategy(pay, bank=drawer, **BRIEF)


# ---- what it can't judge


def test_what_raises_may_have_taken_the_money():
    drawer = Drawer()
    turns = iter(range(10**9))

    def pay(user, amount):
        drawer.take(user, amount)
        if next(turns) % 8 == 0:
            raise OSError("no answer")
        return True if drawer.left[user] >= amount else drawer.take(user, amount)

    report = testing.check_strategy(pay, bank=drawer, users=1, duration=0.5)
    assert report.verdict.word == f"held, {report.raised} unknown"
    assert report.errors == {"OSError": {"count": report.raised, "first": "no answer"}}
    assert f"OSError, {report.raised} times: no answer" in str(report)


def test_our_own_errors_say_when_nothing_was_applied(bank):
    turns = iter(range(10**9))

    def pay(user, amount):
        if next(turns) % 8 == 0:
            raise redislock.ClosedError("not today")
        return bank.withdraw_lua(user, amount)

    report = testing.check_strategy(pay, bank=bank, **BRIEF)
    assert report.raised > 0
    assert report.verdict.word == "held"


def test_an_answer_that_makes_no_sense_may_have_taken_the_money(bank):
    turns = iter(range(10**9))

    def pay(user, amount):
        paid = bank.withdraw_lua(user, amount)
        if next(turns) % 8 == 0:
            raise redislock.ProtocolError("the server's answer makes no sense")
        return paid

    report = testing.check_strategy(pay, bank=bank, **BRIEF)
    assert report.verdict.word == f"held, {report.raised} unknown"


@pytest.mark.parametrize("answer", [None, 0, 7, "ok", b"refused", 1.0])
def test_an_answer_that_is_neither_true_nor_false_is_refused(answer):
    with pytest.raises(TypeError, match="must return True if the money was taken"):
        testing.check_strategy(lambda *_: answer, bank=Drawer(), **BRIEF)


def test_a_check_in_which_nothing_succeeds_shows_nothing():
    def pay(user, amount):
        raise OSError("the server is down")

    began = time.monotonic()
    with pytest.raises(AssertionError, match=r"no withdrawal succeeded(?s:.*)the server is down"):
        testing.check_strategy(pay, bank=Drawer(), users=4, duration=100)
    assert time.monotonic() - began < 50, "it is hopeless after one account"
    with pytest.raises(AssertionError, match="no withdrawal succeeded"):
        testing.check_strategy(lambda *_: False, bank=Drawer(), **BRIEF)


def test_a_complaint_of_the_callable_itself_ends_the_check():
    def pay(user, amount):
        assert amount == 4, "three"
        return True

    with pytest.raises(AssertionError, match="three"):
        testing.check_strategy(pay, bank=Drawer(), **BRIEF)

    def impatient(user, amount):
        pytest.fail("enough")

    with pytest.raises(pytest.fail.Exception, match="enough"):
        testing.check_strategy(impatient, bank=Drawer(), **BRIEF)


def test_an_async_callable_that_blocks_shows_nothing():
    drawer = Drawer()

    async def pay(user, amount):
        return drawer.take(user, amount)

    with pytest.raises(AssertionError, match="it blocks the event loop: no two of its calls"):
        testing.check_strategy(pay, bank=drawer, **BRIEF)


def test_an_async_complaint_ends_the_check_and_leaves_no_task():
    async def pay(user, amount):
        await asyncio.sleep(0)
        assert amount == 4, "three"

    with pytest.raises(AssertionError, match="three"):
        testing.check_strategy(pay, bank=Drawer(), **BRIEF)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"users": 0}, ValueError),
        ({"users": 1001}, ValueError),
        ({"users": True}, TypeError),
        ({"users": 2.0}, TypeError),
        ({"amount": 0}, ValueError),
        ({"amount": "3"}, TypeError),
        ({"duration": 0}, ValueError),
        ({"duration": float("inf")}, ValueError),
        ({"duration": float("nan")}, ValueError),
        ({"duration": "1"}, ValueError),
        ({"fn": "withdraw"}, TypeError),
    ],
)
def test_bad_arguments_are_refused_before_anything_starts(given, error):
    class Untouchable:
        """Has neither method."""

    with pytest.raises(error, match=next(iter(given))):
        testing.check_strategy(**{"fn": lambda *_: True, "bank": Untouchable(), **given})


def test_one_user_proves_little_and_the_report_says_so():
    drawer = Drawer()
    report = testing.check_strategy(drawer.take, bank=drawer, users=1, duration=0.05)
    assert report.notes == ("no conflict possible: one user",)
    assert report.notes[0] in str(report)


def test_ctrl_c_ends_it(redislock_server):
    code = f"""
import os, signal, threading
from redislock import Client
from redislock.testing import check_strategy
with Client({redislock_server.url!r}) as bank:
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
    try:
        check_strategy(bank.withdraw_lua, bank=bank, duration=60)
    except KeyboardInterrupt:
        print("ended")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.stdout, done.stderr) == ("ended\n", "")


# ---- the package


def test_names_are_imported_when_they_are_asked_for():
    code = "import sys, redislock.testing as t; print([n for n in sys.modules if n.startswith(t.__name__)])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['redislock.testing']\n"
    assert all(getattr(testing, name) is not None for name in testing.__all__)
    assert set(testing.__all__) <= set(dir(testing))
    with pytest.raises(AttributeError, match="nonsense"):
        testing.nonsense  # noqa: B018


def test_a_loss_can_be_sent_from_worker_to_controller():
    drawer = Drawer()
    with pytest.raises(LostMoneyError) as caught:
        testing.check_strategy(lambda *_: True, bank=drawer, **BRIEF)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.report == caught.value.report
