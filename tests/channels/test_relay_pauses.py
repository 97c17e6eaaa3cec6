"""A relay that is out of reach is tried again soon; one that stays so, ever less often."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from notifier.channels.relays import Relays
from notifier.channels.smtp import Trouble
from notifier.sites.site import Relay
from tests.channels.smtp_server import smtp_server


@pytest.fixture
def place() -> Iterator[socket.socket]:
    """A port at which nobody listens yet, and that nobody else gets."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held


async def seconds_until_tried(relays: Relays, relay: Relay, connecting: list[float]) -> float:
    """Ask for sessions until one is really looked for; how long that took."""
    loop = asyncio.get_running_loop()
    start, before = loop.time(), len(connecting)
    while len(connecting) == before:
        with pytest.raises(Trouble, match="Connect"):
            async with relays.session([relay]):
                pass
        await asyncio.sleep(0.01)
    return loop.time() - start


async def test_the_pauses_of_a_relay_out_of_reach_begin_short_and_double(
    place: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    connecting: list[float] = []
    really = asyncio.get_running_loop().create_connection

    async def create_connection(*arguments: object, **more: object) -> object:
        connecting.append(asyncio.get_running_loop().time())
        return await really(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("notifier.channels.relays._FIRST_PAUSE", 0.1)
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create_connection)
    port = place.getsockname()[1]
    relay = Relay(host="127.0.0.1", port=port, security="none")
    relays = Relays()
    first = await seconds_until_tried(relays, relay, connecting)
    pauses = [await seconds_until_tried(relays, relay, connecting) for _ in range(3)]
    assert first < 0.1
    for pause, least in zip(pauses, (0.1, 0.2, 0.4), strict=True):
        assert least * 0.8 < pause < least * 1.9
    place.close()
    async with smtp_server(port=port):
        await asyncio.sleep(0.8)
        async with relays.session([relay]) as session:
            assert session.usable
        await relays.close()


async def test_a_relay_that_nobody_names_any_more_is_forgotten_and_its_sessions_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    relays = Relays()
    async with smtp_server() as left, smtp_server() as busy, smtp_server() as new:
        gone, kept, added = (
            Relay(host="127.0.0.1", port=server.port, security="none", weight=1) for server in (left, busy, new)
        )
        async with relays.session([kept]), relays.session([gone]):
            pass
        async with relays.session([kept]):
            monkeypatch.setattr("notifier.channels.relays._FORGOTTEN", 0)
            async with relays.session([added]):
                assert relays._pools.keys() == {kept, added}
        await asyncio.sleep(0.05)
        assert (left.open_now, busy.open_now, new.open_now) == (0, 1, 1)
        await relays.close()
