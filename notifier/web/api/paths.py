"""The parameters of paths. What cannot be a name is not found, so nothing here needs an explanation of its own."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from notifier.sites.site import Locale, Slug

ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
# An integer column of PostgreSQL.
Id = Annotated[int, Field(ge=1, le=2**31 - 1)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Path(BaseModel):
    model_config = ConfigDict(frozen=True)


class SitePath(_Path):
    """A site."""

    site: Slug


class VersionPath(SitePath):
    """A version of a site's policies."""

    version_id: Id


class PolicyPath(SitePath):
    """A policy of a site."""

    policy: Slug


class SourcePath(SitePath):
    """A source of a site: the policy and locale whose text is read there."""

    policy: Slug
    locale: Locale


class SnapshotPath(SitePath):
    """What came from a source once."""

    snapshot_id: Id


class LookPath(SitePath):
    """A look at a page that must show a text."""

    look_id: Id


class CampaignPath(SitePath):
    """A campaign of a site."""

    campaign_id: Id


class PersonPath(SitePath):
    """A person of a site, by the site's own id."""

    external_id: ExternalId


class InboxPath(_Path):
    """A message: it has its campaign's number."""

    campaign_id: Id


class ChannelPath(_Path):
    """A channel by its name."""

    channel: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,19}$")]


class ProviderPath(ChannelPath):
    """A service that a channel hands its letters to."""

    provider: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,19}$")]


class Meant(BaseModel):
    """Which draft is meant: in the query."""

    model_config = ConfigDict(extra="forbid")

    sha256: Sha256 | None = Field(None, description="Refuse a draft that says something else by now.")

    @property
    def digest(self) -> bytes | None:
        """The bytes of it."""
        return bytes.fromhex(self.sha256) if self.sha256 else None
