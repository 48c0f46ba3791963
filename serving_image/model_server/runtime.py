"""The part of TensorFlow that runs graphs, without the rest.

`import tensorflow` also imports Keras, the tracing compiler and two versions of its whole API: three seconds and 250 MB
for what a server never calls. Here its package is entered without its `__init__`, so that only what is asked for is
imported. The names are those of TensorFlow's own modules; `tests/serving/test_engine.py` holds them to the version that
is locked. A process that has imported the whole of TensorFlow already uses that.

TensorFlow makes one pool of threads for the parts of calls, as large as the first session wants it, unless it is told
to make one for each session.
"""

from __future__ import annotations

import os

from model_server import tensorflow_package

os.environ.setdefault("TF_OVERRIDE_GLOBAL_THREADPOOL", "true")
tensorflow_package.enter()

from tensorflow.core.framework import types_pb2  # noqa: E402
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, saved_model_pb2  # noqa: E402
from tensorflow.python.client.session import Session  # noqa: E402
from tensorflow.python.framework import errors_impl as tf_errors  # noqa: E402
from tensorflow.python.framework.importer import import_graph_def  # noqa: E402
from tensorflow.python.framework.ops import Graph  # noqa: E402

__all__ = [
    "Graph",
    "Session",
    "config_pb2",
    "import_graph_def",
    "meta_graph_pb2",
    "saved_model_pb2",
    "tf_errors",
    "types_pb2",
]
