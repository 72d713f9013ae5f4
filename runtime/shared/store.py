"""The connection to a fleet's store: one call of its functions at a time, and whether it answers.

A call has 50 ms. After one that failed the store counts as away and is not asked for a second. Calls run in a thread of
their own: a store that is frozen holds up no event loop. Knows no budget and no limit.

    SharedStore       the connection; `call` and `lease`
    StoreAwayError    the store did not answer, or is not asked at present
    examined          tests a server for what a fleet needs
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import valkey
from valkey.backoff import NoBackoff
from valkey.exceptions import AuthenticationError, NoPermissionError, ResponseError, ValkeyError
from valkey.retry import Retry

from runtime.fleet.store import StoreRefusedError, StoreStanding

WITHIN_S = 0.05
NOT_ASKED_S = 1.0
TAG = "{hearth}"  # one hash tag: every key lies on one node of a cluster
_TEXT = Path(__file__).with_name("functions.lua").read_text()
VERSION = hashlib.sha256(_TEXT.encode()).hexdigest()[:12]
_LIBRARY = _TEXT.replace("VERSION", VERSION)
_KEEPS = "noeviction"
_SLEPT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
Client = Any  # a valkey.Valkey, whose methods are typed in part alone


class StoreAwayError(Exception):
    """The store did not answer in time, or is not asked at present."""


def waking() -> float:
    """Seconds by a clock that goes on while the machine sleeps, unlike `time.monotonic`: the store's clock goes on too."""
    return time.clock_gettime(_SLEPT)


def key_of(*names: str) -> str:
    """The name of a key of this fleet."""
    return ":".join((TAG, *names))


def examined(client: Client) -> None:
    """Tests what a fleet needs of the store, and loads the functions.

    Raises StoreRefusedError for a fault of its set-up, ValkeyError if it does not answer.
    """
    try:
        policy = str(client.info("memory").get("maxmemory_policy", _KEEPS))
    except NoPermissionError:
        policy = _KEEPS  # not for this user to see
    except AuthenticationError as error:
        todo = "set [fleet] store_key to its password; a user is named in [fleet] store: valkey://USER@HOST:PORT"
        raise StoreRefusedError(f"the store refuses the password ({error})", todo) from error
    except ValkeyError as error:
        if not isinstance(error.__context__, ssl.SSLCertVerificationError):
            raise
        words = f"the store's certificate is not trusted ({error.__context__.verify_message})"
        todo = (
            "set SSL_CERT_FILE to the certificate of its authority, and name the store in [fleet] store as its own does"
        )
        raise StoreRefusedError(words, todo) from error
    if policy != _KEEPS:
        words = f"the store may delete what was spent (maxmemory-policy {policy})"
        raise StoreRefusedError(words, f"set maxmemory-policy {_KEEPS} there, or use a server for the fleet alone")
    try:
        client.execute_command("FUNCTION", "LOAD", _LIBRARY)
    except ResponseError as error:
        if "already exists" not in str(error):
            words = f"the store does not take functions ({error})"
            todo = "it must be Valkey >= 8 or Redis >= 7, without a proxy that forbids FUNCTION and FCALL"
            raise StoreRefusedError(words, todo) from error
    try:
        client.execute_command("FCALL", f"hearth_{VERSION}_lease", 1, key_of("lease", "trial"), "trial", 1)
    except ResponseError as error:
        raise StoreRefusedError(f"the store does not run functions ({error})", "allow FCALL for this user") from error


def host_checked(url: str) -> dict[str, Any]:
    """Options of a client with TLS: the certificate must be the host's, which the client does not ask by default."""
    return {"ssl_check_hostname": True} if url.startswith(("valkeys:", "rediss:")) else {}


def connected(url: str, password: str | None, within_s: float = WITHIN_S) -> Client:
    """A client with one connection, which is opened with its first call."""
    return valkey.Valkey.from_url(
        url,
        password=password,
        socket_timeout=within_s,
        socket_connect_timeout=within_s,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        client_name="hearth",
        **host_checked(url),
    )


def tried(url: str, password: str | None, within_s: float) -> tuple[str, str]:
    """(the fault of a server, what to do about it); both empty where it can be a fleet's store."""
    try:
        with contextlib.closing(connected(url, password, within_s)) as client:
            examined(client)
    except StoreRefusedError as refused:
        return refused.words, refused.todo
    except (ValkeyError, OSError) as fault:
        return (
            f"{url} does not answer: {fault}",
            "start it, or correct [fleet] store; what is leased is spent until then",
        )
    return "", ""


class SharedStore:
    """owner: the lasting name of this Hearth, unique in the fleet. clock: seconds, made for the tests.

    since: when the store went away; None while it answers. trouble: why, in words. calls: sent so far.
    alive: the number of Hearths, this one included, as they were last heard. epoch: another one after the store was emptied.
    tried_at: when the last call began that was answered or failed, by the clock. outages: how often the store went away.
    """

    def __init__(
        self,
        url: str,
        owner: str,
        password: str | None = None,
        clock: Callable[[], float] = waking,
        connect: Callable[[str, str | None], Client] = connected,
    ) -> None:
        self.url, self.owner = url, owner
        self.since: float | None = clock()
        self.trouble = "it was not asked yet"
        self.calls = 0
        self.alive = 1
        self.epoch = ""
        self.tried_at, self.outages = clock(), 0
        self._clock, self._client = clock, connect(url, password)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hearth-store")
        self._ready = False
        self._next = 0.0

    @property
    def away(self) -> bool:
        return self.since is not None

    def away_s(self) -> float | None:
        """Seconds since it went away; None while it answers."""
        return None if self.since is None else self._clock() - self.since

    def standing(self) -> StoreStanding:
        return StoreStanding(self.url, self.away_s(), self.trouble, self.alive, self.calls)

    async def call(self, function: str, keys: Sequence[str], *args: str | int) -> Any:
        """The answer of a function. Raises StoreAwayError."""
        if self.away and self._clock() < self._next:
            raise StoreAwayError(self.trouble)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._called, function, keys, args)

    async def beat(self, word: str = "") -> dict[str, str]:
        """Says that this Hearth is alive, and hears who else is. word: on itself. Raises StoreAwayError.

        Returns the words of the others that said one, by the name that the store has for each.
        """
        keys = (key_of("epoch"), key_of("alive"), key_of("words"), key_of("seen"))
        self.epoch, alive, said = await self.call("beat", keys, self.owner, word)
        self.alive = len(alive)
        words = dict(zip(said[::2], said[1::2], strict=True))
        words.pop(self.owner, None)
        return words

    async def lease(self, name: str, seconds: float) -> bool:
        """True if this Hearth holds the lease of that name from now on; False if another does, or the store is away."""
        try:
            return bool(await self.call("lease", (key_of("lease", name),), self.owner, max(1, int(seconds * 1000))))
        except StoreAwayError:
            return False

    def examine(self) -> None:
        """Tests its set-up now, in this thread. Raises StoreRefusedError; nothing is raised where it does not answer."""
        with contextlib.suppress(ValkeyError, OSError):
            examined(self._client)
            self.since, self.trouble, self._ready = None, "", True

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _called(self, function: str, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        """In the thread of the calls."""
        if self.away and self._clock() < self._next:
            raise StoreAwayError(self.trouble)  # another call failed while this one waited for its turn
        began = self._clock()
        command = ("FCALL", f"hearth_{VERSION}_{function}", len(keys), *keys, *args)
        try:
            if not self._ready:
                examined(self._client)
                self._ready = True
            self.calls += 1
            try:
                answer = self._client.execute_command(*command)
            except ResponseError as error:
                if "Function not found" not in str(error):
                    raise
                examined(self._client)  # it was emptied
                answer = self._client.execute_command(*command)
        except (ValkeyError, OSError, StoreRefusedError) as error:
            self._ready = False  # with the next connection everything is tested anew
            self._client.connection_pool.disconnect()
            self._next = self._clock() + NOT_ASKED_S
            self.trouble = str(error) or type(error).__name__
            self.tried_at = began
            if self.since is None:
                self.since, self.outages = self._clock(), self.outages + 1
            raise StoreAwayError(self.trouble) from error
        self.since, self.trouble, self.tried_at = None, "", began
        return answer
