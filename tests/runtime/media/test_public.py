"""Which addresses are public."""

from __future__ import annotations

import pytest

from runtime.media.public import public


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    """Also where one carries another that is."""
    assert public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.1",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:0:7f00:1",
        "::ffff:169.254.169.254",
        "2002:a9fe:a9fe::1",
        "2002:c0a8:1::1",
        "64:ff9b::7f00:1",
        "64:ff9b::10.0.0.1",
        "0177.0.0.1",
        "127.1",
        "2130706433",
        "8.8.8.8.",
        "１２７.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::1",
        "2001:0:7f00:1::1",
        "2001:db8::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "localhost",
        "",
    ],
)
def test_all_others_are_not(address: str) -> None:
    """This machine, its network, what is shared, reserved or hidden inside another address, and what is none."""
    assert not public(address)
