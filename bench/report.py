"""What a reader sees: the table of goals and the table of figures, as Markdown, from the JSON."""

from __future__ import annotations

from typing import Any

HALF = 0.5  # smaller ratios read better as 1/n
TITLES = {
    "rate": "rate",
    "cpu": "client CPU",
    "p50": "p50",
    "p99": "p99",
    "spread": "busiest ÷ idlest process",
    "longest": "longest ÷ median wait",
    "subscriptions": "subscriptions",
    "connections": "connections",
    "load": "processor",
    "batch": "renewals a call",
}
OTHERS = ("spread", "longest", "subscriptions", "connections", "load", "batch")
FLOOR = "a bare socket"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def _ratio(value: float) -> str:
    return f"1/{1 / value:.2f}".replace(".00", "") if value < HALF else f"{value:.2f}"


def _figure(name: str, value: float) -> str:
    if name == "rate":
        return f"{value:,.0f}/s"
    if name == "cpu":
        return f"{value:.1f} µs"
    if name in ("p50", "p99"):
        return f"{value * 1e6:,.0f} µs"
    if name == "load":
        return f"{value:.1%} of a core"
    if name in OTHERS:
        return f"{value:,.4g}"
    return f"{value / 1024:,.2f} KiB"


def _bound(goal: dict[str, Any]) -> str:
    sign = "≥" if goal["at_least"] else "≤"
    if goal["against"] is None:
        return f"{sign} {_figure(goal['figure'], goal['bound'])}"
    bound = goal["bound"]
    text = f"1/{1 / bound:g}" if bound < HALF else f"{bound:g}"
    return f"{sign} {text}"


def _measured(goal: dict[str, Any], contestants: dict[str, Any]) -> str:
    if goal["measured"] is None:
        return "not measured"
    name = goal["figure"]
    if goal["against"] is None:
        return _figure(name, goal["measured"])
    ours, theirs = (_figure(name, contestants[who]["median"][name]) for who in (goal["who"], goal["against"]))
    in_parts = not goal["at_least"] or goal["bound"] < HALF
    ratio = _ratio(goal["measured"]) if in_parts else f"{goal['measured']:.2f}"
    return f"{ratio} ({ours} against {theirs})"


def _subject(goal: dict[str, Any]) -> str:
    if goal["against"] is None:
        own = "" if goal["who"] == "redislock" else goal["who"]
        return f"{TITLES.get(goal['figure'], '')} {own}".strip() or goal["who"]
    own = "" if goal["who"] == "redislock" else f" of {goal['who']}"
    return f"{TITLES[goal['figure']]}{own} ÷ {goal['against']}"


def goals_table(result: dict[str, Any]) -> str:
    """Goal, measured, met: one line for each goal."""
    lines = ["| measure | of | goal | measured | met |", "|---|---|---|---|---|"]
    for row in result["rows"].values():
        for goal in row["goals"]:
            met = {True: "yes", False: "**no**", None: "not measured"}[goal["met"]]
            cells = [row["title"], _subject(goal), _bound(goal)]
            lines.append(f"| {' | '.join(cells)} | {_measured(goal, row['contestants'])} | {met} |")
    return "\n".join(lines)


def above_the_floor(result: dict[str, Any]) -> str:
    """What each client adds to a bare socket's processor time: the kernel's part is the same for all."""
    lines = []
    for row in result["rows"].values():
        cpu = {
            who: kept["median"]["cpu"] for who, kept in row["contestants"].items() if "cpu" in kept["median"]
        }
        floor = cpu.pop(FLOOR, None)
        if floor is not None:
            added = ", ".join(f"{who} {each - floor:.1f}" for who, each in cpu.items())
            lines.append(
                f"- {row['title']}: a bare socket takes {floor:.1f} µs each time; above that: {added}."
            )
    return "\n".join(lines)


def figures_table(result: dict[str, Any]) -> str:
    """Every contestant's own figures: medians of the rounds."""
    lines = ["| measure | who | rate | client CPU | p50 / p99 | memory | other |", f"|{'---|' * 7}"]
    for row in result["rows"].values():
        for who, kept in row["contestants"].items():
            seen = kept["median"]
            plain = [_figure(name, seen[name]) if name in seen else "" for name in ("rate", "cpu")]
            late = [_figure(name, seen[name]) for name in ("p50", "p99") if name in seen]
            memory = [_figure(name, seen[name]) for name in ("bytes_per_operation", "growth") if name in seen]
            others = [f"{TITLES[name]}: {_figure(name, seen[name])}" for name in OTHERS if name in seen]
            cells = [row["title"], who, *plain, " / ".join(late), "".join(memory), "; ".join(others)]
            lines.append(f"| {' | '.join(cells)} |")
        lines.extend(f"| {row['title']} | {who} | {why} | | | | |" for who, why in row["missing"].items())
    return "\n".join(lines)


def _setting(result: dict[str, Any]) -> str:
    machine, plan, versions = result["machine"], result["plan"], result["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    pinned = "server and client on one core each" if machine["pinned"] else "not pinned"
    where = "a unix socket" if plan["unix"] else "loopback TCP"
    return (
        f"`{result['command']}` on {result['date']}: {result['server']} over {where}; "
        f"{machine['processor']}, {machine['cores']} cores, {pinned}; Python {machine['python']}, "
        f"{named}. Medians of {plan['rounds']} alternating rounds of {plan['duration']:g} s; ratios "
        "are taken within a round. Latency counts from the moment at which a call was to begin."
    )


def summary(result: dict[str, Any]) -> str:
    """What README shows of a result."""
    return "\n\n".join(filter(None, [goals_table(result), above_the_floor(result), _setting(result)]))


def to_markdown(result: dict[str, Any]) -> str:
    """The page of a result."""
    return f"{summary(result)}\n\n{figures_table(result)}\n"


def put_into(page: str, table: str) -> str:
    """Replace what stands between the two marks of a page."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page must hold the lines {BEGIN} and {END}")
    return f"{before}{begin}\n{table.strip()}\n{end}{after}"
