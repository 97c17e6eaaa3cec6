"""Any letter can be written again, years later, and has the SHA-256 that was recorded when it left."""

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from notifier.db import Db
from notifier.delivery.deliver import Delivery
from notifier.errors import Conflict, NotFound
from notifier.keys import Keys
from notifier.letters.rebuild import Rebuilt, rebuild
from notifier.people.erase import erase_person
from notifier.people.roster import get_person
from tests.channels.endpoint import Endpoint, endpoint
from tests.office import Office, open_office
from tests.sites import a_site

RULE = {"preset": "pop-japan", "channels": ["webhook", "email", "inbox"], "telling": "any"}
ADDRESSES = {
    "plain": "plain@people.example",
    "odd": "o'dd+=a@people.example",
    "idn": "someone@bücher.example",
    "utf8": "誰か@people.example",
}


@pytest.fixture
async def there() -> AsyncIterator[Endpoint]:
    async with endpoint() as opened:
        yield opened


@pytest.fixture
async def office(db: Db, keys: Keys, there: Endpoint) -> AsyncIterator[Office]:
    async with open_office(db, keys, a_site(rule=RULE, webhook={"url": there.url})) as opened:
        yield opened


async def again(office: Office, name: str, channel: str | None = None, attempt: int | None = None) -> Rebuilt:
    person = await get_person(office.db, office.keys, "kumo", name)
    return await rebuild(
        office.db, office.keys, office.campaign_id, person.lane, person.person_id, channel=channel, attempt=attempt
    )


async def test_every_letter_can_be_written_again_and_matches(office: Office, there: Endpoint) -> None:
    zones = ["Asia/Tokyo", "Europe/Berlin", "", "America/Sao_Paulo"]
    for (name, address), zone in zip(ADDRESSES.items(), zones, strict=True):
        await office.person(name, email=address, time_zone=zone, locale="ja" if name == "odd" else "en")
        there.results[name] = "refused"
    await office.person("placed")
    await office.open()
    await office.deliver()
    sent = {got.address: got.content for got in office.server.got}
    assert len(sent) == 4
    for name in ADDRESSES:
        found = await again(office, name)
        assert (found.channel, found.matches, found.media_type) == ("email", True, "message/rfc822")
        assert found.body in sent.values()
        assert (await again(office, name, "webhook")).matches
    placed = await again(office, "placed")
    assert placed.matches
    assert placed.body in there.bodies[0]
    assert await office.rows("SELECT DISTINCT channel, time_zone FROM sheet WHERE locale = 'ja' ORDER BY 1") == [
        ("email", "Europe/Berlin"),
        ("webhook", "Europe/Berlin"),
    ]


async def test_it_rests_neither_on_templates_nor_on_time_zones_nor_on_what_people_say_of_themselves_later(
    office: Office, there: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.person("ann", time_zone="Asia/Tokyo")
    there.results["ann"] = "refused"
    await office.open()
    await office.deliver()
    await office.person("ann", email="new@people.example", time_zone="Europe/Berlin", locale="ja")

    def never(*given: object, **named: object) -> None:
        raise AssertionError("nothing is rendered again")

    for made in ("render.render", "write.render", "skeleton.build", "write.build"):
        monkeypatch.setattr(f"notifier.letters.{made}", never)
    monkeypatch.setattr("notifier.letters.write.ZoneInfo", never)
    found = await again(office, "ann")
    assert found.matches
    assert found.body == office.server.got[0].content
    assert b"To: ann@people.example" in found.body


async def test_each_attempt_is_found_and_two_tries_are_the_same_letter(office: Office, there: Endpoint) -> None:
    await office.person("ann")
    there.results["ann"] = "refused"
    office.server.say("rcpt", "451 4.7.1 later", "")
    await office.open()
    await office.deliver()
    office.clock.move(timedelta(minutes=10))
    await office.deliver()
    first, second = await again(office, "ann", attempt=1, channel="email"), await again(office, "ann")
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.body == second.body
    with pytest.raises(NotFound):
        await again(office, "ann", attempt=3)


async def test_a_letter_that_was_changed_in_the_record_does_not_match(office: Office) -> None:
    await office.person("ann")
    await office.open()
    await office.deliver()
    async with office.db.connection() as connection:
        await connection.execute("UPDATE intent SET address = 'bob'")
    found = await again(office, "ann")
    assert not found.matches
    assert hashlib.sha256(found.body).digest() != found.sha256


async def test_of_the_erased_only_the_hash_is_left(office: Office) -> None:
    await office.person("ann")
    await office.open()
    await office.deliver()
    sha256 = (await again(office, "ann")).sha256.hex()
    await erase_person(office.db, office.keys, "kumo", "ann", office.clock.now())
    with pytest.raises(Conflict, match=f"erased and the address is gone.*{sha256}"):
        await again(office, "ann")


async def test_a_sheet_is_kept_once_however_many_workers_write(office: Office, there: Endpoint) -> None:
    for number in range(30):
        await office.person(f"p{number}")
    await office.open(slice_size=10)
    other = office.delivery
    fresh = Delivery(other.db, other.clock, other.keys, other.channels, other.settings, "another")
    while await other.deliver_next(bool) or await fresh.deliver_next(bool):
        pass
    assert len(there.letters) == 30
    assert await office.rows("SELECT count(*) FROM sheet") == [(1,)]
