"""Whether Hearth answers, how fast, and what stands in its way."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from scripts.dashboards.panels import THRESHOLD, Panel, Query, Section, made, quantile, rate, selected

_REQUESTS = selected("hearth_requests_total")
_LOCAL = selected("hearth_requests_total", target="~local/.*")
_WELL = selected("hearth_requests_total", status="~[1234]xx")
_SPENT, _LIMIT = (selected("hearth_budget_usd", kind=kind) for kind in ("total", "limit"))


def dashboard() -> Dashboard:
    words = "Whether Hearth answers, how fast, and what stands in its way."
    return made("hearth-overview", "Hearth: overview", words, [_NOW, _ANSWERS, _THRESHOLDS, _PROCESS])


_NOW = Section(
    "Now",
    figures=(
        Panel(
            "So many instances answer the scrape",
            "Targets of the job `hearth` that Prometheus reaches.",
            "short",
            [Query('sum(up{job="hearth", instance=~"$instance"})', "up")],
        ),
        Panel(
            "So many replicas are ready",
            "Engine processes in the state `ready`. While none is, only clouds answer.",
            "short",
            [Query(f"sum({selected('hearth_engine_state', state='ready')})", "ready")],
        ),
        Panel(
            "So many alerts fire",
            "Rules of docker/monitoring/rules.yml that fire. What to do about each is in the operations page.",
            "short",
            [Query('count(ALERTS{alertname=~"Hearth.*", alertstate="firing"}) or vector(0)', "alerts")],
        ),
        Panel(
            "Requests come at this rate",
            "All that were settled, whoever answered them and however they ended.",
            "reqps",
            [Query(f"sum(rate({_REQUESTS}[$__rate_interval]))", "requests")],
        ),
        Panel(
            "This share stays on the box",
            "Requests that the engine answered, of all. Those that nobody answered count as away.",
            "percentunit",
            [
                Query(
                    f"sum(rate({_LOCAL}[$__rate_interval])) / sum(rate({_REQUESTS}[$__rate_interval])) >= 0",
                    "on the box",
                )
            ],
        ),
        Panel(
            "This share ends with an error of ours",
            "Answers with a status of 500 or more, of all. A client's own faults (4xx) are not among them.",
            "percentunit",
            [
                Query(
                    f"1 - sum(rate({_WELL}[$__rate_interval])) / sum(rate({_REQUESTS}[$__rate_interval])) >= 0",
                    "5xx",
                )
            ],
        ),
    ),
)

_ANSWERS = Section(
    "Answers",
    charts=(
        Panel(
            "Requests are answered by these targets",
            "A second, by the target whose answer the client got. `none`: nobody answered.",
            "reqps",
            [Query(rate("hearth_requests_total", "target"), "{{target}}")],
            stacked=True,
        ),
        Panel(
            "Requests end with these statuses",
            "A second, by class of the HTTP status. A client that hung up is 499, and so among 4xx.",
            "reqps",
            [Query(rate("hearth_requests_total", "status"), "{{status}}")],
            stacked=True,
        ),
        Panel(
            "The first token comes within this time",
            "From arrival to the first token: of half of the answers, and of 95 in a hundred. Failovers are in it.",
            "s",
            [
                Query(quantile(0.5, "hearth_ttft_seconds"), "half, {{target}}"),
                Query(quantile(0.95, "hearth_ttft_seconds"), "95 %, {{target}}"),
            ],
        ),
        Panel(
            "Answers are whole within this time",
            "From arrival to the last byte: of half of the answers, and of 95 in a hundred.",
            "s",
            [
                Query(quantile(0.5, "hearth_request_seconds"), "half, {{target}}"),
                Query(quantile(0.95, "hearth_request_seconds"), "95 %, {{target}}"),
            ],
        ),
        Panel(
            "So many requests run now",
            "By the target that answers, at the moment of the scrape.",
            "short",
            [Query(f"sum by (target) ({selected('hearth_in_flight')})", "{{target}}")],
            stacked=True,
        ),
    ),
)

_THRESHOLDS = Section(
    "What makes requests leave",
    charts=(
        Panel(
            "The predicted first token stays below its threshold",
            "What `auto` believes of each replica, and `[escalation] ttft_ms`. Above it, requests leave the box.",
            "s",
            [
                Query(f"max by (replica) ({selected('hearth_predicted_ttft_seconds')})", "{{replica}}"),
                Query(f"max({selected('hearth_threshold', kind='ttft_seconds')})", THRESHOLD),
            ],
        ),
        Panel(
            "The queue stays below its threshold",
            "Requests that wait in the engine, seconds late, and `[escalation] queue`.",
            "short",
            [
                Query(f"max by (replica) ({selected('hearth_queue_waiting')})", "{{replica}}"),
                Query(f"max({selected('hearth_threshold', kind='queue')})", THRESHOLD),
            ],
        ),
        Panel(
            "Budgets are spent to this share",
            "Dollars of the limit that all Hearths that share it have spent, by scope (all, a target, a key) and period. At"
            " 100 % its targets are not asked.",
            "percentunit",
            [
                Query(
                    f"{_SPENT} / ignoring (kind) {_LIMIT} >= 0",
                    "{{scope}}, {{period}}",
                )
            ],
        ),
    ),
)

_PROCESS = Section(
    "The process",
    figures=(
        Panel(
            "The settings file is in force",
            "1: as it is now. 0: its latest reload was refused, and the earlier settings hold.",
            "short",
            [Query(f"min({selected('hearth_settings_reload_success')})", "in force")],
        ),
        Panel(
            "Background tasks were started again this often",
            "Restarts in the last hour of tasks that failed: settings, notices, telemetry, the engine's start.",
            "short",
            [Query(f"sum(increase({selected('hearth_chore_restarts_total')}[1h]))", "restarts")],
        ),
        Panel(
            "So many decision records were lost",
            "In the last hour, because the disk was full, read-only or too slow.",
            "short",
            [Query(f"sum(increase({selected('hearth_decisions_dropped_total')}[1h]))", "lost")],
        ),
        Panel(
            "So many requests lost their spans",
            "In the last hour, because the collector took them too slowly or not at all.",
            "short",
            [Query(f"sum(increase({selected('hearth_telemetry_dropped_total')}[1h]))", "lost")],
        ),
        Panel(
            "So many pages of the dashboard are open",
            "Live views of Hearth's own dashboard.",
            "short",
            [Query(f"sum({selected('hearth_dashboard_viewers')})", "pages")],
        ),
        Panel(
            "These versions run",
            "Instances by the version of Hearth.",
            "short",
            [Query(f"count by (version) ({selected('hearth_build_info')})", "{{version}}")],
        ),
    ),
)
