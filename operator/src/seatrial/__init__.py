"""Seatrial's operator: model versions get a sea trial before they carry passengers.

Layers, top to bottom, checked by import contracts: `control` (kopf wiring, queue, reconcile) uses `cluster` and
`prometheus` (I/O); `rollout` decides (pure), with `analysis` (statistics, pure); everything rests on `api`
(the resource's types). `cli` holds the commands of a person.
"""
