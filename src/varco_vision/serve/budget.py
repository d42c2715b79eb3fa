"""Memory that requests may hold together, in bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Holding:
    """What one request holds of a budget."""

    def __init__(self, budget: Budget, count: int) -> None:
        self._budget, self._count = budget, count

    def settle(self, count: int) -> None:
        """Replace what was reserved by what is really held (less or more)."""
        self._budget.give(self._count - count)
        self._count = count


class Budget:
    """At most `limit` bytes are held at once; who wants more waits, first come, first served.

    A request that alone is larger than the limit goes on when nobody else holds anything. To be used in one event loop.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.held = limit, 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def room(self, count: int) -> AsyncIterator[Holding]:
        """Hold `count` bytes inside, as soon as there is room for them."""
        await self._take(count)
        holding = Holding(self, count)
        try:
            yield holding
        finally:
            holding.settle(0)

    def give(self, count: int) -> None:
        """Give back bytes (negative: take more without waiting)."""
        self.held -= count
        assert self.held >= 0
        while self._waiting and self._fits(self._waiting[0][0]):
            wanted, turn = self._waiting.popleft()
            if not turn.cancelled():
                self.held += wanted
                turn.set_result(None)

    def _fits(self, count: int) -> bool:
        return self.held == 0 or self.held + count <= self.limit

    async def _take(self, count: int) -> None:
        if not self._waiting and self._fits(count):
            self.held += count
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(count)
            elif (count, turn) in self._waiting:
                self._waiting.remove((count, turn))
                self.give(0)  # whoever stood behind may fit
            raise
