"""All commands, in the order in which somebody who is new here needs them."""

from collections.abc import Sequence
from importlib.metadata import version as installed_version

from cyclopts import App, Group

from notifier.cli.running import call

TRY = Group("Try it", sort_key=1)
RUN = Group("Run the service", sort_key=2)
SET_UP = Group("Set it up (these open the database)", sort_key=3)
USE = Group("Use it (these ask a running service: NOTIFIER_URL, NOTIFIER_TOKEN)", sort_key=4)
ABOUT = Group("About", sort_key=5)

app = App(
    name="notifier",
    help="Tell every user of a policy change, record what came back and what continued use amounts to, and prove it.",
    help_format="rich",
    version=lambda: f"policy-notifier {installed_version('policy-notifier')}",
)
app["--help"].group = app["--version"].group = ABOUT

# By name: whoever types one command waits for the modules of no other.
COMMANDS = {
    TRY: ("trying:demo", "trying:catch_mail", "diff:diff"),
    RUN: ("serving:serve", "working:worker", "working:consume", "working:postfix_log"),
    SET_UP: ("setup:migrate", "setup:apply", "doctor:doctor", "setup:token", "setup:webhook_secret"),
    USE: (
        "publish:publish",
        "stop:stop",
        "stop:go",
        "questions:timeline",
        "questions:explain",
        "questions:told",
        "questions:in_force",
        "questions:acceptances",
        "questions:notices",
        "letters:letter",
        "publish:bounce",
        "versions:versions",
        "people:people",
        "campaigns:campaigns",
        "relays:relays",
        "sources:sources",
        "posting:posting",
        "suppressions:suppressions",
    ),
}

for group, names in COMMANDS.items():
    for name in names:
        app.command(f"notifier.cli.{name}", group=group)


@app.command(group=ABOUT)
def version() -> None:
    """Print which version of policy-notifier this is."""
    app.version_print()


def execute(tokens: Sequence[str]) -> int:
    """Run one command line and return its exit status. Exits with status 2 when it cannot be understood."""
    if not tokens or tokens[0] in ("--help", "-h"):
        app.resolved_commands()  # the list of all says what each one does
    command, arguments, _ = app.parse_args(tokens)
    return call(command, arguments)
