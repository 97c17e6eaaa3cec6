"""The demo: people who do not exist, a mail catcher that sometimes says no, and a story that uses both."""
