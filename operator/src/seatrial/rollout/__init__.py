"""What one ModelDeployment needs next: decisions and the objects that follow from them. Pure.

`facts` is what may be known, `planner` the ordered list of `rules`, `standing` what a revision may do, `traffic` the
seam to what routes requests, `plans` turns a decision into status (`statuses`), `children` and events (`narrative`).
Nothing here does I/O, reads a clock or remembers anything.
"""
