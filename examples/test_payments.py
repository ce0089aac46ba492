"""Is your own way to withdraw safe where many do so at once? `pytest examples/test_payments.py`.

Here it is redis-py that withdraws: `pip install redis`.

redislock's pytest plugin brings a real server for the session (`redislock_server`), a client on it
(`redislock_client`), and `check_strategy`, which lets many users withdraw at once through any
callable and compares what they were told with what has really left the accounts.
"""

from collections.abc import Callable

import pytest
import redis

from redislock import Client, load
from redislock.testing import PrivateServer, StrategyCheck

Pay = Callable[[str, int], bool]
LEAST = 100  # withdrawals a second


@pytest.fixture
def pool(redislock_server: PrivateServer) -> redis.Redis:
    """What the application uses: redis-py."""
    return redis.Redis.from_url(redislock_server.url)


@pytest.fixture
def pay_naively(pool: redis.Redis, redislock_client: Client) -> Pay:
    def pay(user: str, amount: int) -> bool:
        key = redislock_client.keys(user)["balance"]
        left = int(pool.get(key) or 0) - amount
        if left < 0:
            return False
        pool.set(key, left)  # somebody else may have written since
        return True

    return pay


@pytest.fixture
def pay_in_a_script(pool: redis.Redis, redislock_client: Client) -> Pay:
    take = pool.register_script(
        "if tonumber(redis.call('GET', KEYS[1])) < tonumber(ARGV[1]) then return 0 end "
        "redis.call('DECRBY', KEYS[1], ARGV[1]) return 1"
    )
    return lambda user, amount: take([redislock_client.keys(user)["balance"]], [amount]) == 1


def test_a_script_loses_nothing(check_strategy: StrategyCheck, pay_in_a_script: Pay) -> None:
    report = check_strategy(pay_in_a_script, users=8, duration=0.5)
    assert report.ok > 0


def test_the_naive_way_is_caught(check_strategy: StrategyCheck, pay_naively: Pay) -> None:
    with pytest.raises(AssertionError, match=r"lost \d+"):  # without this line the test fails, and says so
        check_strategy(pay_naively, users=8, duration=1.0)


def test_the_server_keeps_up(redislock_server: PrivateServer) -> None:
    report = load.run(redislock_server.url, strategy="lua", users=64, duration=0.5, warmup=0.1)
    assert report.verdict, report.verdict.detail
    assert report.latency.p99 < 1.0
    assert report.throughput > LEAST
