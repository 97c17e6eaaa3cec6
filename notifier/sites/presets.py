"""The presets as data. Pure. What each value means: ``preset.py``. Shown with their sources in docs/presets.md.

Sources are named as far as they were looked at; where no number of days was found in the law, ``days_by_law`` says so.
"""

from collections.abc import Mapping
from typing import Any

from notifier.sites.preset import Origin, Preset


def _law(name: str) -> Origin:
    return Origin(kind="law", name=name)


def _case(name: str) -> Origin:
    return Origin(kind="case", name=name)


_NOT_CONSENT = Origin(kind="guidance", name="EDPB Guidelines 05/2020 on consent: continuing to use a site is none")
_IN_EEA: Mapping[str, Any] = {"country": "EEA"}
_SELLER_IN_EEA: Mapping[str, Any] = {"country": "EEA", "role": ["seller", "business"]}
# What no posting and no use can carry: an act is asked for.
ACT_FLAGS = frozenset({"arbitration", "adverse_retroactive_use"})

PRESETS: dict[str, Preset] = {
    "eu-gdpr-notice": Preset(
        title="EU: notice of a changed privacy policy",
        literal="people are informed before a further processing; a notice is not consent",
        sources=(_law("GDPR (Regulation (EU) 2016/679), Articles 13(3) and 14(4)"), _NOT_CONSENT),
        days_by_law="none found",
        channels=("email", "inbox"),
        notice_days=30,
        deems="never",
        applies_to=_IN_EEA,
    ),
    "uk-gdpr-notice": Preset(
        title="United Kingdom: notice of a changed privacy policy",
        literal="people are informed before a further processing; a notice is not consent",
        sources=(_law("UK GDPR, Articles 13(3) and 14(4)"),),
        days_by_law="none found",
        channels=("email", "inbox"),
        notice_days=30,
        deems="never",
        applies_to={"country": "GB"},
    ),
    "eu-consumer-terms": Preset(
        title="EU: changed terms for consumers",
        literal="terms change by agreement; told on a durable medium",
        sources=(_law("EU consumer law; what it asks for in days was not verified"),),
        days_by_law="not verified",
        channels=("email", "inbox"),
        notice_days=30,
        durable=True,
        deems="opt_in",
        applies_to=_IN_EEA,
    ),
    "de-consumer-terms": Preset(
        title="Germany: changed terms for consumers",
        literal="silence and continued use agree to nothing; told on a durable medium",
        sources=(_case("BGH, XI ZR 26/20"),),
        days_by_law="none",
        channels=("email", "inbox"),
        notice_days=30,
        durable=True,
        deems="never",
        applies_to={"country": "DE"},
    ),
    "eu-p2b-terms": Preset(
        title="EU: changed terms for business users of a platform, such as sellers",
        literal="fifteen days on a durable medium, and the right to leave before the change counts",
        sources=(_law("Regulation (EU) 2019/1150 (P2B), Article 3"),),
        days_by_law="15 days",
        channels=("email", "inbox"),
        notice_days=15,
        durable=True,
        deems="terms_only",
        applies_to=_SELLER_IN_EEA,
    ),
    "eu-psd2-framework": Preset(
        title="EU: changed framework contract for payment services",
        literal="two months on a durable medium; who does not object until then has accepted, as the contract states",
        sources=(_law("Payment Services Directive (EU) 2015/2366 (PSD2)"),),
        days_by_law="two months",
        channels=("email", "inbox"),
        notice_days=62,  # no two months are longer
        durable=True,
        deems="opt_in",
        deemed_by="silence",
        applies_to=_IN_EEA,
    ),
    "eu-dsa-terms": Preset(
        title="EU: changed terms of an intermediary service",
        literal="people are informed of a significant change",
        sources=(_law("Digital Services Act (Regulation (EU) 2022/2065)"),),
        days_by_law="none stated",
        channels=("email", "inbox"),
        notice_days=15,
        deems="not_addressed",
        applies_to=_IN_EEA,
    ),
    "jp-appi-notice": Preset(
        title="Japan: notice of a changed privacy policy",
        literal="a changed purpose is notified or announced; one beyond a related purpose needs prior consent",
        sources=(_law("Act on the Protection of Personal Information (APPI)"),),
        days_by_law="none found",
        channels=("email", "inbox"),
        notice_days=14,
        deems="never",
        wants_act=frozenset({"unrelated_purpose"}),
        applies_to={"country": "JP"},
    ),
    "jp-548-4-terms": Preset(
        title="Japan: changed standard terms",
        literal="announced on the internet before the change takes effect; no agreement of each person is needed",
        sources=(_law("Civil Code of Japan, Article 548-4"),),
        days_by_law="announced before the effective time",
        channels=("email", "inbox"),
        notice_days=14,
        deems="not_needed",
        at_posting_if=frozenset({"beneficial"}),
        applies_to={"country": "JP"},
    ),
    "us-contract": Preset(
        title="United States: changed terms",
        literal="notice of which there is proof for each person, before the use that accepts; a click for arbitration",
        sources=(
            _case("Jackson v. Amazon"),
            _case("Kass v. PayPal: that it would have been mailed is not enough"),
            _case("Stover"),
            _case("Douglas"),
            _case("Ireland-Gordy v. Tile (2026, non-precedential): its notice excepted reading the new terms"),
            _case("Rodman: a definitive list of versions"),
        ),
        days_by_law="none found",
        channels=("email",),
        notice_days=30,
        evidence="recipient",
        deems="terms_only",
        grade_at_least="C",
        wants_act=ACT_FLAGS,
        applies_to={"country": "US"},
    ),
    "us-ca-ccpa": Preset(
        title="California: notice at collection",
        literal="a new notice at collection, before information is collected or used for another purpose",
        sources=(_law("California Consumer Privacy Act (CCPA)"),),
        days_by_law="before collection or use",
        channels=("email", "inbox"),
        notice_days=0,
        deems="never",
        applies_to={"country": "US", "attributes.region": ["CA", "US-CA"]},
    ),
    "br-lgpd": Preset(
        title="Brazil: notice of a changed privacy policy",
        literal="people are told before a purpose changes, with the changes highlighted, and may revoke",
        sources=(_law("Lei Geral de Proteção de Dados (LGPD)"),),
        days_by_law="prior, for changes of purpose",
        channels=("email", "inbox"),
        notice_days=30,
        deems="never",
        applies_to={"country": "BR"},
    ),
    "pop-japan": Preset(
        title="Posted and sent by email, every change",
        literal="posted and sent by email; use of the site after the posting is deemed acceptance",
        sources=(Origin(kind="policy", name="a shop's own words"),),
        days_by_law="posted, then 30 days",
        channels=("email",),
        telling="all",
        notice_days=30,
        deems="terms_only",
        wants_act=ACT_FLAGS,
        literal_trigger="use_after_posting",
    ),
    "imacocokara": Preset(
        title="Posted, and sent by email or private message",
        literal="posted, and sent by email or private message; effective on posting; use after it is acceptance",
        sources=(
            Origin(kind="policy", name="a marketplace's own words; its privacy policy is part of its terms"),
            _law("Civil Code of Japan, Article 548-4"),
        ),
        days_by_law="at posting if editorial or beneficial; else 14 days",
        channels=("email", "inbox"),
        notice_days=14,
        deems="terms_only",
        wants_act=ACT_FLAGS,
        at_posting_if=frozenset({"beneficial"}),
        nudge_unread_days=3,
        literal_trigger="use_after_posting",
        overlays={"jp-548-4-terms": None, "eu-p2b-terms": _SELLER_IN_EEA},
    ),
}
