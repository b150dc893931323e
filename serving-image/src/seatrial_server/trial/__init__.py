"""The trial of a model version: fetch, prepare, gates and declared tests, one report at the end."""
