"""Statistics of a rollout: is the candidate worse than stable, is it too bad in itself, and how sure are we?

Pure: counts in, frozen judgements out. No I/O, no clock, no randomness; only numpy, msgspec and the standard library.
Read in this order: `slots` (what is counted), `samples`, `scrapes`, `tracks`, `relaying`, `sight`, `counters`
(from samples to slots), `fold` (long windows), `share` (what a candidate was given), `evidence` (the tests),
`dispersion` (noise between pods and over time), `slower` (tolerance in time), `course` (all tests over all slots),
`disagreement` (answers that differ), `verdict` (the decision), `soak` (with nothing beside it), `metrics` (the user's
own numbers), `explain` (the words).
"""
