"""The load generator as a library: what it counts, what it proves, what it leaves behind."""

import json
import os
import signal
import threading
import time

import pytest

import redislock
from redislock import _core, load

SHORT = {"duration": 0.2, "warmup": 0.05, "users": 16}
SAFE = ("lua", "lock", "watch")


@pytest.fixture(params=["server", "memory"])
def url(request, server):
    return server.url if request.param == "server" else "memory://"


class Meddler:
    """Touches the accounts of a run behind its back, once it is over and before it is judged."""

    def __init__(self, raw, prefix, act):
        self.raw, self.prefix, self.act, self.done = raw, prefix, act, False

    def __call__(self, seen):
        if seen.phase == "over" and not self.done:
            self.done = True
            [balance] = self.raw.keys(f"{self.prefix}:load-*:balance")
            self.act(balance, balance.replace(":balance", ":history"))


@pytest.mark.parametrize("strategy", SAFE)
def test_a_safe_strategy_holds_under_contention(url, strategy):
    report = load.run(url, strategy=strategy, accounts=3, keys="zipf", jitter=2, **SHORT)
    assert report.verdict.word == "held"
    assert report.strategy == strategy
    assert report.statuses["ok"] > 0
    assert set(report.statuses) <= {"ok", "conflict", "lock_busy"}
    assert report.attempts >= sum(report.statuses.values())
    assert report.attempts_per_success == report.attempts / report.statuses["ok"]
    assert report.errors == {}
    assert not report.interrupted


def test_naive_loses_money_under_contention(url):
    report = load.run(url, strategy="naive", **SHORT)
    assert not report.verdict.held
    assert report.verdict.word == f"lost {report.verdict.lost}"
    assert report.verdict.lost % 3 == 0
    assert "never deducted" in report.verdict.detail


@pytest.mark.parametrize("strategy", load.STRATEGIES)
def test_one_in_flight_has_no_conflict(url, strategy):
    report = load.run(url, strategy=strategy, users=1, duration=0.1, warmup=0)
    assert report.verdict.word == "held"
    assert report.attempts_per_success == 1
    assert load.NO_CONFLICT in report.notes


def test_figures_agree_with_each_other(url):
    report = load.run(url, strategy="lua", **SHORT)
    latency = report.latency
    assert 0 < latency.min <= latency.p50 <= latency.p95 <= latency.p99 <= latency.p999 <= latency.max < 5
    assert latency.count == report.statuses["ok"]
    assert report.latency_all.count == sum(report.statuses.values())
    assert 0.2 <= report.elapsed < 1
    # Begun within the window, or ended within it: apart by what is in flight at its ends.
    assert abs(report.throughput * report.elapsed - report.statuses["ok"]) <= 16


def test_a_count_is_kept_to_the_last_one(url):
    report = load.run(url, strategy="lua", count=777, warmup=0, users=10, balance=10_000)
    assert report.statuses == {"ok": 777}
    assert report.verdict.held


def test_an_empty_account_is_told(url):
    report = load.run(url, strategy="lua", count=50, warmup=0, balance=31, amount=3)
    assert report.statuses == {"ok": 10, "insufficient": 40}
    assert report.verdict.word == "held"
    assert any("ran out" in note for note in report.notes)


@pytest.mark.parametrize(
    ("strategy", "round_trips", "statements"), [("lua", 1, 1), ("lock", 2, 4), ("watch", 2, None)]
)
def test_round_trips_and_statements_are_counted(url, strategy, round_trips, statements):
    report = load.run(url, strategy=strategy, users=1, count=50, warmup=0)
    assert report.round_trips == 50 * round_trips
    # watch: UNWATCH or LTRIM may join; MULTI and EXEC are statements too.
    assert report.statements == 50 * statements if statements else report.statements >= 50 * 8


def test_added_latency_shows_what_each_round_trip_costs(url):
    lua = load.run(url, strategy="lua", users=2, accounts=2, keys="uniform", count=20, warmup=0, rtt=0.01)
    watch = load.run(url, strategy="watch", users=2, accounts=2, keys="uniform", count=20, warmup=0, rtt=0.01)
    assert lua.rtt == 0.01
    assert 0.01 <= lua.latency.min < lua.latency.p50 * 1.01
    assert watch.latency.min >= 0.02
    assert lua.verdict.held
    assert watch.verdict.held


def test_an_open_loop_keeps_its_rate_and_counts_from_when_it_was_due(url):
    report = load.run(url, strategy="lua", users=16, rate=500, duration=0.4, warmup=0.1)
    assert report.rate == 500
    # A busy machine may end the window late; then more are due in it.
    assert report.statuses["ok"] + report.missed == pytest.approx(500 * report.elapsed, abs=2)
    assert report.missed <= 10
    assert report.latency.count == report.service.count
    assert report.latency.p50 >= report.service.p50 * 0.99
    assert report.verdict.held


def test_an_open_loop_tells_what_its_users_could_not_begin(url):
    report = load.run(url, strategy="lua", users=1, rate=1000, rtt=0.02, duration=0.4, warmup=0)
    assert report.missed > 300
    assert any("never began" in note for note in report.notes)
    assert report.latency.p99 > 5 * report.service.p99
    closed = load.run(url, strategy="lua", **SHORT)
    assert (closed.missed, closed.rate, closed.service) == (0, None, closed.latency)


def test_the_same_seed_draws_the_same(server, user):
    # One user: its draws, and so where the money goes, are the seed's alone.
    def left(seed):
        with redislock.Client(server.url, prefix=user) as client:
            for each in range(8):
                client.init(each, 1_000_000)
            run = _core.LoadGenerator(
                client._options,
                prefix=user,
                accounts=range(8),
                strategy="lua",
                users=1,
                keys="zipf",
                amount=50,
                jitter=49,
                warmup=0,
                duration=1,
                count=100,
                seed=seed,
            )
            while run.step(0.05):
                pass
            assert run.report()["statuses"] == {"ok": 100}
            run.close()
            return [client.balance(each) for each in range(8)]

    assert left(1) == left(1)
    assert left(1) != left(2)


def test_a_seed_is_drawn_and_told(url):
    report = load.run(url, count=1, warmup=0)
    assert isinstance(report.settings["seed"], int)
    assert report.settings["balance"] >= 1_000_000


def test_progress_is_told(url):
    seen = []
    load.run(url, strategy="lua", duration=0.3, warmup=0.1, on_progress=seen.append)
    assert seen[0].phase == "warming"
    assert seen[-1].phase == "over"
    assert seen[-1].fraction == 1
    assert [each.fraction for each in seen] == sorted(each.fraction for each in seen)
    assert seen[-1].throughput > 0
    assert seen[-1].operations == seen[-1].statuses["ok"]


def test_a_report_fits_json(url):
    report = load.run(url, strategy="watch", **SHORT)
    back = json.loads(json.dumps(report.as_dict()))
    assert back["verdict"] == "held"
    assert back["verdict_detail"]["lost"] == 0
    assert back["latency"]["p999"] == report.latency.p999
    assert back["latency"] == report.latency.as_dict()
    assert back["settings"]["strategy"] == "watch"


# ---- planted faults


@pytest.mark.parametrize("by", [7, -5])
def test_money_that_was_made_or_lost_behind_its_back_is_found(server, raw, user, by):
    meddler = Meddler(raw, user, lambda balance, _: raw.incrby(balance, by))
    report = load.run(server.url, strategy="lua", prefix=user, on_progress=meddler, **SHORT)
    assert meddler.done
    assert report.verdict.word == f"lost {abs(by)}"


@pytest.mark.parametrize(
    ("planted", "words"),
    [
        (lambda raw: lambda balance, _: raw.delete(balance), "is gone"),
        (lambda raw: lambda balance, _: raw.set(balance, "plenty"), "does not hold a balance"),
        (lambda raw: lambda balance, _: raw.set(balance, "-5"), "does not hold a balance"),
        (lambda raw: lambda _, history: raw.lpop(history), "newest history entry"),
        (lambda raw: lambda _, history: raw.lset(history, 3, "1 1 1 lua"), "history breaks"),
        (lambda raw: lambda _, history: raw.lset(history, 3, "nonsense"), "not written here"),
        (lambda raw: lambda _, history: raw.delete(history), "history tells of 0"),
        (lambda raw: lambda _, history: raw.rpop(history), "history tells of"),
    ],
)
def test_other_meddling_is_found(server, raw, user, planted, words):
    meddler = Meddler(raw, user, planted(raw))
    report = load.run(
        server.url, strategy="lua", prefix=user, on_progress=meddler, count=100, warmup=0, users=4
    )
    assert meddler.done
    assert not report.verdict.held
    assert words in report.verdict.detail
    assert raw.keys(f"{user}*") == []


def test_a_server_that_stalls_makes_outcomes_unknown(start_server):
    server = start_server(port=0)
    stalled = threading.Event()

    def stall(seen):
        if seen.phase == "measuring" and seen.operations > 100 and not stalled.is_set():
            stalled.set()
            os.kill(server.pid, signal.SIGSTOP)
            threading.Timer(0.8, os.kill, (server.pid, signal.SIGCONT)).start()

    report = load.run(
        server.url, strategy="lua", users=8, duration=1.5, warmup=0, timeout=0.3, on_progress=stall
    )
    assert stalled.is_set()
    assert report.verdict.held
    assert report.verdict.unknown > 0
    assert report.verdict.word == f"held, {report.verdict.unknown} unknown"
    assert report.errors["outcome_unknown"]["count"] == report.verdict.unknown
    assert "may or may not have been applied" in report.errors["outcome_unknown"]["first"]
    assert report.latency_all.max >= 0.3


def test_a_server_that_dies_is_an_error(start_server):
    server = start_server(port=0)

    def kill(seen):
        if seen.phase == "measuring" and server.running:
            server.kill()

    with pytest.raises((redislock.ConnectionError, redislock.TimeoutError)):
        load.run(server.url, strategy="lua", duration=0.4, warmup=0, timeout=0.5, on_progress=kill)


# ---- what is left behind


@pytest.mark.parametrize("strategy", load.STRATEGIES)
def test_it_deletes_its_keys_and_no_others(server, raw, user, strategy):
    raw.set(f"{user}:load-mine", "1")
    load.run(server.url, strategy=strategy, prefix=user, accounts=100, keys="uniform", **SHORT)
    assert raw.keys(f"{user}*") == [f"{user}:load-mine"]


def test_it_deletes_its_keys_when_a_callback_fails(server, raw, user):
    def fail(seen):
        if seen.operations > 0:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        load.run(server.url, strategy="lock", prefix=user, on_progress=fail, **SHORT)
    assert raw.keys(f"{user}*") == []


def test_it_deletes_its_keys_after_ctrl_c(server, raw, user):
    def interrupt(seen):
        if seen.phase == "measuring" and seen.operations > 0:
            signal.raise_signal(signal.SIGINT)

    begin = time.monotonic()
    with pytest.raises(load.Interrupted) as caught:
        load.run(server.url, strategy="lock", prefix=user, duration=60, on_progress=interrupt)
    assert time.monotonic() - begin < 20
    report = caught.value.report
    assert report.interrupted
    assert report.verdict.held
    assert report.statuses["ok"] > 0
    assert isinstance(caught.value, KeyboardInterrupt)
    assert raw.keys(f"{user}*") == []


# ---- arguments


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"strategy": "hope"}, ValueError, "strategy must be one of"),
        ({"keys": "pareto"}, ValueError, "keys must be one of"),
        ({"users": 0}, ValueError, "users"),
        ({"users": 1.5}, TypeError, "users"),
        ({"accounts": 0}, ValueError, "accounts"),
        ({"accounts": "3"}, TypeError, "accounts"),
        ({"accounts": True}, TypeError, "accounts"),
        ({"amount": 0}, ValueError, "amount"),
        ({"amount": 2**63}, OverflowError, "amount"),
        ({"amount": 2**63 - 1, "jitter": 1}, ValueError, "jitter"),
        ({"jitter": -1}, ValueError, "jitter"),
        ({"balance": -1}, ValueError, "balance"),
        ({"balance": 1.0}, TypeError, "balance"),
        ({"duration": 0}, ValueError, "duration"),
        ({"duration": "5"}, TypeError, "duration"),
        ({"warmup": float("nan")}, ValueError, "warmup"),
        ({"count": 0}, ValueError, "count"),
        ({"seed": "x"}, TypeError, "seed"),
        ({"max_retries": -1}, ValueError, "max_retries"),
        ({"lock_wait": -1.0}, ValueError, "lock_wait"),
        ({"timeout": 0.0}, ValueError, "timeout"),
        ({"rtt": -0.001}, ValueError, "rtt"),
        ({"rtt": 11.0}, ValueError, "rtt"),
        ({"rate": 0}, ValueError, "rate"),
        ({"rate": "5"}, TypeError, "rate"),
        ({"rate": True}, TypeError, "rate"),
        ({"rate": float("inf")}, ValueError, "rate"),
        ({"prefix": "a{b"}, ValueError, "prefix"),
        ({"colour": "red"}, TypeError, "colour"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_sent(wrong, error, words):
    with pytest.raises(error, match=words):
        load.run("redis://localhost:1", **wrong)


def test_an_unreachable_server_is_an_error():
    with pytest.raises(redislock.ConnectionError, match="localhost:1"):
        load.run("redis://localhost:1")


def test_default_balances_are_enough_and_fit():
    assert load.default_balance(3, 0, seconds=6) == 10**8
    assert load.default_balance(1, 0, seconds=0, count=10**9) >= 10**9
    assert load.default_balance(2**62, 5, seconds=1) == 2**63 - 1


@pytest.mark.threads
def test_snapshots_may_be_taken_while_another_thread_steps():
    run = _core.LoadGenerator(
        _core.Options("memory://"),
        prefix="threads",
        accounts=["a"],
        strategy="lua",
        users=4,
        keys="hot",
        amount=1,
        jitter=0,
        warmup=0,
        duration=0.4,
        count=None,
        seed=1,
    )
    over = threading.Event()

    def look():
        while not over.is_set():
            run.snapshot()

    threads = [threading.Thread(target=look) for _ in range(3)]
    for each in threads:
        each.start()
    while run.step(0.01):
        pass
    over.set()
    for each in threads:
        each.join()
    assert run.report()["statuses"]["missing"] > 0
    run.close()
    with pytest.raises(ValueError, match="closed"):
        run.report()
