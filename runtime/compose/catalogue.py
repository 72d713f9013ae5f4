"""The catalogue of models as the dashboard shows it: sized for this box, with what is on its disk and what serves it now."""

from __future__ import annotations

import os
from collections.abc import Mapping

import psutil

from local_models.facts import fit
from local_models.facts.catalogue import catalogue
from local_models.facts.footprint import of_entry
from local_models.replica.command import equal_gpus
from local_models.weights import disk
from runtime.contract.targets import LOCAL
from runtime.fleet.fleet import LiveFleet
from runtime.server.pages.catalogue import CatalogueModel
from runtime.settings import Settings


def listed(fleet: LiveFleet, settings: Settings, environ: Mapping[str, str] = os.environ) -> tuple[CatalogueModel, ...]:
    """Every model that has a name here, in the catalogue's order. Walks the folders of those on the disk."""
    kept = {each.name: each for each in disk.every(environ)}
    box = None if settings.engine.url else box_of(fleet, settings.engine.gpu_memory_utilization)
    clouds = {name: backend.target.model for name, backend in fleet.clouds.backends.items()}
    rows = []
    for entry in catalogue().entries:
        wish = fit.Wish(min(fit.USUAL.context, entry.context), fit.USUAL.concurrency)
        verdict = None if box is None else fit.judge(of_entry(entry), box, wish)
        here, names = kept.get(entry.name), {entry.name, entry.hub}
        local = not names.isdisjoint(fleet.engine.served) or fleet.engine.model in names
        rows.append(
            CatalogueModel(
                name=entry.name,
                title=entry.title,
                hub=entry.hub,
                parameters=entry.parameters,
                weights_bytes=entry.weight_bytes,
                context=entry.context,
                licence=entry.licence,
                gated=entry.gated,
                tools=entry.tools,
                modalities=tuple(sorted(entry.modalities)),
                fits=None if verdict is None else verdict.fits,
                why=("the engine runs on servers of somebody else",) if verdict is None else verdict.reasons,
                disk_bytes=here.size() if here is not None else 0,
                whole=here is not None and here.whole is not None,
                served_by=((LOCAL,) if local else ()) + tuple(each for each, model in clouds.items() if model in names),
            )
        )
    return tuple(rows)


def box_of(fleet: LiveFleet, share: float) -> fit.Box:
    """The GPUs of most memory together that are alike; without any, this machine's memory."""
    kinds = equal_gpus(fleet.engine.gpus())
    if not kinds:
        return fit.Box(psutil.virtual_memory().total, 1, share, cpu=True)
    most = max(kinds, key=lambda kind: sum(gpu.memory_total for gpu in kind))
    return fit.Box(min(gpu.memory_total for gpu in most), len(most), share)
