"""Sign letters before they leave, with the keys that a site names. In threads: it takes longer than all the rest."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from notifier.channels.smtp import Trouble
from notifier.letters.letter import Letter
from notifier.letters.sign import Signer, signer_of
from notifier.sites.site import Dkim

_AT_ONCE = 2  # threads a batch: more of them wait for each other
_WORTH_A_THREAD = 20  # letters


class Signing:
    """The keys that one process signs with. Each is read once; a new key comes with a new selector."""

    def __init__(self) -> None:
        self._signers: dict[Dkim, Signer] = {}

    async def sign(self, keys: Sequence[Dkim], letters: Sequence[Letter]) -> list[Letter]:
        """The same letters, in order, signed by every key that vouches for their domain.

        Raises Trouble when a key cannot be read: a letter that should be signed does not leave without.
        """
        signers = [await asyncio.to_thread(self._signer, key) for key in keys]
        parts = min(_AT_ONCE, 1 + len(letters) // _WORTH_A_THREAD)
        size = -(-len(letters) // parts) or 1
        slices = [letters[start : start + size] for start in range(0, len(letters), size)]
        signed = await asyncio.gather(*(asyncio.to_thread(_sign_all, signers, some) for some in slices))
        return [letter for some in signed for letter in some]

    def _signer(self, key: Dkim) -> Signer:
        if key not in self._signers:
            try:
                self._signers[key] = read_signer(key)
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


def _sign_all(signers: Sequence[Signer], letters: Sequence[Letter]) -> list[Letter]:
    return [_signed(signers, letter) for letter in letters]


def _signed(signers: Sequence[Signer], letter: Letter) -> Letter:
    domain = letter.return_path.rpartition("@")[2]
    signatures = [signer.sign(letter.body) for signer in signers if signer.vouches_for(domain)]
    return replace(letter, body=b"".join([*signatures, letter.body]))
