"""The systemd unit of a Hearth, as text. Pure.

Not among its restrictions, and why: PrivateDevices and DevicePolicy (GPUs are devices), MemoryDenyWriteExecute (kernels are
compiled at run time), ProcSubset and ProtectProc (the runtime finds its own engine's processes in /proc).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NAME = "hearth.service"

# Also without rights of the service manager's own.
_EVERYWHERE = (
    "NoNewPrivileges=yes",
    "LockPersonality=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native",
    "UMask=0077",
)
_SYSTEM = (
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "PrivateTmp=yes",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "RestrictNamespaces=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
)


@dataclass(frozen=True, slots=True)
class ServiceWish:
    """program: `hearth` itself. user: whom a system service runs as; None for a user's own service.

    cache: the user's cache folder, where the engine and the weights are. stop_s: longest end in order, seconds.
    """

    program: Path
    config: Path | None
    user: str | None
    cache: Path
    stop_s: int


def unit(wish: ServiceWish) -> str:
    """The unit file."""
    command = [str(wish.program), "serve", *(["--config", str(wish.config)] if wish.config else [])]
    system = wish.user is not None
    secrets = "/etc/hearth/hearth.env" if system else "%h/.config/hearth/hearth.env"
    service = [
        # Ready as soon as the endpoint answers; the engine comes up behind it, for which the status line stands.
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={' '.join(quoted(word) for word in command)}",
        "ExecReload=/bin/kill -HUP $MAINPID",
        f"EnvironmentFile=-{secrets}",
        "Restart=on-failure",
        "RestartSec=5",
        "WatchdogSec=60",
        "TimeoutStartSec=120",
        f"TimeoutStopSec={wish.stop_s}",
        # Hearth ends its engine itself; what is left after the time-out is killed with it.
        "KillMode=mixed",
        "LimitNOFILE=65536",
    ]
    if system:
        service += [
            f"User={wish.user}",
            "StateDirectory=hearth",
            "StateDirectoryMode=0700",
            "Environment=HEARTH_STATE_DIR=/var/lib/hearth",
            f"Environment=XDG_CACHE_HOME={quoted(str(wish.cache))}",
            f"ReadWritePaths=-{quoted(str(wish.cache))}",
            *_SYSTEM,
        ]
    lines = [
        "# Written by `hearth service install`, removed by `hearth service remove`.",
        "[Unit]",
        "Description=Hearth, a local-first LLM runtime",
        *(["Wants=network-online.target", "After=network-online.target"] if system else []),
        "",
        "[Service]",
        *service,
        *_EVERYWHERE,
        "",
        "[Install]",
        f"WantedBy={'multi-user.target' if system else 'default.target'}",
    ]
    return "\n".join(lines) + "\n"


def quoted(word: str) -> str:
    """A word of a unit file: `%` and `$` stand for themselves, and a space does not split it."""
    word = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return f'"{word}"' if " " in word else word
