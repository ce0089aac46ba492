"""Scenarios 14 to 17: a server that refuses for now, for good, or knows no script any more."""

import asyncio
import concurrent.futures
import contextlib
import threading
from pathlib import Path

import pytest
import redis
from changes import CHANGES, WITHDRAWALS, after, change, measure
from fake_server import FakeServer, greeted
from waiting import at_most, eventually, in_background

import redislock.asyncio
from redislock import OutcomeUnknownError, RedirectedError, ServerError


def look_at(server):
    return redis.Redis.from_url(server.url, decode_responses=True)


@pytest.fixture
def account(start_server, connect, user):
    """A server of its own, and an account with 100 on it."""
    config = {
        "enable-debug-command": "yes",
        "repl-diskless-sync-delay": 0,
        "dbfilename": "snapshot",
    }
    server = start_server(port=0, config=config)
    client = connect(server.url)
    client.init(user, 100)
    for how in CHANGES:
        change(client, how, "nobody")
    with look_at(server) as raw:
        yield server, client, raw, user


# --- 14: failover


@pytest.fixture
def replica(account, start_server):
    """A replica of the account's server that has caught up."""
    master = account[0]
    follower = start_server(port=0)
    with look_at(follower) as raw:
        raw.replicaof("127.0.0.1", master.port)
        eventually(lambda: raw.info("replication")["master_link_status"] == "up", 20)
        eventually(lambda: raw.dbsize() == account[2].dbsize())
        yield follower, raw


@pytest.mark.parametrize("keyed", [False, True], ids=["once", "keyed"])
def test_14_a_replica_applies_nothing_and_its_promotion_is_found(keyed, account, replica, connect, user):
    follower, raw = replica
    client = connect(follower.url, timeout=20)
    client.health()
    calls = [
        in_background(lambda how=how: change(client, how, user, how if keyed else None)) for how in CHANGES
    ]
    refused = raw.info("errorstats")
    # Each of them was refused at least once before the replica becomes a master.
    eventually(lambda: raw.info("errorstats") != refused)
    assert raw.get(client.keys(user)["balance"]) == "100"
    assert not any(call.done() for call in calls)
    raw.replicaof("NO", "ONE")
    assert [call.result(15).status for call in calls] == ["ok"] * 4
    assert raw.get(client.keys(user)["balance"]) == "98"
    assert len(client.history(user)) == 4


def test_14_a_replica_that_stays_one_is_named_when_time_is_up(replica, connect, user):
    follower, raw = replica
    client = connect(follower.url, timeout=0.3)
    for how in CHANGES:
        with pytest.raises(TimeoutError, match="READONLY"), at_most(0.4):
            change(client, how, user)
    assert raw.get(client.keys(user)["balance"]) == "100"
    assert "this server is a slave" in " ".join(client.health(timeout=5).warnings)


def test_14_a_refusal_is_told_by_whoever_can_record_it(account, replica, connect, user):
    follower, raw = replica
    client = connect(follower.url, timeout=20)
    client.health()
    refused = raw.info("errorstats")
    calls = [
        in_background(lambda how=how: client.withdraw(how, user, 101, idempotency_key=how))
        for how in WITHDRAWALS
    ]
    eventually(lambda: raw.info("errorstats") != refused)
    assert not any(call.done() for call in calls)
    raw.replicaof("NO", "ONE")
    assert [call.result(15).status for call in calls] == ["insufficient"] * 3
    assert all(client.outcome(user, how).status == "insufficient" for how in WITHDRAWALS)


def test_14_a_master_that_becomes_a_replica_before_exec(account, proxied, connect):
    server, _, raw, user = account
    proxy = proxied(server)
    client = connect(proxy.url, timeout=20)
    client.withdraw_watch("nobody", 1)
    # What is queued has come, EXEC has not.
    queued = measure(client, proxy, "watch", user, None)["request"] - len("*1\r\n$4\r\nEXEC\r\n")
    before = client.balance(user)
    client.withdraw_watch("nobody", 1)
    proxy.hold_after("request", queued)
    call = in_background(lambda: client.withdraw_watch(user, 1))
    proxy.wait_for(lambda: not proxy.cutting)
    raw.ping()
    raw.replicaof("127.0.0.1", 1)  # of nobody, so that it keeps what it has
    aborted = raw.info("errorstats").get("errorstat_EXECABORT")
    proxy.release()
    eventually(lambda: raw.info("errorstats").get("errorstat_EXECABORT") != aborted)
    raw.replicaof("NO", "ONE")
    assert call.result(15).balance == before - 1
    assert raw.get(client.keys(user)["balance"]) == str(before - 1)


def test_14_a_demoted_master_refuses_by_what_it_remembers(account, connect):
    server, _, raw, user = account
    client = connect(server.url, timeout=0.4)
    client.health()
    raw.replicaof("127.0.0.1", 1)  # of nobody: it is never told what its successor holds
    for how in ("lua", "watch"):
        assert client.withdraw(how, user, 101).status == "insufficient"
        assert client.withdraw(how, "stranger", 1).status == "missing"
        # What is not recorded is told with a key as well.
        assert client.withdraw(how, "stranger", 1, idempotency_key=how).status == "missing"
    # Whoever has to write for it waits for a master.
    with pytest.raises(TimeoutError, match="READONLY"):
        client.withdraw_lock(user, 101)
    for how in WITHDRAWALS:
        with pytest.raises(TimeoutError, match="READONLY"):
            client.withdraw(how, user, 101, idempotency_key=how)
    assert raw.get(client.keys(user)["balance"]) == "100"
    raw.replicaof("NO", "ONE")


# --- 15: cluster


@pytest.fixture
def cluster(start_server):
    """Two masters that share the slots."""
    config = {"cluster-enabled": "yes", "cluster-node-timeout": 2000}
    nodes = [start_server(port=0, config={**config, "cluster-port": 0}) for _ in range(2)]
    with contextlib.ExitStack() as stack:
        raws = [stack.enter_context(look_at(node)) for node in nodes]
        raws[0].execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
        raws[1].execute_command("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
        bus = nodes[1].port + 10000
        raws[0].execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[1].port, bus)
        for raw in raws:
            eventually(lambda raw=raw: "cluster_state:ok" in state_of(raw), 20)
        yield nodes, raws


def state_of(raw):
    answer = raw.execute_command("CLUSTER", "INFO")
    return answer if isinstance(answer, str) else "\n".join(f"{k}:{v}" for k, v in answer.items())


def test_15_moved_is_one_clear_sentence_and_nothing_is_applied(cluster, connect):
    nodes, raws = cluster
    clients = [connect(node.url) for node in nodes]
    for name in ("alice", "bob", "carol", "dave"):
        slot = raws[0].execute_command("CLUSTER", "KEYSLOT", clients[0].keys(name)["balance"])
        home = 0 if slot <= 8191 else 1
        clients[home].init(name, 100)
        for how in CHANGES:
            with pytest.raises(RedirectedError) as caught:
                change(clients[1 - home], how, name)
            message = str(caught.value)
            assert f"127.0.0.1:{nodes[home].port}" in message
            assert "MOVED" in message
            assert "\n" not in message
        assert clients[home].balance(name) == 100
        # All keys of an account share a slot, so at home every way works.
        assert [change(clients[home], how, name, how).status for how in CHANGES] == ["ok"] * 4


def test_15_clusterdown_is_reported_as_not_applied(start_server, connect):
    node = start_server(port=0, config={"cluster-enabled": "yes"})
    client = connect(node.url)
    for how in CHANGES:
        with pytest.raises(ServerError, match="CLUSTERDOWN"):
            change(client, how, "alice")


SAID = {
    b"-MOVED 866 127.0.0.1:6381\r\n": RedirectedError,
    b"-ASK 866 127.0.0.1:6381\r\n": RedirectedError,
    b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n": ServerError,
    b"-CROSSSLOT Keys in request don't hash to the same slot\r\n": ServerError,
    b"-CLUSTERDOWN The cluster is down\r\n": ServerError,
    b"-ERR something that nobody has heard of\r\n": ServerError,
}


@pytest.mark.parametrize("said", SAID, ids=lambda said: said.split()[0].decode())
@pytest.mark.parametrize("how", CHANGES)
def test_15_whatever_a_node_says_while_slots_move_is_told_once(how, said, connect):
    with FakeServer(greeted(said)) as peer:
        client = connect(peer.url)
        with pytest.raises(SAID[said]) as caught, at_most(1):
            change(client, how, "alice", "order")
        assert type(caught.value) is SAID[said]
        assert said[1:].split()[0].decode() in str(caught.value)
        assert sum(words[0] == b"EVALSHA" for words in peer.asked) <= 1


# --- 16: scripts are forgotten


@pytest.mark.threads
def test_16_script_flush_in_mid_run_with_many_threads(account, connect):
    server, client, raw, user = account
    client.init(user, 10**6)
    stop = threading.Event()

    def work(number):
        own = client if number % 2 else connect(server.url)
        done = 0
        for each in range(60):
            how = CHANGES[(number + each) % 3]
            done += change(own, how, user, f"{number}-{each}" if each % 2 else None).status == "ok"
        return done

    def flush():
        while not stop.wait(0.001):
            raw.script_flush()

    flusher = in_background(flush)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        done = sum(pool.map(work, range(8)))
    stop.set()
    flusher.result(10)
    assert done > 0
    assert client.balance(user) == 10**6 - done


def test_16_script_flush_in_mid_run_with_many_tasks(account):
    server, _, raw, user = account

    async def run():
        async with redislock.asyncio.Client(server.url) as client:
            await client.init(user, 10**6)
            for burst in range(20):
                raw.script_flush()
                results = await asyncio.gather(
                    *(client.withdraw_lua(user, 1) for _ in range(20)),
                    *(client.deposit(user, 1, idempotency_key=f"{burst}") for _ in range(5)),
                )
                assert {each.status for each in results} == {"ok"}
            assert await client.balance(user) == 10**6 - 20 * 20 + 20

    asyncio.run(run())


# --- 17: not now


def refuses(client, raw, user, word, hows=CHANGES):
    for how in hows:
        for key in (None, f"{word}-{how}"):
            with pytest.raises(ServerError, match=word), at_most(1):
                change(client, how, user, key)
    for how in hows:
        assert client.outcome(user, f"{word}-{how}") is None


def works_again(client, user):
    balance = client.balance(user)
    for how in CHANGES:
        balance = after(how, balance)
        assert change(client, how, user, f"again-{how}").balance == balance


def test_17_oom(account):
    _, client, raw, user = account
    raw.config_set("maxmemory", 1)
    refuses(client, raw, user, "OOM")
    raw.config_set("maxmemory", 0)
    assert client.balance(user) == 100
    works_again(client, user)


def test_17_noreplicas(account):
    _, client, raw, user = account
    raw.config_set("min-replicas-to-write", 1)
    refuses(client, raw, user, "NOREPLICAS")
    raw.config_set("min-replicas-to-write", 0)
    assert client.balance(user) == 100
    works_again(client, user)


def test_17_misconf(account):
    server, client, raw, user = account
    # A snapshot cannot take the name of a folder, whoever writes it.
    Path(server._folder, "snapshot").mkdir()
    raw.config_set("save", "3600 1")
    raw.bgsave()
    eventually(lambda: raw.info("persistence")["rdb_last_bgsave_status"] == "err")
    refuses(client, raw, user, "MISCONF")
    raw.config_set("save", "")
    assert client.balance(user) == 100
    works_again(client, user)


@contextlib.contextmanager
def busy(server, raw):
    """Run a script that does not end by itself."""
    raw.config_set("busy-reply-threshold", 1)
    with look_at(server) as other:
        script = in_background(lambda: other.eval("while true do end", 0))
        eventually(lambda: is_busy(raw))
        yield
        raw.script_kill()
        with contextlib.suppress(redis.ResponseError):
            script.result(10)


def is_busy(raw):
    try:
        raw.get("anything")
    except redis.ResponseError as error:
        return "BUSY" in str(error)
    return False


def test_17_busy(account):
    server, client, raw, user = account
    with busy(server, raw):
        for how in CHANGES:
            for key in (None, how):
                with pytest.raises(ServerError, match="BUSY"), at_most(1):
                    change(client, how, user, key)
        assert client.health().error.startswith("BUSY")
    assert client.balance(user) == 100
    works_again(client, user)


def test_17_busy_between_acquire_and_commit_frees_the_lock_with_the_lease(account, proxied, connect):
    server, client, raw, user = account
    proxy = proxied(server)
    behind = connect(proxy.url, lock_lease=0.5)
    behind.balance(user)
    proxy.hold("reply")
    call = in_background(lambda: behind.withdraw_lock(user, 1))
    eventually(lambda: raw.exists(client.keys(user)["lock"]))
    with busy(server, raw):
        proxy.release()
        with pytest.raises(ServerError, match="BUSY"):
            call.result(10)
    eventually(lambda: not raw.exists(client.keys(user)["lock"]), 0.7)
    assert client.balance(user) == 100


def test_17_loading_is_waited_for(account):
    server, client, raw, user = account
    raw.execute_command("DEBUG", "POPULATE", 150, "filler", 100)
    raw.config_set("loading-process-events-interval-bytes", 1024)  # answers LOADING now and then
    raw.config_set("key-load-delay", 4000)
    with look_at(server) as other:
        reload = in_background(lambda: other.execute_command("DEBUG", "RELOAD"))
        eventually(lambda: raw.info("persistence")["loading"])
        calls = [in_background(lambda how=how: change(client, how, user, how)) for how in CHANGES]
        eventually(lambda: "errorstat_LOADING" in raw.info("errorstats"))
        assert [call.result(10).status for call in calls] == ["ok"] * 4
        reload.result(10)
    assert client.balance(user) == 98


@pytest.mark.parametrize("word", ["LOADING", "MASTERDOWN", "READONLY"])
@pytest.mark.parametrize("how", CHANGES)
def test_17_what_was_waited_for_is_named_when_time_is_up(how, word, connect):
    with FakeServer(greeted(f"-{word} come back later\r\n".encode())) as peer:
        client = connect(peer.url, timeout=0.3)
        with pytest.raises((TimeoutError, OutcomeUnknownError), match=word), at_most(0.4):
            change(client, how, "alice", "order")
        assert peer.accepted < 30  # with pauses that grow
