"""The program in a person's terminal: a full-screen interface, and the same client as commands."""
