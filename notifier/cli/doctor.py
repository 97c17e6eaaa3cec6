"""Look at a site before its first letter leaves."""

from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from notifier.cli.asking import table
from notifier.cli.running import settings
from notifier.compose import open_service
from notifier.doctor.examine import examine
from notifier.doctor.finding import Finding
from notifier.doctor.names import Names
from notifier.sites.site import load_site

console = Console(highlight=False)
_MARKS = {"ok": Text("ok", "green"), "look": Text("look", "yellow"), "fail": Text("FAIL", "bold red")}


async def doctor(
    site: str,
    *,
    dns: Annotated[str | None, Parameter(help="Ask this DNS server, like 9.9.9.9 or 127.0.0.1:5353.")] = None,
) -> int:
    """Look for what would keep a site's letters from arriving: DNS, relays, keys, locales, clocks. Sends nothing.

    Run it where the workers run. Ends with status 1 when something would make letters fail.
    """
    async with open_service(settings()) as service:
        found = await load_site(service.db, site)
        findings = await examine(service.db, service.settings, found, Names(dns), service.clock.real())
    console.print(_shown(findings))
    failing = sum(finding.level == "fail" for finding in findings)
    console.print(f"{failing or 'None'} of these would make letters fail.")
    return 1 if failing else 0


def _shown(findings: list[Finding]) -> object:
    rows = table("", "What", "Found", "What to do")
    for finding in findings:
        rows.add_row(_MARKS[finding.level], Text(finding.what), Text(finding.found), Text(finding.remedy))
    return rows
