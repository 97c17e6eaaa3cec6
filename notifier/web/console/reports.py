"""The counts for pages that stand open: one report per campaign for some seconds, however many watch it."""

import asyncio

from aiohttp import web

from notifier.campaigns.campaign import Campaign
from notifier.compliance.figures import Report
from notifier.compliance.report import campaign_report
from notifier.compose import Service

SECONDS = 5.0


class Reports:
    """Reports that were asked for just now, and those that are being counted."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._kept: dict[tuple[int, str, int], asyncio.Task[Report]] = {}

    async def recent(self, campaign: Campaign) -> Report:
        """The counts as of some seconds ago at most, and of no other state: a page that asks no more shows the last."""
        key = campaign.campaign_id, campaign.state, campaign.stage
        if key not in self._kept:
            self._kept[key] = asyncio.create_task(self._count(key), name="count for pages")
        return await asyncio.shield(self._kept[key])

    async def _count(self, key: tuple[int, str, int]) -> Report:
        keep = 0.0
        try:
            report = await campaign_report(self._service.db, key[0], self._service.clock.now())
            keep = SECONDS
            return report
        finally:
            asyncio.get_running_loop().call_later(keep, self._kept.pop, key)


REPORTS = web.AppKey("reports", Reports)
