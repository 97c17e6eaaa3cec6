"""API tokens and webhook secrets."""

from datetime import datetime

import pytest

from notifier.db import Db
from notifier.errors import Invalid, NotFound
from notifier.keys import Keys
from notifier.sites.site import Site
from notifier.sites.tokens import (
    ApiToken,
    create_token,
    digest_of,
    find_tokens,
    live_secrets,
    retire_secret,
    revoke_token,
    rotate_secret,
)


async def test_a_token_is_found_by_its_digest_until_it_is_revoked(db: Db, site: Site, now: datetime) -> None:
    token = await create_token(db, "kumo", "ci", ["read", "publish", "read"], now)
    assert token.startswith("notifier_")
    assert len(token) >= 52
    assert await find_tokens(db, [digest_of(token)]) == {digest_of(token): ApiToken("ci", "kumo", ["publish", "read"])}
    assert await find_tokens(db, [digest_of(token + "x")]) == {}
    assert await revoke_token(db, None, "ci", now) == 0
    assert await revoke_token(db, "kumo", "ci", now) == 1
    assert await find_tokens(db, [digest_of(token)]) == {}


async def test_a_token_itself_lies_nowhere(db: Db, site: Site, now: datetime) -> None:
    token = await create_token(db, None, "admin", ["admin"], now)
    async with db.connection() as connection:
        stored = await connection.fetchval("SELECT t::text FROM api_token t")
    assert token not in stored
    assert token.removeprefix("notifier_") not in stored


@pytest.mark.parametrize(
    ("name", "scopes", "pointer"),
    [("ci", ["write"], "/scopes"), ("ci", [], "/scopes"), ("", ["read"], "/name"), ("a\nb", ["read"], "/name")],
)
async def test_a_token_that_makes_no_sense_is_not_made(
    db: Db, site: Site, now: datetime, name: str, scopes: list[str], pointer: str
) -> None:
    with pytest.raises(Invalid, match="no token was made") as error:
        await create_token(db, "kumo", name, scopes, now)
    assert [fault.pointer for fault in error.value.faults] == [pointer]


async def test_a_token_for_a_site_that_is_not_there_is_not_made(db: Db, now: datetime) -> None:
    with pytest.raises(NotFound):
        await create_token(db, "nobody", "ci", ["read"], now)


async def test_two_secrets_are_good_between_rotation_and_retirement(db: Db, keys: Keys, site: Site) -> None:
    [first] = await live_secrets(db, keys, "kumo")
    second = await rotate_secret(db, keys, "kumo")
    assert await live_secrets(db, keys, "kumo") == [second, first]
    third = await rotate_secret(db, keys, "kumo")
    assert await live_secrets(db, keys, "kumo") == [third, second]
    assert await retire_secret(db, "kumo")
    assert not await retire_secret(db, "kumo")
    assert await live_secrets(db, keys, "kumo") == [third]
    for verb in (live_secrets(db, keys, "nobody"), rotate_secret(db, keys, "nobody"), retire_secret(db, "nobody")):
        with pytest.raises(NotFound):
            await verb
