"""What fills the terminal, one at a time. A screen asks the client and decides; its widgets show."""
