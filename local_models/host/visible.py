"""CUDA_VISIBLE_DEVICES, as CUDA itself reads it. Pure; knows no GPU."""

from __future__ import annotations

from dataclasses import dataclass

VARIABLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class VisibleDevices:
    """text: as it was set. names: numbers, UUIDs (`GPU-…`, maybe shortened) or MIG slices; None: not set, all are visible."""

    text: str = ""
    names: tuple[str, ...] | None = None

    @property
    def hides_all(self) -> bool:
        """True if the variable hides every GPU on purpose: it is empty, or begins with -1."""
        return self.names == ()


def parse_visible(value: str | None) -> VisibleDevices:
    """The names up to the first that is none (CUDA ignores what follows "-1" or an empty name)."""
    if value is None:
        return VisibleDevices()
    names = list[str]()
    for name in map(str.strip, value.split(",")):
        if name in ("", "-1", "NoDevFiles"):
            break
        names.append(str(int(name)) if name.isdecimal() else name)
    return VisibleDevices(value, tuple(names))
