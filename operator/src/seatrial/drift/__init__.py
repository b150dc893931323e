"""Has the traffic moved away from what the model was made for, by more than is tolerated, and how sure are we?

Pure: counts in, frozen judgements out. No I/O, no clock, no randomness; only numpy, msgspec and the standard library.
Knows nothing of rollouts: a model that serves is watched whether or not another one is on its way.

Read in this order: `columns` (what is counted), `windows` (over which time), `sets` (what may have moved), `margin`
(how far it may), `phi` (how noisy the traffic is), `season` (how far single days may stray), `policy` (what the user
tolerates), `tests` (three questions to each column), `bound` (when evidence is enough), `course` (all tests after one
more hour), `together` (many columns at once), `decision` and `judgement` (what is said), `words` (its sentence),
`watch` (a whole deployment, hour by hour), `stored` (its memory as JSON), `totals` (from Prometheus' answer to hours).

Arrays have the bins on their last axis. Axes before it are free: one column in the operator, thousands in simulations,
by the same code.
"""
