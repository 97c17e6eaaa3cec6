"""What the demo stands on: its folder, its ports, and everything that is open while the story plays."""

import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from notifier.client import Client, open_client
from notifier.compose import Service, open_service
from notifier.demo.catcher import Catcher, catch_mail
from notifier.demo.mailbox_pages import show_mailbox
from notifier.errors import Conflict
from notifier.log import configure_logging
from notifier.resources import resource
from notifier.settings import Settings
from notifier.sites.apply import apply
from notifier.sites.file import read_site
from notifier.sites.site import Relay, Site
from notifier.sites.tokens import SCOPES, create_token, live_secrets, revoke_token

# By this file the demo knows a folder as its own, and keeps a second demo out of it.
MARK = "policy-notifier-demo"
HOST = "127.0.0.1"
EXAMPLES = ("kumo-store", "hanabi-market")
TOKEN_NAME = "demo"  # noqa: S105 - the name of whoever acts


@dataclass(frozen=True)
class Stage:
    """Everything that is open while the story plays, and how to reach it."""

    service: Service
    catcher: Catcher
    client: Client
    sites: tuple[Site, ...]
    secrets: dict[str, str]
    token: str
    mailbox_url: str

    @property
    def url(self) -> str:
        """The address of the service."""
        return self.service.settings.public_url


@contextmanager
def own_folder(folder: Path, *, fresh: bool) -> Iterator[None]:
    """Hold the demo's folder, emptied first if ``fresh``.

    Raises Conflict when the folder is not the demo's, so that nothing of anybody else's is ever removed, or in use.
    """
    import fcntl  # here, so that the other commands also start where there is none (Windows)

    mark = folder / MARK
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise Conflict(f"{folder} holds something that this demo did not put there; choose another --data-folder")
    folder.mkdir(parents=True, exist_ok=True)
    with mark.open("ab") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(f"another demo is using {folder}; stop it, or choose another --data-folder") from error
        if fresh:
            _empty(folder, mark)
        yield


def _empty(folder: Path, but: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry != but:
            entry.unlink()


def free_port(wanted: int) -> int:
    """The wanted port, or a free one when that is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except (OSError, OverflowError):  # OverflowError: one more than the last port
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def set_up(folder: Path, port: int) -> AsyncIterator[Stage]:
    """Open the service on the demo's folder, the mail catcher and its page, and put the two sites into force."""
    configure_logging("text", "error")
    port, mailbox_port = free_port(port), free_port(port + 1) if port else 0
    settings = Settings(
        database_url=None, data_folder=folder, mode="demo", host=HOST, port=port, public_url=f"http://{HOST}:{port}",
        poll_seconds=0.5,
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(open_service(settings))
        catcher = await stack.enter_async_context(
            catch_mail(HOST, 0, f"{settings.public_url}/hooks/email", service.clock)
        )
        mailbox_url = await stack.enter_async_context(show_mailbox(catcher.mailbox, HOST, mailbox_port))
        sites = tuple([await _put_into_force(service, name, catcher.smtp_port) for name in EXAMPLES])
        secrets = {site.site: (await live_secrets(service.db, service.keys, site.site))[0] for site in sites}
        token = await _token(service)
        client = await stack.enter_async_context(open_client(settings.public_url, token))
        yield Stage(service, catcher, client, sites, secrets, token, mailbox_url)


async def _put_into_force(service: Service, name: str, smtp_port: int) -> Site:
    """Apply an example's site.yaml, with the demo's own mail catcher as its relay."""
    file = resource("examples") / name / "site.yaml"
    site = read_site(file.read_text("utf-8"), str(file))
    site = site.model_copy(update={"relays": [Relay(host=HOST, port=smtp_port, security="none")]})
    await apply(service.db, site, service.clock.now())
    return site


async def _token(service: Service) -> str:
    """The token of this run; that of the run before ends."""
    now = service.clock.now()
    await revoke_token(service.db, None, TOKEN_NAME, now)
    return await create_token(service.db, None, TOKEN_NAME, sorted(SCOPES), now)
