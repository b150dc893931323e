import importlib.metadata

import seatrial_server


def test_the_version_in_the_code_is_the_distributions():
    assert importlib.metadata.version("seatrial") == seatrial_server.VERSION
