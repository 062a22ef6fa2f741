"""The program in the middle: accounts, uploads, the queue, leases, transcripts and live events."""
