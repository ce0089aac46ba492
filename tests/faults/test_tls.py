"""Scenario 30, TLS: whoever is not the right server is refused before a word is said."""

import shutil
import subprocess
import time

import pytest
import redis
from changes import CHANGES, change
from proxy import Proxy
from test_signals import survives
from waiting import at_most, eventually

import redislock
from redislock import ConfigurationError, OutcomeUnknownError
from redislock._server import PrivateServer, ServerError, _claim_port

pytestmark = [
    pytest.mark.skipif(not redislock.build_info()["tls"], reason="this build of redislock lacks TLS"),
    pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl command to make certificates"),
]

SECRET = "correct-horse-battery"


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def authority(folder, name):
    openssl(folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
    openssl(
        folder, "req", "-x509", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}",
        "-days", "30", "-out", f"{name}.crt",
    )  # fmt: skip


def certificate(folder, name, names, *, days=30, signer="ca"):
    openssl(folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
    openssl(folder, "req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr")
    (folder / f"{name}.ext").write_text(f"subjectAltName={names}\n", encoding="ascii")
    openssl(
        folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{signer}.crt", "-CAkey", f"{signer}.key",
        "-CAcreateserial", "-days", str(days), "-extfile", f"{name}.ext", "-out", f"{name}.crt",
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with an authority, and certificates good and bad."""
    made = tmp_path_factory.mktemp("certificates")
    authority(made, "ca")
    authority(made, "unknown")
    certificate(made, "good", "DNS:localhost,IP:127.0.0.1")
    certificate(made, "named", "DNS:localhost")
    certificate(made, "other", "DNS:example.org,IP:192.0.2.1")
    certificate(made, "wild", "DNS:*")
    certificate(made, "expired", "DNS:localhost,IP:127.0.0.1", days=-1)
    certificate(made, "foreign", "DNS:localhost,IP:127.0.0.1", signer="unknown")
    certificate(made, "client", "DNS:client")
    return made


@pytest.fixture(scope="module")
def serve(folder):
    """Start TLS servers by the name of their certificate."""
    running = {}

    def start(name, **config):
        key = (name, *config.items())
        if key not in running:
            port = _claim_port(0)
            server = PrivateServer(
                config={
                    "tls-port": port,
                    "tls-cert-file": str(folder / f"{name}.crt"),
                    "tls-key-file": str(folder / f"{name}.key"),
                    "tls-ca-cert-file": str(folder / "ca.crt"),
                    "tls-auth-clients": "no",
                    "requirepass": SECRET,
                    **config,
                }
            )
            try:
                server.start()
            except ServerError as error:
                pytest.skip(f"{server.program.path} has no TLS: {error}")
            running[key] = server, port
        return running[key][1]

    yield start
    for server, _ in running.values():
        server.stop()


def secure(connect, port, folder, *, host="127.0.0.1", **options):
    return connect(
        f"rediss://:{SECRET}@{host}:{port}",
        **{"ssl_ca_certs": folder / "ca.crt", "timeout": 5, **options},
    )


def refused(client, *words):
    for how in CHANGES:
        with pytest.raises(redislock.ConnectionError) as caught, at_most(2):
            change(client, how, "alice", "order")
        message = str(caught.value)
        assert any(word in message for word in words), message
        assert message.startswith("cannot connect to ")
        assert SECRET not in message
    health = client.health()
    assert not health
    assert SECRET not in health.error


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_30_tls_the_right_server_is_used(host, serve, connect, folder, user):
    client = secure(connect, serve("good"), folder, host=host)
    client.init(user, 100)
    assert [change(client, how, user).status for how in CHANGES] == ["ok"] * 4
    assert client.balance(user) == 98


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("name", ["other", "wild"])
def test_30_tls_another_host_is_refused(name, host, serve, connect, folder):
    refused(secure(connect, serve(name), folder, host=host), "mismatch")


def test_30_tls_a_name_is_no_address(serve, connect, folder):
    refused(secure(connect, serve("named"), folder, host="127.0.0.1"), "mismatch")


def test_30_tls_an_expired_certificate_is_refused(serve, connect, folder):
    refused(secure(connect, serve("expired"), folder), "expired")


def test_30_tls_an_unknown_authority_is_refused(serve, connect, folder):
    refused(secure(connect, serve("foreign"), folder), "issuer", "self-signed", "unable to get")
    # Nor does the system's own trust know our authority.
    refused(connect(f"rediss://:{SECRET}@127.0.0.1:{serve('good')}"), "issuer", "self-signed", "unable")


def test_30_tls_checks_can_be_turned_off_one_by_one(serve, connect, folder, user):
    client = secure(connect, serve("other"), folder, ssl_check_hostname=False)
    assert client.balance(user) is None
    client = connect(f"rediss://:{SECRET}@127.0.0.1:{serve('expired')}", ssl_cert_reqs="none")
    assert client.balance(user) is None
    refused(secure(connect, serve("foreign"), folder, ssl_check_hostname=False), "issuer", "unable")


def test_30_tls_a_server_without_tls_is_refused(server, serve, connect, folder):
    # It takes the greeting for the beginning of a word, and may wait for the rest of it.
    for how in CHANGES:
        with pytest.raises((redislock.ConnectionError, TimeoutError), match="TLS"), at_most(0.5):
            change(secure(connect, server.port, folder, timeout=0.4), how, "alice", "order")
    # And the other way round: no plain word is taken for an answer.
    plain = connect(f"redis://:{SECRET}@127.0.0.1:{serve('good')}", timeout=1)
    with pytest.raises(redislock.Error, match=r"^cannot connect to .*; does it want TLS") as caught:
        plain.balance("alice")
    assert f"127.0.0.1:{serve('good')}" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_30_tls_a_client_certificate(serve, connect, folder, user):
    port = serve("good", **{"tls-auth-clients": "yes"})
    identity = {"ssl_certfile": folder / "client.crt", "ssl_keyfile": folder / "client.key"}
    assert secure(connect, port, folder, **identity).balance(user) is None
    with pytest.raises(redislock.ConnectionError), at_most(6):
        secure(connect, port, folder).balance(user)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ssl_ca_certs": "/nowhere/ca.crt"},
        {"ssl_certfile": "/nowhere/client.crt"},
        {"ssl_keyfile": "/nowhere/client.key"},
        {"ssl_ca_certs": __file__},
    ],
)
def test_30_tls_files_that_cannot_be_used_are_named(wrong, connect):
    (option,) = wrong
    with pytest.raises(ConfigurationError, match=option):
        connect("rediss://127.0.0.1:1", **wrong).balance("alice")


def test_30_tls_a_wrong_password_is_told_as_such(serve, connect, folder):
    client = connect(f"rediss://:not-{SECRET}@127.0.0.1:{serve('good')}", ssl_ca_certs=folder / "ca.crt")
    with pytest.raises(redislock.AuthenticationError) as caught:
        client.balance("alice")
    assert SECRET not in str(caught.value)


# --- the faults of plain connections, once more through TLS


@pytest.fixture
def tls_proxy(serve):
    with Proxy(serve("good")) as made:
        yield made


@pytest.mark.parametrize("direction", ["request", "reply"])
@pytest.mark.parametrize("how", CHANGES)
def test_2_tls_cut_at_many_bytes(how, direction, tls_proxy, serve, connect, folder, user):
    through = secure(connect, int(tls_proxy.url.rsplit(":", 1)[1]), folder)
    direct = secure(connect, serve("good"), folder)
    direct.init(user, 10**6)
    for position in [*range(0, 60, 4), *range(60, 600, 45)]:
        through.balance("nobody")
        before = direct.balance(user)
        tls_proxy.cut(direction, position, "rst" if position % 2 else "fin")
        try:
            ok = change(through, how, user).status == "ok"
        except OutcomeUnknownError:
            ok = None
        except redislock.Error:
            ok = False
        tls_proxy.uncut()
        moved = abs(direct.balance(user) - before)
        assert moved == int(ok) if ok is not None else moved in (0, 1)
        assert change(through, how, user, f"{position}").status == "ok"
        assert change(through, how, user, f"{position}").replayed
    lock = direct.keys(user)["lock"]
    with redis.Redis(
        port=serve("good"), password=SECRET, ssl=True, ssl_ca_certs=str(folder / "ca.crt")
    ) as raw:
        eventually(lambda: not raw.exists(lock))


@pytest.mark.timing
def test_21_and_22_tls_silence_and_dribbling(tls_proxy, connect, folder):
    port = int(tls_proxy.url.rsplit(":", 1)[1])
    client = secure(connect, port, folder, timeout=0.3)
    client.balance("nobody")
    for misbehave in (tls_proxy.drop, lambda: tls_proxy.dribble(0.02)):
        misbehave()
        for each in (client, secure(connect, port, folder, timeout=0.3)):
            begin = time.monotonic()
            with pytest.raises((TimeoutError, OutcomeUnknownError)):
                each.withdraw_lua("nobody", 1)
            assert 0.29 < time.monotonic() - begin < 0.4
        tls_proxy.release()
        tls_proxy.cut_all()


def test_31_tls_sigpipe_with_its_default_action(tls_proxy, folder):
    url = tls_proxy.url.replace("redis://", f"rediss://:{SECRET}@")
    survives(tls_proxy, url, f"ssl_ca_certs={folder / 'ca.crt'}")
