"""What a site says about itself: the model of site.yaml, and how it is read back from the database."""

import re
from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

import soupsieve
from email_validator import EmailNotValidError, ValidatedEmail, validate_email
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from notifier.db import Db
from notifier.errors import NotFound
from notifier.sites.choice import Audience as Audience
from notifier.sites.choice import ChannelName as ChannelName
from notifier.sites.choice import Locale as Locale
from notifier.sites.choice import RuleSettings as RuleSettings
from notifier.sites.choice import choices_of, days_of
from notifier.sites.pace import Pace, PerDay, Rate, WarmUp

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$")]


def _valid(value: str) -> ValidatedEmail:
    try:
        return validate_email(value, check_deliverability=False, test_environment=True, strict=True)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from error


def _address(value: str) -> str:
    return _valid(value).normalized


def mailbox(value: str) -> str:
    """An address as it stands in an envelope: an internationalised domain in its ASCII form (RFC 5890), unless the part
    before the @ is not ASCII either (RFC 6531).

    People's addresses are kept like this, as what comes back of a letter names where it went. Raises ValueError.
    """
    found = _valid(value)
    return found.ascii_email or found.normalized


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())  # reads a folder tree: 1 ms and more each time


def known_time_zone(value: str) -> str:
    """The name itself. Raises ValueError when it is none of the IANA database's."""
    if value not in _time_zones():
        raise ValueError(f"{value!r} is not a time zone of the IANA database (like Europe/Berlin or Asia/Tokyo)")
    return value


def _reasonable(value: datetime) -> datetime:
    if not _FIRST_YEAR <= value.year < _LAST_YEAR:
        raise ValueError(f"lies outside the years {_FIRST_YEAR} to {_LAST_YEAR}")
    return value


# Years that every part of the service can hold in any time zone.
_FIRST_YEAR, _LAST_YEAR = 1970, 2999
Moment = Annotated[AwareDatetime, AfterValidator(_reasonable)]
Address = Annotated[str, AfterValidator(_address)]
Mailbox = Annotated[str, AfterValidator(mailbox)]


def _percentage(value: str) -> str:
    digits = value.removesuffix("%").strip()
    if digits == value or not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,4})?", digits) or not 0 < Decimal(digits) <= 100:
        raise ValueError(f"{value!r} is no percentage; write it like 1% or 0.1%")
    return f"{digits}%"


def share_of(percentage: str) -> Decimal:
    """What a percentage like ``0.1%`` comes to: a number from 0 to 1."""
    return Decimal(percentage.removesuffix("%")) / 100


Percentage = Annotated[str, AfterValidator(_percentage)]
TimeZone = Annotated[str, AfterValidator(known_time_zone)]


HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")]  # RFC 9110, 5.1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sender(_Part):
    """Whom a letter comes from, in one locale."""

    name: Line
    address: Address


class Relay(_Part):
    """An SMTP server that takes our mail. The password is named, never written down here."""

    host: Line
    port: int = Field(25, ge=1, le=65535)
    security: Literal["none", "starttls", "tls"] = "starttls"
    username: str | None = None
    auth: Literal["password", "xoauth2"] = "password"
    password_env: str | None = Field(
        None, description="Name of the environment variable that holds the password or token."
    )
    command_env: str | None = Field(
        None, description="Name of the environment variable that holds a command which prints the password or token."
    )
    weight: int = Field(0, ge=0, le=1000, description="Share of the letters among relays with a weight. 0: stands by.")
    sessions: int = Field(4, ge=1, le=100, description="Connections kept open at most, per worker process.")
    service: Literal["sendgrid", "postmark", "mailgun"] | None = Field(
        None, description="Whose relay it is: letters carry what its events are known by."
    )
    limit: Rate | None = Field(None, description="How fast it may be given letters, like 10/s, 600/min or 3600/h.")
    per_day: PerDay | None = Field(None, description="How many letters it may be given in a day of the site's zone.")
    warm_up: WarmUp | None = Field(None, description="Fewer on its first days.")

    @property
    def name(self) -> str:
        """How its limits and its answers are known."""
        return f"{self.host}:{self.port}"


class Dkim(_Part):
    """A key that letters are signed with (DKIM). The key itself never stands here."""

    domain: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*\.[a-z0-9-]+$", max_length=253)]
    selector: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=63)]
    algorithm: Literal["rsa-sha256", "ed25519-sha256"] = "rsa-sha256"
    key_file: str | None = Field(None, description="Where the private key lies, as the workers see it.")
    key_env: str | None = Field(None, description="Name of the environment variable that holds the private key.")

    @model_validator(mode="after")
    def _one_place(self) -> "Dkim":
        if (self.key_file is None) == (self.key_env is None):
            raise ValueError("name either key_file or key_env, and not both")
        return self


def _selector(value: str) -> str:
    try:
        soupsieve.compile(value)
    except soupsieve.SelectorSyntaxError as error:
        raise ValueError(f"{value!r} is no CSS selector: {str(error).splitlines()[0]}") from error
    return value


Selector = Annotated[Line, AfterValidator(_selector)]
# An @ may stand in the path alone: before it, it would part a name and a password from the host.
_WEB = r"https?://[^\s\"'<>\\@#/?]+(?:[/?][^\s\"'<>\\#]*)?"
WebAddress = Annotated[str, StringConstraints(pattern=f"^{_WEB}$", max_length=2000)]


ShownAt = Annotated[str, StringConstraints(pattern=f"^(?:hosted|{_WEB})$", max_length=2000)]


class PostedPage(_Part):
    """A page of the site's own that must show a text of a policy. Its address alone may stand for it."""

    url: ShownAt = Field(description="hosted: our own public page of the version.")
    keep: list[Selector] = Field([], description="As of a source. Neither keep nor drop: as that source has them.")
    drop: list[Selector] = Field([], description="As of a source.")
    headers: dict[HeaderName, Line] = Field({}, description="Sent with each request. None: as the source's.")

    @model_validator(mode="before")
    @classmethod
    def _address_alone(cls, given: Any) -> Any:
        return {"url": given} if isinstance(given, str) else given


class Policy(_Part):
    """One document of the site."""

    kind: Literal["privacy", "terms", "cookies", "other"] = "privacy"
    titles: dict[Locale, Line] = Field(min_length=1)
    url: str | None = Field(None, description="Where the site itself shows the text.")
    posted_at_url: dict[Locale, PostedPage] = Field(
        {}, description="Where the site itself shows each text: looked at, to prove that it is posted."
    )
    part_of_terms: bool = Field(
        False, description="Whether the text is part of the contract with people, whatever its kind."
    )

    @property
    def is_terms(self) -> bool:
        """Whether use may amount to accepting it under rules that deem so of terms only."""
        return self.kind == "terms" or self.part_of_terms


class Source(_Part):
    """Where one text of a policy is read, to notice when it changes: a page, an Atom feed, or a file under Git."""

    policy: Slug
    locale: Locale
    page: WebAddress | None = Field(None, description="A web page, or a Markdown file served over HTTP.")
    feed: WebAddress | None = Field(None, description="An Atom feed (RFC 4287): its newest entry is the text.")
    git: WebAddress | None = Field(None, description="A Git repository, read with the command git.")
    path: Line | None = Field(None, description="The file in the repository.")
    branch: Line = Field("HEAD", description="Of the repository.")
    keep: list[Selector] = Field([], description="CSS selectors of what is the text. None: main, article or all.")
    drop: list[Selector] = Field([], description="CSS selectors of what is not.")
    headers: dict[HeaderName, Line] = Field({}, description="Sent with each request, like Accept-Language.")
    every: int = Field(60, ge=1, le=10_080, description="Minutes between two looks.")

    @model_validator(mode="after")
    def _one_place(self) -> "Source":
        if sum(place is not None for place in (self.page, self.feed, self.git)) != 1:
            raise ValueError("name one place: page, feed or git")
        if (self.git is None) != (self.path is None):
            raise ValueError("git and path go together: the repository, and the file in it")
        return self

    @property
    def address(self) -> str:
        """The one place that was named; of a repository with what is read there."""
        return self.page or self.feed or f"{self.git}#{self.branch}:{self.path}"


class Watch(_Part):
    """What is looked at for changes. A change opens a pending version, and a person decides about it."""

    folder: str | None = Field(None, description="Its files `<policy>.<locale>.md` or `.html` are the texts.")
    sources: list[Source] = Field([], max_length=1000, description="Places elsewhere that the texts are read from.")
    agree: int = Field(3, ge=1, le=20, description="Looks in a row that must find the same before a change counts.")


class Approval(_Part):
    """Whose word a campaign waits for before anything is sent."""

    people: int = Field(1, ge=0, le=2, description="How many must approve. 0: publishing sends by itself.")
    test_send: bool = Field(False, description="Whether a test letter must have been sent before.")

    @model_validator(mode="after")
    def _somebody_reads_it(self) -> "Approval":
        if self.test_send and not self.people:
            raise ValueError("test_send needs somebody who reads the test letter: set people to 1 or 2")
        return self


class Review(_Part):
    """Whose review a version wants before it is published."""

    by: Literal["anyone", "another"] = Field(
        "anyone", description="another: somebody who wrote none of it; then webhooks only open drafts."
    )
    incomplete: Literal["refuse", "fall_back"] = Field(
        "refuse",
        description="What a webhook or command may publish that people are told of. refuse: only with a text in every "
        "locale and a summary for each. fall_back: whoever has no text reads the next one of the chain.",
    )


class Canary(_Part):
    """Telling a few people first, then more, then everybody, with a pause after each stage."""

    stages: list[Annotated[int, Field(ge=1, le=10_000_000)] | Percentage] = Field(
        min_length=1, max_length=5, description="Up to how many people are told by then, or which share of all."
    )
    hold: int = Field(60, ge=0, le=14 * 24 * 60, description="Minutes to wait once a stage is handed over.")
    go_on: Literal["by_itself", "by_hand"] = "by_itself"


class Breaker(_Part):
    """Which rates pause a campaign by themselves. What each is measured over: docs/delivery.md."""

    bounces: Percentage = "5%"
    complaints: Percentage = "0.1%"
    deferrals: Percentage = "50%"
    content: Percentage = "5%"
    after: int = Field(100, ge=1, le=1_000_000, description="Nothing is judged before so many letters.")


class Unknown(_Part):
    """What is done about a letter whose fate is unknown: no reply came after its last byte."""

    then: Literal["resend", "hold", "verify"] = Field(
        "resend",
        description="resend: the same again after a while. hold: when somebody says so. verify: not before a report "
        "had its time.",
    )
    verify_hours: int = Field(24, ge=1, le=96, description="How long verify waits for a report.")


class Webhook(_Part):
    """Where the site takes private messages of its own: the channel ``webhook``."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s\"'<>\\@#]+$", max_length=2000)]
    generation: int = Field(1, ge=1, le=10_000, description="Of the secret. One more makes a new one.")


# As browsers send it (RFC 6454): lower case, without a path, without the port that the scheme has anyway.
Origin = Annotated[
    str, StringConstraints(pattern=r"^https?://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[1-9][0-9]{0,4})?$", max_length=300)
]


class Site(_Part):
    """A whole site.yaml. Everything a site decides stands here; what an installation decides is in Settings."""

    site: Slug
    names: dict[Locale, Line] = Field(min_length=1)
    home_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s\"'<>\\]+$")]
    contact: Address
    time_zone: TimeZone
    locales: list[Locale] = Field(min_length=1, description="Fallback chain: the first is used when nothing fits.")
    senders: dict[Locale, Sender] = Field(min_length=1)
    policies: dict[Slug, Policy] = Field(min_length=1)
    rule: RuleSettings
    review: Review = Review()
    approval: Approval = Approval()
    canary: Canary | None = Field(None, description="None: everybody is told at once.")
    breaker: Breaker = Breaker()
    unknown: Unknown = Unknown()
    coverage_days: int = Field(
        7, ge=0, le=90, description="So many days before a version takes effect everybody should be told of it."
    )
    relays: list[Relay] = Field([], description="None: letters by email cannot be sent.")
    dkim: list[Dkim] = Field([], max_length=4, description="None: the relay signs, or nobody.")
    pace: Pace = Field(Pace(), description="How fast letters may leave.")
    webhook: Webhook | None = Field(None, description="None: the channel webhook cannot be used.")
    watch: Watch | None = None
    origins: list[Origin] = Field([], max_length=20, description="Of the pages on which the widget stands.")

    @model_validator(mode="after")
    def _default_locale_is_covered(self) -> "Site":
        default = self.locales[0]
        for what, given in (("names", self.names), ("senders", self.senders)):
            if default not in given:
                message = "{field} needs an entry for {default}, the first of locales"
                raise PydanticCustomError("not_covered", message, {"field": what, "default": default})
        named: set[tuple[str, str]] = set()
        for source in self.watch.sources if self.watch else ():
            if (source.policy, source.locale) in named:
                message = "{field} names two sources for {policy} in {locale}: keep one"
                raise PydanticCustomError(
                    "not_covered", message, {"field": "watch", "policy": source.policy, "locale": source.locale}
                )
            named.add((source.policy, source.locale))
            if source.policy not in self.policies or source.locale not in self.locales:
                message = "{field} names {policy} in {locale}: use one of policies and one of locales"
                raise PydanticCustomError(
                    "not_covered", message, {"field": "watch", "policy": source.policy, "locale": source.locale}
                )
        for policy, described in self.policies.items():
            for locale in described.posted_at_url:
                if locale not in self.locales:
                    message = "{field}: posted_at_url of {policy} names {locale}: use one of locales"
                    raise PydanticCustomError(
                        "not_covered", message, {"field": "policies", "policy": policy, "locale": locale}
                    )
        chosen = [self.rule, *self.rule.also]
        if self.webhook is None and any("webhook" in (choice.channels or ()) for choice in chosen):
            message = "{field} names webhook: add the section webhook with the url that takes the messages"
            raise PydanticCustomError("not_covered", message, {"field": "rule"})
        return self

    def notice_days(self, flags: Collection[str] = ()) -> int:
        """Days between telling and effect that everybody is promised."""
        return max(days_of(choice, flags) for choice, conditions in choices_of(self.rule) if not conditions)

    def name(self, locale: str) -> str:
        """The site's name in a locale, or in the default one."""
        return self.names.get(locale, self.names[self.locales[0]])

    def title(self, policy: str, locale: str) -> str:
        """A policy's title in a locale, or in the default one, or in whichever there is."""
        titles = self.policies[policy].titles
        return titles.get(locale) or titles.get(self.locales[0]) or next(iter(titles.values()))


async def load_site(db: Db, site: str) -> Site:
    """The site as last applied. Raises NotFound."""
    settings = await db.value("sites.settings", site=site)
    if settings is None:
        raise NotFound(f"there is no site {site!r}; apply its site.yaml first")
    return Site.model_validate(settings)
