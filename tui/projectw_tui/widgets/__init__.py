"""What the screens are made of. A widget shows what it is given and posts what was done; it knows no server."""
