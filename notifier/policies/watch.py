"""Watch folders: a file that says something new opens a pending version. Nothing is ever sent from here."""

import asyncio
import re
import stat
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from notifier.db import Db
from notifier.errors import NotifierError
from notifier.log import log
from notifier.policies.pending import submit_pending
from notifier.policies.version import TEXT_LIMIT, Text
from notifier.sites.site import Site

# A file written to more recently may be half-written; it is looked at again later.
_REST_SECONDS = 2.0
_NAME = re.compile(r"(?P<policy>[a-z0-9-]+)\.(?P<locale>[A-Za-z0-9-]+)\.(?P<type>md|html)")
_MEDIA_TYPES = {"md": "text/markdown", "html": "text/html"}


class Unreadable(Exception):
    """A file that cannot be taken as it is; says why."""


class AtWork(Exception):
    """Somebody is writing a file right now: look again later."""


class _Watching(NamedTuple):
    settings: dict[str, object]


async def watch_folders(db: Db, now: datetime) -> int:
    """Look once at every watched folder. Returns how many pending versions were opened.

    A folder in disorder is logged and left: an unmounted disk, an emptied or half-written file announce nothing.
    """
    opened = 0
    for watching in await db.many(_Watching, "policies.watching"):
        site = Site.model_validate(watching.settings)
        if site.watch is not None and site.watch.folder is not None:
            opened += await _look(db, site, Path(site.watch.folder), now)
    return opened


async def _look(db: Db, site: Site, folder: Path, now: datetime) -> int:
    opened = 0
    for policy in site.policies:
        try:
            texts = await asyncio.to_thread(texts_in, folder, policy, site.locales)
            version = await submit_pending(db, site, policy, texts, "folder", now) if texts else None
        except AtWork:
            continue
        except (Unreadable, OSError, NotifierError) as error:
            log.warning(
                "watched files passed over", site=site.site, policy=policy, folder=str(folder), reason=str(error)
            )
            continue
        if version is not None:
            log.info("pending version opened", site=site.site, policy=policy, version=version.version_id)
            opened += 1
    return opened


def texts_in(folder: Path, policy: str, locales: list[str]) -> Mapping[str, Text]:
    """The texts that the folder has of a policy: ``<policy>.<locale>.md`` or ``.html``. Raises AtWork, Unreadable."""
    texts: dict[str, Text] = {}
    for file in sorted(folder.iterdir()):
        name = _NAME.fullmatch(file.name)
        if name is None or name["policy"] != policy:
            continue
        if name["locale"] not in locales:
            raise Unreadable(f"{file.name}: {name['locale']} is not among the locales of site.yaml")
        if name["locale"] in texts:
            raise Unreadable(f"{file.name}: there is another file for {name['locale']}; keep one of the two")
        if not file.resolve().is_relative_to(folder.resolve()):
            raise Unreadable(f"{file.name} is a link that leads out of the folder; put the file itself there")
        texts[name["locale"]] = _text(file, _MEDIA_TYPES[name["type"]])
    return texts


def _text(file: Path, media_type: str) -> Text:
    before = file.stat()
    if not stat.S_ISREG(before.st_mode):
        raise Unreadable(f"{file.name} is not a file")
    if abs(time.time() - before.st_mtime) < _REST_SECONDS:
        raise AtWork
    if before.st_size > TEXT_LIMIT:
        raise Unreadable(f"{file.name} has more than 10 MB")
    content = file.read_bytes()
    after = file.stat()
    if (after.st_mtime_ns, after.st_size, after.st_ino) != (before.st_mtime_ns, len(content), before.st_ino):
        raise AtWork
    try:
        return Text.model_validate({"media_type": media_type, "body": content.decode("utf-8")})
    except UnicodeDecodeError as error:
        raise Unreadable(f"{file.name} is not UTF-8") from error
    except ValidationError as error:
        raise Unreadable(f"{file.name}: {error.errors()[0]['msg']}") from error
