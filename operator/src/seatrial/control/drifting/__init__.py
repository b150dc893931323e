"""Watches the traffic of every stable version for drift, beside the rollouts, with a queue and a schedule of its own.

    key --- once an hour ---> Controller --- `asking` ---> Prometheus, or the pods (`direct`)
                                  |--- `seatrial.drift`: windows, evidence, judgement (pure)
                                  |--- `keeping`: the memory in a ConfigMap, by compare-and-swap
                                  '--- status.drift, condition Drifted, events, metrics (`rollout.drifting`)

It decides nothing about traffic and never touches what a rollout writes.
"""
