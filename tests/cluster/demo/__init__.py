"""`make demo`: the main job on a real cluster, with a live view and a table at the end."""
