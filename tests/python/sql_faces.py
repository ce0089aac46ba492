"""The SQL clients behind the faces of `faces`, on PostgreSQL and on SQLite."""

import importlib.util

import pytest
from faces import AsyncFace, GeventFace, ThreadFace, UvloopFace

from redislock import sql
from redislock.sql import asyncio as async_sql


class SqlThreads(ThreadFace):
    client_type = sql.Client


class SqlAsyncio(AsyncFace):
    client_type = async_sql.Client


class SqlUvloop(UvloopFace):
    client_type = async_sql.Client


class SqlGevent(GeventFace):
    client_type = sql.Client


SQL_FACES = {"threads": SqlThreads, "asyncio": SqlAsyncio, "uvloop": SqlUvloop, "gevent": SqlGevent}


def _kinds(*databases):
    for face in SQL_FACES:
        missing = face in ("gevent", "uvloop") and importlib.util.find_spec(face) is None
        marks = [pytest.mark.skipif(missing, reason=f"{face} is not installed")]
        for database in databases:
            yield pytest.param((face, database), id=f"{face}-{database}", marks=marks)


EVERY_SQL = list(_kinds("postgresql", "sqlite"))
on_postgres = pytest.mark.parametrize("kind", list(_kinds("postgresql")), indirect=True)
on_sqlite = pytest.mark.parametrize("kind", list(_kinds("sqlite")), indirect=True)
