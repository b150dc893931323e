"""From checked requests to answers: queue, batching, cache, validation, one model call. Knows no transport."""
