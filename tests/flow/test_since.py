"""What changed since the version that each person last knew: frozen for all of them, compared once for each pair."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from notifier.acceptance.accept import record_explicit
from notifier.campaigns.since import Earlier, question
from notifier.letters.gather import gather
from notifier.letters.rebuild import rebuild
from notifier.letters.write import Writer
from notifier.outcomes.hear import hear
from notifier.people.roster import get_person
from notifier.presenting.pending import load_pending
from tests.office import Office, open_office
from tests.sites import a_site
from tests.telling import PUBLISHED


@pytest.fixture
async def office(db, keys):
    async with open_office(db, keys, a_site()) as made:
        yield made


def policy(*sections: str) -> dict[str, dict[str, str]]:
    bodies = {"en": "The words of {}.", "ja": "{}について定めます。"}
    return {
        locale: {"body": "# Policy\n\n" + "\n\n".join(f"## {name}\n\n{words.format(name)}" for name in sections)}
        for locale, words in bodies.items()
    }


SECTIONS = ("First", "Second", "Third", "Fourth", "Fifth")


async def tell(office: Office, number: int, label: str = "") -> None:
    """Publish the version with so many sections, tell of it to the end, and let a day pass."""
    await office.tell(await office.publish(label or f"v{number}", policy(*SECTIONS[:number])))
    await office.deliver()
    await office.db.run("campaigns.close_finished", now=office.clock.now())
    office.clock.move(timedelta(days=1))


async def knew(office: Office) -> dict[str, str | None]:
    """Person → the version that the last campaign's notice says they last knew."""
    return dict(
        await office.rows(
            "SELECT p.external_id, v.label FROM notice n JOIN person p USING (lane, person_id)"
            " LEFT JOIN version v ON v.version_id = n.since"
            " WHERE n.campaign_id = (SELECT max(campaign_id) FROM campaign)"
        )
    )


async def listed(office: Office, name: str) -> Sequence[str]:
    """The sections that somebody's letter names as new; the letter is the one of the record, written again."""
    person = await get_person(office.db, office.keys, office.site.site, name)
    again = await rebuild(office.db, office.keys, office.campaign_id, person.lane, person.person_id)
    assert again.matches
    words = again.body.decode().replace("=\r\n", "")
    return [section for section in SECTIONS if f"  - {section}" in words]


async def test_each_person_reads_what_changed_since_the_version_that_they_were_last_told_of(office: Office) -> None:
    await office.publish("v1", policy("First"))
    for name in ("always", "bounced", "late", "accepted"):
        await office.person(name)
    await tell(office, 2)
    assert await knew(office) == dict.fromkeys(("always", "bounced", "late", "accepted"), "v1")
    await hear(office.db, [await office.feedback("bounced", "bounced", "mailbox_disabled")], office.clock.now())
    office.server.say("rcpt", "451 4.7.1 later", to="late@people.example")
    await tell(office, 3)
    assert await knew(office) == {"always": "v2", "bounced": "v1", "late": "v2", "accepted": "v2"}
    version = (await office.rows("SELECT version_id FROM version WHERE label = 'v3'"))[0][0]
    person = await get_person(office.db, office.keys, office.site.site, "late")
    await office.publish("v4", policy(*SECTIONS[:4]), materiality="editorial")
    await tell(office, 5)
    assert await knew(office) == {"always": "v3", "bounced": "v1", "late": "v2", "accepted": "v3"}
    assert await listed(office, "always") == ["Fourth", "Fifth"]
    await record_explicit(
        office.db, office.site.site, person, version, office.clock.now(), "a form", office.clock.now()
    )
    await tell(office, 5, "v6")
    assert (await knew(office))["late"] == "v3", "accepted by an act, whatever the letters did"


async def test_whoever_was_told_of_nothing_yet_knows_what_their_registration_showed(office: Office) -> None:
    await office.publish("v1", policy("First"))
    office.clock.move(timedelta(days=1))
    await office.publish("v2", policy(*SECTIONS[:2]), materiality="editorial")
    office.clock.move(timedelta(days=1))
    now = office.clock.now()
    await office.person("before_all", registered_at="2001-01-01T00:00:00Z")
    await office.person("under_v1", registered_at=(now - timedelta(days=1, hours=6)).isoformat())
    await office.person("under_v2", registered_at=(now - timedelta(hours=6)).isoformat())
    await office.person("shown_v1", registered_at=(now - timedelta(hours=6)).isoformat(), registration_version="v1")
    await tell(office, 3)
    assert await knew(office) == {"before_all": "v1", "under_v1": "v1", "under_v2": "v2", "shown_v1": "v1"}


async def test_the_first_version_is_new_to_everybody_and_a_correction_lists_nothing(office: Office) -> None:
    await office.person("somebody")
    await tell(office, 1)
    assert await knew(office) == {"somebody": None}
    assert await office.rows("SELECT FROM changed") == []
    telling = await gather(office.db, office.campaign_id)
    assert telling.usual is None
    assert "What changed" not in Writer(telling, office.keys, "https://n.example").message("en", "", None).text


async def test_a_pair_is_compared_once_whoever_comes_first_and_what_was_kept_is_said(office: Office) -> None:
    await office.publish("v1", policy("First"))
    await office.person("reader")
    await office.person("leser", locale="ja")
    await office.tell(await office.publish("v2", policy(*SECTIONS[:2])))
    assert await office.rows("SELECT locale, content FROM changed ORDER BY locale") == [("en", None), ("ja", None)]
    tellings = await asyncio.gather(*(gather(office.db, office.campaign_id) for _ in range(3)))
    assert tellings[0].texts == tellings[1].texts == tellings[2].texts
    kept = await office.rows("SELECT content FROM changed WHERE locale = 'en'")
    assert [section["section"] for section in kept[0][0]["sections"]] == ["Second"]
    async with office.db.connection() as connection:
        await connection.execute(
            """UPDATE changed SET content = jsonb_set(content, '{sections,0,section}', '"As it was kept"')"""
        )
    await office.deliver()
    person = await get_person(office.db, office.keys, office.site.site, "reader")
    again = await rebuild(office.db, office.keys, office.campaign_id, person.lane, person.person_id)
    assert again.matches
    assert b"  - As it was kept" in again.body


async def test_what_is_shown_at_a_login_compares_with_the_same_version(office: Office) -> None:
    await office.publish("v1", policy("First"))
    await office.person("reader")
    await tell(office, 2)
    await office.tell(await office.publish("v3", policy(*SECTIONS[:3])))
    [pending] = await load_pending(office.db, office.keys, office.site.site, "reader", office.clock.now())
    writer = Writer(await gather(office.db, office.campaign_id), office.keys, "https://n.example")
    text = writer.message(pending.locale, pending.time_zone, pending.since).text
    assert "What changed since version v2" in text
    assert writer.changes_since(pending.locale, pending.since)[1] == "https://n.example/p/kumo/privacy/v3/en/since/v2"


async def test_sheets_are_as_many_as_locales_and_versions_whatever_the_number_of_people(office: Office) -> None:
    await office.publish("v1", policy("First"))
    for number in range(4):
        await office.person(f"old{number}", locale="ja" if number % 2 else "en")
    await tell(office, 2)
    for number in range(4):
        await office.person(f"new{number}", registered_at=PUBLISHED.isoformat(), registration_version="v1")
    await tell(office, 3)
    of_the_last = "WHERE campaign_id = (SELECT max(campaign_id) FROM campaign)"
    kept = await office.rows(f"SELECT locale FROM sheet {of_the_last} ORDER BY locale")  # noqa: S608 - our own words
    assert kept == [("en",), ("en",), ("ja",)], "English from v1 and from v2, Japanese from v2"
    assert await office.rows(f"SELECT count(*) FROM changed {of_the_last}") == [(4,)]  # noqa: S608 - likewise


def test_the_version_in_force_is_the_newest_that_took_effect_whatever_their_order() -> None:
    day = timedelta(days=1)
    asked = question([
        Earlier(10, "a", PUBLISHED + 9 * day, 1),
        Earlier(20, "b", PUBLISHED + 2 * day, None),
        Earlier(30, "c", PUBLISHED + 4 * day, 3),
        Earlier(40, "d", PUBLISHED + 4 * day, 4),
    ])  # fmt: skip
    assert asked["in_force"] == [1, 2, 3, 4]
    assert asked["in_force_from"] == [PUBLISHED + 2 * day, PUBLISHED + 4 * day, PUBLISHED + 4 * day]
    assert (asked["earlier_campaigns"], asked["campaign_ranks"]) == ([1, 3, 4], [1, 3, 4])
    assert question([])["in_force"] == question([])["earlier"] == []
