"""A bulk job as a command runs it: progress on stderr, faults as sentences."""

from __future__ import annotations

import sys
import time

from runtime.cli.bulk.job import BulkJob, BulkOutcome, perform
from runtime.cli.bulk.journal import JournalError
from runtime.cli.bulk.meter import NoMeter, ProgressMeter, meter_for
from runtime.cli.bulk.patience import NoRuntimeError
from runtime.cli.bulk.rows import InputError
from runtime.cli.exits import CommandError, Exit


def performed(job: BulkJob, name: str, *, quiet: bool) -> BulkOutcome:
    """The whole run. name: the command's, beside the bar. Raises CommandError."""

    def meter(total: int, before: int) -> ProgressMeter:
        return NoMeter() if quiet else meter_for(sys.stderr, total, before, time.monotonic, name)

    try:
        return perform(job, meter)
    except (JournalError, InputError) as error:
        raise CommandError(str(error), Exit.FAILED) from error
    except NoRuntimeError as error:
        words = f"no runtime answers at {job.url} ({error}): start it with: hearth serve; or name another with --url"
        raise CommandError(words, Exit.NO_RUNTIME) from error
    except OSError as error:
        raise CommandError(f"{error}: the same command resumes once that is mended", Exit.FAILED) from error
