"""Files that are given to a command, one for every locale: LOCALE=FILE."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from notifier.errors import Fault, Invalid


def by_locale(option: str, given: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """The files by locale. Raises Invalid, naming the option."""
    for argument in given:
        locale, equals, file = argument.partition("=")
        if not (locale and equals and file):
            raise Invalid("an argument cannot be read", [Fault(option, f"{argument!r} is not LOCALE=FILE")])
        yield locale, Path(file)


def read_words(file: Path) -> str:
    """The words of a file in UTF-8. Raises Invalid when they are in another encoding."""
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(f"{file} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
