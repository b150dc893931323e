"""Retraining: which version is wanted in place of `spec.model`, when a run may start, and what becomes of its result.

One pass decides rollout and retraining together and writes both in one status, so that neither ever rests on half of
the other: the intent to run is written before the Job is made, a promotion and what follows from it at once.

    seen       facts: the CronJob's template, training Jobs, the alarm
    overlay    the wanted version: a trained one in place of spec.model, while that stays what it is
    results    what a run says at its end, read strictly
    asking     what asks for a run: command, drift, age
    alarms     what monitoring has found, as retraining takes it
    rails      why a run may not start now: an ordered list of small rules
    runs, adoption, state: the parts of a course
    course     status of a pass: what became of runs and versions, adoption, the next run
    jobs       the Job of a run, from the template
    telling    condition and events
"""
