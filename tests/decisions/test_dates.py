"""Dates as policies write them: the day on which a text says that it was last changed."""

from datetime import date

import pytest

from notifier.policies.dates import last_updated


@pytest.mark.parametrize(
    ("words", "day"),
    [
        ("Last updated: March 3, 2024", date(2024, 3, 3)),
        ("**Effective date:** 3rd March 2024", date(2024, 3, 3)),
        ("Last revised on Sept. 9, 2023. Effective as of 10 October 2023", date(2023, 10, 10)),
        ("Last modified 2024-02-29", date(2024, 2, 29)),
        ("最終更新日：2023年12月25日", date(2023, 12, 25)),
        ("制定 2019年1月1日　2024年4月1日 改定", date(2024, 4, 1)),
        ("令和6年4月1日 施行", date(2024, 4, 1)),
        ("令和元年5月1日改定", date(2019, 5, 1)),
        ("Stand: 1. Januar 2024", date(2024, 1, 1)),
        ("Dernière mise à jour : 3 février 2024", date(2024, 2, 3)),
        ("平成31年4月30日改定", date(2019, 4, 30)),
        ("Ultimo aggiornamento, effective 5 maggio 2024", date(2024, 5, 5)),
        ("Effective 1 มกราคม พ.ศ. 2567", date(2024, 1, 1)),
        ("Last modified 2024-02-30", None),
        ("Last modified 2/3/2024", None),
        ("Effective March 2024", None),
        ("In 2020 we founded this shop on 1 May 2020.", None),
        ("", None),
    ],
)
def test_the_latest_day_of_its_own_is_found(words: str, day: date | None) -> None:
    assert last_updated(words) == day
