"""A letter is previewed word for word: what the relay is handed afterwards says the same."""

from datetime import timedelta
from email import message_from_bytes, policy
from zoneinfo import ZoneInfo

from notifier.campaigns.announce import freeze_next
from notifier.campaigns.scheduled import publish_due
from notifier.campaigns.steer import steer
from notifier.db import Db
from notifier.keys import Keys
from notifier.letters.preview import NOBODY, preview_letters
from notifier.policies.authoring import review, write
from notifier.policies.draft import NewDraft
from notifier.policies.scheduling import schedule
from notifier.sites.site import Site
from tests.office import open_office

TEXTS = {
    "en": {"body": "# Privacy\n\n## Letters\n\nWe keep letters for two years.", "summary": "For **two** years."},
    "ja": {"body": "# プライバシー\n\n## お手紙\n\n2年間保管します。", "summary": "保管期間を**2年**にしました。"},
}


async def test_what_is_previewed_is_what_is_sent(db: Db, keys: Keys, site: Site) -> None:
    async with open_office(db, keys, site) as office:
        await office.person("en", email="en@people.example", locale="en")
        await office.person("ja", email="ja@people.example", locale="ja")
        first = {"en": {"body": "# Privacy\n\n## Letters\n\nOne year."}, "ja": {"body": "# プライバシー"}}
        await office.publish("one", first)
        now = office.clock.now()
        draft = await write(
            db, office.site, NewDraft.model_validate({"policy": "privacy", "label": "two", "texts": TEXTS}), "aya", now
        )
        await review(db, office.site, draft.version_id, draft.sha256, "ben", "", now)
        at = (now + timedelta(days=1)).replace(microsecond=0)
        said = at.astimezone(ZoneInfo("Asia/Tokyo")).replace(tzinfo=None).isoformat()
        await schedule(db, office.site, draft.version_id, said, "ben", now)
        found = await preview_letters(db, keys, "http://127.0.0.1:8080", office.site, draft.version_id, now)
        assert office.server.got == []

        office.clock.move(timedelta(days=1, seconds=1))
        assert await publish_due(db, at) == 1
        [(campaign,)] = await office.rows("SELECT campaign_id FROM campaign")
        await steer(db, "kumo", campaign, "approve", "ben", "", office.clock.now())
        assert await freeze_next(db, 100, office.clock.now()) == 1
        await office.deliver()

        sent = {got.address: message_from_bytes(got.content, policy=policy.default) for got in office.server.got}
        assert {one.requested for one in found} == {"en", "ja"}
        for one in found:
            mail, person = sent[f"{one.requested}@people.example"], f"{one.requested}@people.example"
            made = one.preview
            assert (str(mail["Subject"]), str(mail["From"])) == (made.subject, made.sender)
            for kind, words in (("plain", made.text), ("html", made.html)):
                part = mail.get_body((kind,))
                assert part is not None
                assert part.get_content().splitlines() == words.replace(NOBODY, person).splitlines()
