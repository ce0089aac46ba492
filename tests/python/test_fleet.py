"""A load that several processes make together: what they add up to, and how they end."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

import redislock
from redislock import _core, load
from redislock._fleet import shares

SHORT = {"duration": 0.3, "warmup": 0.05, "users": 17, "processes": 3}


def wait_for(condition, seconds=20):
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it does not happen"
        time.sleep(0.01)


def workers(process):
    return [each for each in process.children() if any("_worker" in word for word in each.cmdline())]


@pytest.mark.parametrize("strategy", ["lua", "lock", "watch"])
def test_counts_money_and_latencies_add_up(server, strategy):
    report = load.run(server.url, strategy=strategy, accounts=3, keys="zipf", jitter=2, **SHORT)
    assert report.verdict.word == "held"
    assert report.settings["processes"] == 3
    assert report.settings["users"] == 17
    assert report.latency.count == report.statuses["ok"]
    assert report.latency_all.count == sum(report.statuses.values())
    assert report.attempts >= sum(report.statuses.values())
    latency = report.latency
    assert 0 < latency.min <= latency.p50 <= latency.p99 <= latency.p999 <= latency.max < 5
    # The windows of the processes begin within moments of each other.
    assert abs(report.throughput * report.elapsed - report.statuses["ok"]) <= 3 * 17


def test_a_count_is_kept_to_the_last_one(server):
    report = load.run(server.url, count=778, warmup=0, users=16, processes=3, balance=10_000)
    assert report.statuses == {"ok": 778}
    assert report.verdict.held


def test_naive_loses_between_processes_too(server):
    # One user each: within one process there would be no conflict.
    report = load.run(server.url, strategy="naive", users=3, processes=3, duration=0.3, warmup=0)
    assert report.verdict.word == f"lost {report.verdict.lost}"
    assert load.NO_CONFLICT not in report.notes


def test_the_first_process_draws_what_one_alone_would():
    settings = {"users": 10, "count": 11, "rate": 900.0, "seed": 7}
    each = shares(settings, 3)
    assert [part["users"] for part in each] == [4, 3, 3]
    assert [part["count"] for part in each] == [4, 4, 3]
    assert [part["rate"] for part in each] == [300.0] * 3
    assert each[0]["seed"] == 7
    assert len({part["seed"] for part in each}) == 3


def test_progress_is_that_of_all(server):
    seen = []
    load.run(server.url, on_progress=seen.append, **SHORT)
    assert seen[-1].phase == "over"
    assert seen[-1].fraction == 1
    assert any(each.phase == "measuring" and each.throughput > 0 for each in seen)


def test_ctrl_c_ends_all_of_them_with_the_verdict(server, raw, user):
    def stop(seen):
        if seen.phase == "measuring":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(load.Interrupted) as stopped:
        load.run(server.url, users=6, processes=2, duration=60.0, warmup=0.05, prefix=user, on_progress=stop)
    assert stopped.value.report.verdict.held
    assert stopped.value.report.interrupted
    assert stopped.value.report.statuses["ok"] > 0
    assert raw.keys(f"{user}*") == []
    assert workers(psutil.Process()) == []


def test_ctrl_c_while_they_start_is_ctrl_c_and_no_fault(server, raw, user):
    this = psutil.Process()

    def press():
        wait_for(lambda: len(workers(this)) > 0)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        load.run(server.url, users=6, processes=4, duration=60.0, warmup=0.05, prefix=user)
    presser.join()
    assert raw.keys(f"{user}*") == []
    assert workers(this) == []


def test_ctrl_c_twice_does_not_wait(start_server, user):
    server = start_server(port=0)
    presses = 0

    def stop(seen):
        nonlocal presses
        # The second one comes while they measure, or drain already: their words are 50 ms old.
        if presses == 1 or (seen.phase == "measuring" and not presses):
            presses += 1
            if presses == 1:
                psutil.Process(server.pid).suspend()
            else:
                psutil.Process(server.pid).resume()
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(load.Interrupted) as stopped:
        load.run(
            server.url,
            users=4,
            processes=2,
            duration=60.0,
            warmup=0.05,
            timeout=20.0,
            on_progress=stop,
        )
    assert stopped.value.report.verdict.held


def test_a_process_that_dies_ends_the_run_and_the_keys_are_deleted(server, raw, user):
    def shoot(seen):
        if seen.phase == "measuring" and (alive := workers(psutil.Process())):
            alive[0].kill()

    with pytest.raises(redislock.Error, match="exit code -9, and nobody knows what it took"):
        load.run(server.url, users=6, processes=2, duration=60.0, warmup=0.05, prefix=user, on_progress=shoot)
    assert raw.keys(f"{user}*") == []
    assert workers(psutil.Process()) == []


def test_processes_end_with_their_parent(server, user):
    program = f"from redislock import load; load.run({server.url!r}, users=4, processes=2, duration=60.0)"
    with subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "KEY_PREFIX": user}) as parent:
        wait_for(lambda: len(workers(psutil.Process(parent.pid))) == 2)
        started = workers(psutil.Process(parent.pid))
        parent.kill()
    wait_for(lambda: not any(each.is_running() for each in started))


def test_what_no_process_may_do_is_told_as_for_one(server, raw, user):
    raw.acl_setuser(
        user,
        enabled=True,
        passwords=["+sesame"],
        keys=["*"],
        commands=["+@all", "-watch"],
    )
    url = server.url.replace("redis://", f"redis://{user}:sesame@")
    try:
        with pytest.raises(redislock.PermissionDeniedError, match="watch"):
            load.run(url, strategy="watch", prefix=user, **SHORT)
    finally:
        raw.acl_deluser(user)
    assert raw.keys(f"{user}*") == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"processes": 0}, "processes must be from 1 to 256"),
        ({"processes": True}, "processes must be an int"),
        ({"processes": 4, "users": 3}, "users and count must not be less than processes"),
        ({"processes": 4, "count": 3}, "users and count must not be less than processes"),
        ({"processes": 4, "rate": 0.002}, "rate must be from 0.001 a second in each of the processes"),
    ],
)
def test_a_wrong_number_is_told_before_anything_is_sent(wrong, words):
    with pytest.raises((ValueError, TypeError), match=words):
        load.run("redis://127.0.0.1:1", **wrong)


def test_memory_belongs_to_one_process():
    with pytest.raises(ValueError, match="memory://"):
        load.run("memory://", processes=2)


# ---- histograms


def test_a_report_is_made_of_its_histograms(server, user):
    with redislock.Client(server.url, prefix=user) as client:
        client.init("1", 10**9)
        run = _core.LoadGenerator(
            client._options,
            prefix=user,
            accounts=["1"],
            strategy="lua",
            users=4,
            keys="hot",
            amount=1,
            jitter=0,
            warmup=0,
            duration=1,
            count=500,
            seed=1,
        )
        while run.step(0.05):
            pass
        seen = run.report()
        for name, each in run.histograms().items():
            again = _core.Histogram()
            again.merge(each)
            assert again.summary() == seen[name]
        run.close()
        client.delete("1")
