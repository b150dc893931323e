"""What became of answers: tokens that go out with them, and the labels and events that come back for a token.

    tokens      a token, its signature, and the keys
    codes       what a model answered for a row, in four bytes, and what a label means for it
    entries     what clients send back, each entry read and refused by itself
    collecting  the whole of it for one process: what the ports use

Nothing is kept about an answer: all that is needed to count a label is in its token, so any pod can take it.
"""
