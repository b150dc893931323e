"""The way to Prometheus: raw samples of request counters, decoded for the analysis. Nothing is judged here."""
