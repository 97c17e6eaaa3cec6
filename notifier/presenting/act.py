"""A person acts on a page: accepts, objects, takes that back, or leaves. What stood on the page is recorded with it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from notifier.acceptance.accept import record_explicit
from notifier.acceptance.facts import Somebody
from notifier.acceptance.leave import record_leaving
from notifier.acceptance.object import Statement, record_objection, withdraw_objection
from notifier.db import Db
from notifier.errors import Conflict, NotFound
from notifier.keys import ActLink

Kind = Literal["accept", "object", "withdraw", "close"]
KINDS: tuple[Kind, ...] = ("accept", "object", "withdraw", "close")
OWN_PAGE = "their own page"


@dataclass(frozen=True)
class Actor:
    """The person whom a link is for, and where they stand with its version."""

    lane: int
    person_id: UUID
    status: str
    locale: str
    time_zone: str
    accepted: str | None
    objected: bool
    since: int | None  # the version that they last knew

    def may(self) -> list[Kind]:
        """The acts that are open to them."""
        if self.status in ("closed", "erased"):
            return []
        accept: list[Kind] = [] if self.accepted in ("explicit", "registration") else ["accept"]
        return [*accept, "withdraw" if self.objected else "object", "close"]


@dataclass(frozen=True)
class Done:
    """What was done by a link."""

    kind: Kind
    at: datetime


@dataclass(frozen=True)
class Shown:
    """What stood on the page: the locale, and the words that the act agrees to."""

    locale: str
    statement: str


class Overtaken(Conflict):
    """A newer version was published: nothing may be said about this one any more."""


async def load_actor(db: Db, link: ActLink) -> Actor:
    """Whom a link is for. Raises NotFound for who is gone."""
    found = await db.first(
        Actor,
        "presenting.by_id",
        lane=link.lane,
        person_id=link.person_id,
        version_id=link.version_id,
        site=link.site,
    )
    if found is None or found.status == "erased":
        raise NotFound("this link no longer leads to anybody")
    return found


async def done_by(db: Db, link: ActLink) -> Done | None:
    """What was done by a link already."""
    return await db.first(Done, "presenting.done", lane=link.lane, person_id=link.person_id, act=link.act)


async def act(
    db: Db, link: ActLink, policy: str, kind: Kind, shown: Shown, words: str, now: datetime, via: str = OWN_PAGE
) -> tuple[Done, bool]:
    """Do it, once: the same link again answers what was done, and False.

    ``words``: the person's own, of an objection. ``via``: on which page.

    Raises Overtaken when a newer version is published, Conflict where the record contradicts it. Then nothing is kept.
    """
    async with db.transaction() as tx:
        await refuse_overtaken(tx, link.site, policy, link.version_id)
        if not await record_act(tx, link, link.act, link.version_id, kind, shown, now):
            done = await done_by(tx, link)
            assert done is not None
            return done, False
        said = Statement(now, via, words)
        if kind == "accept":
            evidence = {"locale": shown.locale, "statement": shown.statement}
            await record_explicit(tx, link.site, link, link.version_id, now, via, now, **evidence)
        elif kind == "object":
            await record_objection(tx, link.site, link, link.version_id, said, now)
        elif kind == "withdraw":
            await withdraw_objection(tx, link.site, link, link.version_id, said, now)
        else:
            await record_leaving(tx, link.site, link, link.version_id, now, now)
    return Done(kind, now), True


async def refuse_overtaken(tx: Db, site: str, policy: str, version_id: int) -> None:
    """Raise Overtaken when there is a newer version; while the transaction lasts, none is published."""
    await tx.value("presenting.hold_policy", site=site, policy=policy)
    if await tx.value("presenting.is_overtaken", version_id=version_id):
        raise Overtaken("nothing was recorded: a newer version was published meanwhile; show that one")


async def record_act(
    tx: Db, person: Somebody, act_id: UUID, version_id: int, kind: Kind, shown: Shown, now: datetime
) -> bool:
    """Record what stood on the page when somebody acted. Returns False when this link was used before."""
    return bool(
        await tx.run(
            "presenting.record_act",
            lane=person.lane,
            person_id=person.person_id,
            act=act_id,
            version_id=version_id,
            kind=kind,
            locale=shown.locale,
            statement=shown.statement,
            now=now,
        )
    )
