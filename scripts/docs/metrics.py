"""docs/reference/metrics.md: every family that `/metrics` can have, with its labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily

from runtime.record.metrics import Gauges, Metrics

_HEAD = """\
# Every metric

<!-- Written by `python -m scripts.docs` from the metrics themselves. Change them there. -->

What to watch among them: [operations](../operations.md#what-to-watch). Times are seconds, sizes bytes, ratios 0 to 1.

| name | type | labels | |
| --- | --- | --- | --- |
"""


def page() -> str:
    families = Metrics(Gauges).families()
    return _HEAD + "".join(_rows(families))


def _rows(families: Iterable[Metric]) -> Iterator[str]:
    for each in families:
        labels = ", ".join(f"`{label}`" for label in getattr(each, "_labelnames", ()))
        total = "_total" if isinstance(each, CounterMetricFamily) else ""
        buckets = " (`_bucket`, `_sum`, `_count`)" if isinstance(each, HistogramMetricFamily) else ""
        yield f"| `{each.name}{total}`{buckets} | {each.type} | {labels} | {each.documentation} |\n"
