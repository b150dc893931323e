"""Rollouts simulated by the thousand, to see whether the statistics keep their promises."""
