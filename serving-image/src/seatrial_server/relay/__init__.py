"""Passing a share of the requests on to another revision's pods, and answering in their place when they fail."""
