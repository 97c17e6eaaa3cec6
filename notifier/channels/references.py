"""What a mail service is told of each letter, so that its events say which letter they are about. Pure.

The reference is the letter's return path, with its MAC, in the header that the service takes for its own. It stands
before the letter and is no part of its SHA-256. Amazon SES needs none: its events name the envelope's sender.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from notifier.letters.letter import Letter

Service = Literal["sendgrid", "postmark", "mailgun"]

_HEADERS: Mapping[str, str] = {
    "sendgrid": 'X-SMTPAPI: {{"unique_args":{{"notice":"{}"}}}}\r\n',
    "postmark": "X-PM-Metadata-notice: {}\r\n",
    "mailgun": 'X-Mailgun-Variables: {{"notice":"{}"}}\r\n',
}


def reference_for(service: Service | None) -> Callable[[Letter], bytes] | None:
    """Makes the header for each letter that goes out through a service; None where there is none."""
    if service is None:
        return None
    header = _HEADERS[service]
    return lambda letter: header.format(letter.return_path.partition("@")[0]).encode("ascii")
