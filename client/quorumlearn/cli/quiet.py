"""Keeps gRPC's own lines about connections that fail off the terminal, where one sentence says it; imported before gRPC is.

GRPC_VERBOSITY=DEBUG shows them.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
