"""The demo's models: trained from real data at build time, packed, listed in an index; nothing of it is committed.

digits-v1 is what runs first, v2 is better, v3 to v5 are versions that must not stay, each for another
reason; v8 is what a training run makes.
Those called erring fail on a chosen share of the requests, for benchmarks.
`python -m tests.cluster.models OUT_DIR` writes all packages and index.json,
`python -m tests.cluster.models.rows OUT_DIR` writes rows.json, what the traffic client sends.
The same sources and libraries give the same bytes on one machine.
Stands outside the product: neither operator nor server imports it.
"""
