"""The mail services whose events are taken, as the settings say."""

from collections.abc import Mapping

from notifier.keys import Keys
from notifier.letters.verp import return_path_key
from notifier.outcomes.providers.mailgun import Mailgun
from notifier.outcomes.providers.postmark import Postmark
from notifier.outcomes.providers.provider import Provider
from notifier.outcomes.providers.sendgrid import SendGrid
from notifier.outcomes.providers.ses import Ses
from notifier.settings import Settings


def providers_of(settings: Settings, keys: Keys) -> Mapping[str, Provider]:
    """Each service that has its key in the settings, by name. Raises Invalid when a key is none."""
    key = return_path_key(keys)
    found: list[Provider] = []
    if settings.ses_topics:
        found.append(Ses(settings.ses_topics, key))
    if settings.sendgrid_key:
        found.append(SendGrid(settings.sendgrid_key, key))
    if settings.postmark_secret:
        found.append(Postmark(settings.postmark_secret.get_secret_value(), key))
    if settings.mailgun_key:
        found.append(Mailgun(settings.mailgun_key.get_secret_value(), key))
    return {provider.name: provider for provider in found}
