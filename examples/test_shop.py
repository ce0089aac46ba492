"""Testing code that withdraws, with no server at all: `pytest examples/test_shop.py`.

`memory://` is a miniature server inside the process. The same native code runs against it, so
WATCH meets real conflicts there and a lock is really waited for. Each client of a nameless
`memory://` has a server of its own, so that no test sees another's accounts.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from redislock import Client


class Shop:
    """What is to be tested: it sells a thing for a price."""

    def __init__(self, client: Client, price: int) -> None:
        self.client = client
        self.price = price

    def buy(self, user: str, order: str) -> str:
        result = self.client.withdraw_lua(user, self.price, idempotency_key=order)
        return "sold" if result else f"refused: {result.status}"


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Client("memory://") as client:
        client.init("alice", 10)
        yield Shop(client, price=3)


def test_sells_until_the_money_is_gone(shop: Shop) -> None:
    answers = [shop.buy("alice", f"order-{n}") for n in range(4)]
    assert answers == ["sold", "sold", "sold", "refused: insufficient"]


def test_an_order_that_is_sent_twice_is_paid_once(shop: Shop) -> None:
    assert shop.buy("alice", "order-1") == shop.buy("alice", "order-1") == "sold"
    assert shop.client.balance("alice") == 10 - 3


def test_many_buyers_at_once_overdraw_nothing(shop: Shop) -> None:
    with ThreadPoolExecutor(8) as buyers:
        answers = list(buyers.map(lambda n: shop.buy("alice", f"order-{n}"), range(20)))
    assert answers.count("sold") == 10 // 3
    assert shop.client.balance("alice") == 1


def test_strangers_are_refused(shop: Shop) -> None:
    assert shop.buy("nobody", "order-1") == "refused: missing"
