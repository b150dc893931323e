"""What a question to a source of metrics can end with, as one tree.

PrometheusError
+-- PrometheusRefused      4xx, or a setting that must change: the same query would be refused again
|   +-- AnswerTooLarge     more than is read: asking for a shorter stretch of time can help
+-- PrometheusUnavailable  5xx, network, timeout, not Prometheus' JSON: try again at the next look
"""

from __future__ import annotations


class PrometheusError(Exception):
    """Base of everything this package raises. The text is one sentence, fit for a condition."""


class PrometheusRefused(PrometheusError):
    """Prometheus, or what answers in its place, will not answer this query."""


class AnswerTooLarge(PrometheusRefused):
    """The answer was given up because of its size."""


class PrometheusUnavailable(PrometheusError):
    """No usable answer this time."""
