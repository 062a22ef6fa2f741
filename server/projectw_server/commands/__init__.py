"""What an operator does beside serving: each file is a group of commands."""
