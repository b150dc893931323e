"""What the benchmark of rollouts is made of; the command is tests/bench/rollouts.py.

rows    what is tried and what must come of it        (pure)
run     one rollout, in a namespace of its own
board   the state of all of them, one listing a second
report  the table and the page                        (pure)
"""
