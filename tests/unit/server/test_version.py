import importlib.metadata
import os
import subprocess
import sys

import seatrial_server


def test_the_version_in_the_code_is_the_distributions():
    assert importlib.metadata.version("seatrial") == seatrial_server.VERSION


def test_grpcio_finds_its_settings_whichever_module_loads_it():
    program = "import os, sys, seatrial_server; print('grpc' in sys.modules, os.environ['GRPC_EXPERIMENTS'])"
    others = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
    said = subprocess.run([sys.executable, "-c", program], env=others, check=True, capture_output=True, text=True)
    assert said.stdout.split() == ["False", "-event_engine_listener"]
