"""The event bus: what just happened, told to the users who watch."""
