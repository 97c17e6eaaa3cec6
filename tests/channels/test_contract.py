"""What every channel promises. The suite finds the channels by itself: each module that has ``open_channel``."""

import asyncio
import inspect
import pkgutil
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import pytest

import notifier.channels
from notifier.channels.channel import Channel
from notifier.channels.classify import CLASSES
from notifier.errors import Malformed, Unauthenticated
from notifier.keys import Keys
from notifier.letters.letter import Letter
from notifier.letters.write import Writer
from tests.channels.far_sides import FAR_SIDES, FarSide
from tests.telling import a_telling, some_letters

KEYS = Keys(b"a secret that only tests know and that is long enough")


def channel_modules() -> list[ModuleType]:
    found = pkgutil.iter_modules(notifier.channels.__path__, "notifier.channels.")
    modules = [import_module(module.name) for module in found]
    return [module for module in modules if hasattr(module, "open_channel")]


MODULES = channel_modules()


@dataclass
class Open:
    channel: Channel
    far_side: FarSide

    def letters(self, count: int) -> list[Letter]:
        return some_letters(Writer(a_telling(), KEYS, "https://notices.example"), count, self.channel.name)


@pytest.fixture(params=MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    name = request.param.__name__.rpartition(".")[2]
    assert name in FAR_SIDES, f"say in far_sides.py what is on the other side of the channel {name}"
    async with FAR_SIDES[name]() as far_side, request.param.open_channel(far_side.settings, KEYS) as channel:
        yield Open(channel, far_side)


def test_the_channels_that_we_ship_are_found():
    assert {module.__name__ for module in MODULES} >= {f"notifier.channels.{name}" for name in FAR_SIDES}


def test_channels_do_not_import_each_other():
    names = {module.__name__ for module in MODULES}
    for module in MODULES:
        assert not [other for other in names - {module.__name__} if other in inspect.getsource(module)]


async def test_a_channel_is_called_as_its_module_and_says_what_it_does(opened):
    assert type(opened.channel).__module__ == f"notifier.channels.{opened.channel.name}"
    assert type(opened.channel).__doc__


async def test_a_channel_says_how_much_it_takes_at_once_and_what_may_be_gone(opened):
    assert opened.channel.batch >= 0
    assert isinstance(opened.channel.endpoint(opened.far_side.site), str)


@pytest.mark.parametrize("count", [0, 1, 7, 130])
async def test_every_letter_is_answered_exactly_once(opened, count):
    letters = opened.letters(count)
    sent = [one async for one in opened.channel.send(opened.far_side.site, letters)]
    assert Counter(id(one.letter) for one in sent) == Counter(id(letter) for letter in letters)
    assert {one.kind for one in sent} <= {opened.far_side.accepted}
    assert all(one.class_ is None and one.retry_after is None for one in sent)


async def test_the_same_letter_sent_twice_has_the_same_id_and_bytes(opened):
    for first, again in zip(opened.letters(3), opened.letters(3), strict=True):
        assert (first.message_id, first.body, first.sha256) == (again.message_id, again.body, again.sha256)


async def test_permanent_and_passing_failures_are_told_apart_and_cost_nobody_else(opened):
    if opened.far_side.refuse is None:
        pytest.skip("nobody can refuse on this channel")
    letters = opened.letters(12)
    opened.far_side.refuse(letters[3], "for good")
    opened.far_side.refuse(letters[8], "for now")
    kinds = {one.letter.person_id: one async for one in opened.channel.send(opened.far_side.site, letters)}
    assert kinds[letters[3].person_id].kind == "refused"
    assert kinds[letters[8].person_id].kind == "deferred"
    for letter in (letters[3], letters[8]):
        one = kinds[letter.person_id]
        assert one.class_ in CLASSES
        assert one.reply
        assert one.via
    assert Counter(one.kind for one in kinds.values())[opened.far_side.accepted] == 10


@pytest.mark.parametrize("body", [b"", b"\0\xff", b'{"kind": "bounced"}', b"To: b+aaaa@kumo.example\r\n\r\nbounced"])
async def test_a_forged_report_is_refused(opened, body):
    with pytest.raises((Unauthenticated, Malformed)):
        opened.channel.hear({"Webhook-Signature": "v1,AAAA"}, body)


@pytest.mark.parametrize("after", [0.0, 0.001, 0.01, 0.03])
async def test_a_cancelled_send_leaves_nothing_half_read(opened, after):
    letters = opened.letters(60)

    async def listen() -> None:
        async for _ in opened.channel.send(opened.far_side.site, letters):
            pass

    task = asyncio.create_task(listen())
    await asyncio.sleep(after)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    sent = [one async for one in opened.channel.send(opened.far_side.site, letters[:10])]
    assert [one.kind for one in sent] == [opened.far_side.accepted] * 10
    for one in sent:
        assert one.letter.address in one.reply
