"""A site is examined against real servers: DNS over UDP, SMTP with TLS and logins, PostgreSQL."""

import base64
import ssl
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from notifier.campaigns.stop import stop
from notifier.cli import doctor as command
from notifier.db import Db
from notifier.doctor.examine import examine
from notifier.doctor.finding import Finding
from notifier.doctor.names import Names
from notifier.doctor.site import examine_clocks, examine_rule, examine_stops
from notifier.letters.sign import signer_of
from notifier.policies.posting import look_at_postings
from notifier.policies.publish import publish
from notifier.policies.version import Submission
from notifier.settings import Settings
from notifier.sites.apply import apply
from notifier.sites.site import Site
from tests.channels.smtp_server import SmtpServer, smtp_server
from tests.doctor.name_server import BROKEN, SILENT, NameServer, Records, name_server
from tests.sites import KUMO

KEY = base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()
PUBLIC = signer_of("kumo.example", "s", "ed25519-sha256", KEY).public_key
DKIM = {"domain": "kumo.example", "selector": "s", "algorithm": "ed25519-sha256", "key_env": "KUMO_DKIM"}
GOOD: Records = {
    ("kumo.example", "MX"): ["10 mx.kumo.example."],
    ("kumo.example", "TXT"): ['"v=spf1 include:relay.example " "-all"', '"something else"'],
    ("relay.example", "TXT"): ['"v=spf1 ip4:192.0.2.0/24 -all"'],
    ("s._domainkey.kumo.example", "TXT"): [f'"v=DKIM1; k=ed25519; p={PUBLIC}"'],
    ("_dmarc.kumo.example", "TXT"): ['"v=DMARC1; p=reject"'],
}
SETTINGS = Settings(_env_file=None, mode="test", public_url="https://notices.kumo.example")


NOTHING_ODD = {"privacy": KUMO["policies"]["privacy"] | {"part_of_terms": False}}
PROVED = {"preset": "pop-japan", "evidence": "recipient"}
BY_MESSAGE = {"preset": "jp-appi-notice", "channels": ["inbox"]}


@pytest.fixture
async def relay() -> AsyncIterator[SmtpServer]:
    async with smtp_server() as server:
        yield server


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUMO_DKIM", KEY)
    monkeypatch.setattr("notifier.doctor.names._PATIENCE", 0.5)


def a_site(server: SmtpServer, **changes: Any) -> Site:
    facts = {"host": "127.0.0.1", "port": server.port, "security": "none"} | changes.pop("relay", {})
    return Site.model_validate(KUMO | {"relays": [facts], "dkim": [DKIM]} | changes)


async def findings(db: Db, site: Site, records: Records = GOOD, settings: Settings = SETTINGS) -> list[Finding]:
    async with name_server(records) as server:
        return await examine(db, settings, site, Names(server.address), datetime.now(UTC))


def about(found: list[Finding], what: str) -> list[tuple[str, str]]:
    return [(one.level, one.found) for one in found if what in one.what]


async def test_a_site_that_is_well_set_up_has_nothing_to_mend(db: Db, relay: SmtpServer) -> None:
    found = await findings(db, a_site(relay, policies=NOTHING_ODD, rule=PROVED))
    assert [one for one in found if one.level != "ok"] == []
    assert about(found, "mail for") == [("ok", "mx.kumo.example")]
    assert about(found, "SPF") == [("ok", "v=spf1 include:relay.example -all")]
    assert about(found, "DKIM") == [("ok", "found, and it is ours")]
    assert about(found, "DMARC") == [("ok", "p=reject")]
    assert about(found, "relay") == [("ok", "reached; offers 8BITMIME, DSN, PIPELINING, SMTPUTF8")]
    assert relay.got == []
    assert not [line for line in relay.commands if line.startswith("MAIL")]


@pytest.mark.parametrize(
    ("changed", "what", "level"),
    [
        ({("kumo.example", "MX"): ["0 ."]}, "mail for", "fail"),
        ({("kumo.example", "MX"): []}, "mail for", "fail"),
        ({("kumo.example", "MX"): [], ("kumo.example", "A"): ["192.0.2.1"]}, "mail for", "look"),
        ({("kumo.example", "TXT"): []}, "SPF", "fail"),
        ({("kumo.example", "TXT"): [BROKEN]}, "SPF", "look"),
        ({("kumo.example", "TXT"): [SILENT]}, "SPF", "look"),
        ({("relay.example", "TXT"): ['"v=spf1 ' + " ".join(f"a:{n}.example" for n in range(10)) + '"']}, "SPF", "fail"),
        ({("s._domainkey.kumo.example", "TXT"): []}, "DKIM", "fail"),
        ({("s._domainkey.kumo.example", "TXT"): ['"v=DKIM1; k=ed25519; p=AAAA"']}, "DKIM", "fail"),
        ({("_dmarc.kumo.example", "TXT"): []}, "DMARC", "look"),
    ],
)
async def test_what_receivers_would_mind_is_found(
    db: Db, relay: SmtpServer, changed: Records, what: str, level: str
) -> None:
    found = await findings(db, a_site(relay), {**GOOD, **changed})
    assert [one for one, _ in about(found, what)] == [level]
    assert [one.remedy for one in found if what in one.what] != [""]


async def test_an_spf_that_goes_round_in_circles_ends(db: Db, relay: SmtpServer) -> None:
    circle = {("relay.example", "TXT"): ['"v=spf1 include:kumo.example include:relay.example -all"']}
    assert about(await findings(db, a_site(relay), {**GOOD, **circle}), "SPF")


async def test_the_dmarc_of_the_domain_above_counts(db: Db, relay: SmtpServer) -> None:
    senders = {"en": {"name": "Kumo", "address": "privacy@mail.kumo.example"}}
    records = {**GOOD, ("mail.kumo.example", "MX"): ["10 mx.kumo.example."]}
    found = await findings(db, a_site(relay, senders=senders), records)
    assert about(found, "DMARC of mail.kumo.example") == [("ok", "p=reject, from kumo.example")]


async def test_without_a_key_of_ours_the_relay_must_sign(db: Db, relay: SmtpServer) -> None:
    assert about(await findings(db, a_site(relay, dkim=[])), "DKIM") == [("look", "not signed here")]


async def test_a_key_that_cannot_be_read_is_found(db: Db, relay: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUMO_DKIM")
    found = about(await findings(db, a_site(relay)), "DKIM key")
    assert found == [("fail", "the environment variable KUMO_DKIM is not set")]


async def test_a_relay_that_cannot_be_used_is_found_with_its_remedy(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    async with smtp_server(users={"kumo": "s3cret"}, extensions=("8BITMIME",)) as server:
        login = {"username": "kumo", "password_env": "RELAY_PASSWORD"}
        monkeypatch.delenv("RELAY_PASSWORD", raising=False)
        found = await findings(db, a_site(server, relay=login))
        assert about(found, "relay") == [("fail", "session: the environment variable RELAY_PASSWORD is not set")]
        monkeypatch.setenv("RELAY_PASSWORD", "wrong")
        found = await findings(db, a_site(server, relay=login))
        assert about(found, "relay") == [("fail", "session: 535 5.7.8 wrong password")]
        monkeypatch.setenv("RELAY_PASSWORD", "s3cret")
        levels = [level for level, _ in about(await findings(db, a_site(server, relay=login)), "relay")]
        assert levels == ["ok", "look", "look", "look"]
        starttls = about(await findings(db, a_site(server, relay={"security": "starttls"})), "relay")
        assert [level for level, _ in starttls] == ["fail"]
    gone = about(await findings(db, a_site(server)), "relay")
    assert [level for level, _ in gone] == ["fail"]
    assert about(await findings(db, a_site(server, relays=[])), "relays") == [("fail", "none")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a certificate lies that is good for two days."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", tmp_path / "key.pem",
         "-out", tmp_path / "cert.pem"],
        capture_output=True, check=True,
    )  # fmt: skip
    return tmp_path


async def test_a_certificate_that_ends_soon_is_found(db: Db, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    secured = {"host": "localhost", "security": "tls"}
    async with smtp_server(context=context, implicit_tls=True) as server:
        untrusted = about(await findings(db, a_site(server, relay=secured)), "relay")
        assert [level for level, _ in untrusted] == ["fail"]
        monkeypatch.setenv("SSL_CERT_FILE", str(folder / "cert.pem"))
        found = about(await findings(db, a_site(server, relay=secured)), "relay")
    assert "TLSv1.3" in found[0][1]
    assert found[1][1].startswith("its certificate ends on")


async def test_what_a_locale_lacks_is_named(db: Db, relay: SmtpServer) -> None:
    titles = {"privacy": {"titles": {"en": "Privacy Policy", "ja": "プライバシーポリシー"}}}
    found = await findings(db, a_site(relay, locales=["en", "ja", "fr"], policies=titles))
    assert about(found, "locale") == [
        ("ok", "complete"),
        ("ok", "complete"),
        ("look", "lacks the wording of letters, names, senders, the title of privacy"),
    ]


async def test_settings_that_would_not_work_are_found(db: Db, relay: SmtpServer) -> None:
    wrong = {"public_url": "http://127.0.0.1:8080", "channels": ["notifier.channels.inbox"]}
    settings = SETTINGS.model_copy(update=wrong)
    changes = {"webhook": {"url": "http://10.0.0.1/"}, "watch": {"folder": "/nowhere"}}
    found = await findings(db, a_site(relay, **changes), settings=settings)
    assert [level for level, _ in about(found, "public address")] == ["look"]
    assert about(found, "channel email") == [("fail", "is not switched on")]
    assert [level for level, _ in about(found, "webhook")] == ["fail"]
    assert [level for level, _ in about(found, "watched folder")] == ["look"]


async def test_clocks_that_differ_are_found(db: Db) -> None:
    now = datetime.now(UTC)
    assert (await examine_clocks(db, now)).level == "ok"
    assert (await examine_clocks(db, now - timedelta(seconds=20))).level == "look"
    assert (await examine_clocks(db, now + timedelta(minutes=5))).level == "fail"


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    async with name_server(GOOD) as server:
        yield server


async def test_the_command_shows_a_table_and_ends_with_1_when_letters_would_fail(
    db: Db, database_url: str, relay: SmtpServer, names: NameServer, now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    secret = "a secret that only tests know and that is long enough"
    settings = Settings(_env_file=None, mode="test", database_url=database_url, secret_key=SecretStr(secret))
    monkeypatch.setattr(command, "settings", lambda: settings)
    monkeypatch.setattr(command.console, "width", 300)
    await apply(db, a_site(relay), now)
    assert await command.doctor("kumo", dns=names.address) == 0
    await apply(db, a_site(relay, relays=[]), now)
    assert await command.doctor("kumo", dns=names.address) == 1


async def test_a_webhook_that_said_it_is_gone_is_found_until_the_site_names_another(db: Db, relay: SmtpServer) -> None:
    webhook = {"url": "https://shop.example/messages", "generation": 1}
    site = a_site(relay, webhook=webhook)
    await apply(db, site, datetime.now(UTC))
    await db.run(
        "delivery.add_gone", site=site.site, channel="webhook", endpoint="https://shop.example/messages 1",
        now=datetime(2026, 3, 1, tzinfo=UTC),
    )  # fmt: skip
    assert about(await findings(db, site), "webhook") == [("fail", "it said on 2026-03-01 that it is gone (410)")]
    assert about(await findings(db, a_site(relay, webhook=webhook | {"generation": 2})), "webhook") == []


async def test_that_sending_is_stopped_is_a_failure_with_the_command_that_lets_it_go_on(
    db: Db, site: Site, now: datetime
) -> None:
    assert await examine_stops(db, site) == []
    await stop(db, None, "kei", "the wrong text", now)
    await stop(db, "kumo", "noor", "", now)
    assert [(f.level, f.what, f.found, f.remedy) for f in await examine_stops(db, site)] == [
        ("fail", "sending", "all sending was stopped by kei: the wrong text", "let it go on: notifier go"),
        ("fail", "sending", "all sending of kumo was stopped by noor", "let it go on: notifier go kumo"),
    ]


async def test_a_page_that_must_not_be_asked_or_does_not_show_the_version_is_named(db: Db, relay: SmtpServer) -> None:
    policy = KUMO["policies"]["privacy"] | {"posted_at_url": {"en": "https://10.0.0.1/privacy", "ja": "hosted"}}
    site = a_site(relay, policies={"privacy": policy})
    now = datetime.now(UTC)
    await apply(db, site, now)
    texts = {"en": {"body": "# Privacy\n\nWe keep little."}}
    await publish(db, site, Submission(policy="privacy", label="1", texts=texts), "command", now)  # type: ignore[arg-type]
    for minutes in (0, 20, 40):
        await look_at_postings(db, (), "https://notices.example", now + timedelta(minutes=minutes))
    assert about(await findings(db, site), "page of privacy in en") == [
        ("look", "10.0.0.1 lies in our own network"),
        ("look", "1 is not posted: 10.0.0.1 lies in our own network"),
    ]


async def test_what_a_careful_reader_stumbles_over_is_named_for_each_policy_in_both_languages(
    db: Db, relay: SmtpServer
) -> None:
    terms = KUMO["policies"]["privacy"] | {"kind": "terms"}
    site = a_site(relay, policies={"privacy": KUMO["policies"]["privacy"], "terms": terms}, rule={
        "preset": "imacocokara", "notice_days": 0, "reason": "as the policy says itself",
    })  # fmt: skip
    now = datetime.now(UTC)
    await apply(db, site, now)
    texts = {
        "en": {"body": "# Terms\n\nPlease check this page periodically. It may change without prior notice.",
               "summary": "Now with a coupon: 20% off!"},
        "ja": {"body": "# 規約\n\n本ページを定期的にご確認ください。事前の通知なく変更することがあります。",
               "summary": "今すぐ使えるクーポンを進呈！"},
    }  # fmt: skip
    for policy in site.policies:
        for label in ("1", "2"):
            given = {
                "policy": policy,
                "label": label,
                "texts": texts | {"en": texts["en"] | {"body": f"# {label}{texts['en']['body']}"}},
            }
            await publish(db, site, Submission.model_validate(given), "command", now)
    found = await examine_rule(db, site)
    for policy in site.policies:
        for locale in ("en", "ja"):
            said = " · ".join(one.found for one in found if one.what == f"{policy} 2, {locale}")
            for part in (
                "names nobody to contact",
                "has no date",
                "look for changes themselves",
                "without notice",
                "advertises",
            ):
                assert part in said, (policy, locale, said)
    assert [one.what for one in found].count("rule, notice_days") >= 1
    assert any("no day lies between" in one.found for one in found)


async def test_the_rule_is_looked_over_before_anything_is_published(db: Db, relay: SmtpServer) -> None:
    less = {
        "preset": "imacocokara", "notice_days": 0, "reason": "as the policy says itself",
        "also": [{"preset": "us-contract"}, {"preset": "us-contract"}],
    }  # fmt: skip
    site = a_site(relay, rule=less)
    await apply(db, site, datetime.now(UTC))
    found = [(one.level, one.what) for one in await findings(db, site) if one.what.startswith("rule")]
    assert found == [
        ("look", "rule, notice_days"), ("look", "rule, notice_days"), ("look", "rule, us-contract"),
        ("look", "rule, privacy"), ("look", "rule, evidence"),
    ]  # fmt: skip


@pytest.mark.parametrize(("also", "examined"), [([], False), ([{"preset": "us-contract"}], True)])
async def test_email_that_only_some_people_are_told_by_is_examined(
    db: Db, relay: SmtpServer, also: list[Any], examined: bool
) -> None:
    site = a_site(relay, rule=BY_MESSAGE | {"also": also}, relays=[])
    settings = SETTINGS.model_copy(update={"channels": ["notifier.channels.inbox"]})
    found = await findings(db, site, {}, settings=settings)
    for what in ("channel email", "SPF", "DMARC", "mail for", "relays"):
        assert bool(about(found, what)) is examined, what
