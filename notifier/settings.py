"""Settings, from the environment (12-factor). Every one is listed in docs/settings.md; a test compares the two."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _in_url(host: str) -> str:
    """A host as it stands in a URL: an IPv6 address in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]" if ":" in host else host


class Settings(BaseSettings):
    """What the operator of an installation chooses. What a site chooses stands in its YAML file instead."""

    model_config = SettingsConfigDict(env_prefix="NOTIFIER_", env_file=".env", extra="ignore")

    database_url: str | None = Field(None, repr=False, description="PostgreSQL to use. None: start the embedded one.")
    data_folder: Path = Field(
        Path("notifier-data"), description="Where the embedded PostgreSQL and the generated secret key live."
    )
    secret_key: SecretStr | None = Field(
        None, description="At least 32 characters. None: generated once and kept in the data folder."
    )
    mode: Literal["production", "demo", "test"] = Field(
        "production", description="Only demo and test have a clock that can be moved."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    public_url: str = Field(
        default_factory=lambda given: f"http://{_in_url(given.get('host', ''))}:{given.get('port')}",
        description="Address of this service as people reach it. None: the host and port that it listens on.",
    )
    log_format: Literal["json", "text"] = Field("text", description="json for machines, text for people.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")
    database_connections: int = Field(
        10, ge=4, description="Connections per process; it listens on two of them, one as server and one as worker."
    )
    channels: list[str] = Field(
        ["notifier.channels.email", "notifier.channels.inbox", "notifier.channels.webhook"],
        description="Modules of the channels switched on; a dotted path loads somebody else's.",
    )
    webhook_hosts: list[str] = Field(
        [], description="Hosts in one's own network that sites' webhooks may go to, also by plain http."
    )
    watch_hosts: list[str] = Field(
        [], description="Hosts in one's own network whose pages may be watched, also by plain http."
    )
    worker_slices: int = Field(2, ge=1, le=64, description="Slices one worker process works on at a time.")
    slice_size: int = Field(2000, ge=10, le=100_000, description="Most notices in one slice.")
    batch_size: int = Field(
        1000, ge=1, le=5000, description="Most letters under way at once for a slice; slow relays have fewer."
    )
    lease_seconds: float = Field(
        900, ge=1, description="How long a slice stays leased without renewal; over the 10 min of RFC 5321, 4.5.3.2.6."
    )
    unknown_retry_seconds: float = Field(
        1800, ge=0, description="How long to wait before the same letter is sent again when its fate is unknown."
    )
    poll_seconds: float = Field(2, gt=0, description="How often a duty looks for work when nothing wakes it.")
    bounce_listen: str | None = Field(
        None,
        pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):\d{1,5}$",
        description="Address to take bounces at, like 127.0.0.1:2526. None: they come by pipe or by webhook.",
    )
    bounce_protocol: Literal["smtp", "lmtp"] = Field("smtp", description="What is spoken where bounces are taken.")
    ses_topics: list[str] = Field([], description="ARNs of the SNS topics whose events of Amazon SES are believed.")
    sendgrid_key: str | None = Field(None, description="Verification key of SendGrid's signed event webhook.")
    postmark_secret: SecretStr | None = Field(None, description="Password of Postmark's webhooks (HTTP Basic).")
    mailgun_key: SecretStr | None = Field(None, description="Mailgun's HTTP webhook signing key.")
    nats_url: str | None = Field(
        None, repr=False, description="NATS server whose JetStream holds activities, for `notifier consume`."
    )
    nats_credentials: Path | None = Field(None, description="File with the credentials of a NATS user.")
    nats_stream: str = Field("activities", description="Stream of the activities; it has to be there.")
    nats_subject: str = Field("activities.*", description="Subjects to read; the last token names the site.")
    nats_durable: str = Field(
        "policy-notifier", description="Name of our place in the stream, shared by all processes."
    )
    body_limit: int = Field(32 * 1024 * 1024, description="Most bytes of one request body that is not NDJSON.")
