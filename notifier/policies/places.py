"""What lies at a source now: a page, the newest entry of an Atom feed, or a file of a Git repository."""

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import urljoin
from xml.etree import ElementTree

from yarl import URL

from notifier.outward import Inside, OutwardResolver
from notifier.policies.fetch import Fetched, Fetcher, Unfetched, refuse
from notifier.policies.version import TEXT_LIMIT
from notifier.sites.site import Source

_ATOM = "{http://www.w3.org/2005/Atom}"
_GIT_SECONDS = 60.0
_SHOWN = 200


async def fetch_source(fetcher: Fetcher, source: Source, last: Mapping[str, str]) -> Fetched:
    """What is at a source; without a body when it is as its last snapshot (with headers ``last``). Raises Unfetched."""
    if source.git is not None:
        return await _from_git(source.git, source.path or "", source.branch, last.get("etag"), fetcher.inside)
    address = source.feed or source.page or ""
    found = await fetcher.get(address, source.headers, last.get("etag"), last.get("last-modified"))
    if source.feed is None or found.body is None:
        return found
    return await _from_feed(fetcher, source, found, found.body)


async def _from_feed(fetcher: Fetcher, source: Source, feed: Fetched, body: bytes) -> Fetched:
    """The newest entry's content, or the page that it links to on the same host."""
    entry = newest_entry(body)
    content = entry.find(f"{_ATOM}content")
    if content is not None and content.get("src") is None:
        kind = content.get("type", "text")
        if kind == "xhtml":
            words, media_type = ElementTree.tostring(content, encoding="unicode"), "text/html"
        else:
            words, media_type = "".join(content.itertext()), "text/html" if kind.endswith("html") else "text/plain"
        headers = {**feed.headers, "content-type": f"{media_type}; charset=utf-8"}
        return Fetched(feed.url, 200, headers, words.encode())
    links = [link for link in entry.findall(f"{_ATOM}link") if link.get("rel", "alternate") == "alternate"]
    address = urljoin(
        feed.url, content.get("src", "") if content is not None else links[0].get("href", "") if links else ""
    )
    if URL(address).host != URL(feed.url).host:
        raise Unfetched("feed_elsewhere")
    page = await fetcher.get(address, source.headers)
    # No validators are kept: those of the feed say nothing of the page, nor the page's of the feed.
    return Fetched(page.url, page.status, {k: v for k, v in page.headers.items() if k not in _VALIDATORS}, page.body)


_VALIDATORS = ("etag", "last-modified")


def newest_entry(body: bytes) -> ElementTree.Element:
    """The entry of an Atom feed (RFC 4287) that was updated last. Raises Unfetched."""
    if b"<!DOCTYPE" in body[:4096].upper() or b"<!ENTITY" in body.upper():
        raise Unfetched("feed_doctype")
    try:
        entries = ElementTree.fromstring(body).findall(f"{_ATOM}entry")  # noqa: S314 - no DTD gets this far
    except ElementTree.ParseError as error:
        raise Unfetched("feed_broken", detail=str(error)) from error
    if not entries:
        raise Unfetched("feed_empty")
    return max(entries, key=lambda entry: entry.findtext(f"{_ATOM}updated", ""))


async def _from_git(url: str, path: str, branch: str, commit: str | None, inside: Collection[str]) -> Fetched:
    """A file as it stands on a branch. The commit is kept as its etag. Raises Unfetched."""
    git = shutil.which("git")
    if git is None:
        raise Unfetched("git_missing")
    options = await _guarded(url, inside)
    newest = (await _run(git, *options, "ls-remote", "--", url, branch)).split()
    if not newest:
        raise Unfetched("git_branch", branch=branch)
    if (now := newest[0].decode("ascii", "replace")) == commit:
        return Fetched(url, 304, {"etag": now}, None)
    with tempfile.TemporaryDirectory(prefix="notifier-git-") as folder:
        here = ("-C", folder)
        await _run(git, *here, "init", "-q", "--bare")
        wanted = ("--depth", "1", "--no-tags", f"--filter=blob:limit={TEXT_LIMIT}", "--", url, now)
        await _run(git, *here, *options, "fetch", "-q", *wanted)
        name = f"{now}:{path}"
        if int(await _run(git, *here, *options, "cat-file", "-s", name)) > TEXT_LIMIT:
            raise Unfetched("size", count=TEXT_LIMIT // 1024 // 1024)
        body = await _run(git, *here, *options, "cat-file", "blob", name)
    kind = "text/html" if Path(path).suffix.lower() in (".html", ".htm") else "text/markdown"
    return Fetched(url, 200, {"etag": now, "content-type": f"{kind}; charset=utf-8"}, body)


async def _guarded(url: str, inside: Collection[str]) -> tuple[str, ...]:
    """Options that hold git to the address that we looked up, to one protocol, and to no redirect. Raises Unfetched."""
    place = URL(url)
    refuse(place, inside)
    host, port = place.host or "", place.port or 443
    resolver = OutwardResolver(inside)
    try:
        found = (await resolver.resolve(host, port, socket.AF_UNSPEC))[0]["host"]
    except Inside as error:
        raise Unfetched("inside", host=error.host) from error
    except OSError as error:
        raise Unfetched("unreachable", detail=str(error)) from error
    finally:
        await resolver.close()
    given = {
        "protocol.allow": "never",
        f"protocol.{place.scheme}.allow": "always",
        "http.followRedirects": "false",
        "http.curloptResolve": f"{host}:{port}:{f'[{found}]' if ':' in found else found}",
        "credential.helper": "",
        "core.hooksPath": os.devnull,
    }
    return tuple(word for name, value in given.items() for word in ("-c", f"{name}={value}"))


async def _run(*command: str) -> bytes:
    """What a git command writes. Nobody else's settings count, and nobody is asked for a password. Raises Unfetched."""
    environment = {
        "PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_ASKPASS": "", "HOME": tempfile.gettempdir(),
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_GIT_SECONDS):
            said, complained = await process.communicate()
    except TimeoutError as error:
        raise Unfetched("slow") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        words = " ".join(complained.decode("utf-8", "replace").split())[:_SHOWN]
        raise Unfetched("git_failed", detail=words)
    return said
