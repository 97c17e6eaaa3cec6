"""How fast a site's letters may leave: the section ``pace`` of site.yaml, and the limits of a relay. Pure."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

_RATE = re.compile(r"([1-9][0-9]{0,6})/(s|min|h)")
_SECONDS = {"s": 1, "min": 60, "h": 3600}
_HOURS = re.compile(r"((?:[01][0-9]|2[0-3]):[0-5][0-9])-((?:[01][0-9]|2[0-3]):[0-5][0-9])")

# Mailbox providers by the domains of their addresses; a site may add others, and change the domains of these.
PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "gmail": ("gmail.com", "googlemail.com"),
    "outlook": ("outlook.com", "hotmail.com", "live.com", "msn.com", "outlook.jp", "hotmail.co.jp", "live.jp"),
    "yahoo": ("yahoo.com", "ymail.com", "rocketmail.com", "aol.com"),
    "yahoo-japan": ("yahoo.co.jp", "ymail.ne.jp"),
    "icloud": ("icloud.com", "me.com", "mac.com"),
    "docomo": ("docomo.ne.jp",),
    "au": ("au.com", "ezweb.ne.jp"),
    "softbank": ("softbank.ne.jp", "i.softbank.jp", "vodafone.ne.jp", "ymobile.ne.jp"),
}


def _rate(value: Any) -> Any:
    if isinstance(value, str) and value.endswith("/day"):
        raise ValueError(f"{value!r}: what a day may take is written as per_day: {value.removesuffix('/day')}")
    if not isinstance(value, str) or not _RATE.fullmatch(value):
        raise ValueError(f"{value!r} is not a rate; write it like 10/s, 600/min or 3600/h")
    return value


def _hours(value: Any) -> Any:
    match = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[1] == match[2]:
        raise ValueError(f"{value!r} are no hours; write them from when to when, like 21:00-08:00")
    return value


Rate = Annotated[str, BeforeValidator(_rate)]
Hours = Annotated[str, BeforeValidator(_hours)]
PerDay = Annotated[int, Field(ge=1, le=1_000_000_000)]
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
_Domain = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*\.[a-z0-9-]+$", max_length=253)]


def rate_of(text: str) -> tuple[int, int]:
    """How many letters in how many seconds."""
    count, _, unit = text.partition("/")
    return int(count), _SECONDS[unit]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WarmUp(_Part):
    """How a new relay is made known: so many letters on its first day of use, and so many times more each next one."""

    first_day: int = Field(ge=1, le=1_000_000)
    growth: float = Field(2, gt=1, le=10)


class Provider(_Part):
    """Who receives letters for a group of domains, and how fast they may arrive there."""

    domains: list[_Domain] = Field([], max_length=200, description="Left out: those that are known of this provider.")
    limit: Rate | None = None
    per_day: PerDay | None = None


class Pace(_Part):
    """How fast all letters of a site may leave. What is left out is not limited."""

    limit: Rate | None = Field(None, description="All letters of the site together.")
    per_day: PerDay | None = Field(None, description="All letters of the site together, by days of its time zone.")
    campaign_limit: Rate | None = Field(None, description="The letters of one campaign.")
    providers: dict[_Name, Provider] = {}
    quiet_hours: Hours | None = Field(None, description="From when to when, by the person's clock, nothing leaves.")
    slow_start: bool = Field(True, description="Limited relays and providers begin slowly when new or long idle.")

    @model_validator(mode="after")
    def _providers_are_told_apart(self) -> "Pace":
        seen: dict[str, str] = {}
        for name, provider in self.providers.items():
            if not (provider.domains or name in PROVIDERS):
                raise ValueError(f"providers.{name} needs its domains; known without are {', '.join(PROVIDERS)}")
            for domain in provider.domains:
                if domain in seen:
                    raise ValueError(f"providers: {domain} stands under {seen[domain]} and under {name}")
                seen[domain] = name
        return self

    @property
    def groups(self) -> dict[str, str]:
        """Domain → provider, the site's own choices first."""
        known = {domain: name for name, domains in PROVIDERS.items() for domain in domains}
        for name, provider in self.providers.items():
            if provider.domains:
                known = {domain: of for domain, of in known.items() if of != name}
        return known | {domain: name for name, one in self.providers.items() for domain in one.domains}


@cache
def minutes_of(hours: str) -> tuple[int, int]:
    """From and to, in minutes after midnight."""
    start, _, end = hours.partition("-")
    return int(start[:2]) * 60 + int(start[3:]), int(end[:2]) * 60 + int(end[3:])
