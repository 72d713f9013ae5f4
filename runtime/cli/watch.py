"""The screen of `hearth status --watch`: a report as lines that fit a terminal. Pure: no clock, no terminal, no request."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple

from runtime.cli.paint import Cell, Paint, duration
from runtime.server.status import DecisionBrief, ReplicaStatus, StatusReport

KEYS = "q quit  p pause  d decisions  l log"
_TICKS = "▁▂▃▄▅▆▇█"
_BAR_SHARE = 0.8  # of a bar's width, where its threshold is
_MOST_RUNNING = 5
_LEAST_WIDTH = 20
_LEAST_TARGET = 10  # letters of a target's label that are shown in any case
_OTHER_COLUMNS = 61  # letters that a row's other columns take, its id left out
_WITH_IDS = 110  # columns of a terminal that has room for ids
_ERROR = 400


class WatchSize(NamedTuple):
    columns: int
    lines: int


class WatchState(NamedTuple):
    """view: overview, decisions or log. trouble: why the report is old; "" while it is not. log: its lines."""

    view: str = "overview"
    paused: bool = False
    trouble: str = ""
    log: Sequence[str] = ()


def screen(
    report: StatusReport | None,
    predicted: Sequence[float | None],
    state: WatchState,
    size: WatchSize,
    paint: Paint,
    zone: tzinfo | None = None,
) -> list[str]:
    """Exactly `size.lines` lines, none wider than `size.columns`. predicted: times to a first token, ms, oldest first."""
    size = WatchSize(max(_LEAST_WIDTH, size.columns), max(3, size.lines))
    rows: list[Sequence[Cell]] = [_head(report, state)]
    if report is not None:
        if state.view == "log":
            room = size.lines - 2
            rows += [((line, ""),) for line in (state.log or ("the engine has written nothing yet",))[-room:]]
        elif state.view == "decisions":
            rows += _decisions(report.decisions, size, zone)
        else:
            rows += _overview(report, predicted, size, zone)
    rows = rows[: size.lines - 1]
    rows += [()] * (size.lines - 1 - len(rows))
    foot = state.trouble or KEYS
    rows.append(((foot, "yellow" if state.trouble else "dim"),))
    return ["".join(paint(text, style) for text, style in fitted(row, size.columns)) for row in rows]


def fitted(row: Iterable[Cell], width: int) -> Iterator[Cell]:
    """The cells of a row with two spaces between them, cut at the width; an ellipsis stands for what is cut."""
    left, first = width, True
    for text, style in row:
        plain = "".join(letter if letter.isprintable() else "?" for letter in text)
        gap = "" if first else "  "
        if len(gap) + len(plain) > left:
            if left > len(gap) + 1:
                yield gap + plain[: left - len(gap) - 1] + "…", style
            return
        yield gap + plain, style
        left, first = left - len(gap) - len(plain), False


def bar(value: float, limit: float, width: int, release: float = 0.0) -> str:
    """A bar with marks at the threshold and where `auto` returns: `████░░╎░│░`."""
    mark = round(_BAR_SHARE * width)
    filled = min(width, round(mark * value / limit)) if limit > 0 else 0
    cells = ["█"] * filled + ["░"] * (width - filled)
    if release:
        cells[round(mark * release)] = "╎"
    cells[min(mark, width - 1)] = "│"
    return "".join(cells)


def sparkline(values: Sequence[float | None], width: int, most: float = 0.0) -> str:
    """The latest values, one letter each, a space where one is not known. most: of the scale, at least."""
    shown = values[-width:]
    top = max([most, *(each for each in shown if each is not None)], default=0.0) or 1.0
    last = len(_TICKS) - 1
    return "".join(" " if each is None else _TICKS[min(last, round(last * each / top))] for each in shown)


def _head(report: StatusReport | None, state: WatchState) -> Sequence[Cell]:
    if report is None:
        return (("hearth", "bold"), ("waiting for the runtime", "yellow"))
    ready = any(each.state == "ready" for each in report.engine.replicas)
    words = next((each.state for each in report.engine.replicas), "absent") if not ready else "ready"
    paused = (("paused", "yellow"),) if state.paused else ()
    return (
        ("hearth", "bold"),
        (report.version, "dim"),
        (report.engine.model, ""),
        (words.replace("_", " "), "green" if ready else "yellow"),
        *paused,
        (f"{report.in_flight} in flight", ""),
        (f"up {duration(report.uptime_s)}", "dim"),
    )


def aligned(rows: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    """Rows of as many cells, each column as wide as its widest text; columns without any text are left out."""
    widths = [max(len(text) for text, _ in column) for column in zip(*rows, strict=True)]
    return [
        [(f"{text:<{width}}", style) for (text, style), width in zip(row, widths, strict=True) if width] for row in rows
    ]


def _overview(
    report: StatusReport, predicted: Sequence[float | None], size: WatchSize, zone: tzinfo | None
) -> Iterator[Sequence[Cell]]:
    load, limits, first = report.load, report.thresholds, report.load.predicted_ttft_ms
    ready = any(each.state == "ready" for each in report.engine.replicas)
    stays = ready and not load.over
    words = "" if stays else load.words if ready else down(report.engine.replicas)
    yield (("auto stays on this box now:", ""), ("YES" if stays else "NO", "green" if stays else "yellow"), (words, ""))
    wide = max(8, min(30, size.columns - 50))
    if limits is not None:
        busy = max([each.utilization for each in report.engine.gpus], default=None)
        gauges = (
            ("first token", first, limits.ttft_ms, f"{first or 0:.0f} of {limits.ttft_ms:.0f} ms"),
            ("queue", load.waiting, limits.queue, f"{load.waiting} of {limits.queue}, {load.running} running"),
            ("KV cache", load.kv_cache, limits.kv_cache, f"{load.kv_cache or 0:.0%} of {limits.kv_cache:.0%}"),
            ("GPU", busy, limits.gpu, f"{busy or 0:.0%} of {limits.gpu:.0%}"),
        )
        for name, value, limit, text in gauges:
            if value is not None:
                over = "yellow" if value >= limit else ""
                yield ((f"{name:<11}", ""), (bar(value, limit, wide, limits.release), over), (text, over))
    if known := [each for each in predicted if each is not None]:
        most = f"at most {max(known):.0f} ms"
        line = sparkline(predicted, size.columns - 15 - len(most), limits.ttft_ms / 2 if limits is not None else 0.0)
        yield (("predicted  ", ""), (line, "cyan"), (most, "dim"))
    yield from ((cell,) for cell in troubles(report))
    yield (("running now", "bold"), ("" if report.running else "nothing", "dim"))
    yield from aligned(
        [
            (
                (f"  {run.phase}", ""),
                (cut(run.target, size.columns - _OTHER_COLUMNS), ""),
                ("not streamed" if run.tokens is None else f"{run.tokens} tokens", ""),
                (f"{run.tokens_per_s:.0f} tok/s" if run.tokens_per_s else "", ""),
                (duration(run.for_s), "dim"),
                (run.id if size.columns >= _WITH_IDS else "", "dim"),
            )
            for run in report.running[:_MOST_RUNNING]
        ]
    )
    if len(report.running) > _MOST_RUNNING:
        yield ((f"  and {len(report.running) - _MOST_RUNNING} more", "dim"),)
    yield (("last decisions", "bold"), ("" if report.decisions else "none", "dim"))
    yield from _decisions(report.decisions, size, zone)


def down(replicas: Sequence[ReplicaStatus]) -> str:
    """The engine that is not ready, with its cause."""
    if not replicas:
        return "there is no engine"
    first = min(replicas, key=lambda each: each.ready_in_s or math.inf)
    soon = f", ready in about {duration(first.ready_in_s)}" if first.ready_in_s else ""
    return f"the engine is {first.state.replace('_', ' ')}{soon}" + (f": {first.cause}" if first.cause else "")


def troubles(report: StatusReport) -> Iterator[Cell]:
    """A refused reload, a spent budget, targets that are not asked, notes: a line each."""
    if report.settings.error:
        yield f"the last reload was refused, the old settings hold: {report.settings.error}", "red"
    for limit in report.budget.limits if report.budget is not None else ():
        if limit.spent:
            who = f"key {limit.key}" if limit.key else limit.target or "all targets"
            yield f"the budget of {who} is spent, {limit.period} {limit.name}", "red"
    for target in report.targets:
        if target.state != "available":
            yield f"{target.name}  {target.state}  {target.why}", "red"
        elif target.breaker != "closed":
            words = f"breaker {target.breaker.replace('_', ' ')}  {target.why or target.last_failure}"
            yield f"{target.name}  {words}", "red"
    yield from ((words, "yellow") for words in report.notes)


def _decisions(found: Sequence[DecisionBrief], size: WatchSize, zone: tzinfo | None) -> Sequence[Sequence[Cell]]:
    return aligned(
        [
            (
                ("  " + datetime.fromtimestamp(each.at, zone).strftime("%H:%M:%S"), "dim"),
                (str(each.status), "red" if each.status >= _ERROR else "green"),
                (each.why, "cyan"),
                (cut(each.target or "nobody", size.columns - _OTHER_COLUMNS), "red" if each.target is None else ""),
                (duration(each.total_ms / 1000), ""),
                (f"{each.prompt_tokens}+{each.completion_tokens} tok", ""),
                (f"${each.cost_usd:.4f}" if each.cost_usd else "", "yellow"),
                (each.id if size.columns >= _WITH_IDS else "", "dim"),
            )
            for each in found
        ]
    )


def cut(text: str, width: int) -> str:
    """The text with an ellipsis for what is longer than a width."""
    width = max(_LEAST_TARGET, width)
    return text if len(text) <= width else f"{text[: width - 1]}…"
