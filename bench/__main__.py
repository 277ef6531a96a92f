"""Every row of docs/design.md §9 beside its goal. Ratios are taken within one run; load runs on the same cores."""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from bench import concurrency, doors, extensions, load, peers, snapshots, streaming
from bench.cold import cold_invoke, wait_for_pool
from bench.region import LAMBENT, Region

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
PYTHON_HELLO = {"app.py": 'def handler(event, context):\n    return {"message": f"Hello, {event[\'name\']}!"}\n'}
PYTHON_CLOCK = {"app.py": "import time\n\ndef handler(event, context):\n    return time.time()\n"}
NODE_HELLO = {"index.js": "exports.handler = async (event) => ({message: `Hello, ${event.name}!`});\n"}
NODE_CLOCK = {"index.js": "exports.handler = async () => (performance.timeOrigin + performance.now()) / 1000;\n"}


@dataclass
class Row:
    what: str
    goal: str
    unit: str
    values: list[float] = field(default_factory=list)
    #: Holds when the median is at most this ("most") or at least this ("least").
    most: float | None = None
    least: float | None = None
    remark: str = ""

    @property
    def met(self) -> str:
        if not self.values or (self.most is None and self.least is None):
            return ""
        median = load.spread(self.values)[1]
        good = median <= self.most if self.most is not None else median >= (self.least or 0)
        return "yes" if good else "no"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=4, help="length of each load run")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--only", default="", help=" | ".join(SECTIONS))
    arguments = options.parse_args()
    console = Console(width=150)
    rows: list[Row] = []
    for name, measure in SECTIONS.items():
        if not arguments.only or name in arguments.only.split(","):
            console.print(f"… {name}", style="dim")
            rows += measure(arguments.runs, arguments.seconds)
    console.print(render(rows))
    return 0


def render(rows: list[Row], title: str = "docs/design.md §9") -> Table:
    table = Table("what", "goal", "min", "median", "max", "unit", "met", "remark", title=title)
    for row in rows:
        figures = [f"{value:,.2f}" for value in load.spread(row.values)] if row.values else ["", "", ""]
        table.add_row(row.what, row.goal, *figures, row.unit, row.met, row.remark)
    return table


def measure_start(runs: int, seconds: float) -> list[Row]:
    row = Row("region start, empty data dir → Ready.", "≤ 1 s", "s", most=1)
    for _ in range(runs):
        with Region() as region:
            row.values.append(region.start_seconds)
    return [row]


def measure_warm(runs: int, seconds: float) -> list[Row]:
    one = Row("warm Python, 1 connection, p50", "≤ 0.35 ms", "ms", most=0.35)
    rate = Row("warm Python, 16 connections", "≥ 12,000/s", "1/s", least=12000)
    tail = Row("warm Python, 16 connections, p99", "", "ms")
    ratio = Row("  ÷ bare uvicorn echo", "≥ 0.3", "×", least=0.3)
    peer = Row("  ÷ functions-framework (Python)", "", "×")
    node_one = Row("warm Node, 1 connection, p50", "≤ 0.35 ms", "ms", most=0.35)
    node = Row("warm Node, 16 connections", "≥ 8,000/s", "1/s", least=8000)
    rows = [one, rate, tail, ratio, peer, node_one, node]
    with Region() as region:
        region.deploy("python", PYTHON, "app.handler", PYTHON_HELLO)
        functions = {"python": (one, rate)}
        if node_runtime := find_node():
            region.deploy("node", node_runtime, "index.handler", NODE_HELLO)
            functions["node"] = (node_one, node)
        signed = {name: region.signed_invoke(name, peers.EVENT) for name in functions}
        for name, (single, _) in functions.items():
            for _ in range(runs):
                times = load.one_by_one(region.connect(), *signed[name], peers.EVENT, 2000)
                single.values.append(load.percentile(times[100:], 0.5))
        if not load.available():
            rate.remark = "wrk is not installed"
            return rows
        with peers.uvicorn_echo() as echo:
            for _ in range(runs):
                mine = load.wrk(region.url, *signed["python"], peers.EVENT, 16, seconds)
                floor = load.wrk(echo, "/", {"Content-Type": "application/json"}, peers.EVENT, 16, seconds)
                rate.values.append(mine.rate)
                tail.values.append(mine.p99_ms)
                ratio.values.append(mine.rate / floor.rate)
                rate.remark = f"{mine.errors} errors"
                if "node" in functions:
                    node.values.append(load.wrk(region.url, *signed["node"], peers.EVENT, 16, seconds).rate)
        try:
            with peers.functions_framework() as framework:
                other = load.wrk(framework, "/", {"Content-Type": "application/json"}, peers.EVENT, 16, seconds)
                mine = load.wrk(region.url, *signed["python"], peers.EVENT, 16, seconds)
                peer.values.append(mine.rate / other.rate)
        except LookupError as error:
            peer.remark = str(error)
    return rows


def measure_cold(runs: int, seconds: float) -> list[Row]:
    """Request sent → handler entered, by the machine's one clock; a new function for every start."""
    rows = []
    with Region() as region:
        kinds = [("Python", PYTHON, PYTHON_CLOCK, "app.handler", 8.0, 25.0)]
        if node_runtime := find_node():
            kinds.append(("Node, pre-warmed pool", node_runtime, NODE_CLOCK, "index.handler", 15.0, 0.0))
        for label, runtime, files, handler, median_goal, tail_goal in kinds:
            times = []
            # Told apart: the first function of a runtime has the region make the template that all others fork from.
            region.deploy(f"first-{runtime.replace('.', '-')}", runtime, handler, files)
            first = Row(f"first start of {label.partition(',')[0]} in a region", "", "ms")
            first.values = [cold_invoke(region, f"first-{runtime.replace('.', '-')}")]
            for number in range(20 * runs):
                name = f"cold-{runtime.replace('.', '-')}-{number}"
                region.deploy(name, runtime, handler, files)
                wait_for_pool(region, runtime)
                times.append(cold_invoke(region, name))
            p50 = Row(f"cold start, {label}, p50", f"≤ {median_goal:g} ms", "ms", most=median_goal)
            p50.values = [load.percentile(times[i::runs], 0.5) for i in range(runs)]
            p99 = Row(f"cold start, {label}, p99", f"≤ {tail_goal:g} ms" if tail_goal else "", "ms")
            p99.values, p99.most = [load.percentile(times, 0.99)], tail_goal or None
            rows += [p50, p99, first]
        rows += phases(region)
    return rows


def measure_extension(runs: int, seconds: float) -> list[Row]:
    """As the cold starts; the two kinds in turn, so that the machine's moods meet both."""
    with Region() as region:
        without, with_one = extensions.measure(region, 15 * runs)
    plain = Row("cold start, Python, p50, beside the next", "", "ms", extensions.figures(without, runs))
    row = Row("cold start with one extension (bash), p50", "", "ms", extensions.figures(with_one, runs))
    added = load.percentile(with_one, 0.5) - load.percentile(without, 0.5)
    row.remark = f"the extension adds {added:.1f} ms"
    return [plain, row]


def measure_snapshots(runs: int, seconds: float) -> list[Row]:
    """Restores of versions with SnapStart; a version of its own for each burst, since what it restored is idle then."""
    rows = []
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as configuration:
        configuration.write(snapshots.CONFIGURATION)
        configuration.flush()
        with Region("--config", configuration.name) as region:
            kinds = [("plain", snapshots.PLAIN, []), ("pandas", snapshots.PANDAS, [snapshots.pandas_layer(region)])]
            for name, code, layers in kinds:
                snapshots.deploy(region, name, code, layers)
                figures = snapshots.measure(region, name, 15 * runs)
                label = "numpy and pandas" if layers else "plain"
                p50 = Row(f"SnapStart restore, {label}, request → handler, p50", "≤ 15 ms", "ms", most=15)
                p50.values = snapshots.figures_of(figures.entered, runs)
                restored = Row("  Restore Duration, p50", "", "ms", snapshots.figures_of(figures.restored, runs))
                rows += [p50, restored, measure_restore_burst(region, name, code, layers, runs)]
            rows += [row for row in phases(region) if "restore" in row.what]
    return rows


def measure_restore_burst(region: Region, name: str, code: str, layers: list[str], runs: int) -> Row:
    row = Row(f"  {snapshots.AT_ONCE} restores at once, until the last handler", "", "ms")
    failures = 0
    for number in range(runs):
        snapshots.deploy(region, f"{name}-{number}", code, layers)
        took, failed = snapshots.measure_burst(region, f"{name}-{number}")
        row.values.append(took)
        failures += failed
        region.lambda_.delete_function(FunctionName=f"{name}-{number}")
    row.remark = f"{failures} failed"
    return row


def phases(region: Region) -> list[Row]:
    """What the starts cost by phase, as the supervisor timed them. Shells are made ahead, launches are waited for."""
    timed = region.statistics()["sandboxes"]["phases_ms"]
    return [Row(f"  {name}", "", "ms", values=[row["min"], row["p50"], row["max"]]) for name, row in timed.items()]


def measure_burst(runs: int, seconds: float) -> list[Row]:
    row = Row("200 Python cold starts at once, all answered", "≤ 3 s", "s", most=3)
    closed = Row("the same with a way out (egress) ÷ without (none)", "≤ 1.2", "×", most=1.2)
    for _ in range(runs):
        seconds_of = {}
        for network in ("none", "auto"):
            with Region("--network", network) as region:
                seconds_of[network], row.remark = _burst(region)
        row.values.append(seconds_of["auto"])
        closed.values.append(seconds_of["auto"] / seconds_of["none"])
    return [row, closed]


def _burst(region: Region) -> tuple[float, str]:
    """How long it takes, and how many failed."""
    names = [f"burst-{number}" for number in range(200)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: region.deploy(name, PYTHON, "app.handler", PYTHON_HELLO), names))
    calls = [(region.connect(), *region.signed_invoke(name, peers.EVENT)) for name in names]
    started = time.perf_counter()
    for connection, path, headers in calls:
        connection.request("POST", path, peers.EVENT, headers)
    answers = [connection.getresponse() for connection, *_ in calls]
    took = time.perf_counter() - started
    return took, f"{sum(answer.getheader('x-amz-function-error') is not None for answer in answers)} failed"


def measure_memory(runs: int, seconds: float) -> list[Row]:
    row = Row("idle warm Python environment, PSS", "≤ 4 MB", "MB", most=4)
    environments = 40
    with Region() as region:
        names = [f"idle-{number}" for number in range(environments)]
        for name in names:
            region.deploy(name, PYTHON, "app.handler", PYTHON_HELLO)
        cold_invoke_hello(region, names[0])
        before, processes = region.pss(), len(region.tree())
        for name in names[1:]:
            cold_invoke_hello(region, name)
        wait_for_quiet(region)
        row.values.append((region.pss() - before) / (environments - 1) / 1e6)
        row.remark = f"{(len(region.tree()) - processes) / (environments - 1):.1f} processes each"
    return [row]


PRINTER = {
    "app.py": """
import sys, time
def handler(event, context):
    # Paced, so that both kinds do the same work in the same time but for where the lines go.
    out = sys.stdout if event["to"] == "log" else open("/dev/null", "w", buffering=1)
    end, number, due = time.monotonic() + event["seconds"], 0, time.monotonic()
    while time.monotonic() < end:
        for _ in range(event["rate"] // 200):
            print("line", number, "of a function that has much to say", file=out)
            number += 1
        due += 0.005
        time.sleep(max(0.0, due - time.monotonic()))
    return number
"""
}


def measure_logs(runs: int, seconds: float) -> list[Row]:
    """What a function that prints 40,000 lines a second costs another one's invocations, at one connection."""
    quiet = Row("warm Python p50, nothing else runs", "", "ms")
    silent = Row("  beside 40,000 lines/s to /dev/null", "", "ms")
    printing = Row("  beside 40,000 lines/s to the log", "", "ms")
    ratio = Row("  ÷ beside /dev/null", "≤ 1.1", "×", most=1.1)
    with Region() as region:
        region.deploy("hello", PYTHON, "app.handler", PYTHON_HELLO)
        region.deploy("printer", PYTHON, "app.handler", PRINTER, Timeout=60)
        hello = region.signed_invoke("hello", peers.EVENT)
        cold_invoke_hello(region, "hello")

        def beside(to: str) -> float:
            event = json.dumps({"to": to, "seconds": seconds, "rate": 40_000}).encode()
            path, headers = region.signed_invoke("printer", event)
            connection = region.connect()
            connection.request("POST", path, event, headers)
            time.sleep(0.5)  # the printer's own start
            times = []
            until = time.monotonic() + seconds - 1
            while time.monotonic() < until:
                times += load.one_by_one(other, *hello, peers.EVENT, 100)
            printing.remark = f"{int(connection.getresponse().read()) / seconds:,.0f} lines/s"
            return load.percentile(times, 0.5)

        other = region.connect()
        for _ in range(2 * runs):
            quiet.values.append(load.percentile(load.one_by_one(other, *hello, peers.EVENT, 1000), 0.5))
            silent.values.append(beside("nowhere"))
            printing.values.append(beside("log"))
            ratio.values.append(printing.values[-1] / silent.values[-1])
    return [quiet, silent, printing, ratio]


def measure_doors(runs: int, seconds: float) -> list[Row]:
    """Each front door beside the direct Invoke of the same function, in turns, so that the machine's moods meet all."""
    with Region() as region:
        region.deploy("hello", PYTHON, "app.handler", doors.HELLO)
        direct = region.signed_invoke("hello", peers.EVENT)
        ways = {"function URL": doors.function_url(region, "hello"), "HTTP API": doors.http_api(region, "hello")}
        rows: dict[str, tuple[Row, Row]] = {}
        for name in ways:
            added = Row(f"{name}, 1 connection: p50 added to Invoke", "≤ 0.2 ms", "ms", most=0.2)
            ratio = Row(f"{name}, 16 connections ÷ Invoke", "≥ 0.7", "×", least=0.7)
            rows[name] = added, ratio
        for _ in range(runs):
            base = load.percentile(load.one_by_one(region.connect(), *direct, peers.EVENT, 2000)[100:], 0.5)
            for name, (added, _) in rows.items():
                times = load.one_by_one(region.connect(), *ways[name], peers.EVENT, 2000)
                added.values.append(load.percentile(times[100:], 0.5) - base)
                added.remark = f"Invoke: {base:.3f} ms"
        for _ in range(runs if load.available() else 0):
            rate = load.wrk(region.url, *direct, peers.EVENT, 16, seconds).rate
            for name, (_, ratio) in rows.items():
                through = load.wrk(region.url, *ways[name], peers.EVENT, 16, seconds)
                ratio.values.append(through.rate / rate)
                ratio.remark = f"{through.rate:,.0f}/s, {through.errors} errors"
    return [row for pair in rows.values() for row in pair]


def measure_async(runs: int, seconds: float) -> list[Row]:
    """Acknowledged events, each of them on disk, while the function that they are for runs them."""
    one = Row("async accept, 1 connection, p50", "≤ 3 ms", "ms", most=3)
    rate = Row("async accept, 32 connections", "≥ 5,000/s", "1/s", least=5000)
    middle = Row("async accept, 32 connections, p50", "", "ms")
    done = Row("  of them run to their end, from the first to the last", "", "1/s")
    with Region() as region:
        region.deploy("hello", PYTHON, "app.handler", PYTHON_HELLO)
        signed = region.signed_invoke("hello", peers.EVENT, X_Amz_Invocation_Type="Event")
        for _ in range(runs):
            one.values.append(load.percentile(load.one_by_one(region.connect(), *signed, peers.EVENT, 1000)[100:], 0.5))
        for _ in range(runs if load.available() else 0):
            wait_for_events(region)
            started = time.perf_counter()
            accepted = load.wrk(region.url, *signed, peers.EVENT, 32, seconds)
            rate.values.append(accepted.rate)
            middle.values.append(accepted.p50_ms)
            rate.remark = f"{accepted.errors} errors"
            wait_for_events(region)
            done.values.append(accepted.rate * seconds / (time.perf_counter() - started))
    return [one, rate, middle, done]


def wait_for_events(region: Region) -> None:
    """Until no asynchronous event is left."""
    while any(region.statistics()["events"].values()):
        time.sleep(0.05)


def measure_concurrency(runs: int, seconds: float) -> list[Row]:
    """From nothing to the account's limit at once; what is over it is throttled, and idling ends it all."""
    rows: list[Row] = []
    for functions in (1, 200):
        what = f"1,000 invocations of 1 s at once, {functions} function{'s' if functions > 1 else ''}"
        answered = Row(f"{what}: all answered", "≤ 11 s", "s", most=11)
        memory = Row("  idle environment, PSS", "≤ 4 MB", "MB", most=4)
        for _ in range(min(runs, 2)):
            figures = concurrency.measure(functions)
            answered.values.append(figures.answered_s)
            answered.remark = (
                f"{figures.succeeded} answered, {sum(figures.throttled.values())} throttled, "
                f"{len(figures.wrong)} wrong, {figures.environments} environments"
            )
            memory.values.append(figures.idle_mb)
            memory.remark = f"all gone after {figures.gone_s:.1f} s" if figures.gone_s else "some stay"
        rows += [answered, memory]
    return rows


def measure_streaming(runs: int, seconds: float) -> list[Row]:
    """A stream of three seconds: how late its pieces are, the first of all; then one as fast as it comes."""
    node_runtime = find_node()
    if node_runtime is None:
        return [Row("streaming first byte", "≤ 50 ms", "ms", remark="no Node on this machine")]
    rows = []
    with Region() as region:
        region.deploy("streams", node_runtime, "index.handler", streaming.FUNCTION, Timeout=30, MemorySize=512)
        for name, way in {"Invoke": streaming.through_invoke, "function URL": streaming.through_url}.items():
            ask = way(region, "streams")
            streaming.lateness_ms(region, ask, 1, 0)
            first = Row(f"streaming first byte, {name}", "≤ 50 ms", "ms", most=50)
            rest = Row("  every further piece of 3 s, the latest", "≤ 50 ms", "ms", most=50)
            rate = Row("  6 MB as fast as it comes", "", "MB/s")
            for _ in range(runs):
                late = streaming.lateness_ms(region, ask, 30, 100)
                first.values.append(late[0])
                rest.values.append(max(late[1:]))
                rate.values.append(streaming.megabytes_per_second(region, ask, 6_000_000))
            rows += [first, rest, rate]
    return rows


def cold_invoke_hello(region: Region, name: str) -> None:
    load.one_by_one(region.connect(), *region.signed_invoke(name, peers.EVENT), peers.EVENT, 1)


def wait_for_quiet(region: Region) -> None:
    """Until the pool of pre-made shells is full again: the number of processes stands still for a second."""
    count, since = 0, time.monotonic()
    while time.monotonic() - since < 1:
        now = len(region.tree())
        if now != count:
            count, since = now, time.monotonic()
        time.sleep(0.1)


def find_node() -> str | None:
    """The newest Node runtime on this machine, as `lambent runtimes list` knows it."""
    found = json.loads(subprocess.check_output([LAMBENT, "runtimes", "list", "--json"]))
    names = [row["name"] for row in found if row["available"] and row["name"].startswith("nodejs")]
    return names[-1] if names else None


SECTIONS = {
    "start": measure_start,
    "warm": measure_warm,
    "cold": measure_cold,
    "extension": measure_extension,
    "snapstart": measure_snapshots,
    "burst": measure_burst,
    "memory": measure_memory,
    "logs": measure_logs,
    "doors": measure_doors,
    "async": measure_async,
    "streaming": measure_streaming,
    "concurrency": measure_concurrency,
}

if __name__ == "__main__":
    sys.exit(main())
