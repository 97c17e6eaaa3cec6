"""The people of the demo, who do not exist."""

from datetime import UTC, datetime

from notifier.demo.crowd import DOMAINS, Crowd
from notifier.demo.manners import manner

MARKET = Crowd("hanabi-market", market=True)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_bigger_crowd_begins_with_the_smaller_one() -> None:
    assert list(MARKET.people(300))[:100] == list(MARKET.people(100))


def test_two_sites_have_different_people() -> None:
    emails = {person["email"] for person in Crowd("kumo-store", market=False).people(500)} - {None}
    assert not emails & {person["email"] for person in MARKET.people(500)}


def test_every_case_that_the_story_tells_of_occurs() -> None:
    people = list(MARKET.people(1000))
    emails = [str(person["email"]) for person in people if person["email"]]
    assert len(emails) < len(people)
    assert {manner(address) for address in emails} == {"", "full", "grey", "gone", "bounce"}
    assert {person["status"] for person in people} == {"active", "dormant", "closed", "suspended"}
    assert {"reader"} in [set(person["roles"]) for person in people]  # type: ignore[call-overload] # known to be a list
    assert any("channels" in person for person in people)
    assert len({person["locale"] for person in people}) > 4


def test_every_address_is_under_a_domain_reserved_for_examples() -> None:
    assert {str(person["email"]).rpartition("@")[2] for person in MARKET.people(2000) if person["email"]} == set(
        DOMAINS
    )


def test_newcomers_are_active_and_most_saw_the_new_version() -> None:
    newcomers = list(MARKET.newcomers(10, 1, "2", NOW))
    assert [person.get("registration_version") for person in newcomers].count("2") == 8
    assert {person["status"] for person in newcomers} == {"active"}
    assert {person["registered_at"] for person in newcomers} == {NOW.isoformat()}
    again = {person["external_id"] for person in MARKET.newcomers(10, 2, "3", NOW)}
    assert not again & {person["external_id"] for person in newcomers}
