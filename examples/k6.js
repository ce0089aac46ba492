// Withdrawals over HTTP under load: k6 drives examples/fastapi_app.py, and counts the money afterwards.
//
//     redislock serve &                     # or REDIS_CONN=redis://... of your own
//     uvicorn --app-dir examples fastapi_app:app &
//     k6 run examples/k6.js
//     k6 run -e STRATEGY=watch -e VUS=64 -e DURATION=30s examples/k6.js
//
// What is measured is the application: HTTP, JSON and Python cost many times what a withdrawal costs on
// the server, so the strategies look more alike here than they are. `redislock compare` leaves that out.
//
// Environment: BASE_URL, STRATEGY (lua, lock, watch), VUS, DURATION, AMOUNT, ACCOUNTS (how many accounts
// are drawn from; 1 is a hot one). The run fails (exit code 99) where money is lost or a fault is answered;
// a lost race (503 with `conflict` or `lock_busy`) is no fault.
import http from "k6/http";
import { check } from "k6";
import { Counter, Rate } from "k6/metrics";

const BASE_URL = __ENV.BASE_URL || "http://localhost:8000";
const STRATEGY = __ENV.STRATEGY || "lua";
const AMOUNT = Number(__ENV.AMOUNT || 3);
const ACCOUNTS = Number(__ENV.ACCOUNTS || 1);
const BALANCE = 1000000000;

const paid = new Counter("withdrawals_ok");
const refused = new Counter("withdrawals_refused");
const faults = new Counter("withdrawals_faults");
// What callers were told was taken, less what has left the accounts: nothing, if the books are right.
const money = new Counter("money_unaccounted");
const races = new Rate("races_lost");

export const options = {
  scenarios: {
    buyers: {
      executor: "constant-vus",
      vus: Number(__ENV.VUS || 16),
      duration: __ENV.DURATION || "10s",
      gracefulStop: "10s", // nobody is cut off whose money has moved
    },
  },
  thresholds: {
    money_unaccounted: ["count==0"],
    withdrawals_faults: ["count==0"],
  },
  summaryTrendStats: ["med", "p(95)", "p(99)", "max"],
};

// The answers that this program expects; k6 counts any other as failed.
http.setResponseCallback(http.expectedStatuses(200, 409, 503));

function post(path, body, headers = {}) {
  const sent = { headers: { "Content-Type": "application/json", ...headers } };
  return http.post(`${BASE_URL}${path}`, JSON.stringify(body), sent);
}

function account(number) {
  return `k6-${number}`;
}

function balanceOf(user) {
  return http.get(`${BASE_URL}/balance?user=${user}`, { tags: { name: "balance" } }).json("balance");
}

export function setup() {
  const health = http.get(`${BASE_URL}/health`);
  if (health.status !== 200) {
    throw new Error(`${BASE_URL} does not reach its server: ${health.status} ${health.body}`);
  }
  for (let number = 0; number < ACCOUNTS; number++) {
    post("/init", { user: account(number), balance: BALANCE });
  }
  money.add(0);
  faults.add(0);
}

export default function () {
  const user = account(Math.floor(Math.random() * ACCOUNTS));
  // Whoever repeats a request after a lost answer sends the same key again.
  const key = `${__VU}-${__ITER}-${Date.now()}`;
  const answer = post(`/withdraw_${STRATEGY}`, { user, amount: AMOUNT }, { "Idempotency-Key": key });
  const status = answer.status === 0 ? "no answer" : answer.json("status");
  check(answer, { "a status that is expected": () => [200, 409, 503].includes(answer.status) });
  races.add(status === "conflict" || status === "lock_busy" || status === "lock_lost");
  if (status === "ok") {
    paid.add(1);
    money.add(AMOUNT);
  } else if (answer.status === 409 || answer.status === 503) {
    refused.add(1);
  } else {
    faults.add(1);
  }
}

export function teardown() {
  let left = 0;
  for (let number = 0; number < ACCOUNTS; number++) {
    left += balanceOf(account(number));
  }
  money.add(left - ACCOUNTS * BALANCE);
}
