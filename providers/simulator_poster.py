"""Posts the simulator's callbacks: at most so many at once, each in the ledger before it leaves.

What waits is kept in memory, in order. Only this machine is ever posted to.
"""

from __future__ import annotations

import asyncio
import heapq
import re
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache

import aiohttp
from yarl import URL

from providers.addresses import AddressRefused, GuardedResolver, allowed
from providers.simulator_ledger import Ledger
from providers.simulator_pace import Paces
from providers.simulator_wire import Wire

MAX_AT_ONCE = 64
CONNECT_SECONDS = 5
IDLE_SECONDS = 5  # a kept connection that is older may be closed by the other end as we write
_PROOF = re.compile(
    "Signature|Authorization|Webhook-Token"
)  # in the names of headers that prove who posts
DUE_AT_ONCE = 200  # of what is due, before others have their turn of the loop


class Seal(Enum):
    """How a callback is signed; all but the first three are forgeries."""

    GENUINE = auto()
    OLD = auto()  # by the provider's older scheme
    REPEATED = auto()  # a genuine one that was posted before, letter by letter
    WRONG = auto()  # with another secret
    NONE = auto()
    CHANGED = auto()  # the body was changed after it was signed
    COPIED = auto()  # the headers of another one that was posted before
    TRUNCATED = auto()  # the second half of the body is missing


GENUINE = {Seal.GENUINE, Seal.OLD, Seal.REPEATED}


@dataclass(eq=False, kw_only=True, slots=True)
class Callback:
    """`what`: its members in the ledger, before and after the number of the copy."""

    wire: Wire
    account: str
    kind: str
    url: str
    form: dict[str, str]
    what: tuple[str, str]
    seal: Seal = Seal.GENUINE
    signed_form: dict[str, str] = field(default_factory=dict)  # of CHANGED: what was signed
    copied: dict[str, str] = field(default_factory=dict)  # of COPIED and REPEATED: its headers
    copies: int = 0  # that were posted
    headers: dict[str, str] = field(default_factory=dict)  # of the last one
    added: dict[str, str] = field(default_factory=dict)  # fields that its signature added
    _body: bytes = b""

    def body(self) -> bytes:
        if not self._body:
            self._body = self.wire.body({**self.form, **self.added})
            if self.seal is Seal.TRUNCATED:
                self._body = self._body[: len(self._body) // 2]
        return self._body

    def sign(self, token: str) -> None:
        if self.copied:
            self.headers = self.copied
            return
        if self.seal is Seal.WRONG:
            token = f"not {token}"
        signed = self.signed_form or self.form
        self.headers = self.wire.sign(token, self.url, signed, old=self.seal is Seal.OLD)
        if self.seal is Seal.NONE:
            self.headers = {n: value for n, value in self.headers.items() if not _PROOF.search(n)}
        elif added := self.wire.signed_fields(token, signed):
            self.added, self._body = added, b""


@dataclass(eq=False, slots=True)
class Post:
    callback: Callback
    answered: Callable[[int], None] | None = None
    is_told_each: bool = False  # the answers to its retries, too
    number: int = 0  # in the ledger; 0: it gets one as it leaves
    tries: int = 0


class Agenda:
    """What is to be done later, under one timer."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._items)

    def add(self, delay: float, act: Callable[[], None]) -> None:
        if self._is_closed:
            return
        self._count += 1
        item = (self._loop.time() + delay, self._count, act)
        heapq.heappush(self._items, item)
        if self._items[0] is item:
            self._arm()

    def clear(self) -> None:
        self._items.clear()
        self._arm()

    def close(self) -> None:
        """Forget it all, and what may still be added."""
        self._is_closed = True
        self.clear()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = self._items[0][0] if self._items else None
        self._timer = None if due is None else self._loop.call_at(due, self._wake)

    def _wake(self) -> None:
        self._timer = None
        now = self._loop.time()
        due = 0
        while self._items and self._items[0][0] <= now and due < DUE_AT_ONCE:
            heapq.heappop(self._items)[2]()
            due += 1
        self._arm()


class Poster:
    """`token_of` gives the secret that an account's callbacks are signed with; `broken` is told
    what ends the simulator.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        token_of: Callable[[Callback], str],
        broken: Callable[[BaseException], None],
    ) -> None:
        self._ledger = ledger
        self._token_of = token_of
        self._broken = broken
        self._ready: deque[Post] = deque()
        self._retries = Agenda()
        self.paces = Paces(asyncio.get_running_loop().time)
        self._paced = Agenda()  # what waits for its turn
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self.retry_order: tuple[float, ...] | None = None  # None: as the provider does
        self.posted: Counter[str] = Counter()  # by kind
        self.answers: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()  # by the reason why
        self.in_flight = 0

    @property
    def waiting(self) -> int:
        return len(self._ready) + len(self._paced)

    @property
    def retrying(self) -> int:
        return len(self._retries)

    def post(self, post: Post, *, first: bool = False) -> None:
        """Put it at the end of those that are ready, or before them all.

        What an answer waits for is not held back by a pace; it takes a turn all the same.
        """
        wait = self.paces.turn(post.callback.wire, post.callback.url)
        if wait and not first:
            self._paced.add(wait, lambda: self._be_ready(post, first=False))
        else:
            self._be_ready(post, first=first)

    def _be_ready(self, post: Post, *, first: bool) -> None:
        if first:
            self._ready.appendleft(post)
        else:
            self._ready.append(post)
        if len(self._tasks) < MAX_AT_ONCE:
            self.start(self._work())

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """A task of ours; what goes wrong in it ends the simulator."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def deliver(self, post: Post, *, may_retry: bool = True) -> int:
        """Post it now. The answer is its HTTP status, or 0. Raises LedgerBroken."""
        callback = post.callback
        token = self._token_of(callback)
        is_signed = bool(token) or not callback.wire.signs_callbacks
        if not is_signed or not is_here(callback.url):
            self.left_out["not this machine" if is_signed else "no token known"] += 1
            _tell(post, 0)
            return 0
        callback.sign(token)
        self._note_posted(post)
        # What is sent must be what was signed, letter by letter.
        url = URL(callback.url, encoded=True)
        answer, connected = await self._request(url, callback)
        self._note_answered(post, answer)
        post.tries += 1
        _tell(post, answer)
        if may_retry and callback.seal in GENUINE:
            self._perhaps_again(post, answer, connected=connected)
        return answer

    def reset(self) -> None:
        """Forget what waits and what was counted; what is under way goes on."""
        self._ready.clear()
        self._retries.clear()
        self._paced.clear()
        self.paces.reset()
        self.retry_order = None
        for counter in (self.posted, self.answers, self.left_out):
            counter.clear()

    async def close(self) -> None:
        self.reset()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _work(self) -> None:
        while self._ready:
            await self.deliver(self._ready.popleft())

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken(error)

    def _note_posted(self, post: Post) -> None:
        callback = post.callback
        post.number = number = post.number or self._ledger.next_callback()
        callback.copies += 1
        self.posted[callback.kind] += 1
        self._ledger.note_posted(number, callback.kind, copy=callback.copies, what=callback.what)
        self._ledger.flush()

    def _note_answered(self, post: Post, answer: int) -> None:
        self.answers[str(answer)] += 1
        self._ledger.note_answered(post.number, answer)
        if not self._ready:  # else it is written with the next one that leaves
            self._ledger.flush()

    async def _request(self, url: URL, callback: Callback) -> tuple[int, bool]:
        """The status, 0 where there was no answer; and whether a connection was made."""
        session = self._session = self._session or _session()
        limits = _limits(callback.wire.answer_seconds)
        self.in_flight += 1
        try:
            async with session.post(
                url,
                data=callback.body(),
                headers=callback.headers,
                allow_redirects=False,
                timeout=limits,
            ) as response:
                await response.read()
                return response.status, True
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return 0, False
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, True
        finally:
            self.in_flight -= 1

    def _perhaps_again(self, post: Post, answer: int, *, connected: bool) -> None:
        if self.retry_order is None:
            delay = post.callback.wire.retry_after(post.tries, answer, connected=connected)
        else:
            order, is_due = self.retry_order, not 200 <= answer < 300
            delay = order[post.tries - 1] if is_due and post.tries <= len(order) else None
        if delay is not None:
            told = post.answered if post.is_told_each else None
            again = Post(post.callback, told, post.is_told_each, tries=post.tries)
            self._retries.add(delay, lambda: self.post(again))


def is_here(url: str) -> bool:
    """Whether a callback may go there: this machine only."""
    if not (url.isascii() and url.isprintable()) or " " in url:
        return False
    try:
        allowed(url.partition("?")[0], simulated=True)
    except AddressRefused:
        return False
    return True


def _tell(post: Post, answer: int) -> None:
    if post.answered is not None:
        post.answered(answer)


def _session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=0, keepalive_timeout=IDLE_SECONDS, resolver=GuardedResolver()
    )
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


@lru_cache(maxsize=16)
def _limits(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
