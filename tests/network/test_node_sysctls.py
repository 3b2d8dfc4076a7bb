"""Kernel parameters of a namespace."""

from __future__ import annotations

from kgctl.host.sysctls import Sysctls
from tests.network.inside import TUNNEL, WIREGUARD, inside, node


def test_a_node_forwards_and_is_restored() -> None:
    with node() as machine, inside(machine):
        machine.sysctl(net__ipv4__ip_forward=0, net__ipv4__conf__all__rp_filter=1)
        machine.sysctl(net__ipv6__conf__all__forwarding=0)
        sysctls = Sysctls()
        wanted = sysctls.wanted([WIREGUARD, TUNNEL], ipv6=True)
        result = sysctls.set(wanted)
        assert not result.problems
        assert {one.name: one.new for one in result.changed} == {
            "net.ipv4.ip_forward": "1",
            "net.ipv6.conf.all.forwarding": "1",
            "net.ipv4.conf.kilo0.rp_filter": "2",
            "net.ipv4.conf.tunl0.rp_filter": "2",
        }
        assert sysctls.wanted([WIREGUARD, TUNNEL], ipv6=True) == {}
        assert sysctls.restore(result.changed) == []
        assert sysctls.wanted([WIREGUARD, TUNNEL], ipv6=True) == wanted


def test_a_read_only_tree_is_a_finding() -> None:
    with node() as machine:
        machine.sysctl(net__ipv4__ip_forward=0)
        script = (
            "mount -o remount,bind,ro /proc/sys 2>/dev/null || mount --bind -o ro /proc/sys "
            "/proc/sys; python -c 'from kgctl.host.sysctls import Sysctls; "
            'print(*Sysctls().set({"net.ipv4.ip_forward": "1"}).problems)\''
        )
        printed = machine.run("unshare", "-m", "sh", "-c", script).stdout
        assert "net.ipv4.ip_forward to 1: Read-only file system; it is 0: set it" in printed
