"""Workers are killed while something special is under way: a second channel by time, a correction, stages of a canary.

Nobody is lost, every second copy is flagged, nobody's stage comes early, and nobody is left with the wrong words.
"""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from notifier.campaigns.campaign import history, load_campaign
from notifier.campaigns.correct import correct
from notifier.campaigns.steer import steer
from notifier.clock import MovableClock
from notifier.compliance.report import campaign_report
from notifier.compose import move_clock
from notifier.db import Db
from notifier.keys import Keys
from tests.accounts import accounts_of
from tests.channels.smtp_server import SmtpServer, smtp_server
from tests.processes.crew import Crew, campaign_with_people, crew_of, rows, until_arrived, until_done

pytestmark = pytest.mark.long

PEOPLE = 200
LIMIT = 240  # seconds on a busy machine
WRONG, RIGHT = "We keep it for one month.", "We keep it for one year."


async def kill_each(crew: Crew, server: SmtpServer, *arrived: int) -> None:
    """SIGKILL a worker each time so many letters have arrived; another comes in its place."""
    for count in arrived:
        await until_arrived(server, count)
        await crew.kill()
        await crew.start()


async def test_a_second_channel_by_time_survives_its_workers(db: Db, database_url: str, keys: Keys) -> None:
    rule = {"preset": "imacocokara", "channels": ["inbox", "email"], "evidence": "shown", "evidence_hours": 1}
    clock = MovableClock()
    async with (
        smtp_server(delay=0.002) as server,
        crew_of(database_url, settings={"MODE": "test"}) as crew,
        asyncio.timeout(LIMIT),
    ):
        campaign_id = await campaign_with_people(db, keys, server.port, PEOPLE, rule=rule)
        await crew.start(2)
        while (await load_campaign(db, None, campaign_id)).state != "sending":
            await asyncio.sleep(0.05)
        await move_clock(db, clock, timedelta(hours=1, minutes=1))
        await kill_each(crew, server, 1, PEOPLE // 2)
        await until_done(db, campaign_id)
    accounts = await accounts_of(db, keys, campaign_id, server.got)
    assert accounts.told == accounts.audience
    assert len(accounts.audience) == PEOPLE
    assert accounts.doubles <= 2 * crew.at_once
    await adds_up(db, campaign_id)


async def test_the_stages_of_a_canary_survive_their_workers_and_none_begins_early(
    db: Db, database_url: str, keys: Keys
) -> None:
    canary = {"stages": [30, "50%"], "hold": 0}
    async with smtp_server(delay=0.002) as server, crew_of(database_url) as crew, asyncio.timeout(LIMIT):
        campaign_id = await campaign_with_people(db, keys, server.port, PEOPLE, canary=canary)
        await crew.start(2)
        await kill_each(crew, server, 15, 60, 120)
        await until_done(db, campaign_id)
    accounts = await accounts_of(db, keys, campaign_id, server.got)
    assert accounts.told == accounts.audience
    assert accounts.doubles <= 3 * crew.at_once
    events = [event for event in await history(db, campaign_id) if event.action in ("held", "stage_opened")]
    assert [event.action for event in events] == ["held", "stage_opened"] * 2
    early = await rows(
        db,
        "SELECT count(*) FROM intent i JOIN slice s ON (i.lane, i.person_id) > (s.from_lane, s.from_person)"
        " AND (i.lane, i.person_id) <= (s.to_lane, s.to_person) AND s.campaign_id = i.campaign_id"
        " WHERE i.campaign_id = $1 AND (s.stage = 2 AND i.at < $2 OR s.stage = 3 AND i.at < $3)",
        campaign_id, events[1].at, events[3].at,
    )  # fmt: skip
    assert early[0]["count"] == 0
    await adds_up(db, campaign_id)


async def test_a_correction_survives_its_workers_and_nobody_is_left_with_the_wrong_words(
    db: Db, database_url: str, keys: Keys
) -> None:
    now = datetime.now(UTC)
    async with smtp_server(delay=0.002) as server, crew_of(database_url) as crew, asyncio.timeout(LIMIT):
        corrected = await campaign_with_people(db, keys, server.port, PEOPLE, summary=WRONG)
        await crew.start(2)
        await kill_each(crew, server, PEOPLE // 8)
        await crew.kill()  # and while somebody notices and pauses
        await steer(db, "kumo", corrected, "pause", "test", "one month is wrong", now)
        planned = await correct(db, "kumo", corrected, {"en": RIGHT, "ja": RIGHT}, "test", "", now)
        await steer(db, "kumo", planned.campaign_id, "approve", "test", "", now)
        await crew.start()
        await until_opened(db, planned.campaign_id)
        arrived = len(server.got)
        await kill_each(crew, server, arrived + 20)
        await until_done(db, corrected, planned.campaign_id)
    wrong, right, first_right = words_of(server)
    assert 0 < len(wrong) < PEOPLE
    assert len(right) == PEOPLE, "somebody was lost, or left with the wrong words"
    assert all(last < first_right[address] for address, last in wrong.items()), "wrong words after the right ones"
    copies = Counter(got.address for got in server.got)
    unknown = Counter(
        row["address"]
        for row in await rows(
            db,
            "SELECT address FROM outcome WHERE kind = 'unknown'",
        )
    )
    needed = {address: 1 + (address in wrong) for address in copies}
    assert all(copies[a] <= needed[a] + unknown[a] for a in copies), "a double without a flag"
    audience = await rows(
        db,
        "SELECT p.email FROM notice n JOIN person p USING (lane, person_id)"
        " WHERE n.campaign_id = $1 AND n.reason = 'in_scope'",
        planned.campaign_id,
    )
    assert wrong.keys() <= {row["email"] for row in audience}, "somebody with the wrong words got no correction"
    for number in (corrected, planned.campaign_id):
        await adds_up(db, number)


async def until_opened(db: Db, campaign_id: int) -> None:
    """Wait until an approved campaign is sent."""
    while (await load_campaign(db, None, campaign_id)).opened_at is None:
        await asyncio.sleep(0.05)


def words_of(server: SmtpServer) -> tuple[dict[str, int], Counter[str], dict[str, int]]:
    """Who got wrong words (and when last), who got right ones, and when first; in the order in which letters came."""
    wrong: dict[str, int] = {}
    right, first_right = Counter[str](), dict[str, int]()
    for number, got in enumerate(server.got):
        letter = message_from_bytes(got.content, policy=SMTP)
        assert isinstance(letter, EmailMessage)
        body = letter.get_body(("plain",))
        assert body is not None
        if RIGHT in body.get_content():
            right[got.address] += 1
            first_right.setdefault(got.address, number)
        else:
            assert WRONG in body.get_content()
            wrong[got.address] = number
    return wrong, right, first_right


async def adds_up(db: Db, campaign_id: int) -> None:
    """Every count is the same wherever it is counted, and nothing is left without an answer."""
    assert (await campaign_report(db, campaign_id, datetime.now(UTC))).gaps == ()
    outcomes = await rows(db, "SELECT kind::text FROM outcome WHERE campaign_id = $1", campaign_id)
    progress = await rows(
        db, "SELECT kind::text, sum(count)::int AS n FROM progress WHERE campaign_id = $1 GROUP BY kind", campaign_id
    )
    assert {row["kind"]: row["n"] for row in progress} == dict(Counter(row["kind"] for row in outcomes))
