"""Scenarios 8, 9, 10, 37 and 40: the lock inside `withdraw_lock`, under every kind of loss."""

import os
import signal

import programs
import pytest
from changes import measure, warm
from waiting import eventually, in_background

from redislock import OutcomeUnknownError

HOLDER = """
    import sys, redislock
    client = redislock.Client(sys.argv[1], timeout=20)
    client.balance(sys.argv[2])
    print("ready")
    input()
    result = client.withdraw_lock(sys.argv[2], 1, lock_lease=0.2)
    print(result.status, result.balance)
"""


@pytest.fixture
def account(connect, server, raw, user):
    """An account with 100, its keys, and a client that sees no fault."""
    client = connect(server.url)
    client.init(user, 100)
    client.withdraw_lock("nobody", 1)  # the script is known
    keys = client.keys(user)
    yield client, user, keys
    eventually(lambda: not raw.exists(keys["lock"]))


def acquiring_reply(client, proxy, user):
    """Bytes that answer the first of the two units."""
    size = measure(client, proxy, "lock", user, None)["reply"]
    return size - len("$5\r\nok 98\r\n")


def test_8_a_holder_stopped_past_its_lease_changes_nothing(account, proxy, raw):
    _, user, keys = account
    holder = programs.start(HOLDER, proxy.url, user)
    assert holder.stdout.readline() == "ready\n"
    # It acquires, and is stopped before it learns that.
    proxy.hold("reply")
    holder.stdin.write("\n")
    holder.stdin.flush()
    eventually(lambda: raw.exists(keys["lock"]))
    os.kill(holder.pid, signal.SIGSTOP)
    proxy.release()
    eventually(lambda: not raw.exists(keys["lock"]))
    os.kill(holder.pid, signal.SIGCONT)
    assert programs.finish(holder) == "lock_lost None\n"
    assert raw.get(keys["balance"]) == "100"


def test_8_a_stopped_holder_does_not_take_the_next_holders_lock(account, proxy, raw):
    other, user, keys = account
    holder = programs.start(HOLDER, proxy.url, user)
    assert holder.stdout.readline() == "ready\n"
    proxy.hold("reply")
    holder.stdin.write("\n")
    holder.stdin.flush()
    eventually(lambda: raw.exists(keys["lock"]))
    os.kill(holder.pid, signal.SIGSTOP)
    proxy.release()
    assert other.withdraw_lock(user, 3, lock_wait=5).balance == 97
    raw.set(keys["lock"], "the next holder")
    os.kill(holder.pid, signal.SIGCONT)
    assert programs.finish(holder) == "lock_lost None\n"
    assert raw.get(keys["lock"]) == "the next holder"
    assert raw.get(keys["balance"]) == "97"
    raw.delete(keys["lock"])


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_9_the_reply_of_acquire_is_lost(how, account, proxy, connect, raw):
    _, user, keys = account
    client = connect(proxy.url)
    warm(client, "lock")
    proxy.cut("reply", 0, how)
    result = client.withdraw_lock(user, 1)
    assert (result.status, result.balance, result.attempts) == ("ok", 99, 1)
    assert not raw.exists(keys["lock"])


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_9_an_acquire_that_runs_late_leaves_no_ghost(how, account, proxied, server, connect, raw):
    _, user, keys = account
    proxy = proxied(server, unix=True)
    client = connect(proxy.url)
    warm(client, "lock")
    # The client loses the connection; what it had written is still on its way to the server.
    proxy.cut("request", 0, how, late=True)
    result = client.withdraw_lock(user, 1)
    assert (result.status, result.balance) == ("ok", 99)
    proxy.release()
    raw.ping()
    assert not raw.exists(keys["lock"])
    assert raw.get(keys["balance"]) == "99"


# Behind a proxy or NAT the server sees another address than the client.
def test_9_an_acquire_that_runs_late_leaves_no_ghost_behind_nat(account, proxy, connect, raw):
    _, user, keys = account
    client = connect(proxy.url)
    warm(client, "lock")
    proxy.cut("request", 0, late=True)
    assert client.withdraw_lock(user, 1).status == "ok"
    proxy.release()
    raw.ping()
    assert not raw.exists(keys["lock"])


def test_9_an_acquire_on_a_silent_connection_leaves_no_ghost(account, proxy, connect, raw):
    _, user, keys = account
    client = connect(proxy.url)
    warm(client, "lock")
    proxy.hold("request", later_too=False)
    with pytest.raises(TimeoutError):
        client.withdraw_lock(user, 1, timeout=0.2)
    assert client.balance(user) == 100  # on another connection
    assert proxy.accepted > 1
    proxy.release()  # now the acquire arrives
    assert client.withdraw_lua(user, 1).balance == 99
    eventually(lambda: not raw.exists(keys["lock"]), 1)


def test_9_a_silent_connection_that_is_lost_is_killed_although_another_is_in_use(
    account, proxied, server, connect, raw
):
    _, user, keys = account
    proxy = proxied(server, unix=True)
    client = connect(proxy.url, timeout=20)
    warm(client, "lock")
    proxy.hold("request", later_too=False)
    begin = proxy.carried["request"]
    acquiring = in_background(lambda: client.withdraw_lock(user, 1))
    proxy.wait_for_bytes("request", begin)
    with pytest.raises(TimeoutError):
        client.balance(user, timeout=0.2)  # says that the connection is silent
    assert client.balance(user) == 100  # on another
    proxy.lose()
    assert acquiring.result(10).balance == 99
    proxy.release()  # now the first acquire would arrive
    raw.ping()
    assert not raw.exists(keys["lock"])


def test_9_a_timed_out_acquire_is_cleaned_up_although_nobody_calls_again(account, proxy, connect, raw):
    client, user, keys = account
    raw.script_flush()
    slow = connect(proxy.url)
    warm(slow, "lock")
    proxy.hold("reply", later_too=False)
    with pytest.raises(TimeoutError):
        slow.withdraw_lock(user, 1, timeout=0.2)
    eventually(lambda: not raw.exists(keys["lock"]), 1)
    assert client.withdraw_lock(user, 1, lock_wait=0).balance == 99


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_10_the_commit_is_lost_and_the_lock_is_free(direction, account, proxy, connect, raw):
    _, user, keys = account
    client = connect(proxy.url)
    first = acquiring_reply(client, proxy, user)
    begin = proxy.carried["request"]
    warm(client, "lock")
    if direction == "reply":
        proxy.cut("reply", first)
    else:
        proxy.hold_after("reply", first - 1)
    call = in_background(lambda: client.withdraw_lock(user, 1))
    if direction == "request":
        proxy.wait_for_bytes("request", begin)
        eventually(lambda: not proxy.cutting)
        proxy.cut("request", 0)
        proxy.release()
    with pytest.raises(OutcomeUnknownError):
        call.result(10)
    eventually(lambda: not raw.exists(keys["lock"]), 1)
    assert raw.get(keys["balance"]) == ("97" if direction == "reply" else "98")


def test_10_the_reply_of_the_cleanup_is_lost_too(account, proxy, connect, raw):
    _, user, keys = account
    client = connect(proxy.url)
    first = acquiring_reply(client, proxy, user)
    warm(client, "lock")
    begin = proxy.carried["reply"]
    warm(connect(proxy.url), "lock")
    greeting = proxy.carried["reply"] - begin - len("_\r\n")
    warm(client, "lock")
    proxy.hold_after("reply", first - 1)
    call = in_background(lambda: client.withdraw_lock(user, 1))
    eventually(lambda: not proxy.cutting)
    # The commit goes, and with it the connection; on the next one the cleanup's reply goes too.
    proxy.cut("request", 0)
    proxy.then_cut("reply", greeting + len(":1\r\n"))  # of CLIENT KILL, or nearby: greetings vary
    proxy.release()
    eventually(lambda: not proxy.cutting)
    with pytest.raises(OutcomeUnknownError):
        call.result(10)
    eventually(lambda: not raw.exists(keys["lock"]), 1)


def test_37_a_script_between_the_locks_read_and_its_commit(account, proxy, connect, raw):
    other, user, keys = account
    client = connect(proxy.url)
    warm(client, "lock")
    proxy.hold("reply")
    call = in_background(lambda: client.withdraw_lock(user, 60))
    eventually(lambda: raw.exists(keys["lock"]))
    assert other.withdraw_lua(user, 60).balance == 40
    proxy.release()
    result = call.result(10)
    assert (result.status, result.balance) == ("insufficient", 40)
    assert raw.get(keys["balance"]) == "40"


def lose_the_commit(account, proxy, connect, meanwhile, applied):
    """A keyed commit is lost, before or after it ran; the lock is another's at the retry."""
    _, user, keys = account
    client = connect(proxy.url, timeout=5)
    first = acquiring_reply(client, proxy, user) + len("_\r\n")  # there is no record
    warm(client, "lock")
    proxy.hold_after("reply", first - 1)
    call = in_background(lambda: client.withdraw_lock(user, 1, idempotency_key="order"))
    eventually(lambda: not proxy.cutting)
    proxy.refuse()
    proxy.cut("reply" if applied else "request", 1 if applied else 0)
    proxy.release()
    eventually(lambda: not proxy.cutting)
    meanwhile(keys)
    proxy.refuse(False)
    return call


def test_40_an_unknown_commit_that_ran_is_answered_by_its_record(account, proxy, connect, raw):
    call = lose_the_commit(
        account, proxy, connect, lambda keys: raw.set(keys["lock"], "another", px=5000), True
    )
    result = call.result(10)
    assert (result.status, result.balance, result.replayed) == ("ok", 97, True)
    raw.delete(account[2]["lock"])


def test_40_an_unknown_commit_that_did_not_run_is_never_busy(account, proxy, connect, raw):
    call = lose_the_commit(
        account, proxy, connect, lambda keys: raw.set(keys["lock"], "another", px=5000), False
    )
    with pytest.raises(OutcomeUnknownError, match="lock_lost"):
        call.result(10)
    client, user, keys = account
    assert client.outcome(user, "order") is None
    assert raw.get(keys["lock"]) == "another"
    raw.delete(keys["lock"])
    assert client.withdraw_lock(user, 1, idempotency_key="order").balance == 97
