"""Set up an installation and its sites. These commands open the database themselves."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import orjson
from cyclopts import App, Parameter
from rich.console import Console
from rich.prompt import Confirm
from rich.text import Text

from notifier.cli.asking import table
from notifier.cli.running import settings
from notifier.compose import open_migrated, open_service
from notifier.db import open_database
from notifier.errors import Conflict, NotFound
from notifier.migrations import migrate as migrating
from notifier.sites import tokens
from notifier.sites.apply import Change
from notifier.sites.apply import apply as applying
from notifier.sites.apply import plan as planning
from notifier.sites.file import read_site
from notifier.sites.site import load_site

console = Console(highlight=False)

token = App(name="token", help="Tokens for programs that use the API.")
webhook_secret = App(name="webhook-secret", help="The secrets of a site's webhooks: to us, and from us.")

Site = Annotated[str | None, Parameter(help="The only site that it is for; left out: every site.")]
Name = Annotated[str, Parameter(help="Who acts with it, as the records will say.")]


async def migrate() -> None:
    """Bring the database to the schema of this version. Safe to run again, and by several at once."""
    chosen = settings()
    if chosen.database_url is None:
        async with open_migrated(chosen):
            console.print(f"The embedded database in {chosen.data_folder} is up to date.")
        return
    async with open_database(chosen.database_url, 2) as db:
        ran = await migrating(db)
    console.print(f"Ran {', '.join(ran)}." if ran else "The database is up to date.")


async def apply(file: Path, *, yes: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Put a site.yaml into force: show what will change, ask, then change it.

    Parameters
    ----------
    yes
        Do not ask.
    """
    site = read_site(await asyncio.to_thread(file.read_bytes), str(file))
    async with open_service(settings()) as service:
        changes = await planning(service.db, site)
        if not changes:
            console.print(f"{site.site} is in force as {file} says; there is nothing to change.")
            return
        console.print(_plan(site.site, changes))
        if not yes and not _confirmed():
            raise Conflict("nothing was changed; apply again and say yes, or pass --yes")
        await applying(service.db, site, service.clock.now())
    console.print(f"Applied. {site.site} is in force as {file} says.")


def _confirmed() -> bool:
    return console.is_interactive and Confirm.ask("Apply this?", console=console, default=False)


def _plan(site: str, changes: list[Change]) -> Any:
    plan = table("What", "Now", "Then", title=f"{site}: what will change")
    for change in changes:
        plan.add_row(change.pointer or "everything", _short(change.before), _short(change.after))
    return plan


def _short(value: object) -> Text:
    """A value in one line; what is long is cut."""
    written = "–" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()
    return Text(written if len(written) <= 160 else f"{written[:159]}…")


@token.command
async def create(name: Name, *, scope: Annotated[list[str], Parameter(negative="")], site: Site = None) -> None:
    """Make a token. It is shown once and kept nowhere.

    Parameters
    ----------
    scope
        What it may do: publish, people, activities, campaigns, read or admin; may be given several times.
    """
    async with open_service(settings()) as service:
        made = await tokens.create_token(service.db, site, name, scope, service.clock.now())
    console.print(made, soft_wrap=True)


@token.command
async def revoke(name: Name, *, site: Site = None) -> None:
    """End all tokens of a name, at once and for good."""
    async with open_service(settings()) as service:
        ended = await tokens.revoke_token(service.db, site, name, service.clock.now())
    if not ended:
        where = f"for {site}" if site else "for every site (say --site if it is for one)"
        raise NotFound(f"there is no live token named {name!r} {where}")
    console.print(f"Ended {ended}.")


@webhook_secret.command
async def show(site: str) -> None:
    """Print the secrets that are good now, the newest first."""
    async with open_service(settings()) as service:
        for secret in await tokens.live_secrets(service.db, service.keys, site):
            console.print(secret, soft_wrap=True)


@webhook_secret.command
async def messages(site: str) -> None:
    """Print the secret that our webhook to the site is signed with: private messages of the site's own."""
    async with open_service(settings()) as service:
        webhook = (await load_site(service.db, site)).webhook
        if webhook is None:
            raise NotFound(f"{site} has no webhook; name one in its site.yaml, and apply it")
        console.print(service.keys.message_secret(site, webhook.generation), soft_wrap=True)


@webhook_secret.command
async def rotate(site: str) -> None:
    """Make a new secret and print it. The one before stays good until it is retired."""
    async with open_service(settings()) as service:
        console.print(await tokens.rotate_secret(service.db, service.keys, site), soft_wrap=True)


@webhook_secret.command
async def retire(site: str) -> None:
    """End the secret from before the last rotation, once nobody signs with it any more."""
    async with open_service(settings()) as service:
        if not await tokens.retire_secret(service.db, site):
            raise NotFound(f"{site} has no secret from before; nothing was changed")
    console.print("Ended. Only the newest secret is good now.")
