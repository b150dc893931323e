"""`kubectl seatrial dashboard`: a page on this machine that shows the rollouts of a namespace as they change.

    command   the click command
    board     what the page shows of one deployment: pure
    feed      watches the namespace, keeps what changed, wakes who waits
    server    HTTP on loopback: page, style, script, and a stream of the boards
    static    the page; `uplot` in it is vendored, with its licence and digests

Read-only: nothing on the page can change anything, and the server knows no method but GET. Who can't name the token of
the link gets nothing.
"""
