"""Letters through a mail service carry what its events are known by, and stay the letters that they are."""

import hashlib
import json
from email import message_from_bytes
from typing import Any, get_args

import pytest

from notifier.channels.email import Email
from notifier.channels.references import Service
from notifier.keys import Keys
from notifier.letters.verp import find, return_path_key
from notifier.letters.write import Writer
from notifier.sites.site import Relay
from tests.channels.smtp_server import smtp_server
from tests.sites import a_site
from tests.telling import a_telling, some_letters

KEYS = Keys(b"a secret that only tests know and that is long enough")


def echoed(service: str | None, message: Any) -> str:
    """What a service takes from a letter and says again in its events, as each documents it."""
    if service == "sendgrid":
        return str(json.loads(message["X-SMTPAPI"])["unique_args"]["notice"])
    if service == "postmark":
        value = str(message["X-PM-Metadata-notice"])
        assert len(value) <= 80
        return value
    if service == "mailgun":
        return str(json.loads(message["X-Mailgun-Variables"])["notice"])
    assert not [name for name in message.keys() if name.lower().startswith("x-")]  # noqa: SIM118 - of a Message
    return ""


@pytest.mark.parametrize("service", ["sendgrid", "postmark", "mailgun", None])
async def test_each_letter_names_itself_to_the_service_and_is_otherwise_unchanged(service: str | None) -> None:
    letters = some_letters(Writer(a_telling(), KEYS, "https://notices.example"), 30)
    channel = Email(KEYS)
    async with smtp_server() as server:
        relay = {"host": "127.0.0.1", "port": server.port, "security": "none", "service": service}
        sent = [one async for one in channel.send(a_site(relays=[relay]), letters)]
        await channel.relays.close()
    assert {one.kind for one in sent} == {"accepted_by_relay"}
    by_address = {letter.address: letter for letter in letters}
    assert len(server.got) == len(letters)
    for got in server.got:
        letter = by_address[got.address]
        assert got.content.endswith(letter.body)
        assert hashlib.sha256(letter.body).digest() == letter.sha256
        reference = echoed(service, message_from_bytes(got.content))
        if service:
            attempt = find(reference, return_path_key(KEYS))
            assert attempt is not None
            assert (attempt.lane, attempt.person_id, attempt.attempt) == (letter.lane, letter.person_id, letter.attempt)
        else:
            assert got.content == letter.body


def test_every_service_that_a_relay_may_name_has_its_header() -> None:
    named = get_args(get_args(Relay.model_fields["service"].annotation)[0])
    assert named == get_args(Service)
