"""What a client is made of: arguments, a URL and the environment, turned into native settings.

The only module that reads environment variables for the clients.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypedDict

from redislock import _core
from redislock._errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DEFAULT_URL",
    "ClientOptions",
    "environment_prefix",
    "environment_retries",
    "make_accounts",
    "make_options",
    "url_from_redis",
]

DEFAULT_URL = "redis://localhost:6379"
DEFAULT_PREFIX = "redislock"
DEFAULT_RETRIES = 10
MOST_RETRIES = 1_000_000


class ClientOptions(TypedDict, total=False):
    """Keyword arguments of both clients.

    Durations are seconds. `timeout` is the total for one operation, retries and reconnects
    included. `max_connections` bounds the exclusive connections that WATCH needs. `ssl_*` are as in
    redis-py, for servers whose URL begins with ``rediss://``; others refuse them.
    """

    timeout: float
    connect_timeout: float
    username: str
    password: str
    db: int
    client_name: str
    max_connections: int
    ssl_ca_certs: str
    ssl_ca_path: str
    ssl_certfile: str
    ssl_keyfile: str
    ssl_cert_reqs: str
    ssl_check_hostname: bool


_OPTION_TYPES: dict[str, tuple[type, ...]] = {
    "timeout": (int, float),
    "connect_timeout": (int, float),
    "username": (str,),
    "password": (str,),
    "db": (int,),
    "client_name": (str,),
    "max_connections": (int,),
    "ssl_ca_certs": (str, os.PathLike),
    "ssl_ca_path": (str, os.PathLike),
    "ssl_certfile": (str, os.PathLike),
    "ssl_keyfile": (str, os.PathLike),
    "ssl_cert_reqs": (str,),
    "ssl_check_hostname": (bool,),
}


_RULES = (
    "prefix",
    "balance_key",
    "history_limit",
    "idempotency_ttl",
    "max_retries",
    "lock_wait",
    "lock_lease",
)

# What users of redis-py write.
_SERVER = "the server is named by its URL: redis://host:6379/0, rediss:// for TLS, unix:///path"
_INSTEAD: dict[str, str] = {
    "host": _SERVER,
    "port": _SERVER,
    "ssl": _SERVER,
    "unix_socket_path": _SERVER,
    "socket_timeout": "timeout is the total for one operation",
    "socket_connect_timeout": "it is called connect_timeout",
    "key_prefix": "it is called prefix",
}


def _to_text(name: str, value: object) -> str:
    wanted = _OPTION_TYPES.get(name)
    if wanted is None:
        known = "known are " + ", ".join((*_RULES, *_OPTION_TYPES))
        raise TypeError(f"unknown option {name!r}; {_INSTEAD.get(name, known)}")
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        names = " or ".join(each.__name__ for each in wanted)
        raise TypeError(f"{name} must be {names}, not {type(value).__name__}")
    if isinstance(value, float):
        return repr(value)
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def make_options(url: str | None, given: Mapping[str, object]) -> _core.Options:
    """Parses the URL, or `REDIS_CONN`, or the default; arguments override what the URL says."""
    overrides = [(name, _to_text(name, value)) for name, value in given.items() if value is not None]
    if url is not None:
        if not isinstance(url, str):
            raise TypeError(f"url must be a str, not {type(url).__name__}")
        return _core.Options(url, overrides)
    named = os.environ.get("REDIS_CONN") or ""
    if not named:
        return _core.Options(DEFAULT_URL, overrides)
    try:
        _core.Options(named)  # alone, so that a wrong argument is not blamed on the variable
    except ConfigurationError as error:
        raise ConfigurationError(f"environment variable REDIS_CONN: {error}") from None
    return _core.Options(named, overrides)


def environment_prefix() -> str:
    """What `KEY_PREFIX` says, or the default."""
    prefix = os.environ.get("KEY_PREFIX") or DEFAULT_PREFIX
    if "{" in prefix or "}" in prefix:
        raise ConfigurationError("environment variable KEY_PREFIX must not contain braces")
    return prefix


def environment_retries() -> int:
    """What `MAX_RETRIES` says, or the default."""
    text = os.environ.get("MAX_RETRIES") or ""
    if not text:
        return DEFAULT_RETRIES
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value <= MOST_RETRIES:
        raise ConfigurationError("environment variable MAX_RETRIES must be a whole number from 0, like 10")
    return value


def make_accounts(
    options: _core.Options,
    *,
    prefix: str | None,
    balance_key: str | None,
    max_retries: int | None,
    **rules: Any,
) -> _core.Accounts:
    """The rules of a client; `KEY_PREFIX` and `MAX_RETRIES` stand in for what is not given."""
    common = common_rules(prefix, max_retries)
    return _core.Accounts(options, balance_key=balance_key or "", **common, **rules)


def common_rules(prefix: str | None, max_retries: int | None) -> dict[str, Any]:
    """What accounts and stocks share, with what is not given taken from the environment."""
    return {
        "prefix": environment_prefix() if prefix is None else prefix,
        "max_retries": environment_retries() if max_retries is None else max_retries,
    }


# What a redis-py client was told and ours cannot do. To leave it out unsaid could weaken TLS.
_NOT_TAKEN_OVER = (
    "ssl_include_verify_flags",
    "ssl_exclude_verify_flags",
    "ssl_ca_data",
    "ssl_password",
    "ssl_validate_ocsp",
    "ssl_validate_ocsp_stapled",
    "ssl_ocsp_context",
    "ssl_ocsp_expected_cert",
    "ssl_min_version",
    "ssl_ciphers",
)
_OLDEST_TLS = 0x0303  # ssl.TLSVersion.TLSv1_2, which is the oldest that we speak


def url_from_redis(client: Any) -> tuple[str, dict[str, object]]:
    """The URL and options that a redis-py client, sync or asyncio, was made with."""
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        raise TypeError(f"from_redis needs a redis-py client of one server, not {type(client).__name__}")
    if hasattr(pool, "sentinel_manager"):
        raise ConfigurationError(
            "from_redis cannot take a client that asks Sentinel for its server; name the master by its URL"
        )
    settings = dict(pool.connection_kwargs)
    for name in _NOT_TAKEN_OVER:
        if settings.get(name) and not (name == "ssl_min_version" and settings[name] <= _OLDEST_TLS):
            raise ConfigurationError(
                f"from_redis cannot take over {name}, which the redis-py client sets; "
                "make a client from a URL and the ssl_* options"
            )
    if "path" in settings:
        from urllib.parse import quote

        url = f"unix://{quote(os.fspath(settings['path']))}"
    else:
        host = str(settings.get("host", "localhost"))
        secure = any("SSL" in each.__name__ for each in pool.connection_class.__mro__)
        url = (
            f"{'rediss' if secure else 'redis'}://{f'[{host}]' if ':' in host else host}"
            f":{settings.get('port', 6379)}"
        )
    username, password = _credentials(settings)
    taken = {
        "db": int(settings.get("db") or 0),
        "username": username,
        "password": password,
        "client_name": settings.get("client_name"),
        "timeout": settings.get("socket_timeout"),
        "connect_timeout": settings.get("socket_connect_timeout"),
        "ssl_ca_certs": settings.get("ssl_ca_certs"),
        "ssl_ca_path": settings.get("ssl_ca_path"),
        "ssl_certfile": settings.get("ssl_certfile"),
        "ssl_keyfile": settings.get("ssl_keyfile"),
        "ssl_cert_reqs": _cert_reqs(settings.get("ssl_cert_reqs")),
        "ssl_check_hostname": settings.get("ssl_check_hostname"),
    }
    return url, {name: value for name, value in taken.items() if value is not None}


def _credentials(settings: Mapping[str, Any]) -> tuple[str | None, str | None]:
    given = settings.get("username"), settings.get("password")
    provider = settings.get("credential_provider")
    if provider is not None:
        if type(provider).__name__ != "UsernamePasswordCredentialProvider":  # its answers never change
            raise ConfigurationError(
                "from_redis cannot take over a credential_provider whose passwords may change; "
                "make a client with username= and password="
            )
        given = provider.username, provider.password
    username, password = (_as_text(each, settings.get("encoding") or "utf-8") for each in given)
    return username or None, password or None


def _as_text(value: object, encoding: str) -> str | None:
    """A user name or password as redis-py would send it."""
    if value is None:
        return None
    return value.decode(encoding) if isinstance(value, bytes) else str(value)


def _cert_reqs(value: object) -> str | None:
    if value is None or value in ("none", "required"):
        return value
    return "none" if getattr(value, "name", value) in ("CERT_NONE", "none") else "required"
