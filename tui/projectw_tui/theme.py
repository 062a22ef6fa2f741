"""The colours of the full screen."""

from textual.theme import Theme

CALM = Theme(
    name="projectw",
    primary="#5fb3c4",
    secondary="#8aa4c8",
    accent="#e0b26a",
    foreground="#d5dae2",
    background="#15181d",
    surface="#1a1e24",
    panel="#232931",
    success="#86bf7d",
    warning="#e0b26a",
    error="#e07a7a",
    dark=True,
)
