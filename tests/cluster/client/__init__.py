"""The traffic client of demo and end-to-end tests: steady V2 requests that count what a careful client would notice.

Open loop: arrivals keep to RATE whatever the server does; what finds no free connection is `skipped`, never late.
Every request sent ends in exactly one class:

    ok            a right answer: status 200, own id, model name, shapes, finite probabilities that sum to 1
    model_errors  500, and the server says that the model failed on this row
    rejected      any other 4xx
    shed          429
    lost          no answer: refused, reset, timed out, cut off, or 502, 503, 504
    wrong         an answer that is not what was asked for, or any other status
    waiting       as lost, before the first good answer: the target isn't there yet

Connections are renewed every few seconds, because a Service spreads connections and not requests: one that stays open
stays on its pod, and the shares would never follow the weights. Within a connection's life the keep-alive rules hold
(RFC 9112 section 9.3): a request on a reused connection that the server closed before any byte of the answer is sent
once more on a new one, and counted as `reconnected`; inference has no side effects. Nothing else is sent twice.

A failure names no version. A connection through a Service reaches one pod, so it gets the version of the connection's
other answers, or `unknown` when there were none.
"""
