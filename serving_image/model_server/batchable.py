"""Which signatures of a SavedModel may answer several requests at once. Pure.

Not those that change the model, as one that trains it does: a call that fails is made again for each request alone.
And not those that take ragged inputs: in the graph these are two plain ones, values and lengths, that cannot be put
together.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from model_server.dataplane.batch import can_batch
from model_server.operations import operations_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.operations import Graph
    from model_server.saved_model import Endpoint

_CHANGES: Final = re.compile(
    r"Assign.*|Resource(Apply|SparseApply|Scatter|StridedSliceAssign).*|(Sparse)?Apply.*|StridedSliceAssign"
    r"|Scatter(Add|Div|Max|Min|Mul|NdAdd|NdSub|NdUpdate|Sub|Update)|LookupTable(Import|Insert|Remove).*"
    r"|Queue.*|Stack.*|Stage|MapStage|OrderedMapStage|Barrier.*"
)
_RAGGED: Final = "RaggedTensorSpec"


def batchable_signatures(meta_graph: Any, graph: Graph, endpoints: Mapping[str, Endpoint]) -> frozenset[str]:
    """Name them."""
    functions = meta_graph.object_graph_def.concrete_functions.values()
    if any(_RAGGED in str(function.canonicalized_input_signature) for function in functions):
        return frozenset()
    return frozenset(
        name
        for name, endpoint in endpoints.items()
        if can_batch(endpoint.signature)
        and not any(map(_CHANGES.fullmatch, operations_from(graph, endpoint.fetches.values())))
    )
