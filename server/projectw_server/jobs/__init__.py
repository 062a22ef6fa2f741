"""Jobs: their states, their order, their transcripts."""
