"""Strategies of databases under load: counts, books, and one table beside those of Redis."""

import json
import subprocess
import sys

import pytest

import redislock
from redislock import load, sql

BRIEF = {"users": 8, "duration": 0.4, "warmup": 0.1}


@pytest.mark.parametrize("strategy", load.SQL_STRATEGIES)
def test_a_run_counts_what_a_withdrawal_costs_and_its_books_hold(postgres, strategy):
    report = load.run(postgres.url, strategy=strategy, accounts=4, keys="zipf", jitter=2, **BRIEF)
    assert report.verdict.word == "held"
    ok = report.statuses["ok"]
    assert report.throughput > 0
    assert report.latency.count == ok
    assert set(report.statuses) <= {"ok", "conflict", "lock_busy"}
    per_try = {
        "for_update": (2, 4, 1),
        "serializable": (2, 4, 1),
        "atomic": (1, 1, 1),
        "version": (2, 2, 2),
    }[strategy]
    counted = (report.round_trips, report.statements, report.transactions)
    for counts, least in zip(counted, per_try, strict=True):
        # Histories are cut, and what was refused is rolled back, now and then.
        assert least * report.attempts * 0.9 <= counts <= (least + 1) * report.attempts * 1.1
    assert any("driven by Python threads" in each for each in report.notes)
    with sql.connect(postgres.url) as client:
        assert client.balance(f"{report.settings['prefix']}:1") is None


def test_counts_open_loops_and_added_round_trips(postgres):
    counted = load.run(postgres.url, strategy="atomic", users=4, count=200, warmup=0.05)
    assert sum(counted.statuses.values()) == 200
    paced = load.run(
        postgres.url, strategy="for_update", users=8, rate=100, duration=0.5, warmup=0.0, rtt=0.005
    )
    assert sum(paced.statuses.values()) + paced.missed == pytest.approx(50, abs=2)
    assert paced.latency.min >= 0.01
    assert paced.verdict.held


def test_sqlite(tmp_path):
    url = f"sqlite:///{tmp_path}/x.db"
    with sql.connect(url) as client:
        client.migrate()
    for strategy in ("atomic", "version"):
        report = load.run(url, strategy=strategy, **BRIEF)
        assert report.verdict.word == "held"
        assert report.statuses["ok"] > 0
    with pytest.raises(ValueError, match="no strategy 'for_update' on sqlite"):
        load.run(url, strategy="for_update", **BRIEF)


def test_what_cannot_be_run_is_refused_before_anything_starts(postgres, server):
    for url in (None, server.url):
        with pytest.raises(ValueError, match="needs a url like postgresql://"):
            load.run(url, strategy="atomic")
    with pytest.raises(ValueError, match="processes must be 1"):
        load.run(postgres.url, strategy="atomic", processes=2)
    with pytest.raises(ValueError, match="users"):
        load.run(postgres.url, strategy="atomic", users=0)
    with pytest.raises(redislock.ConnectionError, match="cannot connect"):
        load.run("postgresql://nobody@127.0.0.1:1/none", strategy="atomic")


def compare(*words):
    return subprocess.run(
        [sys.executable, "-m", "redislock", "compare", *words],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_compare_shows_both_worlds_in_one_table(postgres, server, tmp_path):
    files = ["--json", f"{tmp_path}/r.json", "--html", f"{tmp_path}/r.html", "--csv", f"{tmp_path}/r.csv"]
    done = compare(
        *("--url", server.url, "--sql-url", postgres.url, "--strategies", "lua,for_update,atomic,naive"),
        *("--users", "8", "--duration", "0.3", "--warmup", "0.1", *files),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    table = [line for line in done.stdout.splitlines() if line.startswith(("lua ", "for_update ", "atomic "))]
    assert [line.split()[0] for line in table] == ["lua", "for_update", "atomic"]
    assert "transactions" in done.stdout
    assert "for_update: driven by Python threads" in done.stdout
    told = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert told["database"]["name"] == "postgresql"
    assert told["strategies"]["lua"]["transactions"] is None
    ok = told["strategies"]["for_update"]["statuses"]["ok"]
    assert 2 * ok <= told["strategies"]["for_update"]["round_trips"] <= 2.2 * ok + 50
    assert "transactions_per_ok" in (tmp_path / "r.csv").read_text(encoding="utf-8")
    assert "actions<br>per ok" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_compare_starts_a_postgres_of_its_own():
    done = compare("--strategies", "version", "--users", "2", "--duration", "0.2", "--warmup", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "private, at postgresql://" in done.stdout
    assert done.stdout.startswith("PostgreSQL")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--strategies", "lua", "--sql-url", "postgresql://x/y"], "name one in --strategies"),
        (["--strategies", "lua", "--url", "postgresql://x/y"], "'--url': names a database"),
        (["--strategies", "atomic", "--sql-url", "mysql://u:sesame@x/y"], "a database is named by its URL"),
        (["--strategies", "for_update", "--sql-url", "sqlite:///x.db"], "no for_update on SQLite"),
        (["--strategies", "atomic", "--processes", "2"], "threads of one process"),
        (["--strategies", "optimistic"], "none of naive, lua, lock, watch, for_update"),
    ],
)
def test_compare_refuses_in_one_sentence(words, sentence):
    done = compare(*words)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split()).replace("│ ", "")
    assert "sesame" not in done.stderr


def test_an_unreachable_database_gets_one_sentence():
    done = compare("--strategies", "atomic", "--url", "postgresql://ann:sesame@127.0.0.1:1/shop")
    assert done.returncode == 3
    assert "cannot connect to PostgreSQL at 127.0.0.1:1" in done.stderr
    assert "sesame" not in done.stdout + done.stderr
