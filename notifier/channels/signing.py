"""Sign letters as they leave, with the keys that a site names."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

from notifier.channels.smtp import Trouble
from notifier.letters.letter import Letter
from notifier.letters.sheet import Sheet
from notifier.letters.sign import Signer, Stamp, signer_of
from notifier.sites.site import Dkim


class Signing:
    """The keys that one process signs with. Each is read once; a new key comes with a new selector.

    Stamps are kept for as long as somebody writes letters from their sheet.
    """

    def __init__(self) -> None:
        self._signers: dict[Dkim, Signer] = {}
        self._stamps: WeakKeyDictionary[Sheet, dict[Signer, Stamp]] = WeakKeyDictionary()

    async def signing(self, keys: Sequence[Dkim], letters: Sequence[Letter]) -> Callable[[Letter], bytes]:
        """What makes the headers before each of these letters: one of every key that vouches for its domain.

        Raises Trouble when a key cannot be read: a letter that should be signed does not leave without.
        """
        signers = [await self._signer(key) for key in keys]
        stamps = {sheet: self._stamps_of(signers, sheet) for sheet in {letter.sheet for letter in letters}}

        def sign(letter: Letter) -> bytes:
            return b"".join(_signatures(stamps[letter.sheet], letter))

        if not any(signer.slow for signer in signers):
            return sign
        # A millisecond each would keep the sessions waiting. One thread a batch: Python lets one at a time work.
        made = await asyncio.to_thread(lambda: {id(letter): sign(letter) for letter in letters})
        return lambda letter: made[id(letter)]

    def _stamps_of(self, signers: Sequence[Signer], sheet: Sheet) -> dict[Signer, Stamp]:
        """What each of the keys signs letters from a sheet with."""
        known = self._stamps.setdefault(sheet, {})
        for signer in signers:
            if signer not in known:
                known[signer] = signer.stamp(sheet.skeleton)
        return {signer: known[signer] for signer in signers}

    async def _signer(self, key: Dkim) -> Signer:
        if key not in self._signers:
            try:
                self._signers[key] = await asyncio.to_thread(read_signer, key)
            except (OSError, ValueError) as error:
                raise Trouble("session", f"letters for {key.domain} cannot be signed: {error}", "dkim") from error
        return self._signers[key]


def _signatures(stamps: Mapping[Signer, Stamp], letter: Letter) -> Iterator[bytes]:
    domain = letter.return_path.rpartition("@")[2]
    filled = letter.pieces[1::2]
    values = dict(zip(letter.sheet.skeleton.slots, filled, strict=True))
    usual = len(b"".join(filled).split()) <= 1
    for signer, stamp in stamps.items():
        if signer.vouches_for(domain):
            yield stamp.sign(values) if usual else signer.sign(letter.body)


def read_signer(key: Dkim) -> Signer:
    """Read a key where the site says that it is. Raises OSError or ValueError that say what is wrong."""
    if key.key_file is not None:
        text = Path(key.key_file).read_text("utf-8")
    else:
        text = os.environ.get(key.key_env or "", "")
        if not text:
            raise ValueError(f"the environment variable {key.key_env} is not set")
    return signer_of(key.domain, key.selector, key.algorithm, text)
