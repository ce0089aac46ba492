"""Two transfers that lock their accounts in opposite order: the deadlock, how it looks, and its retry.

    python examples/sql_deadlock.py

Starts a PostgreSQL of its own that looks for deadlocks after five seconds only, so that there is time
to look at it.
"""

import subprocess
import sys
import threading
import time

from redislock import Result, sql


def move(client: sql.Client, source: str, target: str, results: list[Result]) -> None:
    while not any(each.attempts > 1 for each in results):
        results.append(client.transfer(source, target, 1, in_order=False, timeout=30))


def until_both_wait(results: list[Result]) -> None:
    done = -1
    while done != len(results):
        done = len(results)
        time.sleep(0.5)


def main() -> None:
    with sql.PrivatePostgres(config={"deadlock_timeout": "5s"}) as server, sql.connect(server.url) as client:
        client.migrate()
        client.reset({"alice": 1_000_000, "bob": 1_000_000})
        results: list[Result] = []
        ways = [("alice", "bob"), ("bob", "alice")]
        both = [threading.Thread(target=move, args=(client, *way, results)) for way in ways]
        for each in both:
            each.start()
        until_both_wait(results)
        subprocess.run([sys.executable, "-m", "redislock", "locks", "--url", server.url], check=True)
        for each in both:
            each.join()
        tries = max(each.attempts for each in results)
        print(f"PostgreSQL refused one of them with 40P01; it came through in {tries} attempts")
        print("together they hold", sum(client.balance(each) or 0 for each in ("alice", "bob")))


if __name__ == "__main__":
    main()
