"""Withdrawals over HTTP: how an application may use redislock, not a layer to build on.

    pip install fastapi uvicorn
    redislock serve &                     # or REDIS_CONN=redis://... of your own
    uvicorn --app-dir examples fastapi_app:app

    curl --json '{"user": "alice", "balance": 100}' localhost:8000/init
    curl --json '{"user": "alice", "amount": 3}' -H 'Idempotency-Key: order-1042' \
         localhost:8000/withdraw_lua

A withdrawal answers with what the client answered; the HTTP code says the same to programs that
look at nothing else. An answer of 503 changed nothing. An answer of 504 may have: with an
Idempotency-Key the same request may be sent again, and is applied once.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Body, Depends, FastAPI, Header, HTTPException, Query, Request
from fastapi.responses import JSONResponse

import redislock
from redislock import Status
from redislock.asyncio import Client

LARGEST: Final = 2**63 - 1

HTTP_CODES: Final = {
    Status.ok: 200,
    Status.missing: 404,
    Status.insufficient: 409,
    Status.conflict: 503,
    Status.lock_busy: 503,
    Status.lock_lost: 503,
}

# Of two that fit, the first: an AuthenticationError is a ConnectionError as well.
FAULT_CODES: Final = (
    (redislock.OutcomeUnknownError, 504),
    (redislock.IdempotencyMismatchError, 422),  # as draft-ietf-httpapi-idempotency-key-header says
    ((redislock.AuthenticationError, redislock.PermissionDeniedError), 500),
    ((redislock.ConnectionError, redislock.TimeoutError), 503),
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the client of the environment when the server starts; close it when it stops."""
    async with Client() as client:
        app.state.client = client
        yield


def client_of(request: Request) -> Client:
    """Return the client that `lifespan` made."""
    client: Client = request.app.state.client
    return client


# Strict: JSON's true and 3.0 are no amounts.
AppClient = Annotated[Client, Depends(client_of)]
User = Annotated[str, Body(min_length=1, max_length=200)]
Balance = Annotated[int, Body(ge=0, le=LARGEST, strict=True)]
Amount = Annotated[int, Body(ge=1, le=LARGEST, strict=True)]
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]

app = FastAPI(title="redislock example", lifespan=lifespan)


@app.exception_handler(redislock.Error)
async def tell_fault(_: Request, error: redislock.Error) -> JSONResponse:
    """Turn a fault into a code that says whether to try again."""
    code = next((code for kinds, code in FAULT_CODES if isinstance(error, kinds)), 500)
    return JSONResponse({"detail": str(error)}, code, _headers(code))


@app.get("/health")
async def health(client: AppClient) -> JSONResponse:
    report = await client.health()
    return JSONResponse(report.as_dict(), 200 if report else 503)


@app.post("/init")
async def init(client: AppClient, user: User, balance: Balance) -> JSONResponse:
    return answer(await client.init(user, balance))


@app.get("/balance")
async def balance(client: AppClient, user: Annotated[str, Query(min_length=1)]) -> dict[str, int]:
    found = await client.balance(user)
    if found is None:
        raise HTTPException(404, f"there is no account of {user}")
    return {"balance": found}


@app.post("/withdraw_watch")
async def withdraw_watch(client: AppClient, user: User, amount: Amount, key: Key = None) -> JSONResponse:
    return answer(await client.withdraw_watch(user, amount, idempotency_key=key))


@app.post("/withdraw_lua")
async def withdraw_lua(client: AppClient, user: User, amount: Amount, key: Key = None) -> JSONResponse:
    return answer(await client.withdraw_lua(user, amount, idempotency_key=key))


@app.post("/withdraw_lock")
async def withdraw_lock(client: AppClient, user: User, amount: Amount, key: Key = None) -> JSONResponse:
    return answer(await client.withdraw_lock(user, amount, idempotency_key=key))


def answer(result: redislock.Result) -> JSONResponse:
    """Return the result, under the code that fits its status."""
    code = HTTP_CODES[result.status]
    return JSONResponse(result.as_dict(), code, _headers(code))


def _headers(code: int) -> dict[str, str]:
    return {"Retry-After": "1"} if code == HTTPStatus.SERVICE_UNAVAILABLE else {}
