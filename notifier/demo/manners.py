"""How the mail catcher treats an address: decided by the address alone, so that every run goes the same way.

====================  =========================================================================================
``…+full@…``          452 4.2.2 at the first try of a letter, accepted at the next
``…+grey@…``          451 4.7.1 at the first try of a letter, accepted at the next
``…+gone@…``          550 5.1.1, for ever
``…+bounce@…``        accepted; a moment later a delivery status notification (RFC 3464) says that it failed
anything else         accepted
====================  =========================================================================================
"""

from datetime import datetime
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime, make_msgid

ACCEPTED = "250 2.0.0 Kept in the mail catcher"
GONE = "550 5.1.1 <{address}>: there is no such mailbox"
AT_FIRST = {
    "full": "452 4.2.2 <{address}>: the mailbox is full; try again later",
    "grey": "451 4.7.1 <{address}>: greylisted; try again in 5 minutes",
}
CATCHER = "mail-catcher.example"


def manner(address: str) -> str:
    """What is special about an address: full, grey, gone, bounce, or nothing."""
    tag = address.rpartition("@")[0].rpartition("+")[2].casefold()
    return tag if tag in {"full", "grey", "gone", "bounce"} else ""


def reply_to_recipient(address: str, *, tried_before: bool) -> str:
    """The SMTP reply to ``RCPT TO``."""
    kind = manner(address)
    if kind == "gone":
        return GONE.format(address=address)
    if kind in AT_FIRST and not tried_before:
        return AT_FIRST[kind].format(address=address)
    return "250 2.1.5 Recipient accepted"


def bounce_report(return_path: str, address: str, original: Message, at: datetime) -> bytes:
    """The notification that a letter we took could not be delivered (RFC 3464 in RFC 6522), CRLF line ends."""
    report = MIMEMultipart("report")
    report.set_param("report-type", "delivery-status")
    report["Date"] = format_datetime(at)
    report["From"] = f"Mail Delivery System <mailer-daemon@{CATCHER}>"
    report["To"] = return_path
    report["Subject"] = "Undelivered mail returned to sender"
    report["Message-ID"] = make_msgid(domain=CATCHER)
    report["Auto-Submitted"] = "auto-replied"
    report.attach(MIMEText(f"Your message to {address} could not be delivered: the mailbox was removed.\n"))
    report.attach(_delivery_status(address, at))
    headers = "".join(f"{name}: {value}\n" for name, value in original.items())
    report.attach(MIMEText(headers.encode("ascii", "replace").decode(), "rfc822-headers", "us-ascii"))
    return report.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _delivery_status(address: str, at: datetime) -> Message:
    server, recipient = Message(), Message()
    server["Reporting-MTA"] = f"dns; {CATCHER}"
    server["Arrival-Date"] = format_datetime(at)
    recipient["Final-Recipient"] = f"rfc822; {address}"
    recipient["Action"] = "failed"
    recipient["Status"] = "5.1.1"
    recipient["Diagnostic-Code"] = f"smtp; 550 5.1.1 <{address}>: the mailbox was removed"
    status = MIMENonMultipart("message", "delivery-status")
    status.set_payload([server, recipient])
    return status
