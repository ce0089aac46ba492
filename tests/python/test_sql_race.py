"""The race in slow motion on PostgreSQL: the same interleaving every time, and who was saved by what."""

import json
import subprocess
import sys

import pytest

from redislock import _sql_race, sql


def led(postgres, strategy, **asked):
    return _sql_race.run(postgres.url, strategy=strategy, **asked)


def test_for_update_waits_for_the_row(postgres):
    race = led(postgres, "for_update")
    assert [(each.buyer, each.does) for each in race.steps] == [
        ("A", "locks the row, reads 5"),
        ("B", "waits for the row"),
        ("A", "UPDATE: 5 - 1 = 4"),
        ("B", "has the row now, reads 4"),
        ("B", "UPDATE: 4 - 1 = 3"),
    ]
    assert "row locked" in race.steps[1].saved
    assert race.steps[0].sent[1] == "SELECT balance FROM accounts WHERE user_id = 'stock' FOR UPDATE"
    assert (race.end, race.sold, race.verdict.word) == (3, 2, "held")


def test_only_one_waits_for_the_row_at_a_time(postgres):
    # Of two PostgreSQL would take either.
    race = led(postgres, "for_update", buyers=4, balance=3)
    assert [(each.buyer, each.does.partition(" ")[0]) for each in race.steps] == [
        ("A", "locks"),
        *(("B", "waits"), ("A", "UPDATE:"), ("B", "has")),
        *(("C", "waits"), ("B", "UPDATE:"), ("C", "has")),
        *(("D", "waits"), ("C", "UPDATE:"), ("D", "has"), ("D", "ROLLBACK")),
    ]
    assert [str(each.status) for each in race.results.values()] == ["ok", "ok", "ok", "insufficient"]
    assert race.verdict.held


def test_version_looks_again(postgres):
    race = led(postgres, "version", balance=1)
    assert "the version is not the 0 that B read: A wrote since" in race.steps[3].saved
    assert [str(each.status) for each in race.results.values()] == ["ok", "insufficient"]
    assert race.verdict.held


def test_atomic_and_serializable(postgres):
    atomic = led(postgres, "atomic", buyers=3)
    assert [each.does for each in atomic.steps] == [
        "UPDATE: 5 - 1 = 4",
        "UPDATE: 4 - 1 = 3",
        "UPDATE: 3 - 1 = 2",
    ]
    assert "one statement" in atomic.steps[1].saved
    serializable = led(postgres, "serializable")
    assert "SQLSTATE 40001" in next(each.saved for each in serializable.steps if each.saved)
    assert serializable.results["B"].attempts == 2
    assert atomic.verdict.held
    assert serializable.verdict.held


def test_naive_loses(postgres):
    race = led(postgres, "naive")
    assert race.verdict.word == "lost 1"
    assert "what A took is forgotten" in race.steps[3].lost


@pytest.mark.parametrize("strategy", ["for_update", "version", "serializable", "naive"])
def test_it_is_the_same_every_time_and_leaves_nothing(postgres, strategy):
    first, second = (led(postgres, strategy, buyers=3, balance=2) for _ in range(2))
    assert first.as_dict() == second.as_dict()
    import psycopg

    with psycopg.connect(postgres.url) as line:
        assert line.execute("SELECT count(*) FROM accounts WHERE user_id LIKE 'race-%'").fetchone() == (0,)


def race(*words):
    return subprocess.run(
        [sys.executable, "-m", "redislock", "race", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command(postgres, tmp_path):
    done = race("for_update", "--url", postgres.url, "--svg", str(tmp_path / "r.svg"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "SAVED: row locked: B gets no answer" in done.stdout
    assert "FOR UPDATE" in (tmp_path / "r.svg").read_text(encoding="utf-8")
    lost = race("naive", "--url", postgres.url, "--json")
    assert lost.returncode == 0, "naive is expected to"
    assert json.loads(lost.stdout)["verdict"]["lost"] == 1
    private = race("version")
    assert private.returncode == 0
    assert private.stdout.startswith("PostgreSQL")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["for_update", "--url", "redis://127.0.0.1:1"], "for_update runs on PostgreSQL"),
        (["lua", "--url", "postgresql://x/y"], "lua runs on Redis"),
        (["version", "--url", "sqlite:///x.db"], "SQLite locks no rows"),
        (["atomic", "--url", "postgresql://u:sesame@h:port/d"], "cannot be read"),
    ],
)
def test_what_exists_nowhere_is_refused(words, sentence):
    done = race(*words)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split()).replace("│ ", "")
    assert "sesame" not in done.stderr


def test_a_race_needs_tables(postgres):
    import psycopg

    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS bare")
        admin.execute("CREATE DATABASE bare")
    url = postgres.url.replace("/postgres?", "/bare?")
    assert race("atomic", "--url", url).returncode == 0  # the command makes them
    with sql.connect(url) as client:
        assert client.health()
