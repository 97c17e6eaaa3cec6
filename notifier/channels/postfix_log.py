"""What Postfix logs of our letters: what the recipient's own mail server said, which no reply to us tells. Pure.

A letter is known by its queue id from the line that names its envelope sender, which is a return path of ours with its
MAC: so the log of a mail server that carries other mail too can be read as it stands.
"""

import re
from collections import OrderedDict
from collections.abc import Collection

from notifier.channels.channel import Feedback, FeedbackKind
from notifier.channels.reports import class_of
from notifier.letters.verp import Attempt, find

# Letters that a log is between the beginning and the end of; the queue names the others again on every try.
MOST_LETTERS = 500_000
# Content filters and the like: what they take comes back under another queue id, with the same sender.
OWN_RELAYS = ("127.0.0.1", "::1")

_LINE = re.compile(r"\bpostfix[^/\s]*/(?:\w+/)*(?P<daemon>\w+)\[\d+\]: (?P<queue>[0-9A-Za-z]{6,20}): (?P<rest>.*)")
_TRIED = re.compile(
    r"to=<.*?>, (?:orig_to=<.*?>, )?relay=(?P<relay>[^,]+), .*?\bdsn=(?P<dsn>\d\.\d+\.\d+), "
    r"status=(?P<status>\w+) \((?P<reply>.*)\)$"
)
_EXPIRED = re.compile(r"from=<[^>]*>, status=(?:force-)?expired, returned to sender")
_SENDER = re.compile(r"from=<([^>]*)>, ")
_CODE = re.compile(r"2\d\d[ -]")


class PostfixLog:
    """Reads the lines of one log in their order.

    ``own``: hosts or addresses of relays whose 250 is no word of a recipient's server, such as content filters and a
    smart host.
    """

    def __init__(self, key: bytes, channel: str, own: Collection[str] = OWN_RELAYS) -> None:
        self._key = key
        self._channel = channel
        self._own = frozenset(own)
        self._letters: OrderedDict[str, Attempt] = OrderedDict()

    def read(self, line: str) -> Feedback | None:
        """The news in a line, if it is about a letter of ours: it was taken, or given up."""
        match = _LINE.search(line)
        if match is None:
            return None
        queue, rest = match["queue"], match["rest"].rstrip()
        if match["daemon"] == "qmgr":
            return self._queued(queue, rest)
        attempt = self._letters.get(queue)
        tried = _TRIED.match(rest) if attempt else None
        if attempt is None or tried is None:
            return None
        reply, via = tried["reply"], f"{tried['relay']}, by the log of Postfix"
        if tried["status"] == "bounced":
            class_ = class_of(tried["dsn"], reply)
            return self._news(attempt, "bounced", class_, f"{tried['dsn']} {reply}", via)
        if tried["status"] == "sent" and self._is_the_recipients(match["daemon"], tried["relay"], reply):
            return self._news(attempt, "accepted_by_recipient", None, reply, via)
        return None

    def _queued(self, queue: str, rest: str) -> Feedback | None:
        if rest == "removed":
            self._letters.pop(queue, None)
        elif _EXPIRED.match(rest) and queue in self._letters:
            return self._news(self._letters[queue], "bounced", "expired", rest.partition("status=")[2], "Postfix")
        elif sender := _SENDER.match(rest):
            attempt = find(sender[1], self._key)
            if attempt is not None:
                self._letters[queue] = attempt
                if len(self._letters) > MOST_LETTERS:
                    self._letters.popitem(last=False)
            else:
                self._letters.pop(queue, None)  # short queue ids are used again
        return None

    def _is_the_recipients(self, daemon: str, relay: str, reply: str) -> bool:
        """Whether whoever took it is where the mailbox is: another mail server, or Postfix itself."""
        if daemon in ("local", "virtual"):
            return reply.startswith("delivered to ")
        host, _, address = relay.partition("[")
        return (
            daemon in ("smtp", "lmtp")
            and _CODE.match(reply) is not None
            and self._own.isdisjoint((host, address.partition("]")[0], relay))
        )

    def _news(self, attempt: Attempt, kind: FeedbackKind, class_: str | None, reply: str, via: str) -> Feedback:
        return Feedback(
            attempt.campaign_id, attempt.lane, attempt.person_id, self._channel, attempt.attempt,
            kind, class_, "".join(c if c.isprintable() else " " for c in reply)[:500], via[:500], None,
        )  # fmt: skip
