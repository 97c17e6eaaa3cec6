"""The pages behind a login: what is being told to whom, and what is on record about one person."""

from aiohttp import web

from notifier.compose import Service
from notifier.web.console import (
    campaign,
    correct,
    drafts,
    notices,
    overrides,
    overview,
    people,
    relays,
    session,
    step,
    stop,
    test_letter,
    unknown,
    versions,
)


def routes(service: Service) -> list[web.RouteDef]:
    """The console's routes. Every one but the login needs a session (see web/auth)."""
    return [
        web.get("/console/login", session.show_form),
        web.post("/console/login", session.sign_in),
        web.post("/console/logout", session.sign_out),
        web.get("/console", overview.show_overview),
        web.get("/console/live", overview.show_overview_live),
        web.get(_CAMPAIGN, campaign.show_campaign),
        web.get(_CAMPAIGN + "/live", campaign.show_live),
        web.get(_CAMPAIGN + "/counts", campaign.show_counts),
        web.get(_CAMPAIGN + f"/{{step:{step.STEP}}}", step.ask_step),
        web.post(_CAMPAIGN + f"/{{step:{step.STEP}}}", step.take_step),
        web.get(_CAMPAIGN + "/correction", correct.ask_words),
        web.post(_CAMPAIGN + "/correction", correct.take_words),
        web.get(_CAMPAIGN + "/test", test_letter.ask),
        web.post(_CAMPAIGN + "/test", test_letter.send),
        web.get(_CAMPAIGN + f"/unknown/{{then:{unknown.WORD}}}", unknown.ask),
        web.post(_CAMPAIGN + f"/unknown/{{then:{unknown.WORD}}}", unknown.take),
        web.get(_CAMPAIGN + "/notices", notices.show_notices),
        web.get(_CAMPAIGN + "/notices.csv", notices.send_notices),
        web.get(_CAMPAIGN + "/figures.csv", campaign.send_figures),
        web.get(_STOP, stop.ask),
        web.post(_STOP, stop.take),
        web.get(_STOP_SITE, stop.ask),
        web.post(_STOP_SITE, stop.take),
        web.get(_RELAY, relays.ask),
        web.post(_RELAY, relays.take),
        web.get("/console/people", people.show_people),
        web.get("/console/sites/{site}/policies/{policy}", versions.show_policy),
        web.post("/console/sites/{site}/policies/{policy}/override", overrides.ask),
        web.get(_DRAFT, drafts.show_draft),
        web.post(_DRAFT + "/{step:review|schedule|unschedule}", drafts.take_step),
        web.get(_DRAFT + "/page/{locale}", drafts.show_page),
        web.post("/console/sites/{site}/policies/{policy}/{what:draft|correction}", drafts.begin),
        web.get(_VERSION, versions.ask_word),
        web.post(_VERSION, versions.take_word),
    ]


_CAMPAIGN = r"/console/campaigns/{campaign_id:\d{1,9}}"
_STOP = "/console/{switch:stop|go}"
_STOP_SITE = "/console/sites/{site}/{switch:stop|go}"
_RELAY = "/console/sites/{site}/relays/{relay}/resume"
_DRAFT = r"/console/sites/{site}/versions/{version_id:\d{1,9}}"
_VERSION = _DRAFT + "/{word:confirm|save|discard}"
