"""The pytest plugin in real pytest runs: suites of users, in processes of their own."""

import importlib.util
import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

pytestmark = pytest.mark.timing  # of no use under sanitizers: other people's plugins, a process each

WORDS = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-q", "-rA", "-W", "error"]
if importlib.util.find_spec("pytest_asyncio") is not None:  # warns where this is not set
    WORDS += ["-o", "asyncio_default_fixture_loop_scope=function"]


@pytest.fixture
def run(pytester, monkeypatch):
    """Run a suite; the outcomes are those of its tests."""
    for name in ("REDIS_CONN", "KEY_PREFIX", "MAX_RETRIES", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)

    def run(suite, *words):
        pytester.makepyfile(suite)
        return pytester.runpytest_subprocess(*WORDS, *words, timeout=100)

    return run


def needs(module):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")


# ---- a suite that does not use it


UNTOUCHED = """
    import sys

    def test_nothing_is_loaded():
        assert "pytest_redislock" in sys.modules
        assert not [name for name in sys.modules if name.split(".")[0] == "redislock"]

    def test_nothing_is_started(pytestconfig):
        import subprocess
        names = [type(each).__name__ for each in pytestconfig.pluginmanager.get_plugins()]
        assert "Keeper" not in names
        assert not subprocess._active
"""


@pytest.mark.parametrize(
    ("beside", "words"),
    [
        (None, []),
        ("pytest_randomly", ["-p", "randomly"]),
        ("xdist", ["-n", "2"]),
        ("pytest_asyncio", ["--asyncio-mode", "auto"]),
        ("pytest_timeout", ["--timeout", "60"]),
    ],
)
def test_a_suite_that_does_not_use_it_gets_nothing_of_it(run, beside, words):
    if beside:
        needs(beside)
    run(UNTOUCHED, *words).assert_outcomes(passed=2)


def test_the_plugin_itself_imports_nothing_but_pytest():
    code = (
        "import sys, functools, typing, pytest; before = set(sys.modules); "
        "import pytest_redislock; print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["pytest_redislock"]


def test_it_can_be_switched_off(run):
    suite = "def test_it(redislock_server): pass"
    done = run(suite, "-p", "no:redislock")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*fixture 'redislock_server' not found*"])


def test_its_fixtures_are_explained(pytester):
    pytester.makepyfile("")
    said = pytester.runpytest_subprocess("--fixtures", "-p", "no:cacheprovider").stdout.str()
    for name in ("redislock_server", "redislock_client", "check_strategy", "check_strategy_async"):
        assert f"\n{name}" in said


# ---- the server


def test_one_server_a_session_and_each_test_finds_it_empty(run):
    suite = """
        import pytest

        seen = set()

        @pytest.fixture(scope="module")
        def url(redislock_server):
            return redislock_server.url

        @pytest.mark.parametrize("turn", range(3))
        def test_it(turn, url, redislock_server, redislock_client):
            assert redislock_client.balance("alice") is None
            assert redislock_client.url.startswith(url)
            redislock_client.init("alice", 10)
            seen.add(redislock_server.pid)
            assert len(seen) == 1
    """
    run(suite).assert_outcomes(passed=3)


def test_a_fixture_that_ends_after_the_test_still_finds_its_accounts(run):
    suite = """
        import pytest

        @pytest.fixture
        def account(redislock_client):
            redislock_client.init("alice", 10)
            yield "alice"
            assert redislock_client.balance("alice") == 7

        def test_it(account, redislock_client):
            assert redislock_client.withdraw_lua(account, 3)
    """
    run(suite).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "harm",
    [
        "redislock_server.kill()",
        "redislock_server.stop()",
        "os.kill(redislock_server.pid, signal.SIGSTOP)",
        "redis.Redis.from_url(redislock_server.url).client_pause(60_000)",
    ],
)
def test_what_a_test_does_to_the_server_is_not_the_next_ones_trouble(run, harm):
    suite = f"""
        import os, signal
        import pytest
        import redis

        @pytest.mark.parametrize("turn", range(2))
        def test_it(turn, redislock_server, redislock_client):
            assert redislock_client.balance("alice") is None
            redislock_client.init("alice", 10)
            {harm}
    """
    run(suite, "-W", "ignore::ResourceWarning").assert_outcomes(passed=2)


def test_nothing_is_left_behind(run, pytester):
    suite = """
        import pathlib

        def test_it(redislock_server):
            pathlib.Path("pid").write_text(str(redislock_server.pid))
    """
    run(suite).assert_outcomes(passed=1)
    pid = int((pytester.path / "pid").read_text())
    done = subprocess.run(["/bin/kill", "-0", str(pid)], capture_output=True, check=False)
    assert done.returncode != 0


def test_each_worker_of_xdist_has_a_server_of_its_own(run, pytester):
    needs("xdist")
    suite = """
        import os, pathlib, time
        import pytest

        @pytest.mark.parametrize("turn", range(8))
        def test_it(turn, redislock_server, redislock_client, check_strategy):
            assert redislock_client.balance("alice") is None
            redislock_client.init("alice", 10)
            check_strategy(redislock_client.withdraw_lua, users=4, duration=0.05)
            name = f"{os.environ['PYTEST_XDIST_WORKER']}-{redislock_server.pid}"
            pathlib.Path("seen", name).touch()
    """
    pytester.mkdir("seen")
    run(suite, "-n", "2").assert_outcomes(passed=8)
    seen = [each.name.split("-") for each in (pytester.path / "seen").iterdir()]
    assert len(seen) == len({worker for worker, _ in seen}) == len({pid for _, pid in seen}) == 2


# ---- the check


NAIVE = """
    import pytest
    import redis

    @pytest.fixture
    def pool(redislock_server):
        with redis.Redis.from_url(redislock_server.url) as client:
            yield client

    def test_naive(pool, redislock_client, check_strategy):
        def pay(user, amount):
            key = redislock_client.keys(user)["balance"]
            left = int(pool.get(key)) - amount
            if left < 0:
                return False
            pool.set(key, left)
            return True

        check_strategy(pay, users=8, duration=1.0)

    def test_overdrawing(pool, redislock_client, check_strategy):
        def pay(user, amount):
            key = redislock_client.keys(user)["balance"]
            if int(pool.get(key)) < amount:
                return False
            pool.decrby(key, amount)
            return True

        check_strategy(pay, users=8, duration=1.0)

    def test_right(pool, redislock_client, check_strategy):
        def pay(user, amount):
            key = redislock_client.keys(user)["balance"]

            def look_and_take(pipe):
                left = int(pipe.get(key)) - amount
                pipe.multi()
                if left >= 0:
                    pipe.set(key, left)
                return left >= 0

            return pool.transaction(look_and_take, key, value_from_callable=True)

        report = check_strategy(pay, users=8, duration=1.0)
        assert report.verdict.held and report.lost == 0
        assert report.ok > 0 and report.paid == report.deducted == 3 * report.ok
        assert report.throughput > 0 and 0 < report.latency.p50 <= report.latency.p99
        assert report.overlap > 1
        print(report)
"""


def test_a_naive_callable_is_caught_and_a_right_one_passes(run):
    done = run(NAIVE)
    done.assert_outcomes(passed=1, failed=2)
    done.stdout.fnmatch_lines_random(
        [
            "E *LostMoneyError: test_naive.<locals>.pay: lost *; 8 users took 3 at a time for *",
            "E *paid out: * units; deducted: *",
            "E *account check-*: * were paid out and never deducted: *",
            "E *LostMoneyError: test_overdrawing.<locals>.pay: lost *",
            "E *account check-*: it was overdrawn, or holds no number any more; -* should be left*",
            "test_right.<locals>.pay: held; 8 users took 3 at a time for * ok, * refused, 0 raised",
        ]
    )


ASYNCIO = """
    import contextlib
    import redis.asyncio
    from redislock.asyncio import Client

    def test_naive(redislock_server, redislock_client, check_strategy):
        pool = redis.asyncio.Redis.from_url(redislock_server.url)

        async def pay(user, amount):
            key = redislock_client.keys(user)["balance"]
            left = int(await pool.get(key)) - amount
            if left < 0:
                return False
            await pool.set(key, left)
            return True

        check_strategy(pay, users=8, duration=1.0)

    def test_right(redislock_server, check_strategy):
        client = Client(redislock_server.url)
        report = check_strategy(client.withdraw_watch, users=8, duration=0.3)
        assert report.ok > 8 and report.overlap == 8
        assert check_strategy(lambda user, amount: client.withdraw_lua(user, amount), duration=0.1).ok
"""


def test_async_callables_too(run):
    done = run(ASYNCIO, "-W", "ignore::ResourceWarning")  # redis-py's connections end with their loop
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["E *LostMoneyError: test_naive.<locals>.pay: lost *"])


def test_inside_of_an_event_loop(run):
    needs("pytest_asyncio")
    suite = """
        import pytest
        from redislock.asyncio import Client

        @pytest.mark.asyncio
        async def test_it(redislock_server, check_strategy, check_strategy_async):
            async with Client(redislock_server.url) as client:
                report = await check_strategy_async(client.withdraw_lua, users=8, duration=0.2)
                assert report.ok and report.overlap == 8
                with pytest.raises(AssertionError, match="lost"):
                    await check_strategy_async(client.withdraw_naive, users=8, duration=1.0)
                with pytest.raises(RuntimeError, match="await check_strategy_async"):
                    check_strategy(client.withdraw_lua)
    """
    run(suite).assert_outcomes(passed=1)


def test_greenlets(run):
    needs("gevent")
    suite = """
        from gevent import monkey
        monkey.patch_all()

        def test_it(redislock_client, check_strategy):
            report = check_strategy(redislock_client.withdraw_watch, users=8, duration=0.2)
            assert report.ok and report.overlap == 8
    """
    run(suite, "-W", "ignore").assert_outcomes(passed=1)


def test_a_load_test_is_five_lines(run):
    suite = """
        from redislock import load

        def test_it(redislock_server):
            report = load.run(redislock_server.url, users=64, duration=0.3, warmup=0.1)
            assert report.verdict
            assert report.latency.p99 < 5
            assert report.throughput > 10
    """
    run(suite).assert_outcomes(passed=1)
