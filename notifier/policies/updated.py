"""The day on which a text says that it was last changed. Pure."""

import re
from datetime import date

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar janvier enero", "feb february februar février fevrier febrero",
            "mar march märz mars marzo", "apr april avril abril", "may mai mayo", "jun june juni juin junio",
            "jul july juli juillet julio", "aug august août aout agosto",
            "sep sept september septembre septiembre", "oct october oktober octobre octubre",
            "nov november novembre noviembre", "dec december dezember décembre decembre diciembre",
        ),
        1,
    )
    for name in names.split()
}  # fmt: skip
_NAME = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DAY = rf"""
    (?P<y1>\d{{4}})\s?[-/.年]\s?(?P<m1>\d{{1,2}})\s?[-/.月]\s?(?P<d1>\d{{1,2}})
  | (?P<m2>{_NAME})\.?\s+(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y2>\d{{4}})
  | (?P<d3>\d{{1,2}})(?:st|nd|rd|th|\.)?\s+(?:de\s+)?(?P<m3>{_NAME})\.?,?\s+(?:de\s+)?(?P<y3>\d{{4}})
  | (?:令和)\s?(?P<y4>\d{{1,2}}|元)\s?年\s?(?P<m4>\d{{1,2}})\s?月\s?(?P<d4>\d{{1,2}})
"""
_SAID = re.compile(
    rf"""(?:last\s+(?:updated|modified|revised|changed|amended)|effective(?:\s+(?:date|as\s+of|from|on))?|
        (?:date\s+of\s+)?(?:last\s+)?(?:revision|update)|updated|revised|version\s+(?:of|dated)|in\s+effect\s+(?:from|since)|
        stand|letzte\s+(?:änderung|aktualisierung)|dernière\s+(?:mise\s+à\s+jour|modification)|última\s+actualización|
        最終(?:更新|改定|改訂)日?|改定日?|改訂日?|更新日|施行日?|制定日?|発効日?)
        [\s*_:：|（(]{{0,12}}(?:on\s+|of\s+|am\s+|the\s+|le\s+)?(?:{_DAY})""",
    re.IGNORECASE | re.VERBOSE,
)
# 2024年4月1日改定: in Japanese the word stands behind the day.
_BEHIND = re.compile(rf"(?:{_DAY})\s?日?\s?(?:最終)?(?:更新|改定|改訂|施行|制定)", re.IGNORECASE | re.VERBOSE)
_REIWA = 2018


def last_updated(text: str) -> date | None:
    """The latest day that the text says of itself as its update, revision or effect; None when it says none."""
    found = [_read(match) for pattern in (_SAID, _BEHIND) for match in pattern.finditer(text)]
    return max((day for day in found if day is not None), default=None)


def _read(match: re.Match[str]) -> date | None:
    groups = {name[0]: value for name, value in match.groupdict().items() if value is not None}
    year, month = groups["y"], groups["m"].lower()
    if match["y4"]:
        year = str(_REIWA + (1 if year == "元" else int(year)))
    try:
        return date(int(year), _MONTHS.get(month) or int(month), int(groups["d"]))
    except ValueError:
        return None
