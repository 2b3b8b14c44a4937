"""Compares Babel routers on this machine: re6st, and babeld and BIRD where they are installed.

    babel-neighbours  g0 ──veth── d0  a router
    (our generator)   …           …   (under test)
                      gK ──veth── dK

Each router gets the same packets from the same neighbours, one router after the other, in two network
namespaces of its own. Every neighbour announces the same prefixes, each prefix of another originator; the
first neighbour has the best metric. Hellos every 4 s, whole tables every 60 s, no signatures, routes
installed in the kernel. CPU is that of the router's process; a first table is sent as fast as the router
reads it.
"""

import argparse
import json
import os
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

# Of this run alone: others may run beside it.
NEIGHBOURS = f"re6st-bench-{os.getpid()}-neighbours"
ROUTER = f"re6st-bench-{os.getpid()}-router"


def ip(commands, namespace=None):
    """Many ip commands in one process."""
    where = ["-n", namespace] if namespace else []
    subprocess.run(["ip", *where, "-batch", "-"], input=commands, text=True, check=True,
                   capture_output=True)


def make_links(count):
    """Two namespaces, joined by so many links with known link-local addresses."""
    remove_links()
    ip(f"netns add {NEIGHBOURS}\nnetns add {ROUTER}\n")
    ip("".join(f"link add d{k} netns {ROUTER} type veth peer name g{k} netns {NEIGHBOURS}\n"
               for k in range(count)))
    for namespace, name, host in ((ROUTER, "d", "d"), (NEIGHBOURS, "g", "1")):
        ip("link set lo up\n" + "".join(
            f"link set {name}{k} addrgenmode none\nlink set {name}{k} up\n"
            f"addr add fe80::{host}:{k:x}/64 dev {name}{k} nodad\n" for k in range(count)), namespace)


def remove_links():
    for namespace in (NEIGHBOURS, ROUTER):
        subprocess.run(["ip", "netns", "del", namespace], capture_output=True)


class Generator:
    """Our neighbours: commands in, JSON Lines out."""

    def __init__(self, program, case):
        words = [program, "--links", case.links, "--prefixes", case.prefixes, "--watch", ROUTER,
                 "--hello", int(case.hello * 1000), "--update", int(case.update * 1000),
                 "--rest", case.rest]
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", NEIGHBOURS, *map(str, words)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.rest, self.events = b"", []
        self.wait("ready", 20)

    def wait(self, event, patience):
        """The next event of that name; None if it does not come."""
        end = time.monotonic() + patience
        while True:
            for at, known in enumerate(self.events):
                if known["event"] == event:
                    return self.events.pop(at)
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return None
            octets = os.read(self.process.stdout.fileno(), 1 << 16)
            if not octets:
                raise RuntimeError("the generator ended")
            *lines, self.rest = (self.rest + octets).split(b"\n")
            self.events += map(json.loads, lines)

    def do(self, command, answer="done"):
        self.process.stdin.write(command.encode() + b"\n")
        answered = self.wait(answer, 60)
        if not answered:
            raise RuntimeError(f"the generator does not {command}")
        return answered

    def show(self):
        return self.do("show", "shown")

    def until(self, holds, patience):
        """What is shown once that holds of the kernel's routes, or patience ends."""
        end = time.monotonic() + patience
        while True:
            shown = self.show()
            if holds(shown["kernel"]) or time.monotonic() > end:
                return shown
            time.sleep(0.05)


# Each of these gives the words that start a router on links d0…, and writes what it reads.

def re6st(folder, case):
    return [case.binary, "babel", "run", "--kind", "wired", "--hello", f"{case.hello}s", "--update",
            f"{case.update}s", "--socket", f"{folder}/socket", *(f"d{k}" for k in range(case.links))]


def babeld(folder, case):
    with open(f"{folder}/babeld.conf", "w") as file:
        file.write(f"default type wired hello-interval {case.hello} update-interval {case.update}\n"
                   "redistribute local deny\nredistribute deny\n")
    return ["babeld", "-c", f"{folder}/babeld.conf", "-S", f"{folder}/state", "-I", f"{folder}/pid",
            *(f"d{k}" for k in range(case.links))]


def bird(folder, case):
    with open(f"{folder}/bird.conf", "w") as file:
        file.write(f"""router id 192.0.2.1;
protocol device {{ }}
protocol kernel {{ ipv6 {{ export where source = RTS_BABEL; import none; }}; }}
protocol babel {{
  interface "d*" {{ type wired; hello interval {case.hello} s; update interval {case.update} s; }};
  ipv6 {{ import all; export where source = RTS_BABEL; }};
}}
""")
    return ["bird", "-f", "-c", f"{folder}/bird.conf", "-s", f"{folder}/control", "-P", f"{folder}/pid"]


ROUTERS = {"re6st": re6st, "babeld": babeld, "bird": bird}


class Router:
    """A router under test."""

    def __init__(self, name, case):
        self.folder = tempfile.mkdtemp(prefix="re6st-bench-")
        words = ROUTERS[name](self.folder, case)
        self.log = open(f"{self.folder}/log", "w")
        self.process = subprocess.Popen(["ip", "netns", "exec", ROUTER, *words], cwd=self.folder,
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.pid = self.process.pid
        time.sleep(1)
        if self.process.poll() is not None:
            with open(f"{self.folder}/log") as log:
                raise RuntimeError(f"{name} ended: {log.read()[-300:]}")

    def cpu(self):
        """Seconds of CPU that its threads have used."""
        tasks = f"/proc/{self.pid}/task"
        nanoseconds = 0
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/schedstat") as file:
                nanoseconds += int(file.read().split()[0])
        return nanoseconds / 1e9

    def memory(self):
        """MiB."""
        with open(f"/proc/{self.pid}/status") as file:
            words = next(line for line in file if line.startswith("VmRSS")).split()
        return int(words[1]) / 1024

    def socket(self):
        """Octets that wait in its socket, and datagrams that it lost."""
        waiting = lost = 0
        with open(f"/proc/{self.pid}/net/udp6") as file:
            for line in list(file)[1:]:
                words = line.split()
                if words[1].endswith(":1A28"):
                    waiting += int(words[4].split(":")[1], 16)
                    lost += int(words[-1])
        return waiting, lost

    def rest(self, patience=10):
        """Waits until it has nothing to do."""
        end, before = time.monotonic() + patience, self.cpu()
        while time.monotonic() < end:
            time.sleep(0.5)
            used, before = self.cpu() - before, self.cpu()
            if used < 0.02 and not self.socket()[0]:
                return

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder)


class Run:
    """One router, and the neighbours around it."""

    def __init__(self, name, case):
        self.case, self.generator, self.router = case, None, None
        make_links(case.links)
        try:
            self.generator = Generator(case.generator, case)
            self.router = Router(name, case)
            self.generator.do(f"start {self.router.pid}")
            # Three quick Hellos, and an answer to each.
            time.sleep(6 if case.hello >= 4 else 2)
        except BaseException:
            self.end()
            raise

    def end(self):
        if self.router:
            self.router.end()
        if self.generator:
            self.generator.process.kill()
            self.generator.process.wait()
        remove_links()

    def first_table(self, result, burst=False):
        """Every neighbour says its whole table."""
        n, lost = self.case.prefixes, self.router.socket()[1]
        result["rss_start_mib"] = self.router.memory()
        self.generator.do("mark")
        used = self.router.cpu()
        began = self.generator.do("burst" if burst else "table all")["at"]
        said = burst or all(self.generator.wait("said", 120) for _ in range(self.case.links))
        self.generator.do("refresh")
        shown = self.generator.until(lambda kernel: kernel["total"] == n, 90)
        result["cpu_s"] = self.router.cpu() - used
        complete = shown["kernel"]["complete"]
        result["complete_s"] = complete - began if complete and said else None
        result["lost"] = self.router.socket()[1] - lost
        self.router.rest()
        result["rss_mib"] = self.router.memory()
        result["octets_a_route"] = ((result["rss_mib"] - result["rss_start_mib"]) * 2 ** 20
                                    / n / self.case.links)
        result["installed"] = self.generator.show()["kernel"]["total"]

    def steady(self, result):
        """Nothing happens but that every route is repeated."""
        self.generator.do("mark")
        used, began = self.router.cpu(), time.monotonic()
        time.sleep(self.case.seconds)
        minutes = (time.monotonic() - began) / 60
        result["steady_cpu_s_a_minute"] = (self.router.cpu() - used) / minutes
        # The first neighbour's link is where the routes lead: the others hear of them.
        heard = self.generator.show()["heard"][1:]
        octets = statistics.mean(one["octets"] for one in heard)
        result["octets_to_a_neighbour_a_minute"] = octets / minutes

    def leave(self, result, command, name, patience):
        """The best neighbour is lost in some way; until every prefix leads to others."""
        n = self.case.prefixes
        self.generator.do("mark")
        used = self.router.cpu()
        began = self.generator.do(command)["at"]
        shown = self.generator.until(lambda kernel: kernel["to_others"], patience)
        self.router.rest(4)
        moved = shown["kernel"]["to_others"]
        shown = self.generator.show()
        result[f"{name}_s"] = moved - began if moved else None
        result[f"{name}_cpu_s"] = self.router.cpu() - used
        result[f"{name}_messages_a_prefix"] = shown["kernel"]["messages"] / n
        result[f"{name}_missing_at_worst"] = n - shown["kernel"]["fewest"]
        requests = sum(one["requests"] for one in shown["heard"])
        result[f"{name}_requests_a_prefix"] = requests / n

    def come_back(self, result, patience):
        """The best neighbour is there again; until every prefix leads there."""
        self.generator.do("return 0")
        time.sleep(1.5)
        self.generator.do("mark")
        began = self.generator.do("table 0")["at"]
        shown = self.generator.until(lambda kernel: kernel["to_first"], patience)
        back = shown["kernel"]["to_first"]
        result["return_s"] = back - began if back else None
        result["return_messages_a_prefix"] = shown["kernel"]["messages"] / self.case.prefixes


# What is measured, each with the router and neighbours of its own.

def whole(run, result):
    """First table, steady state, and the best neighbour lost, back, and lost again."""
    run.first_table(result)
    run.steady(result)
    run.leave(result, "retract 0", "retracted", 60)
    run.come_back(result, run.case.patience)
    run.leave(result, "silence 0", "silence", 15 * run.case.hello)


def table(run, result):
    """First table and steady state."""
    run.first_table(result)
    run.steady(result)


def unfeasible(run, result):
    """The alternatives announce more than the best route's distance: they must be asked for afresh."""
    run.first_table({})
    # Those that came before the best was announced were feasible then: a router that judges an offer when it
    # comes, as BIRD does, sees that they no longer are when each has been repeated.
    time.sleep(1.2 * run.case.update)
    run.leave(result, "retract 0", "unfeasible", run.case.patience)


def burst(run, result):
    """Whole tables at once, faster than anyone reads."""
    burst_result = {}
    run.first_table(burst_result, burst=True)
    result["burst_lost"] = burst_result["lost"]
    result["burst_complete_s"] = burst_result["complete_s"]


class Case:
    """How many neighbours and prefixes, and how fast."""

    def __init__(self, options, name, measure, links, prefixes, hello=4, update=60, rest=150,
                 seconds=60):
        self.name, self.measure, self.links, self.prefixes = name, measure, links, prefixes
        self.hello, self.update, self.rest = hello, update, rest
        self.seconds, self.patience = options.seconds or seconds, options.patience
        self.binary = os.path.abspath(options.binary)
        self.generator = os.path.abspath(options.generator)


def cases(options):
    if options.quick:
        one = dict(hello=1, update=10)
        return [Case(options, "quick", whole, 4, 500, **one),
                Case(options, "unfeasible", unfeasible, 4, 500, rest=300, **one),
                Case(options, "burst", burst, 8, 4000, **one)]
    # Whole tables are said each minute or so: one minute can hold none of them, or two.
    return [Case(options, "10000x20", whole, 20, 10_000, seconds=300),
            Case(options, "50000x20", table, 20, 50_000),
            Case(options, "100x10", table, 10, 100),
            Case(options, "unfeasible", unfeasible, 20, 10_000, rest=300),
            Case(options, "burst", burst, 20, 10_000)]


# The case (its short form stands for the first), the figure, how it is called, digits.
ROWS = [
    ("10000x20", "rss_start_mib", "RSS at the start, MiB", 1),
    ("10000x20", "rss_mib", "RSS with {size}, MiB", 1),
    ("50000x20", "rss_mib", "RSS with {size}, MiB", 1),
    ("50000x20", "octets_a_route", "octets a route", 0),
    ("10000x20", "complete_s", "first table {size}, s", 2),
    ("10000x20", "cpu_s", "… CPU s", 2),
    ("50000x20", "complete_s", "first table {size}, s", 2),
    ("50000x20", "cpu_s", "… CPU s", 2),
    ("10000x20", "steady_cpu_s_a_minute", "steady {size}, CPU s a minute", 2),
    ("50000x20", "steady_cpu_s_a_minute", "steady {size}, CPU s a minute", 2),
    ("100x10", "steady_cpu_s_a_minute", "steady {size}, CPU s a minute", 3),
    ("10000x20", "retracted_s", "best neighbour retracts all: s until moved", 2),
    ("10000x20", "retracted_cpu_s", "… CPU s", 2),
    ("10000x20", "retracted_messages_a_prefix", "kernel messages a moved prefix", 1),
    ("unfeasible", "unfeasible_s", "alternatives unfeasible: s until recovered", 2),
    ("unfeasible", "unfeasible_requests_a_prefix", "… requests a prefix", 1),
    ("10000x20", "silence_s", "a neighbour falls silent: s until left", 1),
    ("10000x20", "return_s", "return to the better route, s", 1),
    ("burst", "burst_lost", "whole table in one burst: packets lost", 0),
    ("burst", "burst_complete_s", "… s until complete", 1),
    ("10000x20", "octets_to_a_neighbour_a_minute", "octets to a neighbour a minute", 0),
]


def show(results, names, measured):
    print(f"\n{'':50}" + "".join(f"{name:>12}" for name in names))
    for row, key, title, digits in ROWS:
        case = measured.get(row) or (measured.get("quick") if row == "10000x20" else None)
        if not case:
            continue
        cells = []
        for name in names:
            found = [result.get(key) for result in results.get((case.name, name), [])]
            known = [value for value in found if value is not None]
            # What did not happen while it was waited for has no figure.
            text = f"{statistics.median(known):,.{digits}f}" if known else ("never" if found else "–")
            cells.append(f"{text:>12}")
        print(f"{title.format(size=f'{case.prefixes:,} × {case.links}'):50}" + "".join(cells))


def measure(case, name):
    """One case with one router; what was measured."""
    result = {}
    run = Run(name, case)
    try:
        case.measure(run, result)
    finally:
        run.end()
    return result


def arguments(words):
    parser = argparse.ArgumentParser(prog="scripts/bench babel", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="routers to compare [all]")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each case [1]")
    parser.add_argument("--seconds", type=float,
                        help="length of the steady state [60, 10000x20: 300; 3 if --quick]")
    parser.add_argument("--patience", type=float, help="seconds for a change to happen [100; 6]")
    parser.add_argument("--case", action="append", help="only this one; several times for several")
    parser.add_argument("--quick", action="store_true", help="small tables, in under a minute")
    parser.add_argument("--binary", default="target/release/re6st", help="the re6st to measure")
    parser.add_argument("--generator", help="babel-neighbours [examples/ beside the binary]")
    parser.add_argument("--json", action="store_true", help="one JSON object a case and router")
    options = parser.parse_args(words)
    options.seconds = options.seconds or (3 if options.quick else None)
    options.patience = options.patience or (6 if options.quick else 100)
    beside = os.path.join(os.path.dirname(options.binary), "examples", "babel-neighbours")
    options.generator = options.generator or beside
    return options


def beside_each_other(options, names):
    """What runs of one router each give, all at the same time: small tables leave room for that."""
    words = ["--quick", "--json", "--rounds", options.rounds, "--seconds", options.seconds,
             "--patience", options.patience, "--binary", options.binary,
             "--generator", options.generator]
    for case in options.case or []:
        words += ["--case", case]
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bench")
    runs = [subprocess.Popen([sys.executable, script, "babel", *map(str, words), name],
                             stdout=subprocess.PIPE, text=True) for name in names]
    return [json.loads(line) for run in runs for line in run.communicate()[0].splitlines()]


def main(words):
    options = arguments(words)
    if os.geteuid():
        sys.exit("scripts/bench: needs root, for network namespaces: run it with sudo.")
    for program in (options.binary, options.generator):
        if not os.access(program, os.X_OK):
            sys.exit(f"scripts/bench: there is no {program}: "
                     "cargo build --release --bin re6st --example babel-neighbours")
    names = options.names or [name for name in ROUTERS if name == "re6st" or shutil.which(name)]
    for name in names:
        if name not in ROUTERS:
            sys.exit(f"scripts/bench: there is no router {name}: there are {', '.join(ROUTERS)}")
    chosen = [case for case in cases(options) if not options.case or case.name in options.case]
    results = {}
    side_by_side = options.quick and len(names) > 1
    for result in beside_each_other(options, names) if side_by_side else []:
        results.setdefault((result["case"], result["router"]), []).append(result)
        if options.json:
            print(json.dumps(result))
    for number in range(0 if side_by_side else options.rounds):
        for case in chosen:
            for name in names:
                try:
                    result = measure(case, name)
                except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                    print(f"{number + 1}: {case.name}: {name}: failed: {error}", file=sys.stderr)
                    continue
                results.setdefault((case.name, name), []).append(result)
                print(f"{number + 1}: {case.name}: {name}: done", file=sys.stderr)
                if options.json:
                    print(json.dumps({"type": "bench", "case": case.name, "router": name,
                                      "links": case.links, "prefixes": case.prefixes, **result}),
                          flush=True)
    if not options.json:
        show(results, names, {case.name: case for case in chosen})
