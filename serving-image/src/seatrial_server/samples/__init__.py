"""Samples of requests and answers for whoever keeps them: CloudEvents in batches to an HTTP sink, off by default.

sampler   which requests, and what waits to be sent, within bounds
events    a request and its answer as events, with what is sensitive masked
sending   batches to the sink, which may be slow, down or hostile
"""
