"""Reading a site.yaml, and saying what is wrong with one."""

import time
from pathlib import Path

import pytest

import notifier
from notifier.errors import Invalid
from notifier.sites.file import read_site

GOOD = """\
site: kumo
names: {en: Kumo Store, no: Kumo butikk}
home_url: https://kumo.example/
contact: privacy@kumo.example
time_zone: Asia/Tokyo
locales: [en, no]
senders:
  en:
    name: Kumo Store
    address: privacy@kumo.example
policies:
  privacy:
    titles: {en: "Privacy"}
rule:
  preset: pop-japan
  notice_days: 45
relays:
  - host: 127.0.0.1
    port: 1025
    security: none
watch:
  folder: policies
"""


def faults(text: str | bytes) -> list[tuple[str, str]]:
    with pytest.raises(Invalid, match="describes no site yet; nothing was changed") as error:
        read_site(text)
    return [(fault.pointer, fault.detail) for fault in error.value.faults]


def test_a_good_file_is_a_site() -> None:
    site = read_site(GOOD)
    assert site.locales == ["en", "no"]
    assert site.names["no"] == "Kumo butikk"
    assert (site.rule.notice_days, site.relays[0].port) == (45, 1025)


@pytest.mark.parametrize("file", sorted((Path(notifier.__file__).parents[1] / "examples").glob("*/site.yaml")))
def test_the_examples_are_sites(file: Path) -> None:
    assert read_site(file.read_text("utf-8"), file.name).site == file.parent.name


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("contact:", "contakt:", 4, "contakt: there is no such field; did you mean contact?"),
        ("  notice_days:", "  notice_day:", 16, "rule.notice_day: there is no such field; did you mean notice_days?"),
        ("    port:", "    prt:", 19, "relays.0.prt: there is no such field; did you mean port?"),
        ("    titles:", "    zzz: 1\n    titles:", 13, "policies.privacy.zzz: there is no such field; known are kind"),
        ("  folder:", "  fold:", 22, "watch.fold: there is no such field; did you mean folder?"),
        ("time_zone: Asia/Tokyo\n", "", 1, "time_zone: is missing; add it"),
        ("    address: privacy@kumo.example\n", "", 8, "senders.en.address: is missing; add it"),
        ("Asia/Tokyo", "Tokyo", 5, "time_zone: 'Tokyo' is not a time zone of the IANA database"),
        ("site: kumo", "site: Kumo Store", 1, "site: 'Kumo Store' is not written as it must be; lower-case letters"),
        ("site: kumo", "site: 2024", 1, "site: must be text; put it in quotes"),
        ("locales: [en, no]", "locales: en", 6, "locales: must be a list"),
        ("locales: [en, no]", "locales: [en, x]", 6, "locales.1: 'x' is not written as it must be; a language"),
        ("locales: [en, no]", "locales: [no, en]", 7, "senders: senders needs an entry for no"),
        ("https://kumo", "kumo", 3, "home_url: 'kumo.example/' is not written as it must be; a whole address"),
        ("pop-japan", "eu", 15, "rule.preset: Input should be 'eu-gdpr-notice', 'uk-gdpr-notice'"),
        ("notice_days: 45", "notice_days: soon", 16, "rule.notice_days: Input should be a valid integer"),
        ("notice_days: 45", "notice_days: -1", 16, "rule.notice_days: Input should be greater than or equal to 0"),
        ("contact: privacy@", "contact: ", 4, "contact: "),
        ("  preset: pop-japan\n", "  preset: pop-japan\n  preset: imacocokara\n", 16,
         "rule.preset: stands twice, first in line 15"),
        ("site: kumo", "site: &a kumo", 1, "anchors (&) and aliases (*) are not read"),
        ("  preset: pop-japan", "  preset: *a", 15, "anchors (&) and aliases (*) are not read"),
        ("site: kumo", "site: !!python/name:os.system kumo", 1, "site: tags (tag:yaml.org,2002:python/name:os.system)"),
        ("rule:\n", "rule: [\n", 16, "not YAML"),
        ("locales: [en, no]", "? [a]\n: b", 6, "the file: a key must be a plain word"),
        ("Kumo butikk", "Kumo\x07", 2, "the character U+0007 cannot stand in YAML"),
        ("Kumo Store,", '"Kumo\\r\\nBcc: x",', 2, "names.en: "),
        ("watch:", "pace:\n  limit: 10\nwatch:", 22, "pace.limit: 10 is not a rate; write it like 10/s"),
        ("watch:", "pace:\n  providers:\n    au:\n      limit: 9/day\nwatch:", 24, "pace.providers.au.limit: '9/day'"),
        ("watch:", "pace:\n  quiet_hours: 21-8\nwatch:", 22, "pace.quiet_hours: '21-8' are no hours"),
        ("    port:", "    limit: fast\n    port:", 19, "relays.0.limit: 'fast' is not a rate"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_line_field_and_remedy(old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    found = faults(GOOD.replace(old, new, 1))
    assert [pointer for pointer, detail in found if detail.startswith(words)] == [f"site.yaml:{line}"], found


def test_everything_wrong_is_said_at_once_under_the_name_of_the_file() -> None:
    with pytest.raises(Invalid, match=r"^shop\.yaml describes") as error:
        read_site(GOOD.replace("Asia/Tokyo", "Tokyo").replace("1025", "0"), "shop.yaml")
    assert [fault.pointer for fault in error.value.faults] == ["shop.yaml:5", "shop.yaml:19"]


@pytest.mark.parametrize("text", ["", "- a", "kumo", "a: b\n---\nc: d", "\t", "a: 'b", "%", "a: " + "x" * 300_000])
def test_what_is_no_site_at_all_is_refused(text: str) -> None:
    assert faults(text)


@pytest.mark.parametrize(
    "bomb",
    [
        "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n",
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 100_000,
        "a: !!binary " + "x" * 1000,
        "site: " + "9" * 200_000,
        "".join(f"k{n}: v\n" for n in range(20_000)),
    ],
)
def test_a_bomb_is_refused_quickly(bomb: str) -> None:
    start = time.perf_counter()
    assert faults(bomb)
    assert time.perf_counter() - start < 10


def test_a_file_in_another_encoding_is_said_with_its_line() -> None:
    assert read_site(b"\xef\xbb\xbf" + GOOD.encode()) == read_site(GOOD)
    wrong = GOOD.replace("Kumo Store", "くもストア").encode("shift_jis")
    assert faults(wrong) == [("site.yaml:2", "not UTF-8; save the file as UTF-8 and apply it again")]
