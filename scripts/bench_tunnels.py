"""How each tunnel is started that scripts/bench tunnel compares.

Each function starts one between two hosts that reach each other at 192.0.2.x, and gives the address of the
second inside the tunnel. `net` tells several tunnels of a run apart.
"""

import os
import re
import shutil
import time
from functools import partial
from typing import Callable, NamedTuple

from bench_hosts import A, B, R, answers, give_address, has_device, run, wait_for

TUNED = "--sndbuf 4194304 --rcvbuf 4194304 --txqueuelen 2000 --fast-io"
AES = "--data-ciphers AES-256-GCM"
AB = ((A, 1), (B, 2))


class Tunnel(NamedTuple):
    """One line of the comparison."""
    what: str
    start: Callable
    needs: tuple = ()


def re6st_server(n, host, options, net):
    tag = net.split(".")[1]
    n.start(host, f"{n.binary} tunnel listen --cert {n.folder}/b.crt --key {n.folder}/b.key "
                  f"--ca {n.folder}/ca.crt {options} --interface-prefix s{tag}- --address {net}.2/24")
    time.sleep(0.5)
    return f"s{tag}-a"


def re6st_client(n, host, at, port, options, net):
    tag = net.split(".")[1]
    n.start(host, f"{n.binary} tunnel connect 192.0.2.{at},{port},udp --cert {n.folder}/a.crt "
                  f"--key {n.folder}/a.key --ca {n.folder}/ca.crt {options} --interface c{tag} "
                  f"--address {net}.1/24")
    return f"c{tag}"


def re6st(n, options="", ends=AB, net="10.81.0"):
    (client, _), (server, at) = ends
    ours = re6st_server(n, server, options, net)
    theirs = re6st_client(n, client, at, 1194, options, net)
    wait_for("the tunnel", lambda: has_device(client, theirs) and has_device(server, ours))
    return f"{net}.2"


def openvpn_words(n, name, device, net, options):
    return (f"openvpn --dev o{net.split('.')[1]} --dev-type {device} --ca {n.folder}/ca.crt "
            f"--cert {n.folder}/{name}.crt --key {n.folder}/{name}.key --verb 1 {options}")


def openvpn_server(n, host, device, options, net):
    n.start(host, f"{openvpn_words(n, 'b', device, net, options)} --tls-server --mode server --dh none "
                  f"--port 1195 --proto udp4 --server {net}.0 255.255.255.0 --topology subnet")
    time.sleep(0.5)


def openvpn(n, device="tap", options=AES, ends=AB, net="10.82.0"):
    (client, _), (server, at) = ends
    openvpn_server(n, server, device, options, net)
    n.start(client, f"{openvpn_words(n, 'a', device, net, options)} --client --nobind "
                    f"--remote 192.0.2.{at} 1195 udp4")
    wait_for("the tunnel", lambda: f"{net}.2" in run(f"ip -n {client} -4 addr", check=False))
    return f"{net}.1"


def re6st_to_openvpn(n, net="10.87.0"):
    """Ours calls a stock server."""
    openvpn_server(n, B, "tap", AES, net)
    # OpenVPN's server has the first address itself.
    n.start(A, f"{n.binary} tunnel connect 192.0.2.2,1195,udp --cert {n.folder}/a.crt "
               f"--key {n.folder}/a.key --ca {n.folder}/ca.crt --interface c87 --address {net}.2/24")
    wait_for("the tunnel", lambda: has_device(A, "c87"))
    return f"{net}.1"


def openvpn_to_re6st(n, net="10.88.0"):
    """A stock client calls ours."""
    device = re6st_server(n, B, "", net)
    n.start(A, f"{openvpn_words(n, 'a', 'tap', net, AES)} --client --nobind --remote 192.0.2.2 1194 udp4 "
               f"--ifconfig {net}.1 255.255.255.0")
    wait_for("the tunnel", lambda: has_device(B, device))
    return f"{net}.2"


def wireguard(n, program, ends=AB, net="10.89.0", **environment):
    keys = []
    for at, (host, _) in enumerate(ends):
        # The name of its control socket: there is one folder for all hosts of this machine.
        device = wireguard_device(net, at)
        n.start(host, f"{program} {device}", **environment)
        secret = run("wg genkey").strip()
        public = run("wg pubkey", input=secret).strip()
        path = f"{n.folder}/{device}"
        with open(path, "w") as file:
            file.write(secret)
        keys.append((path, public))
        wait_for(device, lambda: os.path.exists(f"/var/run/wireguard/{device}.sock"))
    for at, (host, _) in enumerate(ends):
        device = wireguard_device(net, at)
        run(f"wg set {device} listen-port {51820 + at} private-key {keys[at][0]} peer {keys[1 - at][1]} "
            f"endpoint 192.0.2.{ends[1 - at][1]}:{51821 - at} allowed-ips 10.0.0.0/8", host)
        give_address(host, device, f"{net}.{at + 1}/24")
        run(f"ip -n {host} link set {device} mtu 1420")
    return f"{net}.2"


def wireguard_device(net, at):
    return f"w{os.getpid() % 10_000_000}-{net.split('.')[1]}{'ab'[at]}"


wireguard_go = partial(wireguard, program="wireguard-go -f", WG_PROCESS_FOREGROUND="1")
boringtun = partial(wireguard, program="boringtun-cli -f --disable-drop-privileges")


def tinc(n):
    for name, address in (("a", 1), ("b", 2)):
        folder = f"{n.folder}/tinc-{name}"
        os.makedirs(f"{folder}/hosts", exist_ok=True)
        connect = "ConnectTo = b\n" if name == "a" else ""
        with open(f"{folder}/tinc.conf", "w") as file:
            file.write(f"Name = {name}\nInterface = t0\nAddressFamily = ipv4\n{connect}")
        with open(f"{folder}/hosts/{name}", "w") as file:
            file.write(f"Address = 192.0.2.{address}\nSubnet = 10.83.0.{address}/32\n")
        run(f"tincd -c {folder} -K 2048", input="\n\n")
    for one, other in (("a", "b"), ("b", "a")):
        shutil.copy(f"{n.folder}/tinc-{one}/hosts/{one}", f"{n.folder}/tinc-{other}/hosts/{one}")
    for host, name, address in ((B, "b", 2), (A, "a", 1)):
        folder = f"{n.folder}/tinc-{name}"
        n.start(host, f"tincd -c {folder} -D --pidfile={folder}/pid")
        give_address(host, "t0", f"10.83.0.{address}/24")
    return "10.83.0.2"


def fastd(n):
    keys = [re.findall(r": (\w+)", run("fastd --generate-key")) for _ in "ab"]
    for at, (host, address) in enumerate(((A, 1), (B, 2))):
        path = f"{n.folder}/fastd-{at}"
        with open(path, "w") as file:
            file.write(f'mode tap; interface "f0"; method "salsa2012+umac"; mtu 1406;'
                       f'bind 192.0.2.{address}:10000; secret "{keys[at][0]}";'
                       f'peer "x" {{ key "{keys[1 - at][1]}"; remote 192.0.2.{3 - address}:10000; }}')
        n.start(host, f"fastd -c {path}")
        give_address(host, "f0", f"10.84.0.{address}/24")
    return "10.84.0.2"


def through(one_tunnel, n):
    """Two tunnels, a–r and r–b, and the routes over them."""
    far = one_tunnel(n, ends=((R, 9), (B, 10)), net="10.86.0")
    near = one_tunnel(n, ends=((A, 5), (R, 6)), net="10.85.0")
    # OpenVPN's server has the first address of its network, the others' second end the second.
    own = "10.86.0.1" if far.endswith(".2") else "10.86.0.2"
    wait_for("an answer of the next host", lambda: answers(near))
    run(f"ip -n {A} route add 10.86.0.0/24 via {near}")
    run(f"ip -n {B} route add 10.85.0.0/24 via {own}")
    return far


def without_uso(one_tunnel, n):
    """A tunnel over a link whose device does not cut UDP super-packets: the kernel must."""
    for host in (A, B):
        run("ethtool -K v0 tx-udp-segmentation off", host)
    return one_tunnel(n)


WG = ("wg", "wireguard-go")
TUNNELS = {
    "veth": Tunnel("no tunnel at all", lambda n: "192.0.2.2"),
    "re6st": Tunnel("TAP, AES-256-GCM", re6st),
    "re6st-chacha": Tunnel("TAP, CHACHA20-POLY1305", partial(re6st, options="--cipher CHACHA20-POLY1305")),
    "re6st-none": Tunnel("TAP, HMAC-SHA1 only", partial(re6st, options="--cipher none")),
    "openvpn": Tunnel("TAP, AES-256-GCM", openvpn, ("openvpn",)),
    "openvpn-none": Tunnel("TAP, HMAC-SHA1 only", partial(
        openvpn, options="--data-ciphers none --cipher none --auth SHA1"), ("openvpn",)),
    "openvpn-tuned": Tunnel("TUN, AES-256-GCM, large buffers", partial(
        openvpn, device="tun", options=f"{AES} {TUNED}"), ("openvpn",)),
    "openvpn-48000": Tunnel("the same, tun-mtu 48000", partial(
        openvpn, device="tun", options=f"{AES} {TUNED} --tun-mtu 48000 --mssfix 0"), ("openvpn",)),
    "re6st-to-openvpn": Tunnel("ours calls a stock server", re6st_to_openvpn, ("openvpn",)),
    "openvpn-to-re6st": Tunnel("a stock client calls ours", openvpn_to_re6st, ("openvpn",)),
    "wireguard-go": Tunnel("TUN, CHACHA20-POLY1305", wireguard_go, WG),
    "boringtun": Tunnel("TUN, CHACHA20-POLY1305", boringtun, ("wg", "boringtun-cli")),
    "tinc": Tunnel("TUN", tinc, ("tincd",)),
    "fastd": Tunnel("TAP, salsa2012+umac", fastd, ("fastd",)),
    "re6st-no-uso": Tunnel("over a link without UDP segmentation", partial(without_uso, re6st),
                           ("ethtool",)),
    "wireguard-go-no-uso": Tunnel("the same", partial(without_uso, wireguard_go), ("ethtool", *WG)),
    "re6st-transit": Tunnel("a–r–b", partial(through, re6st)),
    "openvpn-transit": Tunnel("a–r–b", partial(through, openvpn), ("openvpn",)),
    "wireguard-go-transit": Tunnel("a–r–b", partial(through, wireguard_go), WG),
}
