"""Which text was in force for somebody on a day: the newest that had taken effect and that something carries."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.acceptance.decide import Objection
from notifier.compliance.force import Known, in_force

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def day(number: int) -> datetime:
    return START + number * DAY


ONE = Known(1, "one", day(0), day(-5))
TWO = Known(2, "two", day(100), day(65), asks="use", notice_days=30, told_at=day(70))
USED = replace(TWO, accepted_at=day(110), kind="deemed", grade="D")
NOTICE = replace(TWO, asks="notice")
TERMS = replace(TWO, asks="agreement")
THREE = Known(3, "three", day(200), day(140), asks="use", notice_days=30)
TYPO = Known(3, "typo", day(120), day(115), editorial=True)
LATE = Objection(day(111), withdrawn=False)
TAKEN_BACK = Objection(day(110), withdrawn=True, first_at=day(99))
LETTER = Objection(day(101), withdrawn=False)


@dataclass(frozen=True)
class Case:
    says: str
    versions: tuple[Known, ...]
    on: int
    label: str | None
    basis: str | None
    since: int | None = None
    lacking: tuple[tuple[str, str], ...] = ()
    registered: int = 10


CASES = [
    Case("before somebody registered nothing was in force for them", (ONE,), 5, None, None),
    Case("the version that was there at the registration", (ONE,), 20, "one", "registration", 10),
    Case("whoever came before the first version found that text", (ONE,), 20, "one", "registration", 0, registered=-30),
    Case("before the first version took effect there was none", (ONE,), -10, None, None, registered=-30),
    Case("a newer version that was not yet in effect", (ONE, TWO), 99, "one", "registration", 10),
    Case("in effect, told, and not used yet", (ONE, TWO), 105, "one", "registration", 10, (("two", "no_use_yet"),)),
    Case("accepted by use", (ONE, USED), 110, "two", "accepted", 110),
    Case("the day before the acceptance", (ONE, USED), 109, "one", "registration", 10, (("two", "no_use_yet"),)),
    Case("accepted before its effect, it counts from the effect", (ONE, replace(USED, accepted_at=day(80))), 100,
         "two", "accepted", 100),
    Case("not told", (ONE, replace(TWO, told_at=None)), 105, "one", "registration", 10, (("two", "not_told"),)),
    Case("told only later", (ONE, replace(TWO, told_at=day(106))), 105,
         "one", "registration", 10, (("two", "not_told"),)),
    Case("told late: the person's own period runs", (ONE, replace(TWO, told_at=day(90))), 105,
         "one", "registration", 10, (("two", "notice_period"),)),
    Case("an objection that stood", (ONE, replace(TWO, objection=LETTER)), 105,
         "one", "registration", 10, (("two", "objected"),)),
    Case("an objection that came later", (ONE, replace(TWO, objection=Objection(day(107), False))), 105,
         "one", "registration", 10, (("two", "no_use_yet"),)),
    Case("an objection after the acceptance takes nothing back", (ONE, replace(USED, objection=LATE)), 120,
         "two", "accepted", 110),
    Case("a version that wants an act", (ONE, replace(TWO, asks="act")), 105,
         "one", "registration", 10, (("two", "act_required"),)),
    Case("where notice is all that is asked for, it counts from the person's date", (ONE, NOTICE), 100,
         "two", "notice", 100),
    Case("terms that want agreement are in force by no notice", (ONE, TERMS), 300,
         "one", "registration", 10, (("two", "not_accepted"),)),
    Case("least of all against an objection", (ONE, replace(TERMS, objection=LETTER)), 300,
         "one", "registration", 10, (("two", "objected"),)),
    Case("an act on them does", (ONE, replace(TERMS, accepted_at=day(150), kind="explicit", grade="A")), 300,
         "two", "accepted", 150),
    Case("a notice counts for nothing before the posting", (ONE, replace(NOTICE, posted_at=day(130))), 129,
         "one", "registration", 10, (("two", "not_posted"),)),
    Case("and from then on it does", (ONE, replace(NOTICE, posted_at=day(130))), 131, "two", "notice", 130),
    Case("of a version that was never posted it does not", (ONE, replace(NOTICE, posted_at=None)), 300,
         "one", "registration", 10, (("two", "not_posted"),)),
    Case("an objection before the own date", (ONE, replace(NOTICE, objection=Objection(day(99), False))), 120,
         "one", "registration", 10, (("two", "objected"),)),
    Case("an objection after it takes nothing back", (ONE, replace(NOTICE, objection=LETTER)), 120,
         "two", "notice", 100),
    Case("one that was taken back counts no longer", (ONE, replace(NOTICE, objection=TAKEN_BACK)), 120,
         "two", "notice", 110),
    Case("a late notice moves the person's date", (ONE, replace(NOTICE, told_at=day(90))), 121, "two", "notice", 120),
    Case("the site's word about an earlier acceptance", (replace(ONE, proof="imported"),), 20, "one", "baseline", 0),
    Case("its date counts, where it is known", (ONE, replace(TWO, asks=None, proof="proved", proof_at=day(105))), 110,
         "two", "baseline", 105),
    Case("not before it", (ONE, replace(TWO, asks=None, proof="proved", proof_at=day(105))), 104,
         "one", "registration", 10, (("two", "not_accepted"),)),
    Case("an acceptance of ours comes before the site's word", (ONE, replace(USED, proof="imported")), 120,
         "two", "accepted", 110),
    Case("an editorial version follows the one that it mends", (ONE, USED, TYPO), 130, "typo", "editorial", 120),
    Case("but not for whom that one is not in force", (ONE, TWO, TYPO), 130, "one", "registration", 10,
         (("two", "no_use_yet"), ("typo", "not_accepted"))),
    Case("a newer version that is in force makes up for one that never was",
         (ONE, replace(TWO, told_at=None), replace(THREE, told_at=day(150), accepted_at=day(210))), 220,
         "three", "accepted", 210),
    Case("whoever registered with the newest has that one", (ONE, TWO, THREE), 220, "two", "registration", 150,
         (("three", "not_told"),), registered=150),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_the_text_in_force(case: Case) -> None:
    found, lacking = in_force(case.versions, day(case.registered), day(case.on))
    assert tuple((one.version.label, one.lacking) for one in lacking) == case.lacking
    if found is None:
        assert case.label is None
    else:
        assert case.since is not None
        assert (found.version.label, found.basis, found.since) == (case.label, case.basis, day(case.since))


moments = st.integers(-50, 400).map(day)
maybe = st.none() | moments
objections = st.builds(Objection, moments, st.booleans(), maybe)
known = st.builds(
    Known, st.just(0), st.just(""), moments, maybe, st.booleans(),
    st.sampled_from(["act", "use", "notice", "agreement", None]), st.integers(0, 40), maybe, st.none() | objections,
    maybe, st.none(), st.none(), st.none() | st.just("imported"), maybe,
)  # fmt: skip


@given(st.lists(known, max_size=5), moments, moments)
def test_what_is_in_force_had_taken_effect_and_began_by_then(
    versions: list[Known], registered: datetime, on: datetime
) -> None:
    numbered = [replace(one, version_id=n) for n, one in enumerate(versions)]
    found, lacking = in_force(numbered, registered, on)
    assert all(one.version.effective_at <= on for one in lacking)
    if found is not None:
        assert found.version.effective_at <= found.since <= on
        assert all(one.version.version_id > found.version.version_id for one in lacking)
