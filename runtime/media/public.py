"""Addresses that are public on the Internet. Pure; knows no names and resolves none.

Refused: this machine, its network, link-local addresses (where clouds offer a machine's own credentials), shared, reserved and
multicast ones, and those that lead to such an address inside (IPv4-mapped, 6to4, Teredo, NAT64).
"""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: its last 32 bits are an IPv4 address
# Special in IANA's registries, although some Python calls them global; and the host that Azure offers to its own machines.
_SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "64:ff9b:1::/48", "3fff::/20", "5f00::/16", "fec0::/10"),
    )
)


def public(text: str) -> bool:
    """True for an address that may be connected to, together with every IPv4 address that it leads to."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    inside: list[Address | None] = []
    if isinstance(address, ipaddress.IPv6Address):
        inside = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _TRANSLATED:
            inside.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return _is_public(address) and all(_is_public(each) for each in inside if each is not None)


def _is_public(address: Address) -> bool:
    if any(address in network for network in _SPECIAL):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id:
            return False
        # A mapped or translated address is judged by the one inside alone: Python versions differ about the outside.
        if address.ipv4_mapped is not None or address in _TRANSLATED:
            return True
    closed = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    return address.is_global and not closed and not address.is_link_local
