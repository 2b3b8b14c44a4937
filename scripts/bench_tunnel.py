"""Compares tunnels on this machine: re6st, OpenVPN, and others where they are installed.

Needs root. Makes three network namespaces joined by veth, and removes them. Runs are interleaved: every
tunnel once, then every tunnel again; medians are shown. CPU is that of the tunnel's own processes on all
hosts. Rates depend on what else the machine does, CPU per GB hardly.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

from bench_hosts import A, B, Hosts, answers, run, wait_for
from bench_tunnels import TUNNELS


ARRIVING = ("add table inet bench ; add chain inet bench in { type filter hook input priority 0 ; } ; "
            "add rule inet bench in udp dport 5201 counter")


def ping(address, count):
    """Round trips in ms: the least, the median, the 99th percentile."""
    out = run(f"ping -i 0.002 -c {count} {address}", A)
    times = sorted(float(took) for took in re.findall(r"time=([\d.]+)", out))
    return {"ping_min_ms": times[0], "ping_p50_ms": times[len(times) // 2],
            "ping_p99_ms": times[len(times) * 99 // 100]}


def iperf(n, address, options):
    """One run of iperf3: its report, and the CPU that each program of the tunnel used meanwhile."""
    server = subprocess.Popen(["ip", "netns", "exec", B, "iperf3", "-s", "-1"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.3)
        before = n.cpu()
        report = json.loads(run(f"iperf3 -J -c {address} {options}", A))
        used = n.cpu()
        used.subtract(before)
        return report["end"], used
    finally:
        server.terminate()
        server.wait()


def stream(n, address, options):
    """The rate of TCP, CPU for each GB, and our part of it beside another program's."""
    end, used = iperf(n, address, options)
    gigabytes = end["sum_received"]["bytes"] / 1e9
    ours = used["re6st"]
    theirs = used.total() - ours
    return {"gbit_s": end["sum_received"]["bits_per_second"] / 1e9,
            "cpu_s_per_gb": used.total() / gigabytes,
            "our_cpu_to_theirs": ours / theirs if ours and theirs else None}


def small_packets(n, address, seconds):
    """Datagrams of 128 octets that reach the far host, and CPU for a million of them.

    They are counted where the host takes them in: iperf3 itself loses half of what a fast tunnel brings,
    and that is not the tunnel's. Joined ones are one packet with one header (20 and 8 octets).
    """
    run(f"nft {ARRIVING}", B)
    try:
        end, used = iperf(n, address, f"-u -b 0 -l 128 -t {seconds}")
        table = json.loads(run("nft -j list table inet bench", B))["nftables"]
    finally:
        run("nft delete table inet bench", B)
    rule = next(entry["rule"] for entry in table if "rule" in entry)
    counter = next(part["counter"] for part in rule["expr"] if "counter" in part)
    packets = (counter["bytes"] - 28 * counter["packets"]) / 128
    return {"packets_s": packets / end["sum"]["seconds"],
            "cpu_s_per_million": used.total() / max(packets, 1) * 1e6}


def measure(n, name, options):
    """One run of one tunnel."""
    n.up()
    address = TUNNELS[name].start(n)
    wait_for("an answer", lambda: answers(address))
    seconds = options.seconds
    result = ping(address, 100 if options.quick else 500)
    result |= stream(n, address, f"-t {seconds}")
    if not options.quick:
        four = stream(n, address, f"-t {seconds} -P 4")
        result |= {f"{key}_4": four[key] for key in ("gbit_s", "cpu_s_per_gb")}
    result |= small_packets(n, address, seconds)
    result["rss_mib"] = n.memory() if n.processes else 0.0
    return result


COLUMNS = [
    ("gbit_s", "Gbit/s", 2), ("gbit_s_4", "4 streams", 2), ("cpu_s_per_gb", "CPU s/GB", 2),
    ("cpu_s_per_gb_4", "4 streams", 2), ("packets_s", "128 B/s", 0), ("cpu_s_per_million", "CPU s/M", 1),
    ("added_min_ms", "ping +min", 3), ("added_p50_ms", "+p50 ms", 3), ("added_p99_ms", "+p99 ms", 3),
    ("rss_mib", "RSS MiB", 1), ("our_cpu_to_theirs", "ours/theirs", 3),
]

COMPARED = [
    ("re6st", "openvpn"), ("re6st-none", "openvpn-none"), ("re6st", "openvpn-48000"),
    ("re6st", "wireguard-go"), ("re6st", "boringtun"), ("re6st", "tinc"), ("re6st", "fastd"),
    ("re6st-no-uso", "wireguard-go-no-uso"), ("re6st-transit", "openvpn-transit"),
    ("re6st-transit", "wireguard-go-transit"),
]


def summary(results):
    """Medians, and delays less those of the bare veth."""
    medians = {}
    for name, runs in results.items():
        if runs:
            median = {key: statistics.median(run[key] for run in runs)
                      for key, value in runs[0].items() if value is not None}
            medians[name] = {**median, "runs": len(runs)}
    bare = medians.get("veth", {})
    for median in medians.values():
        for key in ("min", "p50", "p99"):
            median[f"added_{key}_ms"] = median[f"ping_{key}_ms"] - bare.get(f"ping_{key}_ms", 0)
    return medians


def show(medians):
    print(f"\n{'tunnel':21}" + "".join(f"{title:>12}" for _, title, _ in COLUMNS))
    for name, median in medians.items():
        cells = (f"{median[key]:>12,.{digits}f}" if key in median else f"{'–':>12}"
                 for key, _, digits in COLUMNS)
        print(f"{name:21}" + "".join(cells))
    for ours, theirs in COMPARED:
        if ours in medians and theirs in medians:
            one, other = medians[ours], medians[theirs]
            print(f"{ours} against {theirs}: {one['gbit_s'] / other['gbit_s']:.1f} × as fast, "
                  f"{other['cpu_s_per_gb'] / one['cpu_s_per_gb']:.1f} × less CPU a GB, "
                  f"{other['cpu_s_per_million'] / one['cpu_s_per_million']:.1f} × less a packet")


def arguments(words):
    parser = argparse.ArgumentParser(prog="scripts/bench tunnel", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="tunnels to compare [all]")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each [3]")
    parser.add_argument("--seconds", type=int, default=5, help="length of each measurement [5]")
    parser.add_argument("--quick", action="store_true", help="fewer pings, and not with four streams")
    parser.add_argument("--binary", default="target/release/re6st", help="the re6st to measure")
    parser.add_argument("--json", action="store_true", help="one JSON object a tunnel")
    parser.add_argument("--list", action="store_true", help="name the tunnels, and end")
    return parser.parse_args(words)


def available():
    """The tunnels whose programs are installed."""
    needed = {program for tunnel in TUNNELS.values() for program in tunnel.needs}
    missing = {program for program in needed if not shutil.which(program)}
    for program in sorted(missing):
        print(f"scripts/bench: {program} is not installed: what needs it is left out", file=sys.stderr)
    return [name for name, tunnel in TUNNELS.items() if missing.isdisjoint(tunnel.needs)]


def main(words):
    options = arguments(words)
    if options.list:
        for name, tunnel in TUNNELS.items():
            print(f"{name:21} {tunnel.what}")
        return
    if os.geteuid():
        sys.exit("scripts/bench: needs root, for network namespaces: run it with sudo.")
    if not os.access(options.binary, os.X_OK):
        sys.exit(f"scripts/bench: there is no {options.binary}: cargo build --release")
    names = options.names or available()
    for name in names:
        if name not in TUNNELS:
            sys.exit(f"scripts/bench: there is no tunnel {name}: see scripts/bench tunnel --list")
    # Whoever is told to stop cleans up, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    hosts = Hosts(os.path.abspath(options.binary))
    results = {name: [] for name in names}
    try:
        for number in range(options.rounds):
            for name in names:
                try:
                    results[name].append(measure(hosts, name, options))
                    print(f"{number + 1}: {name}: {results[name][-1]['gbit_s']:.2f} Gbit/s",
                          file=sys.stderr)
                except (RuntimeError, KeyError, ValueError, OSError) as error:
                    print(f"{number + 1}: {name}: failed: {error}", file=sys.stderr)
    finally:
        hosts.end()
    medians = summary(results)
    if options.json:
        for name, median in medians.items():
            print(json.dumps({"type": "bench", "tunnel": name, **median}))
    else:
        show(medians)
