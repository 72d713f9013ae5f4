"""Which addresses of the Internet belong to everybody. Pure; knows no names and resolves none.

What is not public is refused: this machine, its network, link-local ones (where clouds keep a machine's own credentials),
what is shared, reserved, multicast, or hides another address inside.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: its last 32 bits are an IPv4 address
# Of IANA's registries of special addresses, what some Python calls global.
_SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "3fff::/20", "5f00::/16", "fec0::/10"),
    )
)


def public(text: str) -> bool:
    """Whether an address, and whatever it carries inside, may be connected to. What is no address may not."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return _open(address) and all(map(_open, _inside(address)))


def _open(address: Address) -> bool:
    if any(address in network for network in _SPECIAL):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id:
            return False
        # What is mapped or translated is judged by what is inside alone: Pythons differ about the outside.
        if address.ipv4_mapped is not None or address in _TRANSLATED:
            return True
    closed = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    return address.is_global and not closed and not address.is_link_local


def _inside(address: Address) -> Iterator[Address]:
    """IPv4 addresses that an IPv6 address leads to."""
    if not isinstance(address, ipaddress.IPv6Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _TRANSLATED:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
