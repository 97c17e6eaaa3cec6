"""Sign letters as they leave, with the keys that a site names."""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from notifier.channels.smtp import Trouble
from notifier.letters.letter import Letter
from notifier.letters.sheet import Sheet, email_slots
from notifier.letters.sign import Signer, Stamp, signer_of
from notifier.sites.site import Dkim


class Signing:
    """The keys that one process signs with. Each is read once; a new key comes with a new selector."""

    def __init__(self) -> None:
        self._signers: dict[Dkim, Signer] = {}
        self._stamps: dict[tuple[Signer, Sheet], Stamp] = {}

    async def signing(self, keys: Sequence[Dkim], letters: Sequence[Letter]) -> Callable[[Letter], bytes]:
        """What makes the headers before each of these letters: one of every key that vouches for its domain.

        Raises Trouble when a key cannot be read: a letter that should be signed does not leave without.
        """
        signers = [await self._signer(key) for key in keys]
        if not any(signer.slow for signer in signers):
            return lambda letter: self._sign(signers, letter)
        # A millisecond each would keep the sessions waiting. One thread a batch: Python lets one at a time work.
        made = await asyncio.to_thread(lambda: {id(letter): self._sign(signers, letter) for letter in letters})
        return lambda letter: made[id(letter)]

    def _sign(self, signers: Sequence[Signer], letter: Letter) -> bytes:
        return b"".join(self._signatures(signers, letter))

    def _signatures(self, signers: Sequence[Signer], letter: Letter) -> Iterator[bytes]:
        domain = letter.return_path.rpartition("@")[2]
        values = email_slots(letter.address, letter.message_id)
        spaced = len(b"".join(values.values()).split()) > 1
        usual = not spaced and letter.sheet.skeleton.fill(values) == letter.body
        for signer in signers:
            if signer.vouches_for(domain):
                yield self._stamp(signer, letter.sheet).sign(values) if usual else signer.sign(letter.body)

    def _stamp(self, signer: Signer, sheet: Sheet) -> Stamp:
        stamp = self._stamps.get((signer, sheet))
        if stamp is None:
            stamp = self._stamps[signer, sheet] = signer.stamp(sheet.skeleton)
        return stamp

    async def _signer(self, key: Dkim) -> Signer:
        if key not in self._signers:
            try:
                self._signers[key] = await asyncio.to_thread(read_signer, key)
            except (OSError, ValueError) as error:
                raise Trouble("session", f"letters for {key.domain} cannot be signed: {error}", "dkim") from error
        return self._signers[key]


def read_signer(key: Dkim) -> Signer:
    """Read a key where the site says that it is. Raises OSError or ValueError that say what is wrong."""
    if key.key_file is not None:
        text = Path(key.key_file).read_text("utf-8")
    else:
        text = os.environ.get(key.key_env or "", "")
        if not text:
            raise ValueError(f"the environment variable {key.key_env} is not set")
    return signer_of(key.domain, key.selector, key.algorithm, text)
