"""Why requests go where they go, what fails on the way, and what it costs."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from scripts.dashboards.panels import HERE, Panel, Query, Section, made, quantile, rate, selected

_PROMPT, _CACHED = (rate("hearth_tokens_total", "target", kind=kind) for kind in ("prompt", "cached"))
_ALL_TOKENS = rate("hearth_tokens_total", "target", kind="~prompt|completion")


def dashboard() -> Dashboard:
    words = "Why requests go where they go, what fails on the way, and what it costs."
    return made("hearth-routing", "Hearth: routing and cost", words, [_REASONS, _FAULTS, _JUDGE, _COST])


_REASONS = Section(
    "Reasons",
    charts=(
        Panel(
            "Requests are routed for these reasons",
            "A second, by the reason of the decision. Each is explained in the page about deciding.",
            "reqps",
            [Query(rate("hearth_requests_total", "reason"), "{{reason}}")],
            stacked=True,
        ),
        Panel(
            "Requests leave the box for these reasons",
            "A second, of those that a target other than the engine answered.",
            "reqps",
            [Query(rate("hearth_escalations_total", "reason"), "{{reason}}")],
            stacked=True,
        ),
        Panel(
            "Predictions are off by this much",
            "Distance of the predicted time to a first token from the measured one, of the engine's answers.",
            "s",
            [
                Query(quantile(0.5, "hearth_ttft_prediction_error_seconds", by="le"), "half"),
                Query(quantile(0.95, "hearth_ttft_prediction_error_seconds", by="le"), "95 %"),
            ],
        ),
        Panel(
            "Models are demoted for these tasks",
            "1 for a target that failed its golden set for a task, and stands behind the others until it passes again.",
            "short",
            [Query(f"hearth_target_demoted{HERE} or on () vector(0)", "{{target}} {{task}}")],
        ),
    ),
)

_FAULTS = Section(
    "Faults",
    charts=(
        Panel(
            "Exchanges end in these ways",
            "A second, by target and outcome. Anything but `ok` beside steady requests is failover at work.",
            "ops",
            [Query(rate("hearth_attempts_total", "target, outcome"), "{{target}} {{outcome}}")],
            stacked=True,
        ),
        Panel(
            "Breakers are in this state",
            "0 closed, 1 half open, 2 open: an open target is not asked until its probe succeeds.",
            "short",
            [
                Query(
                    f"max by (target) (2 * {selected('hearth_breaker_state', state='open')}) + "
                    f"max by (target) ({selected('hearth_breaker_state', state='half_open')})",
                    "{{target}}",
                )
            ],
        ),
        Panel(
            "Answers are weakened in these ways",
            "A second, by the parameter that a target could not take, or by what else was missing, as in x-hearth-degraded.",
            "ops",
            [Query(rate("hearth_degraded_total", "parameter"), "{{parameter}}")],
            stacked=True,
        ),
        Panel(
            "Fallbacks answer this share",
            "Requests whose first candidate failed and that another one answered, of all.",
            "percentunit",
            [
                Query(
                    f"({rate('hearth_requests_total', 'instance', reason='fallback')} or 0 * "
                    f"{rate('hearth_requests_total', 'instance')}) / {rate('hearth_requests_total', 'instance')} >= 0",
                    "{{instance}}",
                )
            ],
        ),
    ),
)

_JUDGE = Section(
    "Judge and other Hearths",
    charts=(
        Panel(
            "The judge decided pairs in these ways",
            "Of its latest week: a or b was better in both orders, alike, flipped with the order, or no verdict.",
            "short",
            [Query(f"hearth_judge_pairs{HERE} or on () vector(0)", "{{outcome}}")],
        ),
        Panel(
            "The judge may be believed this far",
            "Shares of its latest week: anchors decided as people did (and kappa, without what is chance), flips, no verdicts.",
            "percentunit",
            [
                Query(f"hearth_judge_agreement_ratio{HERE} or on () vector(0)", "anchors"),
                Query(f"hearth_judge_kappa{HERE} or on () vector(0)", "kappa"),
                Query(f"hearth_judge_flip_ratio{HERE} or on () vector(0)", "flipped"),
                Query(f"hearth_judge_no_verdict_ratio{HERE} or on () vector(0)", "no verdict"),
            ],
        ),
        Panel(
            "The judge itself is suspected this much",
            "Evidence that it has changed: from 1,000 on its verdicts are void. Trusted is 1 while it is believed.",
            "short",
            [
                Query(f"hearth_judge_drift_evidence{HERE} or on () vector(0)", "evidence"),
                Query(f"hearth_judge_trusted{HERE} or on () vector(0)", "trusted"),
            ],
        ),
        Panel(
            "Other Hearths are heard",
            "1 for one that was heard within three seconds; 0 for one that is gone, and without a fleet.",
            "short",
            [Query(f"hearth_fleet_peer_alive{HERE} or on () vector(0)", "{{peer}}")],
        ),
        Panel(
            "Other Hearths were heard a moment ago",
            "Seconds since; after three of them a Hearth is not asked for room.",
            "s",
            [Query(f"hearth_fleet_peer_heard_seconds{HERE} or on () vector(0)", "{{peer}}")],
        ),
        Panel(
            "Other Hearths are as this one",
            "1 for one whose version, settings or model differ from this one's.",
            "short",
            [Query(f"hearth_fleet_peer_differs{HERE} or on () vector(0)", "{{peer}}")],
        ),
        Panel(
            "Other Hearths answer",
            "Requests passed on for want of room here, by the outcome: `busy` is a refusal of the engine's owner.",
            "reqps",
            [
                Query(
                    f"sum by (peer, outcome) (rate({selected('hearth_fleet_asked_total')}[$__rate_interval]))"
                    " or on () vector(0)",
                    "{{peer}} {{outcome}}",
                )
            ],
        ),
        Panel(
            "Requests go to the Hearth that stores what they name",
            "By the owner and the outcome; nothing without a fleet.",
            "reqps",
            [
                Query(
                    f"sum by (owner, outcome) (rate({selected('hearth_fleet_forwarded_total')}[$__rate_interval]))"
                    " or on () vector(0)",
                    "{{owner}} {{outcome}}",
                )
            ],
        ),
        Panel(
            "Other Hearths have requests on the same engines",
            "On engines attached by address, as the others tell over the store; nothing without one.",
            "short",
            [Query(f"hearth_fleet_others_in_flight{HERE} or on () vector(0)", "{{replica}} {{state}}")],
        ),
        Panel(
            "Other Hearths told of the same engines a moment ago",
            "Seconds since the one heard longest ago; each tells everything once a second, and is forgotten after three.",
            "s",
            [Query(f"hearth_fleet_others_heard_seconds{HERE} or on () vector(0)", "{{replica}}")],
        ),
        Panel(
            "So many Hearths send to an engine",
            "This one included; while the store is away, as many as were last heard.",
            "short",
            [Query(f"hearth_fleet_hearths{HERE} or on () vector(0)", "{{replica}}")],
        ),
        Panel(
            "So many replicas does the cluster have",
            "Of [autoscale]: those that run, the cluster's target, and as many as the time to a first token asks for.",
            "short",
            [Query(f"hearth_autoscale_replicas{HERE} or on () vector(0)", "{{kind}}")],
        ),
    ),
)

_COST = Section(
    "Cost",
    figures=(
        Panel(
            "So much was spent in a day",
            "Dollars of all exchanges of the last 24 hours, failed and repeated ones too.",
            "currencyUSD",
            [Query(f"sum(increase({selected('hearth_cost_usd_total')}[24h]))", "dollars")],
        ),
        Panel(
            "The judge's latest week cost this much",
            "Dollars, with the answers that it compared.",
            "currencyUSD",
            [Query(f"hearth_judge_cost_usd{HERE} or on () vector(0)", "dollars")],
        ),
        Panel(
            "So many tokens were made on the box in a day",
            "Prompt and completion tokens of the engine in the last 24 hours. They cost no dollars here.",
            "short",
            [
                Query(
                    f"sum(increase({selected('hearth_tokens_total', target='~local/.*', kind='~prompt|completion')}[24h]))",
                    "tokens",
                )
            ],
        ),
        Panel(
            "So much is left of the day's budget",
            "Dollars that `[budget] daily_usd` leaves, without what calls under way have reserved.",
            "currencyUSD",
            [Query(f"min({selected('hearth_budget_usd', scope='all', period='day', kind='left')})", "left")],
        ),
    ),
    charts=(
        Panel(
            "Targets cost this many dollars an hour",
            "At the prices of the decision records. A target without a price costs none here, which may be wrong.",
            "currencyUSD",
            [Query(f"3600 * {rate('hearth_cost_usd_total', 'target')}", "{{target}}")],
            stacked=True,
        ),
        Panel(
            "A million tokens cost this much",
            "Dollars per million prompt and completion tokens, as the traffic was.",
            "currencyUSD",
            [
                Query(
                    f"1e6 * {rate('hearth_cost_usd_total', 'target')} / {_ALL_TOKENS} >= 0",
                    "{{target}}",
                )
            ],
        ),
        Panel(
            "Tokens flow at this rate",
            "A second, by target and kind, as the answering target counted them. Cached ones are among prompt ones.",
            "short",
            [Query(rate("hearth_tokens_total", "target, kind"), "{{target}} {{kind}}")],
        ),
        Panel(
            "Prompts are read from a cache to this share",
            "Prompt tokens that the target did not compute again, of all.",
            "percentunit",
            [Query(f"{_CACHED} / {_PROMPT} >= 0", "{{target}}")],
        ),
    ),
)
