"""Certificates that nobody trusts, for servers with TLS on this machine."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def made_certificate(folder: Path, name: str) -> Path:
    """One file with a key and its certificate. name: as in subjectAltName, "DNS:localhost" or "IP:127.0.0.1"."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    whole, key, certificate = (folder / each for each in ("both.pem", "key.pem", "certificate.pem"))
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test"
    files = ["-addext", f"subjectAltName={name}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, *words.split(), *files], check=True, capture_output=True)
    whole.write_bytes(key.read_bytes() + certificate.read_bytes())
    return whole
