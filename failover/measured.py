"""The results of a run, from its journal: a summary as JSON, its figures as CSV, and as tables.

Tables and pictures are made from the summary alone, so they can be made again from the file that is kept.
"""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from compare.results import Journal
from failover.blackout import ERAS
from failover.failback import MODES as FAILBACK_MODES
from failover.survival import MODES
from failover.sync_cost import ENGINES
from labs.methods import METHODS, TITLES

Summary = dict[str, Any]

BIN = 0.5  # seconds of age
_OLD = range(6, 1000)  # from 3 s on, synchronisation should have saved a connection
_RECORD, _HEADERS = 36, 8 + 28  # bytes: a record; a message's header, and UDP's and IP's
_COST_HEAD = (
    *("engine", "new connections/s", "with synchronisation", "ratio, median (range)", "ratio, no backup"),
    *("records per connection", "connections per packet", "bytes per connection"),
)
_TIMES = {"master_time": "the master's process", "backup_time": "the backup's"}
_MODES = {(False, False): "no daemon", (True, False): "master alone", (True, True): "master and backup"}
_FATES = ("lives", "reset", "silent")
_COLUMNS = ("story", "case", "method", "load", "at", "figure", "value")


def summary(journal: Journal) -> Summary:
    """The results in a journal, JSON-ready."""
    begun: dict[str, Any] = next(iter(journal.all("begun")))
    done = {entry["what"] for entry in journal.all("done")}
    reasons = {entry["what"]: entry["why"] for kind in ("failed", "left out") for entry in journal.all(kind)}
    absent = [what for what in begun["planned"] if what not in done]
    missing = {what: reasons.get(what, "the run was cut short before") for what in absent} | reasons
    back: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for entry in journal.all("failback"):
        back[entry["mode"], entry["method"]][entry["fate"]] += 1
    bins: dict[tuple[str, str, str, int], Counter[str]] = defaultdict(Counter)
    for entry in journal.all("survival"):
        key = (entry["mode"], entry["method"], entry["load"], int(entry["age"] / BIN))
        bins[key][entry["fate"]] += 1
    return {
        "machine": begun["machine"],
        "settings": begun["settings"],
        "missing": missing,
        "blackout": list(journal.all("blackout")),
        "survival": [
            {"mode": mode, "method": method, "load": load, "age": place * BIN, **dict(fates)}
            for (mode, method, load, place), fates in sorted(bins.items())
        ],
        "failback": [
            {"mode": mode, "method": method, **dict(fates)} for (mode, method), fates in sorted(back.items())
        ],
        "cost": list(journal.all("cost")),
    }


def write(found: Summary, folder: Path) -> None:
    """Write failover.json and failover.csv."""
    (folder / "failover.json").write_text(json.dumps(found, indent=1) + "\n")
    with (folder / "failover.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        table.writerows(_rows(found))


def _rows(found: Summary) -> Iterator[tuple[object, ...]]:
    for kill in found["blackout"]:
        yield "blackout", kill["era"], "dr", "", kill["number"], "seconds", f"{kill['seconds']:.6f}"
    for row in found["survival"]:
        for fate in _FATES:
            about = (row["mode"], row["method"], row["load"], row["age"])
            yield "survival", *about, fate, row.get(fate, 0)
    for row in found["failback"]:
        for fate in _FATES:
            yield "failback", row["mode"], row["method"], "crowd", "", fate, row.get(fate, 0)
    for row in found["cost"]:
        for figure in ("rate", "connections", "records", "messages", *sorted(_TIMES.keys() & row.keys())):
            load = ("sync" if row.get("backup", True) else "master") if row["sync"] else "none"
            yield "cost", row["engine"], "dr", load, row["round"], figure, f"{row[figure]:.6g}"


# ---- figures ----


def blackouts(found: Summary, era: str) -> list[float]:
    """The blackout of each kill, in seconds."""
    return [kill["seconds"] for kill in found["blackout"] if kill["era"] == era]


def lost(found: Summary, mode: str, method: str, load: str, ages: range | None = None) -> tuple[int, int]:
    """(lost, all) connections; `ages` in units of `BIN`."""
    rows = [
        row for row in found["survival"] if (row["mode"], row["method"], row["load"]) == (mode, method, load)
    ]
    return _lost([row for row in rows if ages is None or round(row["age"] / BIN) in ages])


def _lost(rows: list[dict[str, Any]]) -> tuple[int, int]:
    total = sum(row.get(fate, 0) for row in rows for fate in _FATES)
    return total - sum(row.get("lives", 0) for row in rows), total


def ratios(found: Summary, engine: str, *, backup: bool = True) -> list[float]:
    """The rate of new connections with synchronisation, divided by that without, for each round.

    `backup`: with a backup, which runs on the same processors as everything else, or without.
    """
    rows = [row for row in found["cost"] if row["engine"] == engine]
    rows = [row for row in rows if not row["sync"] or row.get("backup", True) is backup]
    rates = {(row["round"], row["sync"]): row["rate"] for row in rows}
    rounds = sorted({number for number, _ in rates})
    complete = [number for number in rounds if {(number, False), (number, True)} <= rates.keys()]
    return [rates[number, True] / rates[number, False] for number in complete]


# ---- tables: rows of cells, the first of which is the head ----

Table = list[list[str]]


def tables(found: Summary) -> dict[str, Table]:
    """The tables by title, without empty ones."""
    all_tables = {
        "No answer, in seconds": _blackout_table(found),
        "Connections lost, by their age at the director's death": _age_table(found),
        "Connections lost of those that were at least 3 s old, many at a time": _crowd_table(found),
        "Connections lost when the director that has died comes back": _failback_table(found),
        "What synchronisation costs": _cost_table(found),
        "Processor time for each new connection, in microseconds": _time_table(found),
    }
    return {title: table for title, table in all_tables.items() if len(table) > 1}


def _blackout_table(found: Summary) -> Table:
    table = [["takeover", "at most, computed", "kills", "least", "median", "worst", "false takeovers"]]
    for era in ERAS:
        times = blackouts(found, era.name)
        if times:
            figures = [f"{value:.3g}" for value in (min(times), median(times), max(times))]
            false = sum(kill["false"] for kill in found["blackout"] if kill["era"] == era.name)
            table.append([era.title, f"{era.expected:.3g}", str(len(times)), *figures, str(false)])
    return table


def _age_table(found: Summary) -> Table:
    steps = {"under 1 s": range(2), "1 to 2 s": range(2, 4), "2 to 3 s": range(4, 6), "3 s and more": _OLD}
    table = [["", "method", *steps]]
    for mode in MODES:
        for method in METHODS:
            shares = [lost(found, mode.name, method, "quiet", ages) for ages in steps.values()]
            if any(total for _, total in shares):
                cells = [f"{gone} of {total}" if total else "-" for gone, total in shares]
                table.append([mode.title, TITLES[method], *cells])
    return table


def _crowd_table(found: Summary) -> Table:
    table = [["", "method", "connections", "lost", "survived"]]
    for mode in MODES:
        for method in METHODS:
            gone, total = lost(found, mode.name, method, "crowd")
            if total:
                table.append([mode.title, TITLES[method], *_survived(gone, total)])
    return table


def _failback_table(found: Summary) -> Table:
    table = [["", "method", "connections", "lost", "survived"]]
    for mode in FAILBACK_MODES:
        for method in METHODS:
            key = (mode.name, method)
            gone, total = _lost([row for row in found["failback"] if (row["mode"], row["method"]) == key])
            if total:
                table.append([mode.title, TITLES[method], *_survived(gone, total)])
    return table


def _survived(gone: int, total: int) -> tuple[str, str, str]:
    return str(total), str(gone), f"{100 * (total - gone) / total:.4g} %"


def _cost_table(found: Summary) -> Table:
    table = [list(_COST_HEAD)]
    for engine in ENGINES:
        values = ratios(found, engine)
        rows = [row for row in found["cost"] if row["engine"] == engine]
        if values:
            paired = [row for row in rows if not row["sync"] or row.get("backup", True)]
            rates = [median(row["rate"] for row in paired if row["sync"] is sync) for sync in (False, True)]
            count, records, messages = (
                sum(row[name] for row in rows if row["sync"])
                for name in ("connections", "records", "messages")
            )
            alone = ratios(found, engine, backup=False)
            spreads = [_spread(values), _spread(alone)]
            octets = records * _RECORD + messages * _HEADERS
            sent = (f"{records / count:.2f}", f"{count / max(1, messages):.1f}", f"{octets / count:.0f}")
            table.append([engine, *(f"{rate:,.0f}" for rate in rates), *spreads, *sent])
    return table


def _spread(found: list[float]) -> str:
    """The median and range of ratios in per cent; "-" without any."""
    return f"{median(found):.0%} ({min(found):.0%} to {max(found):.0%})" if found else "-"


def _time_table(found: Summary) -> Table:
    """Processor time of the directors' processes, which includes work besides synchronisation."""
    table = [["engine", "", *_TIMES.values()]]
    for engine in ENGINES:
        for (sync, backup), title in _MODES.items():
            of_mode = (engine, sync, backup)
            rows = [
                row
                for row in found["cost"]
                if "master_time" in row and (row["engine"], row["sync"], row["backup"]) == of_mode
            ]
            if rows:
                costs = [median(1e6 * row[name] / row["connections"] for row in rows) for name in _TIMES]
                table.append([engine, title, *(f"{value:.1f}" for value in costs)])
    return table


def missing(found: Summary) -> list[str]:
    return [f"Not measured: {what} ({why})" for what, why in found["missing"].items()]


# ---- the page ----

_STORIES = {"survival": "The death of a director", "failback": "Failing back"}
BEGIN, END = "<!-- measured -->\n", "<!-- end of measured -->\n"


def page_tables(found: Summary) -> str:
    """The tables as Markdown, with the machine and the pictures."""
    machine, settings = found["machine"], found["settings"]
    parts = [
        f"Linux {machine['kernel']} on {machine['processors']} x {machine['processor']}, "
        f"{machine['system']}; engine {settings['engine']}{_load(machine)}.",
        "![No answer, by technique](failover/blackout.png)",
        "![Connections lost, by age](failover/survival.png)",
    ]
    for title, (head, *rows) in tables(found).items():
        lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
        parts += [f"**{title}**", "\n".join(lines)]
    parts += [
        f"{_STORIES[story]}: measured on Linux {other['kernel']} on {other['processors']} x "
        f"{other['processor']}{_load(other)}."
        for story, other in found.get("elsewhere", {}).items()
    ]
    parts += missing(found)
    return "\n" + "\n\n".join(parts) + "\n\n"


def _load(machine: dict[str, Any]) -> str:
    return f",\nload average {machine['load']:g} when it began" if "load" in machine else ""


def replaced(page: str, found: Summary) -> str:
    """The page with these tables between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + page_tables(found) + END + after
