"""Set-up, locks, benchmarks and chores. Set-up and locks run on a bare Python, before anything is installed."""
