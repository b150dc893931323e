"""`kubectl seatrial`: a thin client of the ModelDeployment, with the rights of who runs it and no others.

    main        the group of commands; each command is a module with a click command called `command`
    options     what all of them take: namespace, context, kubeconfig, output
    connection  one HTTP call to the API server at a time; errors of our own tree
    view        a ModelDeployment as it was read; newer fields and words do no harm
    asking      which commands would come to nothing now, and why: pure
    tree, words, chart   what people see: pure

Commands are annotations; nothing else is ever written. No part of the operator imports this package.
"""
