"""The tab "Withdrawals" of Locust's web UI, and the page of charts that it links to."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import flask

from redislock.locust.outcomes import ERROR, STOPPED, UNKNOWN
from redislock.locust.told import milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from locust.env import Environment

    from redislock.locust.run import Run

__all__ = ["extend"]

_KEY: Final = "withdrawals"
_COLUMNS: Final = {
    "name": "Request",
    "ok": "ok",
    "insufficient": "insufficient",
    "conflict": "conflict",
    "lock_busy": "lock_busy",
    "lock_lost": "lock_lost",
    "missing": "missing",
    "unknown": "unknown",
    "error": "errors",
    "rate": "ok/s",
    "p50": "p50 (ms)",
    "p99": "p99 (ms)",
    "p999": "p99.9 (ms)",
    "longest": "max (ms)",
}

# Outside of what React draws, so that neither disturbs the other.
_LINK: Final = """
    <p id="redislock-link" style="display:none;position:fixed;bottom:0;left:0;right:0;
       text-align:center;font-family:sans-serif">
      <a href="./withdrawals" target="_blank" style="color:#15803d">Charts of the withdrawals, live</a>
    </p>
    <script>
      setInterval(() => {
        const tab = document.querySelector('[role=tab][aria-selected=true]');
        document.getElementById('redislock-link').style.display =
          tab && tab.textContent === 'Withdrawals' ? 'block' : 'none';
      }, 200);
    </script>
"""


def extend(
    environment: Environment,
    run: Run,
    find_fault: Callable[[Mapping[str, str]], str | None],
) -> None:
    """Add the tab, the page and a check of what is typed into the form."""
    ui = environment.web_ui
    if ui is None or ui.app is None:
        return
    options = environment.parsed_options
    page = flask.Blueprint("redislock", __name__, url_prefix=(options and options.web_base_path) or None)

    @page.route("/withdrawals")
    @ui.auth_required_if_enabled  # type: ignore[untyped-decorator]
    def charts() -> flask.Response:
        text = files("redislock.locust").joinpath("charts.html").read_text(encoding="utf-8")
        return flask.Response(text, mimetype="text/html")

    @page.route("/withdrawals/data")
    @ui.auth_required_if_enabled  # type: ignore[untyped-decorator]
    def data() -> flask.Response:
        return flask.jsonify(_chart(run))

    @page.before_app_request
    def refuse() -> flask.Response | None:
        if flask.request.endpoint != "locust.swarm":
            return None
        fault = find_fault(flask.request.form)
        if fault is None:
            return None
        return flask.jsonify({"success": False, "message": fault, "host": environment.host})

    @page.after_app_request
    def add(response: flask.Response) -> flask.Response:
        return _extended(response, run)

    ui.app.register_blueprint(page)
    ui.template_args = {
        **ui.template_args,
        "extended_tabs": [*ui.template_args.get("extended_tabs", []), {"title": "Withdrawals", "key": _KEY}],
        "extended_tables": [
            *ui.template_args.get("extended_tables", []),
            {"key": _KEY, "structure": [{"key": key, "title": title} for key, title in _COLUMNS.items()]},
        ],
    }


def _extended(response: flask.Response, run: Run) -> flask.Response:
    """Add ours to what Locust answers to its own page."""
    if response.status_code != 200:  # noqa: PLR2004  # HTTP's OK
        return response
    if flask.request.endpoint == "locust.request_stats":
        told = response.get_json()
        told["extended_stats"] = [{"key": _KEY, "data": _table(run)}]
        response.set_data(json.dumps(told))
    elif flask.request.endpoint == "locust.index":
        response.set_data(response.get_data(as_text=True).replace("</body>", _LINK + "</body>"))
    return response


def _table(run: Run) -> list[dict[str, Any]]:
    lately = run.totals.samples[-1].per_second if run.totals.samples else {}
    rows: list[dict[str, Any]] = []
    for name, counts, latency in run.totals.rows():
        seen = dict.fromkeys(_COLUMNS, 0) | counts
        seen[UNKNOWN] += counts.get(STOPPED, 0)
        times = (latency.p50, latency.p99, latency.p999, latency.max)
        told = [milliseconds(each) if latency.count else "" for each in times]
        # The UI rewrites names with an underscore, in the table's structure as well as here.
        rows.append(
            {key: seen[key] for key in _COLUMNS}
            | {"name": name, "rate": round(lately.get(name, 0) if run.going else 0)}
            | dict(zip(("p50", "p99", "p999", "longest"), told, strict=True))
        )
    if money := _money(run):
        rows.append({"name": f"money: {money}"})
    return rows


def _money(run: Run) -> str:
    if run.verdict_told:
        return run.verdict_told
    return "judged when the run is over" if run.going and run.keeps_books else ""


def _chart(run: Run) -> dict[str, Any]:
    return {
        "going": run.going,
        "money": _money(run),
        "lost": run.verdict is not None and not run.verdict.held,
        "columns": [[key, title] for key, title in _COLUMNS.items()],
        "rows": [row for row in _table(run) if len(row) > 1],
        "errors": run.totals.count(ERROR),
        "samples": [
            {"at": round(each.at, 3), "ok": each.per_second, "p99": each.p99} for each in run.totals.samples
        ],
    }
