"""The configured and the created keys: which caller a request's key stands for, and what that caller may do.

Only digests are kept; looking a digest up in a table says nothing about a key that is nearly right. Knows no route.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from runtime.contract.targets import FLEET
from runtime.trust.caller import NOBODY, Caller, Scope
from runtime.trust.key_store import CLOSED, NO_KEYS, CreatedKeys, digest_of
from runtime.wire.api_error import ApiError

_USER = frozenset({Scope.GENERATE, Scope.READ})
_ADMIN = frozenset(Scope)


class Keys:
    """keys: may generate and read. admin_keys: may do everything. local_admin: the secret of STATE/admin.key, if there is one.

    fleet: the secret of the other Hearths, which may generate and read; None: there are none.
    `open` is true where neither keys nor admin_keys are set and no key was ever created: then everybody on this machine
    may generate and read, and the local admin's key is what changes anything. It does not close the door to the others.
    counted: true if a created key has a limit on its tokens. clock: unix seconds.
    """

    def __init__(
        self,
        keys: Iterable[str],
        admin_keys: Iterable[str] = (),
        local_admin: str | None = None,
        created: CreatedKeys = NO_KEYS,
        clock: Callable[[], float] = time.time,
        fleet: str | None = None,
    ) -> None:
        users, admins = list(keys), list(admin_keys)
        self.open = not users and not admins and not created.made
        self._created, self._clock = created, clock
        # A file of keys that cannot be read closes the door: `hearth status` and `hearth doctor` say so.
        self.trouble = "the created keys cannot be read: only configured keys are good" if created is CLOSED else None
        limits = [each.limits for each in created.owners.values()]
        self.counted = any(each is not None and each.tokens_per_minute for each in limits)
        if local_admin:
            admins.append(local_admin)
        secrets = [(key, _USER) for key in users] + [(key, _ADMIN) for key in admins]
        digests = [(_digest(key.encode("utf-8", "surrogateescape")), scopes) for key, scopes in secrets]
        self._callers = {digest: Caller(digest, scopes) for digest, scopes in digests}
        if fleet:
            self._callers[_digest(fleet.encode("utf-8", "surrogateescape"))] = Caller(FLEET, _USER)

    def admit(self, headers: Mapping[str, str]) -> Caller:
        """The caller of a request. headers: lower-case names, values decoded as latin-1.

        Raises ApiError 401 if keys are set and none of them is shown. Where none is set, an unknown key still tells
        callers apart: each sees only the answers that were stored under its own.
        """
        key = headers.get("x-api-key")
        if not key:
            scheme, _, token = headers.get("authorization", "").partition(" ")
            key = token.strip() if scheme.lower() == "bearer" else None
        if not key:
            if self.open:
                return NOBODY
            raise ApiError(401, "no key: send `Authorization: Bearer KEY` or `x-api-key: KEY`", "missing_api_key")
        digest = _digest(key.encode("latin-1", "replace"))
        caller = self._callers.get(digest)
        if caller is not None:
            return caller
        if self.open:
            return Caller(digest, NOBODY.scopes)
        created = self._created
        for pepper in created.peppers:
            found = created.by_digest.get(digest_of(key.encode("latin-1", "replace"), pepper))
            if found is not None and (found.until is None or self._clock() < found.until):
                return found.caller
        raise ApiError(401, "the key is not one of this server's, or it is no longer good", "invalid_api_key")

    def acting(self, id: str) -> Caller:
        """The caller with this id, for whom another Hearth asks; nobody changes a server through another.

        Raises ApiError 401 where nobody without a key comes in.
        """
        if self.open:
            return Caller(id, NOBODY.scopes)
        if not id:
            raise ApiError(401, "this Hearth has keys: a request without one is not answered", "missing_api_key")
        found = self._callers.get(id) or self.owner(id)
        return msgspec.structs.replace(found, scopes=_USER) if Scope.ADMIN in found.scopes else found

    @property
    def owners(self) -> Iterable[Caller]:
        """The caller of each key that was ever created."""
        return self._created.owners.values()

    def owner(self, id: str) -> Caller:
        """The caller for the batches of a key, which its limits bind after its expiry too."""
        return self._created.owners.get(id) or Caller(id, frozenset({Scope.GENERATE}))


def _digest(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()
