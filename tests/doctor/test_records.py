"""What DNS records of a sender amount to."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from notifier.doctor.records import judge_dkim, judge_dmarc, judge_spf, spf_lookups, spf_of, spf_targets
from notifier.letters.sign import Signer

SIGNER = Signer("kumo.example", "s", Ed25519PrivateKey.generate())
OURS = f"v=DKIM1; k=ed25519; p={SIGNER.public_key}"


@pytest.mark.parametrize(
    ("records", "lookups", "level"),
    [
        ([], 0, "fail"),
        (["v=spf1 ip4:192.0.2.1 -all"], 0, "ok"),
        (["v=spf1 include:relay.example ~all"], 10, "ok"),
        (["v=spf1 include:relay.example ~all"], 11, "fail"),
        (["v=spf1 a -all", "v=spf1 mx -all"], 0, "fail"),
        (["v=spf1 mx +all"], 1, "look"),
        (["v=spf1 mx all"], 1, "look"),
        (["v=spf1 -all"], 0, "fail"),
    ],
)
def test_spf(records, lookups, level):
    assert judge_spf("kumo.example", records, lookups).level == level


def test_the_lookups_of_spf_are_counted_as_rfc_7208_does():
    record = "v=spf1 a mx:m.example ip4:192.0.2.0/24 ?include:i.example exists:%{i}.e.example redirect=r.example"
    assert spf_lookups(record) == 5
    assert spf_targets(record) == ["i.example", "r.example"]
    assert spf_of(["v=spf10 x", "V=SPF1 a", "v=spf1", "other"]) == ["V=SPF1 a", "v=spf1"]


@pytest.mark.parametrize(
    ("texts", "level", "words"),
    [
        ([OURS], "ok", "it is ours"),
        ([OURS.replace("; ", ";\t")], "ok", "it is ours"),
        (["v=spf1 -all"], "fail", "no record"),
        ([], "fail", "no record"),
        ([OURS, OURS], "fail", "2 records"),
        (["v=DKIM1; k=ed25519; p="], "fail", "revoked"),
        (["v=DKIM1; k=ed25519; p=AAAA"], "fail", "another key"),
        ([OURS.replace("k=ed25519; ", "")], "fail", "another key"),
        ([OURS + "; t=y:s"], "look", "test"),
    ],
)
def test_dkim(texts, level, words):
    finding = judge_dkim(SIGNER, texts)
    assert (finding.level, words in finding.found) == (level, True)
    assert level == "ok" or finding.remedy


@pytest.mark.parametrize(
    ("texts", "level"),
    [(["v=DMARC1; p=reject"], "ok"), ([], "look"), (["v=DMARC1; p=none"] * 2, "look"), (["v=DMARC1; p=maybe"], "look")],
)
def test_dmarc(texts, level):
    assert judge_dmarc("kumo.example", "kumo.example", texts).level == level
