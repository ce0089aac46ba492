"""The command `compare`: every strategy under the same load, and whether the money held."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

import typer

import redislock
from redislock import load, plots
from redislock._sweep import Cell, Run, Setting, plan
from redislock.cli import _compare_options as options
from redislock.cli import _html, _record
from redislock.cli._checks import Baseline, Demand, Ruling, compare_with, judge, parse_check, parse_fail
from redislock.cli._common import DEFAULT_TIMEOUT, examples, open_client, write_file, wrong
from redislock.cli._database import open_database
from redislock.cli._group import FAULT, INTERRUPTED, REFUSED, USAGE, tell
from redislock.cli._scores import UNSAFE, Scores
from redislock.cli._target import Target, Url, open_target
from redislock.scenarios.worlds import is_sql_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command(epilog=COMPARE)(compare)


_ALL: Final = ",".join(load.STRATEGIES)
COMPARE = examples(
    "redislock compare",
    "redislock compare --strategies lua,watch --accounts 100 --keys zipf",
    "redislock compare --users 1,8,64,256 --repeat 3 --html result.html",
    "redislock compare --rtt 0,0.5ms,2ms --plot chart.png",
    "redislock compare --url redis://db.example:6379 --json result.json",
    "redislock compare --strategies lua,lock,for_update,version --users 16",
    "redislock compare --check 'lua.p99<5ms'",
    "redislock compare --baseline result.json --fail p99:10%",
)


def compare(
    *,
    url: Url = None,
    sql_url: options.SqlUrl = None,
    strategies: options.Strategies = _ALL,
    users: options.Users = "64",
    accounts: options.Accounts = "1",
    rtt: options.Rtt = "0",
    keys: options.KeysOption = None,
    amount: options.Amount = "3",
    jitter: options.Jitter = "0",
    balance: options.Balance = None,
    duration: options.Duration = "5",
    warmup: options.Warmup = "1",
    count: options.Count = None,
    rate: options.Rate = None,
    repeat: options.Repeat = "1",
    processes: options.Processes = "1",
    seed: options.Seed = None,
    max_retries: options.MaxRetries = None,
    lock_wait: options.LockWait = "1",
    timeout: options.Timeout = DEFAULT_TIMEOUT,
    json_file: options.JsonFile = None,
    csv_file: options.CsvFile = None,
    html_file: options.HtmlFile = None,
    plot_file: options.PlotFile = None,
    check: options.Check = None,
    baseline: options.BaselineFile = None,
    fail: options.Fail = None,
) -> None:
    """Put every strategy under the same load, and check that no money was lost.

    for_update, version, atomic and serializable run on a database, beside the others.
    naive is there to lose money under contention. Lists of users, accounts and added round-trip
    times are combined: a sweep.

    Exit codes: 1 if another strategy does, or if a check fails; 3 if the server cannot be used.
    """
    sql_url_given_as = "--sql-url"
    if sql_url is None and is_sql_url(url):
        url, sql_url, sql_url_given_as = None, url, "--url"
    given = dict(locals())
    names = options.parse_strategies(strategies)
    asked = options.parse_load(given)
    settings = options.parse_settings(users, accounts, rtt, asked["timeout"])
    options.check_load(asked, settings)
    on_sql = options.check_sql(names, sql_url, asked["processes"], sql_url_given_as)
    asked["keys"] = (keys or _fitting_keys(settings)).value
    if asked["balance"] is None:
        asked["balance"] = _enough(asked)
    demands = _Demands(names, settings, asked, checks=check or [], baseline=baseline, fails=fail or [])
    options.check_files(given)
    open_client("memory://", None, timeout).close()  # mistakes of the environment, before anything starts
    scores = Scores(to_stderr="-" in (json_file, csv_file))
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(open_database(sql_url, timeout)) if on_sql else None
        only_sql = database is not None and len(on_sql) == len(names)
        target = database if only_sql and database else stack.enter_context(open_target(url, timeout))
        if target.shown_url.startswith("memory:") and asked["processes"] > 1:
            wrong("--processes", "memory:// is inside of this process; name a server with --url")
        targets = dict.fromkeys(names, target) | dict.fromkeys(on_sql, database or target)
        for each in dict.fromkeys(each.line for each in targets.values()):
            scores.say(each)
        _introduce(scores, targets.values(), asked, settings, names)
        record = _Comparison(scores, targets, asked).through(list(plan(settings, names, asked["repeat"])))
        record.rulings = demands.judge(record)
        scores.tell_all(record.cells)
        if record.interrupted and not any(each.report.interrupted for each in record.cells):
            scores.say("ended early by Ctrl-C")
        scores.tell_rulings(record.rulings)
        facts = _record.as_dict(target, asked, settings, record, url)
        if database is not None:
            facts["database"] = _record.database(database)
        written = _write(given, facts, asked, record)
    code = _exit_code(record) or (0 if written else USAGE)
    if record.failure is not None:
        if code != REFUSED:
            raise record.failure
        tell(str(record.failure))  # what was lost before weighs more
    if code:
        raise typer.Exit(code)


class _Demands:
    """The checks and the baseline, read before anything starts."""

    def __init__(
        self,
        names: Sequence[str],
        settings: Sequence[Setting],
        asked: dict[str, Any],
        *,
        checks: Sequence[str],
        baseline: str | None,
        fails: Sequence[str],
    ) -> None:
        self._asked = asked
        self._checks = [parse_check(each, names) for each in checks]
        self._fails: list[Demand] = [parse_fail(each, names) for each in fails]
        self._baseline = None if baseline is None else Baseline.read(baseline)
        if self._fails and self._baseline is None:
            wrong("--fail", "needs a --baseline to compare with")
        if self._baseline is not None:
            if not self._fails:
                wrong("--baseline", "name what must not get worse, like --fail p99:10%")
            if not any(self._baseline.knows(name, each, asked) for each in settings for name in names):
                wrong("--baseline", f"{baseline} has no cell of this comparison")

    def judge(self, record: _record.Record) -> list[Ruling]:
        """Tell what became of them, for the cells that were run."""
        cells, baseline = record.cells, self._baseline
        # Of what was not run because the sweep ended early nothing is known.
        early = record.interrupted or record.failure is not None
        checks, fails = (
            [each for each in demands if not early or any(map(each.concerns, cells))]
            for demands in (self._checks, self._fails)
        )
        rulings = [judge(each, cells) for each in checks]
        if baseline is not None:
            rulings += [compare_with(each, cells, baseline, self._asked) for each in fails]
        return rulings


class _Warnings(logging.Handler):
    """Tells what a run has to warn of where it ends without a report: keys that are left."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it as the other sentences are said."""
        tell(record.getMessage())


_WARNINGS: Final = _Warnings(logging.WARNING)


class _Comparison:
    """The runs, one after the other."""

    def __init__(self, scores: Scores, targets: Mapping[str, Target], asked: dict[str, Any]) -> None:
        self._scores = scores
        self._targets = targets
        self._asked = asked
        self._cells: dict[tuple[Setting, str], Cell] = {}

    def through(self, runs: Sequence[Run]) -> _record.Record:
        """Runs them all, or as far as Ctrl-C or the server lets it."""
        record = _record.Record()
        run = runs[0]
        load.logger.addHandler(_WARNINGS)
        try:
            for number, run in enumerate(runs, 1):
                report = self._one(run, number, len(runs))
                self._keep(run, report)
                self._scores.tell_one(run, report, runs)
        except load.Interrupted as stop:
            # What a round has shown that did not come to its end would spoil the median of the others.
            if run.round == 1 or not stop.report.verdict.held:
                self._keep(run, stop.report)
            record.interrupted = True
        except KeyboardInterrupt:
            record.interrupted = True
        except redislock.Error as error:
            record.failure = error
        finally:
            load.logger.removeHandler(_WARNINGS)
        record.cells = list(self._cells.values())
        return record

    def _keep(self, run: Run, report: load.Report) -> None:
        key = (run.setting, run.strategy)
        self._cells.setdefault(key, Cell(run.setting, run.strategy)).reports.append(report)

    def _one(self, run: Run, number: int, of: int) -> load.Report:
        common = {name: value for name, value in self._asked.items() if name != "repeat"}
        with self._scores.watch(run, number, of) as draw:
            return load.run(
                self._targets[run.strategy].url,
                strategy=run.strategy,
                users=run.setting.users,
                accounts=run.setting.accounts,
                rtt=run.setting.rtt,
                on_progress=draw,
                **common,
            )


def _fitting_keys(settings: Sequence[Setting]) -> options.Keys:
    swept = len({each.accounts for each in settings}) > 1
    return options.Keys.UNIFORM if swept else options.Keys.HOT


def _enough(asked: dict[str, Any]) -> int:
    lasts = asked["warmup"] + asked["duration"]
    return load.default_balance(asked["amount"], asked["jitter"], seconds=lasts, count=asked["count"])


def _write(
    given: dict[str, Any], facts: dict[str, Any], asked: dict[str, Any], record: _record.Record
) -> bool:
    """Write the files; False where one could not be written."""
    written = True
    if given["json_file"] is not None:
        written &= _record.write_json(given["json_file"], facts)
    if given["csv_file"] is not None:
        written &= _record.write(given["csv_file"], _record.as_csv(asked, record.cells))
    if given["html_file"] is not None:
        written &= _record.write(given["html_file"], _html.page(record.cells, facts, record.rulings))
    if (picture := given["plot_file"]) is not None and record.cells:
        versions = facts["versions"]
        caption = f"{versions['server']}, {facts['cpu']['usable']} cores, redislock {versions['redislock']}"
        written &= write_file(picture, lambda: plots.draw(record.cells, picture, caption))
    return written


def _introduce(
    scores: Scores,
    targets: Iterable[Target],
    asked: dict[str, Any],
    settings: Sequence[Setting],
    names: Sequence[str],
) -> None:
    for warning in dict.fromkeys(w for each in targets if not each.private for w in each.health.warnings):
        scores.say(f"warning: {warning}", "yellow")
    measured = f"{asked['count']:,} withdrawals" if asked["count"] else f"{asked['duration']:g} s"
    varied = f" ± {asked['jitter']}" if asked["jitter"] else ""
    warm_up = f"{asked['warmup']:g} s to warm up, then {measured}; seed {asked['seed']}"
    how = f"({asked['keys']}), amount {asked['amount']}{varied}"
    if len(settings) == 1:
        [one] = settings
        added = f"{one.words(['rtt'])} to each round trip, " if one.rtt else ""
        scores.say(f"{one.words(['users', 'accounts'])} {how}; {added}for each strategy {warm_up}")
    else:
        runs = len(settings) * len(names) * asked["repeat"]
        lasts = "" if asked["count"] else f", about {_clock(runs * (asked['warmup'] + asked['duration']))}"
        scores.say(f"{len(settings)} settings {how}; {runs} runs{lasts}; for each {warm_up}")
    if asked["rate"]:
        scores.say(f"open loop: {asked['rate']:,g} withdrawals are to begin a second")
    if asked["processes"] > 1:
        scores.say(f"{asked['processes']} processes make the load")
    if asked["repeat"] > 1:
        scores.say(f"{asked['repeat']} rounds of each, strategies in turn; medians are shown")
    if asked["keys"] == "hot" and any(each.accounts > 1 for each in settings):
        scores.say("--keys hot uses the first account only; try --keys uniform or zipf")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _exit_code(record: _record.Record) -> int:
    seen = [(each.strategy, report) for each in record.cells for report in each.reports]
    if any(not report.verdict.held and name not in UNSAFE for name, report in seen):
        return REFUSED
    if not all(each.held for each in record.rulings):
        return REFUSED
    if record.interrupted:
        return INTERRUPTED
    # Nothing but faults: there was no comparison.
    if any(report.errors and not report.statuses for _, report in seen):
        return FAULT
    return 0
