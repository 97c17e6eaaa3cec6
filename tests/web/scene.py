"""A scene for the pages: people, three versions of a policy in two languages, and a campaign that is half told."""

from datetime import datetime, timedelta
from typing import Any

from notifier.campaigns.announce import announce, freeze_next
from notifier.campaigns.steer import steer
from notifier.db import Db
from notifier.lanes import lane_of, new_id
from notifier.policies.publish import publish
from notifier.policies.version import Submission
from notifier.sites.site import Site

# Whoever reads one of these in a page reads it: nothing runs, nothing is filled in, nothing is turned around.
HOSTILE_ID = '"><script>alert(1)</script>{{7*7}}\u202e'
HOSTILE_TEXT = """# Privacy <script>alert("x")</script>

<img src=x onerror=alert(1)><style>body { display: none }</style>

{{ 7 * 7 }} {% include "/etc/passwd" %} [click](javascript:alert(1)) \u202eRTL

<a href="https://elsewhere.example/" onclick="alert(1)" style="color: red">away</a>
"""

_ENGLISH = """# Privacy Policy

We run a small shop. This page says what we do with what you tell us.

## What we collect

Your name, your email address, and the address that parcels go to.

## What we use it for

* to send what you ordered
* to answer when you write to us

## How long we keep it

Orders for {years} years, letters for one.

## Who else sees it

Our carrier sees the address on the parcel{carrier}.

## How to reach us

Write to privacy@kumo.example whenever something here is not clear.
"""
_JAPANESE = """# プライバシーポリシー

当店は小さなお店です。お預かりした情報の取り扱いについて説明します。

## 取得する情報

お名前、メールアドレス、お届け先の住所をお預かりします。

## 利用目的

* ご注文の商品をお届けするため
* お問い合わせにお答えするため

## 保存期間

ご注文の記録は{years}年間、お問い合わせの記録は1年間保存します。

## 第三者への提供

配送会社がお届け先を確認します{carrier}。

## お問い合わせ

ご不明な点は privacy@kumo.example までお気軽にご連絡ください。
"""
_REASONS = ["active"] * 16 + ["dormant", "suspended", "closed", "active"]
_COUNTRIES = ["JP", "JP", "JP", "DE", "US", "FR", ""]


def submission(label: str, **more: Any) -> Submission:
    """A version of the privacy policy in English and Japanese; later labels say something else."""
    given = {
        "years": "five" if label < "2026" else "two",
        "carrier": "" if label < "2026" else ", and so does our packer",
    }
    japanese = {
        "years": "5" if label < "2026" else "2",
        "carrier": "" if label < "2026" else "（梱包を担う会社も同様です）",
    }
    texts = {
        "en": {"body": _ENGLISH.format(**given), "summary": "We keep orders for two years instead of five."},
        "ja": {"body": _JAPANESE.format(**japanese), "summary": "ご注文の記録の保存期間を5年から2年に短縮しました。"},
    }
    return Submission.model_validate({"policy": "privacy", "label": label, "texts": texts, **more})


async def sql(db: Db, statement: str, *values: object) -> Any:
    """Run one statement and return its first value."""
    async with db.connection() as connection:
        return await connection.fetchval(statement, *values)


async def settle_people(db: Db, site: str, count: int, since: datetime) -> None:
    """People of many kinds; the first one's id is hostile."""
    for number in range(count):
        external_id = f"u-{number:05}" if number else HOSTILE_ID
        status = _REASONS[number % len(_REASONS)]
        await sql(
            db,
            "INSERT INTO person (lane, site, external_id, person_id, status, email, locale, time_zone, country, roles,"
            " registered_at, changed_at, closed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12)",
            lane_of(site, external_id), site, external_id, new_id(), status,
            None if number % 17 == 5 else f"u{number}@people.example",
            ["ja", "en", "ja", "de"][number % 4], "Asia/Tokyo", _COUNTRIES[number % len(_COUNTRIES)],
            [["buyer"], ["buyer", "seller"], []][number % 3], since - timedelta(days=400 - number),
            since if status == "closed" else None,
        )  # fmt: skip


async def play(db: Db, site: Site, now: datetime, people: int = 60) -> int:
    """The scene on a site that is applied. Returns the campaign's id; it waits for approval."""
    await settle_people(db, site.site, people, now - timedelta(days=40))
    await publish(db, site, submission("2025-11", effective_at=(now - timedelta(days=30)).isoformat()), "command",
                  now - timedelta(days=31))  # fmt: skip
    version, _ = await publish(db, site, submission("2026-03", flags=["retention"]), "webhook", now)
    return await announce(db, site, version.version_id, now, "web hook")


async def begin(db: Db, campaign_id: int, site: str, now: datetime) -> None:
    """Approve the campaign and freeze its audience."""
    await steer(db, site, campaign_id, "approve", "counsel", "Reviewed, ticket 812", now)
    await freeze_next(db, 1000, now)


async def tell(db: Db, campaign_id: int, now: datetime, share: float = 0.7) -> None:
    """Letters to a share of the audience: most are taken over, some are deferred, some bounce."""
    async with db.connection() as connection:
        rows = await connection.fetch(
            "SELECT lane, person_id FROM notice WHERE campaign_id = $1 AND reason = 'in_scope' ORDER BY 1, 2",
            campaign_id,
        )
    for number, row in enumerate(rows[: int(len(rows) * share)]):
        kind, class_, reply = _fate(number)
        at = now + timedelta(seconds=number)
        who = (row["lane"], row["person_id"], campaign_id)
        await sql(db, "INSERT INTO outcome VALUES ($1, $2, $3, 'email', 1, $4, $5, $6, $7, 'mx.example',"
                  " $5, NULL, 'somebody@people.example', '\\x00')",
                  *who, kind, at, class_, reply)  # fmt: skip
        await sql(db, "INSERT INTO progress VALUES ($1, 'email', $2, 0, 1)"
                  " ON CONFLICT (campaign_id, channel, kind, class, slot) DO UPDATE SET count = progress.count + 1",
                  campaign_id, kind)  # fmt: skip


def _fate(number: int) -> tuple[str, str | None, str]:
    if number % 9 == 4:
        return "deferred", "greylisted", "451 4.7.1 Greylisted, come back in five minutes"
    if number % 11 == 6:
        return "refused", "bad_address", "550 5.1.1 <script>alert(1)</script> unknown"
    return "accepted_by_relay", None, f"250 2.0.0 Ok: queued as {number:05X}"


async def freeze(db: Db, now: datetime) -> None:
    """What a worker does for an approved campaign."""
    await freeze_next(db, 1000, now)


async def finish(db: Db, campaign_id: int, now: datetime) -> None:
    """What a worker does when nothing is left to do."""
    await sql(db, "UPDATE campaign SET state = 'done', closed_at = $2 WHERE campaign_id = $1", campaign_id, now)
