"""Several workers share the limits of a site: a real SMTP server counts what leaves."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifier.campaigns.announce import announce, freeze_next, preview
from notifier.campaigns.campaign import load_campaign
from notifier.campaigns.steer import steer
from notifier.channels.channel import Permit
from notifier.channels.email import Email
from notifier.compliance.report import campaign_report, letters_of, planned_forecast
from notifier.compliance.search import Filters, campaign_notices
from notifier.db import Db, open_database
from notifier.delivery import deliver as module
from notifier.delivery.deliver import Delivery
from notifier.keys import Keys
from notifier.letters.write import Writer
from notifier.sites.apply import apply
from tests.channels.smtp_server import smtp_server
from tests.office import NO_STOP, Office, open_office
from tests.sites import a_site
from tests.telling import a_telling, some_letters


@pytest.fixture
async def office(db: Db, keys: Keys) -> AsyncIterator[Office]:
    async with open_office(db, keys, a_site(rule={"preset": "pop-japan"})) as opened:
        yield opened


async def limited(office: Office, relay: dict[str, Any] | None = None, **pace: Any) -> None:
    """Give the site a pace, and its relay limits."""
    described = {"host": "127.0.0.1", "port": office.server.port, "security": "none", "sessions": 2} | (relay or {})
    site = a_site(rule={"preset": "pop-japan"}, relays=[described], pace={"slow_start": False} | pace)
    await apply(office.db, site, office.clock.now())


async def at(office: Office, when: datetime) -> None:
    """Set the clock forward to a time."""
    office.clock.move(when - office.clock.now())


async def people(office: Office, count: int, domain: str = "people.example", **more: Any) -> None:
    for number in range(count):
        name = f"{domain.partition('.')[0]}{number:03}"
        await office.person(name, email=f"{name}@{domain}", **more)


def workers(office: Office, *dbs: Db) -> list[Delivery]:
    one = office.delivery
    return [Delivery(db, one.clock, one.keys, one.channels, one.settings, f"w{n}") for n, db in enumerate(dbs)]


async def drained(worker: Delivery) -> None:
    while await worker.deliver_next(NO_STOP):
        pass


async def test_four_workers_never_send_one_letter_more_than_the_limit_in_any_minute(
    office: Office, database_url: str
) -> None:
    await limited(office, {"limit": "200/min"}, campaign_limit="180/min")
    await people(office, 400)
    await office.open(slice_size=40)
    sent: list[tuple[timedelta, int]] = []
    async with AsyncExitStack() as stack:
        dbs = [await stack.enter_async_context(open_database(database_url, 3)) for _ in range(4)]
        at_work = workers(office, *dbs)
        start = office.clock.now()
        while len(office.server.got) < 400:
            before = len(office.server.got)
            moment = office.clock.now() - start
            await asyncio.gather(*(drained(worker) for worker in at_work))
            sent.append((moment, len(office.server.got) - before))
            office.clock.move(timedelta(seconds=1.5))
    for moment, _ in sent:
        assert sum(count for other, count in sent if moment <= other < moment + timedelta(seconds=60)) <= 180
    assert office.clock.now() - start < timedelta(minutes=2.6), "nor much less"
    assert set(Counter(office.server.addresses).values()) == {1}
    assert await office.rows("SELECT DISTINCT attempt FROM intent") == [(1,)]
    assert set((await office.statuses()).values()) == {"told"}


async def test_killed_between_taking_and_sending_only_leave_is_lost(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await limited(office, per_day=25)
    await people(office, 30)
    await office.open()
    really = module.take

    async def die(*given: Any, **more: Any) -> Any:
        await really(*given, **more)
        raise asyncio.CancelledError

    monkeypatch.setattr(module, "take", die)
    with pytest.raises(asyncio.CancelledError):
        await office.delivery.deliver_next(NO_STOP)
    monkeypatch.setattr(module, "take", really)
    await office.db.execute("UPDATE slice SET leased_until = leased_until - interval '1 hour'")
    await office.deliver()
    assert len(office.server.got) == 15
    office.clock.move(timedelta(days=1))
    await office.deliver()
    assert sorted(Counter(office.server.addresses).values()) == [1] * 30


async def test_a_days_cap_is_over_at_midnight_in_the_sites_zone(office: Office) -> None:
    await at(office, datetime(2030, 3, 1, 14, 30, tzinfo=UTC))  # 23:30 in Tokyo
    await limited(office, per_day=12)
    await people(office, 20)
    await office.open()
    await office.deliver()
    assert len(office.server.got) == 12
    (due,) = (await office.rows("SELECT due_at FROM slice"))[0]
    assert due == datetime(2030, 3, 1, 15, tzinfo=UTC)
    await at(office, due + timedelta(seconds=1))
    await office.deliver()
    assert len(office.server.got) == 20


async def test_a_slow_provider_holds_up_nobody_else_and_its_letters_count_as_never_tried(office: Office) -> None:
    await limited(office, providers={"gmail": {"limit": "60/min"}})
    await people(office, 30, "gmail.com")
    await people(office, 30)
    await office.open()
    await office.deliver()
    first = Counter(address.partition("@")[2] for address in office.server.addresses)
    assert first["people.example"] == 30
    assert first["gmail.com"] <= 4
    waiting = await office.rows("SELECT attempt, failures, count(*)::int FROM retry GROUP BY 1, 2")
    assert waiting == [(1, 0, 30 - first["gmail.com"])]
    assert await office.rows("SELECT count(*)::int FROM intent") == [(30 + first["gmail.com"],)]
    for _ in range(60):
        office.clock.move(timedelta(seconds=1))
        await office.deliver()
    assert sorted(Counter(office.server.addresses).values()) == [1] * 60
    assert await office.rows("SELECT DISTINCT attempt FROM intent") == [(1,)]
    assert await office.rows("SELECT count(*) FROM retry") == [(0,)]


async def test_a_provider_that_says_too_fast_is_slowed_and_nobody_pays_for_it(office: Office) -> None:
    await limited(office)
    await people(office, 3, "gmail.com")
    office.server.say("rcpt", "450 4.7.28 unusual rate of mail", to="gmail000@gmail.com")
    await office.open()
    await office.deliver()
    assert await office.rows("SELECT name, level FROM bucket") == [("provider/gmail", 0.5)]
    assert await office.rows("SELECT failures FROM retry") == [(0,)]
    office.server.say("rcpt", "", to="gmail000@gmail.com")
    office.clock.move(timedelta(minutes=20))
    await office.deliver()
    assert len(office.server.got) == 3
    assert await office.rows("SELECT name FROM bucket") == [], "it recovered, and has no limit of its own"


async def test_without_limits_no_row_is_touched(office: Office) -> None:
    await people(office, 12)
    await office.open()
    await office.deliver()
    assert len(office.server.got) == 12
    assert await office.rows("SELECT FROM bucket") == []


async def test_letters_leave_after_the_quiet_hours_of_each_persons_own_zone(office: Office) -> None:
    await at(office, datetime(2030, 3, 1, 13, tzinfo=UTC))
    await limited(office, quiet_hours="21:00-08:00")
    await people(office, 5, "tokyo.example", time_zone="Asia/Tokyo")  # 22:00
    await people(office, 5, "berlin.example", time_zone="Europe/Berlin")  # 14:00
    await office.open()
    await office.deliver()
    assert {address.partition("@")[2] for address in office.server.addresses} == {"berlin.example"}
    morning = datetime(2030, 3, 1, 23, tzinfo=UTC)
    assert await office.rows("SELECT DISTINCT due_at, attempt FROM retry") == [(morning, 1)]
    await at(office, morning)
    await office.deliver()
    assert len(office.server.got) == 10


async def test_while_everybody_sleeps_the_slice_waits_and_nothing_is_written_down(office: Office) -> None:
    await at(office, datetime(2030, 3, 1, 13, tzinfo=UTC))
    await limited(office, quiet_hours="21:00-08:00")
    await people(office, 15, time_zone="Asia/Tokyo")
    await office.open()
    await office.deliver()
    assert await office.rows("SELECT count(*) FROM retry") == [(0,)]
    assert await office.rows("SELECT due_at FROM slice") == [(datetime(2030, 3, 1, 23, tzinfo=UTC),)]
    await at(office, datetime(2030, 3, 1, 23, tzinfo=UTC))
    await office.deliver()
    assert len(office.server.got) == 15


async def test_no_more_leaves_through_a_relay_than_it_was_granted_also_when_another_fails(keys: Keys) -> None:
    async with smtp_server() as first, smtp_server() as second:
        relays = [
            {"host": "127.0.0.1", "port": server.port, "security": "none", "weight": 1, "sessions": 2}
            for server in (first, second)
        ]
        site = a_site(relays=relays)
        letters = some_letters(Writer(a_telling(site), keys, "https://notices.example"), 90)
        channel = Email(keys)
        first.say("rcpt", "421 4.3.2 closing", to=letters[5].address)
        granted = {f"127.0.0.1:{first.port}": 40, f"127.0.0.1:{second.port}": 30}
        try:
            sent = [one async for one in channel.send(site, letters, Permit(granted))]
        finally:
            await channel.relays.close()
        assert len(sent) == 90
        assert len(first.mails) <= 40
        assert len(second.mails) <= 30
        kinds = Counter((one.kind, one.class_) for one in sent)
        assert kinds["accepted_by_relay", None] == len(first.got) + len(second.got)
        assert kinds["deferred", "held"] >= 20


async def test_the_forecast_says_before_and_while_it_is_sent_when_the_limits_let_the_last_letter_go(
    office: Office,
) -> None:
    await limited(office, per_day=10, providers={"gmail": {"per_day": 2}})
    await people(office, 20)
    await people(office, 6, "gmail.com")
    soon = office.clock.now() + timedelta(days=31)
    await office.publish("one", {"en": {"body": "# one"}})
    version = await office.publish("two", {"en": {"body": "# two"}}, effective_at=soon.isoformat())
    campaign_id = await announce(office.db, office.site, version, office.clock.now(), "test")
    campaign = await load_campaign(office.db, "kumo", campaign_id)
    counts = await preview(office.db, campaign_id, office.clock.now())
    planned = await planned_forecast(office.db, campaign, letters_of(counts), office.clock.now())
    assert planned is not None
    assert 1 < (planned.last_told_at - office.clock.now()) / timedelta(days=1) < 2
    assert planned.late
    assert planned.too_late == 6
    await steer(office.db, "kumo", campaign_id, "approve", "test", "", office.clock.now())
    assert await freeze_next(office.db, 1000, office.clock.now()) == 1
    await office.deliver()
    seen = (await campaign_report(office.db, campaign_id, office.clock.now())).forecast
    assert seen is not None
    assert len(office.server.got) == 10
    gmail = sum("gmail" in address for address in office.server.addresses)
    assert 1 < (seen.last_told_at - office.clock.now()) / timedelta(days=1) < 3.1
    assert seen.too_late >= 6 - gmail - 2
    for _ in range(5):
        office.clock.move(timedelta(days=1))
        await office.deliver()
    done = (await campaign_report(office.db, campaign_id, office.clock.now())).forecast
    assert done is not None
    assert done.last_told_at < office.clock.now()
    late = await office.rows(
        "SELECT count(*)::int FROM standing JOIN campaign USING (campaign_id) JOIN version USING (version_id)"
        " WHERE told_at > effective_at - interval '30 days'"
    )
    assert late == [(done.too_late,)]
    listed = (await campaign_notices(office.db, campaign_id, Filters(late=True))).rows
    assert len(listed) == done.too_late
    assert sorted(Counter(office.server.addresses).values()) == [1] * 26


async def test_a_campaign_without_a_date_of_its_own_tells_nobody_too_late(office: Office) -> None:
    await people(office, 12)
    await office.publish("one", {"en": {"body": "# one"}})
    await office.tell(await office.publish("two", {"en": {"body": "# two"}}))
    office.clock.move(timedelta(hours=23))
    await office.deliver()
    seen = (await campaign_report(office.db, office.campaign_id, office.clock.now())).forecast
    assert seen is not None
    assert (seen.too_late, seen.late) == (0, False)
