"""Look-ups that share a query: whoever asks while one is under way shares the next.

What is found was read after it was asked for, so nothing here is ever out of date, as with a cache it would be.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


class Together(Generic[Key, Found]):
    """``look`` finds many keys at once; those that it does not name are not there."""

    def __init__(self, look: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Found]]]) -> None:
        self._look = look
        self._asked: dict[Key, list[asyncio.Future[Found | None]]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def find(self, key: Key) -> Found | None:
        """What is under this key now, or None. Raises whatever the look-up raised."""
        answer: asyncio.Future[Found | None] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(key, []).append(answer)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on(), name="look up together")
        return await answer

    async def _look_on(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, {}
            try:
                found = await self._look(list(asked))
            except Exception as error:  # noqa: BLE001 - whatever it is, those who asked must hear of it
                for answer in _still_waiting(asked.values()):
                    answer.set_exception(error)
            else:
                for key, answers in asked.items():
                    for answer in _still_waiting([answers]):
                        answer.set_result(found.get(key))


def _still_waiting(askers: Iterable[Sequence[asyncio.Future[Found]]]) -> Iterator[asyncio.Future[Found]]:
    return (answer for answers in askers for answer in answers if not answer.done())
