"""One change of a balance in each way, and how many bytes it takes on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy import Direction, Proxy

    from redislock import Client, Result

WITHDRAWALS = ["lua", "lock", "watch"]
CHANGES = [*WITHDRAWALS, "deposit"]


def change(client: Client, how: str, user: str, key: str | None = None) -> Result:
    """Change the balance by one."""
    if how == "deposit":
        return client.deposit(user, 1, idempotency_key=key)
    return client.withdraw(how, user, 1, idempotency_key=key)


def after(how: str, before: int) -> int:
    """Return the balance after one change."""
    return before + 1 if how == "deposit" else before - 1


def warm(client: Client, how: str) -> None:
    """Have a greeted connection of the right kind, so that what follows is the call alone."""
    if how == "watch":
        assert client.withdraw_watch("nobody", 1).status == "missing"
    else:
        assert client.balance("nobody") is None


def measure(client: Client, proxy: Proxy, how: str, user: str, key: str | None) -> dict[Direction, int]:
    """Count the bytes of one change on a warm connection, its script being known."""
    change(client, how, user)
    warm(client, how)
    before = dict(proxy.carried)
    assert change(client, how, user, key).status == "ok"
    return {each: proxy.carried[each] - before[each] for each in before}
