"""Chooses addresses and ports that nothing on the machine uses, and joins the cluster's network to the machine's."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import random
import socket
import subprocess
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.processes import wait_gone

MTU = 1500
SERVICES_WITHOUT_PODS = "10.96.0.0/16"
"""Cluster addresses of Services in a cluster without pods: objects have them, but nothing routes them."""


@dataclasses.dataclass(frozen=True)
class AddressPlan:
    """The addresses of one cluster with pods."""

    pods: ipaddress.IPv4Network
    """/16: its first /24 is for the pods, its last /30 joins node and machine, so that one route leads to both."""
    services: ipaddress.IPv4Network

    @property
    def pod_range(self) -> ipaddress.IPv4Network:
        """What the pods' addresses are taken from."""
        return next(self.pods.subnets(new_prefix=24))

    @property
    def host(self) -> ipaddress.IPv4Address:
        """The machine's end of the link."""
        return self.pods[-3]

    @property
    def node(self) -> ipaddress.IPv4Address:
        """The node's end of the link, its address in the cluster. The kubelet would refuse a loopback one."""
        return self.pods[-2]

    @property
    def dns(self) -> ipaddress.IPv4Address:
        """The cluster address of the DNS Service, by convention the tenth."""
        return self.services[10]

    @property
    def kubernetes(self) -> ipaddress.IPv4Address:
        """The cluster address of the API server's Service: always the first."""
        return self.services[1]


def plan(pods: str, services: str) -> AddressPlan:
    """The plan with these ranges."""
    return AddressPlan(ipaddress.IPv4Network(pods), ipaddress.IPv4Network(services))


def choose_plan(taken: list[str]) -> AddressPlan:
    """The customary 10.244.0.0/16 and 10.96.0.0/16, or the first pair after them that clashes with nothing.

    `taken` are the ranges of other clusters, which may be down at the moment.
    """
    used = [ipaddress.IPv4Network(network) for network in taken] + _networks_of_machine()
    for slot in range(11):
        candidate = plan(f"10.{244 + slot}.0.0/16", f"10.{96 + slot}.0.0/16")
        if not any(candidate.pods.overlaps(network) or candidate.services.overlaps(network) for network in used):
            return candidate
    raise ClusterError(
        "Every address range from 10.244.0.0/16 to 10.254.0.0/16, or its partner from 10.96.0.0/16 to 10.106.0.0/16, "
        "is in use on this machine (`ip route`). Bring a cluster down, or leave the VPN that routes them."
    )


def _networks_of_machine() -> list[ipaddress.IPv4Network]:
    routes = json.loads(_ip("-json", "-4", "route", "show", "table", "all") or "[]")
    found = []
    for route in routes:
        destination = route.get("dst", "default")
        # The default route leads everywhere without claiming anything, and so do the halves some VPNs split it into.
        if destination != "default" and (network := ipaddress.IPv4Network(destination)).prefixlen > 1:
            found.append(network)
    return found


def free_ports(names: list[str]) -> dict[str, int]:
    """A free port of 127.0.0.1 for each name, below the range from which the kernel serves outgoing connections."""
    ports: dict[str, int] = {}
    for candidate in random.sample(range(20000, 32000), 2000):
        if len(ports) == len(names):
            return ports
        if port_is_free(candidate):
            ports[names[len(ports)]] = candidate
    raise ClusterError("Fewer than a handful of the ports 20000 to 32000 of 127.0.0.1 are free (`ss -ltn`).")


def port_is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def join(link: str, addresses: AddressPlan, init: int) -> None:
    """Lay a virtual cable between the machine and the namespaces of the process `init`, and routes to what is behind.

    Only the machine itself gets a way in. There is no way out to other networks, and so no firewall rule on the machine
    to leave behind: nothing in the cluster needs one, as images are imported.
    """
    _ip("link", "add", link, "mtu", str(MTU), "type", "veth", "peer", "name", "eth0", "netns", str(init))
    _ip("address", "add", f"{addresses.host}/30", "dev", link)
    _ip("link", "set", link, "up")
    inside = ["nsenter", f"--target={init}", "--net", "--"]
    _run([*inside, "ip", "link", "set", "lo", "up"])
    _run([*inside, "ip", "address", "add", f"{addresses.node}/30", "dev", "eth0"])
    _run([*inside, "ip", "link", "set", "eth0", "up"])
    _run([*inside, "ip", "route", "add", "default", "via", str(addresses.host)])
    # A Service that kube-proxy does not know yet would be sent back to the machine, which would send it here again.
    services = ["-d", str(addresses.services), "-o", "eth0"]
    _run([*inside, "iptables", "-A", "FORWARD", *services, "-j", "REJECT", "--reject-with", "icmp-host-unreachable"])
    for destination in (addresses.pods, addresses.services):
        _ip("route", "add", str(destination), "via", str(addresses.node), "dev", link)


def unjoin(link: str) -> None:
    """Remove the link, and with it its routes. The kernel does so too, a moment after the namespace's last process."""
    if not exists(link):
        return
    # It may vanish between the look and the removal.
    subprocess.run(["ip", "link", "delete", link], capture_output=True, check=False)
    wait_gone(lambda: exists(link), f"the network interface {link}")


def exists(link: str) -> bool:
    """Whether the machine has this interface."""
    return Path("/sys/class/net", link).exists()


def _ip(*arguments: str) -> str:
    return _run(["ip", *arguments])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout
