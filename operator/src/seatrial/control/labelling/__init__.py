"""Watches the answers of every stable version by the labels that come back for them, beside the rollouts.

    key --- once an hour ---> Controller --- `asking` ---> Prometheus
                                  |--- `seatrial.analysis`: maturing, quality_after, quality_course, calibration (pure)
                                  |--- `states`: the memory in a ConfigMap, by compare-and-swap
                                  '--- status.quality, condition QualityDropped, events, metrics (`rollout.quality`)

It decides nothing about traffic and never touches what a rollout writes.
"""
