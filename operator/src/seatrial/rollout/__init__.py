"""What one ModelDeployment needs next: decisions and the objects that follow from them. Pure.

`facts` is what may be known, `planner` the ordered rules, `guards` and `stages` the rules themselves, `finishing` turns
a decision into status, events and children. Nothing here does I/O, reads a clock or remembers anything.
"""
