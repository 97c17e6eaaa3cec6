"""Files that are given to a command, one for every locale: LOCALE=FILE."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from notifier.errors import Fault, Invalid

MEDIA_TYPES = {".md": "text/markdown", ".markdown": "text/markdown", ".html": "text/html", ".htm": "text/html"}


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


def texts_of_files(given: Sequence[str]) -> dict[str, dict[str, str]]:
    """The texts of LOCALE=FILE arguments, Markdown or HTML. Raises Invalid, naming the argument."""
    found = {}
    for locale, file in by_locale("--text", given):
        media_type = MEDIA_TYPES.get(file.suffix.lower())
        if media_type is None:
            raise Invalid(f"{file} is neither Markdown (.md) nor HTML (.html); rename it if it is one of them")
        found[locale] = {"media_type": media_type, "body": read_words(file)}
    return found


def summaries_of_files(given: Sequence[str]) -> Mapping[str, str]:
    """The summaries of LOCALE=FILE arguments."""
    return {locale: read_words(file).strip() for locale, file in by_locale("--summary", given)}
