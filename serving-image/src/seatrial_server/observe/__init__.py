"""What is counted while serving: requests, durations, drift. Knows no transport and no model call."""
