"""`python -m scripts.bench [NAME …]`: the benchmarks. Without a name all of them, one after another.

    gateway   CPU time, latency, memory and start time beside other gateways, over a stub upstream
    idle      memory of thousands of idle streams
    soak      memory over a hundred thousand requests
    viewers   what ten open dashboards cost the requests beside them
    telemetry what traces cost a request, and that an ill collector makes none slower
    translated  CPU time of streams that are translated, beside streams that pass through
    decision  CPU time of facts, task, score and plan
    fleet     three Hearths before six stand-ins for an engine: late answers, the cloud's share, CPU time, calls to the store
    instructions  instructions of a request, counted (needs valgrind)
    engine    added time to first token and lost tokens per second in front of a real vLLM
    batch_lane  interactive requests beside a full batch lane, and its tokens per second, on a real vLLM
    eval_lane   interactive requests beside a run over golden sets, on a real vLLM

What follows a name goes to that benchmark: `python -m scripts.bench gateway --quick`. The exit code is 0 when every
gate was kept.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from scripts.bench import (
    batch_lane,
    decision,
    engine,
    eval_lane,
    fleet,
    gateway,
    idle,
    instructions,
    soak,
    telemetry,
    translated,
    viewers,
)

BENCHMARKS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "gateway": gateway.main,
    "idle": idle.main,
    "soak": soak.main,
    "viewers": viewers.main,
    "telemetry": telemetry.main,
    "translated": translated.main,
    "engine": engine.main,
    "batch_lane": batch_lane.main,
    "eval_lane": eval_lane.main,
    "fleet": fleet.main,
    "decision": decision.main,
    "instructions": instructions.main,
}


def main(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    if arguments and arguments[0] in BENCHMARKS:
        return BENCHMARKS[arguments[0]](arguments[1:])
    if arguments:
        print(f"no benchmark {arguments[0]!r}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    return max(run(()) for run in BENCHMARKS.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
