"""How one kind of person is told: a table of cases."""

import pytest

from notifier.campaigns.plan import Kind, choose_locale, plan_for
from notifier.campaigns.rule import Rule, rule_of
from notifier.sites.site import RuleSettings


def rule(channels: list[str], telling: str = "any") -> Rule:
    return rule_of(
        RuleSettings.model_validate({"preset": "pop-japan", "channels": channels, "telling": telling}),
        "material",
        frozenset(),
    )


@pytest.mark.parametrize(
    ("channels", "telling", "preference", "email_usable", "at_once", "later"),
    [
        (["email"], "any", (), True, ("email",), ()),
        (["email"], "any", (), False, (), ()),
        (["email", "inbox"], "any", (), True, ("email",), ("inbox",)),
        (["email", "inbox"], "any", (), False, ("inbox",), ()),
        (["email", "inbox"], "any", ("inbox",), True, ("inbox",), ("email",)),
        (["email", "inbox"], "any", ("inbox",), False, ("inbox",), ()),
        (["email", "inbox"], "all", (), True, ("email", "inbox"), ()),
        (["email", "inbox"], "all", ("inbox",), True, ("inbox", "email"), ()),
        (["email"], "any", ("inbox",), True, ("email",), ()),
        (["email"], "any", ("fax", "inbox"), True, ("email",), ()),
    ],
)
def test_a_preference_orders_the_rules_channels_and_adds_none(
    channels: list[str],
    telling: str,
    preference: tuple[str, ...],
    email_usable: bool,
    at_once: tuple[str, ...],
    later: tuple[str, ...],
) -> None:
    plan = plan_for(Kind("en", preference, email_usable), rule(channels, telling), ["en"], ["en"])
    assert (plan.channels, plan.fallback) == (at_once, later)


@pytest.mark.parametrize(
    ("requested", "available", "chain", "used"),
    [
        ("ja", ["en", "ja"], ["en"], "ja"),
        ("ja-JP", ["en", "ja"], ["en"], "ja"),
        ("zh-Hant-TW", ["en", "zh-Hant", "zh"], ["en"], "zh-Hant"),
        ("fr", ["en", "ja"], ["ja", "en"], "ja"),
        ("", ["en", "ja"], ["ja", "en"], "ja"),
        ("fr", ["de"], ["en"], "de"),
        ("japanese", ["en", "ja"], ["en"], "en"),
    ],
)
def test_a_locale_falls_back_to_its_shorter_form_then_to_the_chain(
    requested: str, available: list[str], chain: list[str], used: str
) -> None:
    assert choose_locale(requested, available, chain) == used
