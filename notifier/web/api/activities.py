"""What a site reports of its people's use."""

from collections.abc import AsyncIterator
from functools import cache

from aiohttp import web
from pydantic import TypeAdapter

from notifier.activity.activity import ActivityInput, read_quickly
from notifier.activity.intake import Intake
from notifier.activity.memory import Memory
from notifier.activity.record import RecordReport, record
from notifier.web.api.paths import SitePath
from notifier.web.auth import known_grant
from notifier.web.endpoint import JSON, NDJSON, Call, Endpoint
from notifier.web.lines import whole
from notifier.web.readymade import ReadyMade, may_be_ready_made
from notifier.web.receipts import KEY

INTAKE = web.AppKey("intake", Intake)
MEMORY = web.AppKey("memory", Memory)
SCOPE = "activity"


async def report_activities(
    call: Call, path: SitePath, lines: AsyncIterator[bytes] | None, document: ActivityInput | None
) -> RecordReport:
    """Report use of the site: one activity as JSON, or any number as NDJSON.

    Answered once it is committed. `url`, `ip` and `user_agent` are cut down to a path, a network and a browser family
    on arrival. Bad lines are reported by number and the good ones kept, so the whole may be sent again: the same use
    twice is one. What is sent as one activity is `waiting` in the answer: whom it is about is looked up a moment later.
    """
    app = call.request.app
    if lines is not None:
        return await record(call.db, path.site, lines, call.now, app[MEMORY])
    assert document is not None
    return _report(await app[INTAKE].take(path.site, document.activity))


def _report(fate: str) -> RecordReport:
    report = RecordReport()
    report.add([fate])
    return report


@cache
def _answer(fate: str) -> ReadyMade:
    return ReadyMade(TypeAdapter(RecordReport).dump_json(_report(fate)))


async def report_one(request: web.Request) -> ReadyMade | None:
    """Answer one plain activity as :func:`report_activities` would; None: it is not plain, or who asks is not known.

    The token is asked about in the batch that the activity is taken in with.
    """
    if request.content_type != JSON or KEY in request.headers or not may_be_ready_made(request):
        return None
    site = request.match_info["site"]
    caller = known_grant(request, site, SCOPE)
    if caller is None or (one := read_quickly(await whole(request))) is None:
        return None
    fate = await request.app[INTAKE].take(site, one, caller[0])
    return _answer(fate)


ENDPOINTS = (
    Endpoint(
        "POST", "/v1/sites/{site}/activities", report_activities, SCOPE,
        line=ActivityInput, takes=(JSON, NDJSON), once=True, at_rate=report_one,
    ),
)  # fmt: skip
