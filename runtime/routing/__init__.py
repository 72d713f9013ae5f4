"""Pure decisions: the facts of a request, model names, rules and thresholds -> a `Plan` of candidates, each with its
reason.

No clock, environment, logging, I/O or await. It knows no engine and no vendor beyond the frozen values it is handed.
"""
