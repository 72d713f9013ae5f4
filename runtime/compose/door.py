"""The settings of the door as the values it is built from: who may come in, what a connection may cost, what is logged."""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path

from runtime.server import logs
from runtime.server.access_policy import AccessPolicy
from runtime.server.connection import ConnectionLimits
from runtime.server.hosts_and_origins import Hosts, Origins, Proxies
from runtime.settings import Settings
from runtime.settings.accounts import secrets
from runtime.settings.agree import lets_strangers_in
from runtime.settings.environment import CREATED_KEYS
from runtime.trust.admin_key import local_admin_key
from runtime.trust.key_store import CLOSED, KeyStore
from runtime.trust.keys import Keys

_log = logging.getLogger("hearth.server")


def access_policy(settings: Settings, folder: Path) -> AccessPolicy:
    """folder: where the state lives; the box's own admin key is kept there while the settings name none."""
    server = settings.server
    own = None
    if not server.admin_keys:
        try:
            own = local_admin_key(folder)
        except OSError as error:
            _log.warning("no admin key could be made in %s (%s): nobody may change anything", folder, error.strerror)
    try:
        created = KeyStore(folder, time.time).admissions()
    except (sqlite3.Error, OSError, ValueError) as error:
        created = CLOSED
        words = "the created keys cannot be read from %s (%s): only configured keys are good until it is mended"
        _log.error(words, folder / CREATED_KEYS, type(error).__name__)
    keyed = server.keys or server.admin_keys
    if not created.made and lets_strangers_in(server.host, socket=server.socket, keyed=keyed):
        # The server began with created keys, and their file is gone: no door beyond this machine is ever open.
        created = CLOSED
    users = [key.reveal() for key in server.keys]
    admins = [key.reveal() for key in server.admin_keys]
    return AccessPolicy(
        Keys(users, admins, own, created, fleet=settings.fleet.key.reveal() if settings.fleet.key else None),
        Origins(server.cors),
        Hosts(server.hosts),
        Proxies(server.trusted_proxies),
        server.path_prefix.rstrip("/"),
    )


def connection_limits(settings: Settings) -> ConnectionLimits:
    server = settings.server
    most = server.max_connections
    return ConnectionLimits(
        head_bytes=server.max_head_kb * 1024,
        head_s=server.head_timeout,
        window_s=server.body_timeout,
        connections=most,
        idle=max(1, most // 2),
    )


def log(settings: Settings) -> None:
    """Puts the settings of the log in force."""
    server = settings.server
    hidden = [secret.reveal() for _, secret in secrets(settings) if secret.value is not None]
    logs.configure(server.log_level, server.log_format, access_log=server.access_log, secrets=hidden)
