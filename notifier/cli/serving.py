"""The role that answers requests."""

from rich.console import Console

from notifier.cli.running import Stopping, settings
from notifier.compose import DATABASE_PATIENCE, open_service
from notifier.serve import serve as serving

console = Console(highlight=False)


async def serve(*, worker: bool = True) -> int:
    """Answer requests (API, console, public pages) and do the work, in one process.

    Parameters
    ----------
    worker
        Also send letters and record acceptances; with --no-worker this process only answers requests.
    """
    chosen = settings()
    async with open_service(chosen, DATABASE_PATIENCE) as service:
        stopping = Stopping()
        await serving(service, stopping.event, int(worker), lambda url: console.print(f"Listening on {url}"))
    return stopping.status
