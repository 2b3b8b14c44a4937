"""Three hosts on this machine, in network namespaces, and what runs in them.

    a ────────── b        192.0.2.0/30
    a ─── r ─── b         192.0.2.4/30 and .8/30
"""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections import Counter

# Of this run alone: others may run beside it.
HOSTS = tuple(f"re6st-bench-{os.getpid()}-{name}" for name in "arb")
A, R, B = HOSTS
TICKS = os.sysconf("SC_CLK_TCK")


def run(command, host=None, check=True, **options):
    """Runs a command to its end, in a host if one is named, and gives what it printed."""
    if host:
        command = f"ip netns exec {host} {command}"
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=120, **options)
    if check and done.returncode:
        raise RuntimeError(f"{command}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def wait_for(what, until):
    """Waits until `until` is true."""
    for _ in range(150):
        if until():
            return
        time.sleep(0.1)
    raise RuntimeError(f"waited 15 s for {what}")


def has_device(host, name):
    return bool(run(f"ip -n {host} -o link show {name}", check=False))


def answers(address):
    """Whether an address answers host a."""
    return "1 received" in run(f"ping -c1 -W1 {address}", A, check=False)


def give_address(host, device, address):
    """Waits for a device, gives it an address and brings it up."""
    wait_for(device, lambda: has_device(host, device))
    run(f"ip -n {host} addr add {address} dev {device}")
    run(f"ip -n {host} link set {device} up")


class Hosts:
    """The three hosts, the processes in them, and a throw-away authority."""

    def __init__(self, binary):
        self.binary = binary
        self.folder = tempfile.mkdtemp(prefix="re6st-bench-")
        self.processes = []
        self.logs = 0
        self.certify()

    def certify(self):
        """An authority, and a certificate for each host."""
        key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        f = self.folder
        run(f"openssl req -x509 {key} -days 30 -subj /CN=bench -keyout {f}/ca.key -out {f}/ca.crt")
        for name in "arb":
            run(f"openssl req {key} -subj /CN={name} -keyout {f}/{name}.key -out {f}/{name}.csr")
            run(f"openssl x509 -req -in {f}/{name}.csr -CA {f}/ca.crt -CAkey {f}/ca.key "
                f"-CAcreateserial -days 30 -out {f}/{name}.crt")

    def up(self):
        """Makes the hosts and joins them."""
        self.down()
        for host in HOSTS:
            run(f"ip netns add {host}")
            run(f"ip -n {host} link set lo up")
            run("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0", host)
        for number, (one, other) in enumerate(((A, B), (A, R), (R, B))):
            run(f"ip link add v{number} netns {one} type veth peer name v{number} netns {other}")
            for host, last in ((one, 1), (other, 2)):
                run(f"ip -n {host} addr add 192.0.2.{4 * number + last}/30 dev v{number}")
                run(f"ip -n {host} link set v{number} up")

    def start(self, host, command, **environment):
        """Starts a process of a tunnel."""
        self.logs += 1
        words = ["ip", "netns", "exec", host, *shlex.split(command)]
        with open(f"{self.folder}/{self.logs}.log", "w") as log:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env={**os.environ, **environment})
        program = "re6st" if words[4] == self.binary else words[4]
        self.processes.append((program, process))

    def down(self):
        """Ends what was started, and removes the hosts."""
        for _, process in self.processes:
            process.terminate()
        for _, process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []
        for host in HOSTS:
            run(f"ip netns del {host}", check=False)

    def end(self):
        """Leaves nothing behind."""
        self.down()
        shutil.rmtree(self.folder)

    def cpu(self):
        """Seconds of CPU that the tunnel's processes have used, by program."""
        used = Counter()
        for program, process in self.processes:
            with open(f"/proc/{process.pid}/stat") as stat:
                words = stat.read().rsplit(")", 1)[1].split()
            used[program] += (int(words[11]) + int(words[12])) / TICKS
        return used

    def memory(self):
        """MiB of the largest process."""
        largest = 0
        for _, process in self.processes:
            with open(f"/proc/{process.pid}/status") as status:
                largest = max(largest, int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]))
        return largest / 1024
