"""The way to the Kubernetes API: calls, events, the leader's lease. No decision is made here."""
