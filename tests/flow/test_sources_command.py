"""What ``notifier sources try`` reads at an address, and what it keeps its hands off."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from notifier.cli.sources import try_
from notifier.errors import Unavailable
from tests.flow.far_pages import far_pages

TEXT = "<p>We keep your data for as long as the law says. </p>" * 10


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command sets up logging, to a standard error that is this test's own."""
    handlers = logging.root.handlers[:]
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers


async def test_a_host_of_our_own_network_is_tried_where_the_settings_name_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with far_pages() as far:
        far.page(TEXT)
        with pytest.raises(Unavailable, match="http is not used outside one's own network"):
            await try_(f"{far.url}/privacy")
        monkeypatch.setenv("NOTIFIER_WATCH_HOSTS", '["127.0.0.1"]')
        await try_(f"{far.url}/privacy", keep=["main"])
        assert "as long as the law says" in capsys.readouterr().out
        with pytest.raises(Unavailable, match="more than 10 MB"):
            await try_(f"{far.url}/bomb")
