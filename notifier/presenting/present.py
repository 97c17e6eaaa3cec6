"""What to show a signed-in person of one version now, and why. Pure. The order is explained in docs/login.md."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from notifier.acceptance.decide import Objection, own_date
from notifier.campaigns.rule import Rule
from notifier.sites.preset import NewPurpose


class Show(StrEnum):
    """How much room the notice takes: none, a strip, a page to be passed once, or a page that needs an act to pass."""

    NOTHING = "nothing"
    BANNER = "banner"
    PAGE = "page"
    GATE = "gate"


class Why(StrEnum):
    """Why it is shown so, or not at all."""

    ACCOUNT_CLOSED = "account_closed"
    LEFT_OUT = "left_out"
    SUPERSEDED = "superseded"
    HELD = "held"
    ACCEPTED_BY_ACT = "accepted_by_act"
    ACCEPTED_BY_USE = "accepted_by_use"
    ACT_REQUIRED = "act_required"
    ACT_WILL_BE_REQUIRED = "act_will_be_required"
    OBJECTED = "objected"
    NOT_REACHED = "not_reached"
    NOT_YET_TOLD = "not_yet_told"
    NOT_YET_SHOWN = "not_yet_shown"
    SHOWN = "shown"


@dataclass(frozen=True)
class Standing:
    """What is on record of one person and the version that a campaign tells of.

    ``status`` is the notice's, as the view ``standing`` derives it; ``told_at``: since when there is evidence of the
    telling that suffices for the rule. ``informed_at``: since when somebody who need not be told knows of it: they
    registered with it or after it took effect, or had accepted it or a newer one. ``held``: nothing of the
    campaign may go out now. ``newer``: a newer version of the policy is published that people are told of.
    """

    status: str
    effective_at: datetime
    posted_at: datetime | None
    explicit: bool
    deems: bool
    notice_days: int
    new_purpose: NewPurpose = "after_notice"
    held: bool = False
    newer: bool = False
    closed: bool = False
    told_at: datetime | None = None
    informed_at: datetime | None = None
    shown_at: datetime | None = None
    accepted: str | None = None  # the kind of the latest acceptance
    accepted_at: datetime | None = None
    objection: Objection | None = None  # its latest word

    @property
    def objected(self) -> bool:
        """Whether they objected, and did not take it back."""
        return self.objection is not None and not self.objection.withdrawn

    def own_date(self, told_at: datetime, notice_days: int) -> datetime | None:
        """The person's own date, had they been told at a moment, so many days before."""
        return own_date(notice_days, self.effective_at, self.posted_at, told_at, self.objection)


@dataclass(frozen=True)
class Presentation:
    """What to show, and why."""

    show: Show
    why: Why


_ACTS = ("explicit", "registration")


def present(one: Standing, now: datetime) -> Presentation:
    """What to show. The first line that fits decides."""
    if (why := _nothing_for_them(one)) is not None:
        return Presentation(Show.NOTHING, why)
    if one.explicit:
        return _until_they_act(one, now)
    if one.accepted is not None:
        return Presentation(Show.NOTHING, Why.ACCEPTED_BY_USE)
    if one.objected:
        return Presentation(Show.NOTHING, Why.OBJECTED)
    if one.status in ("unreachable", "suppressed"):
        return Presentation(Show.PAGE, Why.NOT_REACHED)
    if one.told_at is None:
        return Presentation(Show.BANNER, Why.NOT_YET_TOLD)
    if one.shown_at is None:
        return Presentation(Show.BANNER, Why.NOT_YET_SHOWN)
    return Presentation(Show.NOTHING, Why.SHOWN)


def may_be_shown(one: Standing) -> Why | None:
    """What speaks against telling this person by showing it; None when nothing does."""
    return None if (why := _nothing_for_them(one)) in (None, Why.ACCEPTED_BY_ACT) else why


def counts_from(one: Standing, now: datetime) -> datetime | None:
    """The person's own date, as told or, where they are not told yet, if they were shown it now; None: it has none."""
    if one.explicit or not one.deems or _nothing_for_them(one) is not None:
        return None
    return one.own_date(one.told_at or now, one.notice_days)


def processing_not_before(one: Standing) -> datetime | None:
    """From when a new purpose may be served, as far as the notice goes; None while the person knows nothing of it.

    GDPR 13(3) and 14(4): the person is informed before the further processing. An objection bars it. Who acted on the
    version knows of it. Otherwise the rule says how long before: at_effect (told is enough), after_notice (their notice
    period has passed; whoever found the version there has none), after_act.
    """
    if one.closed or one.objected:
        return None
    if one.accepted in _ACTS and one.accepted_at is not None:
        return max(one.effective_at, one.accepted_at)
    if one.explicit or one.new_purpose == "after_act":
        return None
    if one.informed_at is not None:
        return max(one.effective_at, one.informed_at)
    if one.told_at is None:
        return None
    return one.own_date(one.told_at, one.notice_days if one.new_purpose == "after_notice" else 0)


def earliest_processing(rule: Rule, effective_at: datetime, opened_at: datetime | None) -> datetime | None:
    """The earliest that a new purpose of a version may be served, for whoever was told first; None: nobody's yet.

    Everybody has a date of their own, which is this one or later, and only that one counts for them.
    """
    if opened_at is None or rule.explicit or rule.new_purpose == "after_act":
        return None
    days = rule.notice_days if rule.new_purpose == "after_notice" else 0
    return max(effective_at, opened_at + timedelta(days=days))


def _nothing_for_them(one: Standing) -> Why | None:
    if one.closed:
        return Why.ACCOUNT_CLOSED
    if one.status == "excluded":
        return Why.LEFT_OUT
    if one.newer or one.status == "superseded":
        return Why.SUPERSEDED
    if one.held:
        return Why.HELD
    return Why.ACCEPTED_BY_ACT if one.accepted in _ACTS else None


def _until_they_act(one: Standing, now: datetime) -> Presentation:
    if now >= one.effective_at:
        return Presentation(Show.GATE, Why.ACT_REQUIRED)
    return Presentation(Show.PAGE if one.shown_at is None else Show.BANNER, Why.ACT_WILL_BE_REQUIRED)
