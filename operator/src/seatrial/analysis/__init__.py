"""Statistics of a rollout: is the candidate worse than stable, is it too bad in itself, and how sure are we?

Pure: counts in, frozen judgements out. No I/O, no clock, no randomness; only numpy, msgspec and the standard library.
Read in this order: `slots` (what is counted), `counters` (from Prometheus samples to slots), `evidence` (the tests),
`dispersion` (noise between pods and over time), `course` (all tests over all slots), `verdict` (the decision),
`soak` (after promotion), `explain` (the words).
"""
