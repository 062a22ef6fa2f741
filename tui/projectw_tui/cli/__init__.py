"""The client as commands: stdout is data, stderr is talk, and the exit code says how it went."""
