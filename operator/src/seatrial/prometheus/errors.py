"""What a query can end with, as one tree.

PrometheusError
+-- PrometheusRefused      4xx, or an answer too large: the same query would be refused again; configuration
+-- PrometheusUnavailable  5xx, network, timeout, not Prometheus' JSON: try again at the next look
"""

from __future__ import annotations


class PrometheusError(Exception):
    """Base of everything this package raises. The text is one sentence, fit for a condition."""


class PrometheusRefused(PrometheusError):
    """Prometheus, or what answers in its place, will not answer this query."""


class PrometheusUnavailable(PrometheusError):
    """No usable answer this time."""
