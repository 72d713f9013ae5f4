"""Why weights are not there. Each error says what is wrong and what to do about it.

    PrepareError              (the supervisor's view: the cause in words, and whether trying again alone may help)
      WeightsError
        UnknownModelError     no such name in the catalogue, and neither a hub id nor a folder
        NotAModelError        a folder or repository that holds no model vLLM can be given
        DownloadError         the index or the hub did not give the files; may pass by itself
          AccessDeniedError   the hub wants a licence accepted, or a token
          NoSuchModelError    the hub has no such repository or revision
          TamperedError       the file is not the pinned one
        ConversionError       the engine's interpreter could not turn the file into a folder
        NoSpaceError          the disk is full, or would be
        OfflineError          offline, and the files are not here
        NotHereError          to be removed, and not on this disk
        InUseError            to be removed, and a process uses it

None of them is a crash: the supervisor shows `cause` and waits or gives up.
"""

from __future__ import annotations

from local_models.replica.prepared import PrepareError


class WeightsError(PrepareError):
    """what: the fact, one sentence. remedy: what the user can do."""

    passes = False  # whether it may pass without anybody doing anything

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}", deterministic=not self.passes)
        self.what = what
        self.remedy = remedy


class UnknownModelError(WeightsError): ...


class NotAModelError(WeightsError): ...


class DownloadError(WeightsError):
    passes = True


class AccessDeniedError(DownloadError):
    passes = False


class NoSuchModelError(DownloadError):
    passes = False


class TamperedError(DownloadError):
    passes = False


class ConversionError(WeightsError): ...


class NoSpaceError(WeightsError): ...


class OfflineError(WeightsError): ...


class NotHereError(WeightsError): ...


class InUseError(WeightsError): ...
