"""Batches grow while the relay is quick, and nobody is lost or told twice over it."""

import pytest

from notifier.db import Db
from notifier.delivery import deliver, hand
from notifier.keys import Keys
from tests.office import NO_STOP, open_office
from tests.sites import a_site


@pytest.mark.parametrize(("quick", "batches"), [(60.0, [2, 4, 8, 6]), (0.0, [2, 2, 2])])
async def test_batches_grow_while_the_relay_is_quick(
    db: Db, keys: Keys, monkeypatch: pytest.MonkeyPatch, quick: float, batches: list[int]
) -> None:
    monkeypatch.setattr(hand, "QUICK", quick)
    for module in (deliver, hand):
        monkeypatch.setattr(module, "FIRST_BATCH", 2)
    async with open_office(db, keys, a_site(rule={"preset": "imacocokara"}), batch_size=8) as office:
        people = [f"p{number:02}" for number in range(sum(batches))]
        for name in people:
            await office.person(name)
        await office.open()
        sizes: list[int] = []
        carry_out = office.delivery._batches.carry_out

        async def noted(*given: object) -> bool:
            on = await carry_out(*given)  # type: ignore[arg-type]
            known = await office.rows("SELECT count(*)::int FROM outcome")
            sizes.append(known[0][0] - sum(sizes))
            return on

        office.delivery._batches.carry_out = noted  # type: ignore[assignment, method-assign]
        while await office.delivery.deliver_next(NO_STOP):
            pass
        assert sizes == batches
        assert await office.outcomes() == [(name, "email", 1, "accepted_by_relay") for name in people]
