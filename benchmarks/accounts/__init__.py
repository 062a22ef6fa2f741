"""What the benchmarks of accounts share: many accounts at once, a mail server that takes everything, a rank test."""
