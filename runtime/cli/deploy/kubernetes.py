"""Plain manifests of Hearth for Kubernetes, by file name. Pure.

With engines of its own: a StatefulSet, each pod with its GPU, its state and its weights. Attached to engines that run
elsewhere: a Deployment, whose pods keep no state. The pods find each other by a headless Service.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NAME = "hearth"
KEYS = "hearth-keys"  # the Secret with the variables that the settings refer to
PORT = 8000
_PEERS = f"{NAME}-peers"
_LEAVES_S = 5  # until every balancer has heard that a pod ends
_MARGIN_S = 30  # for the end of the engine's processes, beyond both drains


@dataclass(frozen=True, slots=True)
class KubernetesWish:
    """settings: the text of the settings file. owned: each pod starts its own engine. gpus: of one pod. ends_s: both drains.

    variables: those that the settings refer to, which the Secret must hold. keys: of clients, by reference.
    """

    image: str
    replicas: int
    settings: str
    owned: bool
    gpus: int = 1
    ends_s: float = 60.0
    variables: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    state_gb: int = 5
    weights_gb: int = 100


def manifests(wish: KubernetesWish) -> dict[str, Mapping[str, Any]]:
    """By file name; kustomization.yaml names all others."""
    kind = "statefulset" if wish.owned else "deployment"
    files: dict[str, Mapping[str, Any]] = {
        "configmap.yaml": {**_head("v1", "ConfigMap", f"{NAME}-settings"), "data": {"hearth.toml": wish.settings}},
        f"{kind}.yaml": _workload(wish),
        "service.yaml": _service(NAME, {}),
        "peers.yaml": _service(_PEERS, {"clusterIP": "None"}),
        "disruption.yaml": {
            **_head("policy/v1", "PodDisruptionBudget", NAME),
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _labels()}},
        },
    }
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(files),
    }
    return {**files, "kustomization.yaml": kustomization}


def _labels() -> dict[str, str]:
    return {"app.kubernetes.io/name": NAME}


def _head(version: str, kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": _labels()}}


def _service(name: str, more: Mapping[str, Any]) -> dict[str, Any]:
    ports = [{"name": "http", "port": PORT, "targetPort": "http"}]
    return {**_head("v1", "Service", name), "spec": {**more, "selector": _labels(), "ports": ports}}


def _workload(wish: KubernetesWish) -> dict[str, Any]:
    spec: dict[str, Any] = {"replicas": wish.replicas, "selector": {"matchLabels": _labels()}}
    if wish.owned:
        spec |= {"serviceName": _PEERS, "podManagementPolicy": "Parallel"}
    spec["template"] = {"metadata": {"labels": _labels()}, "spec": _pod(wish)}
    if wish.owned:
        spec["volumeClaimTemplates"] = [_claim("state", wish.state_gb), _claim("cache", wish.weights_gb)]
        return {**_head("apps/v1", "StatefulSet", NAME), "spec": spec}
    return {**_head("apps/v1", "Deployment", NAME), "spec": spec}


def _claim(name: str, gigabytes: int) -> dict[str, Any]:
    storage = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": f"{gigabytes}Gi"}}}
    return {"metadata": {"name": name}, "spec": storage}


def _pod(wish: KubernetesWish) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [{"name": "settings", "configMap": {"name": f"{NAME}-settings"}}]
    volumes += [{"name": "tmp", "emptyDir": {}}]
    if wish.owned:
        volumes += [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}]
    else:
        volumes += [{"name": name, "emptyDir": {}} for name in ("state", "cache")]
    return {
        "terminationGracePeriodSeconds": round(wish.ends_s) + _LEAVES_S + _MARGIN_S,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "fsGroup": 10001},
        "containers": [_container(wish)],
        "volumes": volumes,
    }


def _container(wish: KubernetesWish) -> dict[str, Any]:
    places = {"settings": "/etc/hearth", "state": "/var/lib/hearth", "cache": "/var/cache/hearth", "tmp": "/tmp"}
    mounts = [{"name": name, "mountPath": path} for name, path in places.items()]
    mounts += [{"name": "shm", "mountPath": "/dev/shm"}] if wish.owned else []
    gpus = {"resources": {"limits": {"nvidia.com/gpu": wish.gpus}}} if wish.owned and wish.gpus else {}
    return {
        "name": NAME,
        "image": wish.image,
        "ports": [{"name": "http", "containerPort": PORT}],
        "env": _environment(wish),
        **gpus,
        # The start of an engine takes minutes: liveness is the process alone, and readiness is a candidate that can answer.
        "startupProbe": _probe("/health/live", 2, 30),
        "livenessProbe": _probe("/health/live", 10, 3),
        "readinessProbe": _probe("/health/ready", 5, 2),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(_LEAVES_S)]}}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": mounts,
    }


def _environment(wish: KubernetesWish) -> list[dict[str, Any]]:
    """The pod's own name, its peers, its port, and the keys out of the Secret.

    The image sets the keys of clients, and a variable goes before the settings file: so they are said again.
    """
    own = {"name": "HEARTH_FLEET__NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    peers = {"name": "HEARTH_FLEET__PEERS", "value": f"dns:{_PEERS}:{PORT}"}
    port = {"name": "HEARTH_SERVER__PORT", "value": str(PORT)}
    keys = {"name": "HEARTH_SERVER__KEYS", "value": json.dumps(wish.keys)}
    secret = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": KEYS, "key": name}}} for name in sorted({*wish.variables})
    ]
    return [own, peers, port, keys, *secret]


def _probe(path: str, each_s: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": each_s,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def commands(folder: str, variables: Sequence[str]) -> tuple[str, ...]:
    """The Secret with the keys, and everything else."""
    literals = " ".join(f'--from-literal={name}="${name}"' for name in sorted({*variables}))
    secret = (f"kubectl create secret generic {KEYS} {literals}",) if literals else ()
    return (*secret, f"kubectl apply -k {shlex.quote(folder)}")
