"""Our own reading of what kinds of change stand in real pairs: made by a person's eyes, before the rules were tried.

Each line: the later version's file, and the kinds of ``hints.py`` that a careful author would want to be told of. Pairs
whose words differ, in English, and whose redline can be read in a minute or two; the large ones were not read for this.
"""

KINDS: dict[str, set[str]] = {
    "uptimerobot-privacy-policy/02": {"contact"},
    "uptimerobot-privacy-policy/04": set(),
    "uptimerobot-privacy-policy/05": {"new_recipient"},
    "uptimerobot-privacy-policy/07": {"new_recipient"},
    "uptimerobot-privacy-policy/09": set(),
    "uptimerobot-privacy-policy/10": set(),
    "open-collective-privacy-policy/04": {"contact"},
    "github-privacy-policy/08": set(),
    "github-privacy-policy/10": {"new_purpose", "new_data_category"},
    "open-terms-archive-privacy-policy/02": {"new_recipient"},
    "open-terms-archive-privacy-policy/03": set(),
    "buffer-terms-of-service/02": set(),
    "line-privacy-policy/03": {"transfer"},
    "line-privacy-policy/04": {"transfer", "children"},
    "line-privacy-policy/05": {"contact"},
    "line-privacy-policy/07": {"new_data_category", "new_recipient", "new_purpose", "transfer"},
    "line-privacy-policy/10": {"transfer"},
    "reddit-privacy-policy/07": set(),
    "spotify-privacy-policy/03": set(),
    "spotify-privacy-policy/06": {"new_purpose", "new_data_category"},
    "spotify-privacy-policy/07": {"new_purpose", "new_data_category", "children", "retention"},
    "spotify-privacy-policy/08": {"new_data_category"},
    "spotify-privacy-policy/12": set(),
    "facebook-privacy-policy/07": {"new_data_category"},
    "facebook-privacy-policy/11": set(),
    "facebook-privacy-policy/14": set(),
    "bluesky-privacy-policy/03": set(),
    "bluesky-privacy-policy/04": {"contact"},
    "bluesky-privacy-policy/08": {"transfer"},
    "pinterest-privacy-policy/04": {"retention"},
    "youtube-community-guidelines/02": set(),
    "youtube-community-guidelines/03": set(),
    "youtube-community-guidelines/04": set(),
}
