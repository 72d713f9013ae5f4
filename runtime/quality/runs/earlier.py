"""The answers with which a run's open-ended cases are compared: of each, one of the model's own reference, in turn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from runtime.quality.runs.database import QualityDatabase
from runtime.quality.values import CaseKey, EvalRun, OwnReference


def earlier_answers(
    database: QualityDatabase, run: EvalRun, references: Mapping[tuple[str, str, str], OwnReference]
) -> dict[CaseKey, str]:
    """Of each pending answer of a run, the one it is compared with: the same again after a restart.

    references: by target, set and case, those that are complete.
    """
    found = {}
    for planned in database.pending(run.id):
        key = planned.key
        known = references.get(key[:3])
        if known is None or known.hash != planned.case_hash:
            continue
        drawn = hashlib.blake2b("\0".join((run.id, *key[:3], str(key.repeat))).encode(), digest_size=8).digest()
        of, repeat = known.answers[int.from_bytes(drawn) % len(known.answers)]
        answer = database.answer(of, CaseKey(*key[:3], repeat))
        if answer is not None:
            found[key] = answer
    return found
