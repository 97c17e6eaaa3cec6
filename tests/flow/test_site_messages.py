"""Private messages of the site's own: whoever was refused or never answered is told otherwise, and nobody twice."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from aiohttp import web

from notifier.channels import webhook
from notifier.db import Db
from notifier.keys import Keys
from notifier.people.erase import erase_person
from notifier.people.roster import import_people
from notifier.sites.apply import apply
from notifier.sites.site import Webhook
from tests.channels.endpoint import Endpoint, endpoint
from tests.office import Office, open_office
from tests.sites import a_site

RULE = {"preset": "pop-japan", "channels": ["webhook", "email"], "telling": "any"}


@pytest.fixture
async def there() -> AsyncIterator[Endpoint]:
    async with endpoint() as opened:
        yield opened


@pytest.fixture
async def office(db: Db, keys: Keys, there: Endpoint) -> AsyncIterator[Office]:
    async with open_office(db, keys, a_site(rule=RULE, webhook={"url": there.url})) as opened:
        yield opened


async def test_accepted_messages_are_placed_and_a_refused_person_gets_a_letter(office: Office, there: Endpoint) -> None:
    for name in ("ann", "bob", "cy"):
        await office.person(name, locale="ja" if name == "cy" else "en")
    there.results["bob"] = "refused"
    await office.open()
    await office.deliver()
    assert await office.outcomes() == [
        ("ann", "webhook", 1, "placed"),
        ("bob", "email", 1, "accepted_by_relay"),
        ("bob", "webhook", 1, "refused"),
        ("cy", "webhook", 1, "placed"),
    ]
    assert {letter["external_id"]: letter["locale"] for letter in there.letters} == {
        "ann": "en",
        "bob": "en",
        "cy": "ja",
    }
    assert set((await office.statuses()).values()) == {"told"}
    assert await office.deliver() == 0
    assert office.server.addresses == ["bob@people.example"]


async def test_an_endpoint_that_is_down_is_tried_by_the_schedule_with_one_id_and_then_the_letter_goes(
    office: Office, there: Endpoint
) -> None:
    for name in ("ann", "bob"):
        await office.person(name)
    there.answers = [web.Response(status=503) for _ in range(8)]
    await office.open()
    hours = timedelta(hours=1)
    waits = [
        timedelta(seconds=5),
        timedelta(minutes=5),
        timedelta(minutes=30),
        2 * hours,
        5 * hours,
        10 * hours,
        10 * hours,
    ]
    for tries, wait in enumerate(waits, 1):
        await office.deliver()
        assert len(there.ids) == tries
        office.clock.move(wait - timedelta(seconds=1))
        assert await office.deliver() == 0
        office.clock.move(timedelta(seconds=2))
    await office.deliver()
    assert len(there.ids) == 8
    assert len(set(there.ids)) == 1
    assert len(set(there.bodies)) == 1
    assert sorted(office.server.addresses) == ["ann@people.example", "bob@people.example"]
    assert await office.rows("SELECT count(DISTINCT sha256) FROM intent WHERE channel = 'webhook'") == [(2,)]


async def test_an_endpoint_that_is_gone_gives_everybody_their_letter_at_once(office: Office, there: Endpoint) -> None:
    for name in ("ann", "bob"):
        await office.person(name)
    there.answers = [web.Response(status=410)]
    await office.open()
    await office.deliver()
    assert sorted(office.server.addresses) == ["ann@people.example", "bob@people.example"]
    assert len(there.ids) == 1


async def test_an_endpoint_that_is_gone_is_asked_by_no_process_again_until_the_site_names_another(
    office: Office, there: Endpoint
) -> None:
    for number in range(30):
        await office.person(f"p{number:02}")
    there.answers = [web.Response(status=410)]
    await office.open(slice_size=10)
    assert await office.deliver() >= 4
    assert len(there.ids) == 1
    replies = await office.rows(
        "SELECT reply, count(*)::int FROM outcome WHERE channel = 'webhook' GROUP BY 1 ORDER BY 1"
    )
    assert replies == [
        ("410", 10),
        (f"nothing was sent: the endpoint said on {office.clock.now():%Y-%m-%d} that it is gone", 20),
    ]
    assert len(office.server.got) == 30

    async with webhook.open_channel(office.delivery.settings, office.keys) as anew:  # as another process would have it
        office.delivery = replace(office.delivery, channels={**office.delivery.channels, "webhook": anew})
        await office.tell(await office.publish("three", {"en": {"body": "# three"}}))
        await office.deliver()
        assert len(there.ids) == 1
        assert len(office.server.got) == 60

        site = office.site.model_copy(update={"webhook": Webhook(url=there.url, generation=2)})
        there.secret = office.keys.message_secret("kumo", 2)
        await apply(office.db, site, office.clock.now())
        await office.tell(await office.publish("four", {"en": {"body": "# four"}}))
        await office.deliver()
        assert len(there.ids) == 2
        assert len(office.server.got) == 60


async def test_a_request_takes_500_people_however_small_the_batches_of_letters_are(
    office: Office, there: Endpoint
) -> None:
    assert office.delivery.settings.batch_size == 10
    await import_people(office.db, office.keys, "kumo", many(620), office.clock.now())
    there.answers = [web.Response(status=503), web.Response(status=503)]
    await office.open(slice_size=1000)
    await office.deliver()
    assert [body.count(b'"external_id"') for body in there.bodies] == [500, 120]
    office.clock.move(timedelta(seconds=6))
    await office.deliver()
    assert there.ids[2:] == there.ids[:2]
    assert there.bodies[2:] == there.bodies[:2]
    assert await office.rows("SELECT kind::text, count(*)::int FROM outcome GROUP BY kind ORDER BY kind") == [
        ("deferred", 620),
        ("placed", 620),
    ]


async def many(count: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield b'{"external_id": "m%d", "email": "m%d@people.example", "registered_at": "2020-01-01T00:00:00Z"}\n' % (
            number, number,
        )  # fmt: skip


async def test_the_erased_leave_no_trace_of_what_the_site_knew_them_by(office: Office, there: Endpoint) -> None:
    await office.person("ann")
    await office.open()
    await office.deliver()
    await erase_person(office.db, office.keys, "kumo", "ann", office.clock.now())
    assert await office.rows("SELECT i.address, o.reply FROM intent i JOIN outcome o USING (lane, person_id)") == [
        (None, "")
    ]
