"""Signed requests, as Standard Webhooks asks (https://www.standardwebhooks.com), checked by its own library."""

from collections.abc import Mapping

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from notifier.compose import Service
from notifier.errors import Malformed, NotFound, Unauthenticated
from notifier.sites.tokens import live_secrets

LONGEST_ID = 200
HEADERS = {
    "webhook-id": "Names this message; the same on every try.",
    "webhook-timestamp": "Seconds since 1970 by the real clock; at most five minutes off.",
    "webhook-signature": "`v1,` and the base64 of the HMAC-SHA-256 of `id.timestamp.body`; several, parted by spaces.",
}


async def verified_id(service: Service, site: str, headers: Mapping[str, str], body: bytes) -> str:
    """The id of a message that was signed with a live secret of the site.

    Raises Unauthenticated for a bad signature, for a time stamp that is over five minutes off by the real clock (the
    clock of a demo may be elsewhere, its senders are not), and for an unknown site alike: nobody learns which exist.
    """
    try:
        secrets = await live_secrets(service.db, service.keys, site)
    except NotFound:
        secrets = [service.keys.webhook_secret(site, 0)]  # generations begin at 1: nobody was ever given this one
    if not any(_fits(secret, headers, body) for secret in secrets):
        raise Unauthenticated(
            "the signature does not fit: sign id.timestamp.body with the webhook secret of the site, at the right time"
        )
    webhook_id = headers["webhook-id"]
    if len(webhook_id) > LONGEST_ID or not webhook_id.isprintable():
        raise Malformed(f"the header webhook-id wants at most {LONGEST_ID} printable characters")
    return webhook_id


def _fits(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    try:
        # Verified over bytes as text: only what is not UTF-8 differs, and that is no JSON either.
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError: headers that cannot even be taken apart
        return False
    return True
