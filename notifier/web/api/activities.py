"""What a site reports of its people's use."""

from collections.abc import AsyncIterator

from aiohttp import web

from notifier.activity.activity import ActivityInput
from notifier.activity.intake import Intake
from notifier.activity.record import RecordReport, record
from notifier.web.api.paths import SitePath
from notifier.web.endpoint import JSON, NDJSON, Call, Endpoint

INTAKE = web.AppKey("intake", Intake)


async def report_activities(
    call: Call, path: SitePath, lines: AsyncIterator[bytes] | None, document: ActivityInput | None
) -> RecordReport:
    """Report use of the site: one activity as JSON, or any number as NDJSON.

    Answered once it is committed. `url`, `ip` and `user_agent` are cut down to a path, a network and a browser family
    on arrival. Bad lines are reported by number and the good ones kept, so the whole may be sent again: the same use
    twice is one.
    """
    intake = call.request.app[INTAKE]
    if lines is not None:
        return await record(call.db, path.site, lines, call.now, intake.memory)
    assert document is not None
    report = RecordReport(read=1)
    report.add([await intake.take(path.site, document)])
    return report


ENDPOINTS = (
    Endpoint(
        "POST", "/v1/sites/{site}/activities", report_activities, "activity",
        line=ActivityInput, takes=(JSON, NDJSON), once=True,
    ),
)  # fmt: skip
