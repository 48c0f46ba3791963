"""Which operations of TensorFlow a SavedModel may use. Pure.

A SavedModel is a program: with `ReadFile`, `WriteFile` or `PyFunc` it can read the pod's keys, write files and start
Python code. A list of what is forbidden would miss what TensorFlow adds next (scanners missed `WholeFileReaderV2`), so
this is a list of what is allowed: mathematics, strings, tables in memory, control flow, images and sound in memory.

Tables that are filled from a file (`InitializeTableFromTextFileV2`) are not on it, as the file may be any: models that
are exported by Keras 3 carry their vocabulary as a constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from model_server.contract import Env, StartFailure
from model_server.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ANY: Final = "*"
MAX_NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: the nodes it takes its inputs from, and the functions it may call."""

    op: str
    inputs: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """What matters of one graph of a SavedModel."""

    nodes: Mapping[str, Node]
    """Of the main graph, by name."""
    functions: Mapping[str, tuple[Node, ...]]
    """The function library: nodes by function."""
    root_nodes: frozenset[str]
    """That signatures and initialisation begin with."""
    root_functions: frozenset[str]
    """That loading the model, or calling it, can call."""
    restoring_nodes: frozenset[str] = frozenset()
    """That loading a model of TensorFlow 1 runs to read its variables."""


def check_operations(graphs: Iterable[Graph], extra: frozenset[str]) -> None:
    """Raise `StartError` if the model uses operations that are neither known to be harmless nor in `extra`.

    Every SavedModel also holds functions that read and write checkpoints. Serving never calls them, but for those that
    read its variables; these operations are let pass where nothing that can be called leads to them.
    """
    if ANY in extra:
        return
    names = sorted(refused(graphs) - extra)
    if names:
        raise StartError(
            StartFailure.LOAD_FAILED,
            f"the SavedModel uses {', '.join(names[:MAX_NAMED])}{', …' if names[MAX_NAMED:] else ''}: operations "
            "that may reach files, the network or Python code, or that are unknown. If you trust the model, name them "
            f"in {Env.EXTRA_OPS}",
        )


def refused(graphs: Iterable[Graph]) -> frozenset[str]:
    """Name the operations that are not known to be harmless."""
    return frozenset(op for graph in graphs for op in _refused(graph))


def _refused(graph: Graph) -> frozenset[str]:
    bodies = (node for body in graph.functions.values() for node in body)
    everywhere = _operations([*graph.nodes.values(), *bodies]) - graph.functions.keys()
    called = _reachable(graph, graph.root_nodes, graph.root_functions)
    restoring = _reachable(graph, graph.restoring_nodes, frozenset()) - {RESTORE}
    return ((everywhere - CHECKPOINTS) | called | restoring) - ALLOWED


def operations_from(graph: Graph, tensors: Iterable[str]) -> frozenset[str]:
    """Name the operations that are run for these tensors."""
    return _reachable(graph, frozenset(tensor.partition(":")[0] for tensor in tensors), frozenset())


def _reachable(graph: Graph, root_nodes: frozenset[str], root_functions: frozenset[str]) -> frozenset[str]:
    seen_nodes: set[str] = set()
    seen_functions: set[str] = set()
    nodes, functions = list(root_nodes), list(root_functions)
    found: list[Node] = []
    while nodes or functions:
        fresh: tuple[Node, ...] = ()
        if nodes:
            name = nodes.pop()
            if name not in seen_nodes and name in graph.nodes:
                seen_nodes.add(name)
                fresh = (graph.nodes[name],)
                nodes.extend(graph.nodes[name].inputs)
        else:
            function = functions.pop()
            if function not in seen_functions:
                seen_functions.add(function)
                fresh = graph.functions.get(function, ())
        found.extend(fresh)
        functions.extend(name for node in fresh for name in node.functions)
    return _operations(found) - graph.functions.keys()


def _operations(nodes: Iterable[Node]) -> frozenset[str]:
    return frozenset(node.op for node in nodes)


RESTORE: Final = "RestoreV2"
CHECKPOINTS: Final = frozenset({"MergeV2Checkpoints", RESTORE, "SaveV2", "ShardedFilename"})

ALLOWED: Final = frozenset(
    # One name a line would be 800 lines, and a list in brackets no easier to read.
    """
Abs AccumulateNV2 Acos Acosh Add AddManySparseToTensorsMap AddN AddSparseToTensorsMap AddV2 AdjustContrast
AdjustContrastv2 AdjustHue AdjustSaturation All AllCandidateSampler Angle AnonymousHashTable
AnonymousMutableDenseHashTable AnonymousMutableHashTable AnonymousMutableHashTableOfTensors Any ApproxTopK
ApproximateEqual ArgMax ArgMin AsString Asin Asinh Assert Assign AssignAdd AssignAddVariableOp AssignSub
AssignSubVariableOp AssignVariableOp Atan Atan2 Atanh AudioMicrofrontend AudioSpectrogram AvgPool AvgPool3D
BandedTriangularSolve BatchCholesky BatchFFT BatchFFT2D BatchFFT3D BatchIFFT BatchIFFT2D BatchIFFT3D BatchMatMul
BatchMatMulV2 BatchMatMulV3 BatchMatrixBandPart BatchMatrixDeterminant BatchMatrixDiag BatchMatrixDiagPart
BatchMatrixInverse BatchMatrixSetDiag BatchMatrixSolve BatchMatrixSolveLs BatchMatrixTriangularSolve
BatchNormWithGlobalNormalization BatchSelfAdjointEig BatchSelfAdjointEigV2 BatchSvd BatchToSpace BatchToSpaceND
BesselI0 BesselI0e BesselI1 BesselI1e BesselJ0 BesselJ1 BesselK0 BesselK0e BesselK1 BesselK1e BesselY0 BesselY1
Betainc BiasAdd BiasAddV1 Bincount Bitcast BitwiseAnd BitwiseOr BitwiseXor BlockLSTM BlockLSTMGradV2 BlockLSTMV2
BroadcastArgs BroadcastGradientArgs BroadcastTo Bucketize CSRSparseMatrixComponents CSRSparseMatrixToDense
CSRSparseMatrixToSparseTensor CTCBeamSearchDecoder CTCGreedyDecoder CTCLoss CTCLossV2 Case Cast Ceil CheckNumerics
CheckNumericsV2 Cholesky ClipByValue CombinedNonMaxSuppression Complex ComplexAbs CompositeTensorVariantFromComponents
CompositeTensorVariantToComponents ComputeAccidentalHits Concat ConcatOffset ConcatV2 Conj ConjugateTranspose Const
ControlTrigger Conv Conv2D Conv2DBackpropFilter Conv2DBackpropFilterV2 Conv2DBackpropInput Conv2DBackpropInputV2
Conv3D Conv3DBackpropFilter Conv3DBackpropFilterV2 Conv3DBackpropInput Conv3DBackpropInputV2 Cos Cosh CountUpTo
CropAndResize CropAndResizeGradBoxes CropAndResizeGradImage Cross Cumprod Cumsum CumulativeLogsumexp DataFormatDimMap
DataFormatVecPermute Dawsn DecodeAndCropJpeg DecodeBase64 DecodeBmp DecodeCSV DecodeCompressed DecodeGif DecodeImage
DecodeJSONExample DecodeJpeg DecodeJxl DecodePaddedRaw DecodePng DecodeRaw DecodeWav DecodeWebP DeepCopy DenseBincount
DenseCountSparseOutput DenseToCSRSparseMatrix DenseToDenseSetOperation DenseToSparseSetOperation DepthToSpace
DepthwiseConv2dNative DepthwiseConv2dNativeBackpropFilter DepthwiseConv2dNativeBackpropInput Dequantize
DeserializeManySparse DeserializeSparse DestroyResourceOp DestroyTemporaryVariable DeviceIndex Diag DiagPart Digamma
Dilation2D Dilation2DBackpropFilter Dilation2DBackpropInput DisableCopyOnRead Div DivNoNan DrawBoundingBoxes
DrawBoundingBoxesV2 DynamicPartition DynamicStitch EditDistance Eig Einsum Elu Empty EmptyTensorList EmptyTensorMap
EncodeBase64 EncodeJpeg EncodeJpegVariableQuality EncodePng EncodeWav EnsureShape Enter Equal Erf Erfc Erfinv
EuclideanNorm Exit Exp ExpandDims Expint Expm1 ExtractGlimpse ExtractGlimpseV2 ExtractImagePatches ExtractJpegShape
ExtractVolumePatches FFT FFT2D FFT3D FFTND FakeParam FakeQuantWithMinMaxArgs FakeQuantWithMinMaxArgsGradient
FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsGradient FakeQuantWithMinMaxVarsPerChannel
FakeQuantWithMinMaxVarsPerChannelGradient Fill Fingerprint Floor FloorDiv FloorMod For FractionalAvgPool
FractionalMaxPool FresnelCos FresnelSin FusedBatchNorm FusedBatchNormGradV2 FusedBatchNormGradV3 FusedBatchNormV2
FusedBatchNormV3 FusedPadConv2D FusedResizeAndPadConv2D GRUBlockCell Gather GatherNd GatherV2
GenerateBoundingBoxProposals Greater GreaterEqual GuaranteeConst HSVToRGB HashTable HashTableV2 HistogramFixedWidth
IFFT IFFT2D IFFT3D IFFTND IRFFT IRFFT2D IRFFT3D IRFFTND Identity IdentityN If Igamma IgammaGradA Igammac Imag
ImageProjectiveTransformV2 ImageProjectiveTransformV3 InTopK InTopKV2 InitializeTable InitializeTableV2 InplaceAdd
InplaceSub InplaceUpdate Inv Invert InvertPermutation IsFinite IsInf IsNan IsVariableInitialized IsotonicRegression
KMC2ChainInitialization KmeansPlusPlusInitialization KthOrderStatistic L2Loss LRN LSTMBlockCell LeakyRelu
LearnedUnigramCandidateSampler LeftShift Less LessEqual Lgamma LinSpace ListDiff Log Log1p LogMatrixDeterminant
LogSoftmax LogUniformCandidateSampler LogicalAnd LogicalNot LogicalOr LookupTableExport LookupTableExportV2
LookupTableFind LookupTableFindV2 LookupTableImport LookupTableImportV2 LookupTableInsert LookupTableInsertV2
LookupTableRemoveV2 LookupTableSize LookupTableSizeV2 LoopCond LowerBound Lu MakeUnique MapDefun MatMul MatrixBandPart
MatrixDeterminant MatrixDiag MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3
MatrixExponential MatrixInverse MatrixLogarithm MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3 MatrixSolve
MatrixSolveLs MatrixSquareRoot MatrixTriangularSolve Max MaxPool MaxPool3D MaxPoolGradGradV2 MaxPoolGradGradWithArgmax
MaxPoolGradV2 MaxPoolGradWithArgmax MaxPoolV2 MaxPoolWithArgmax Maximum Mean Merge Mfcc Min Minimum MirrorPad Mod Mul
MulNoNan Multinomial MutableDenseHashTable MutableDenseHashTableV2 MutableHashTable MutableHashTableOfTensors
MutableHashTableOfTensorsV2 MutableHashTableV2 Ndtri NearestNeighbors Neg NextAfter NextIteration NoOp
NonDeterministicInts NonMaxSuppression NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5
NonMaxSuppressionWithOverlaps NotEqual NthElement OneHot OnesLike OptionalFromValue OptionalGetValue OptionalHasValue
OptionalNone Pack Pad PadV2 ParallelConcat ParallelDynamicStitch ParameterizedTruncatedNormal ParseExample
ParseExampleV2 ParseSequenceExample ParseSequenceExampleV2 ParseSingleExample ParseSingleSequenceExample ParseTensor
PartitionedCall Placeholder PlaceholderWithDefault Polygamma PopulationCount Pow PreventGradient Prod Qr
QuantizeAndDequantize QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4
QuantizeDownAndShrinkRange QuantizeV2 QuantizedAdd QuantizedAvgPool QuantizedBatchNormWithGlobalNormalization
QuantizedBiasAdd QuantizedConcat QuantizedConcatV2 QuantizedConv2D QuantizedConv2DAndRelu
QuantizedConv2DAndReluAndRequantize QuantizedConv2DAndRequantize QuantizedConv2DPerChannel QuantizedConv2DWithBias
QuantizedConv2DWithBiasAndRelu QuantizedConv2DWithBiasAndReluAndRequantize QuantizedConv2DWithBiasAndRequantize
QuantizedConv2DWithBiasSignedSumAndReluAndRequantize QuantizedConv2DWithBiasSumAndRelu
QuantizedConv2DWithBiasSumAndReluAndRequantize QuantizedDepthwiseConv2D QuantizedDepthwiseConv2DWithBias
QuantizedDepthwiseConv2DWithBiasAndRelu QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize QuantizedInstanceNorm
QuantizedMatMul QuantizedMatMulWithBias QuantizedMatMulWithBiasAndDequantize QuantizedMatMulWithBiasAndRelu
QuantizedMatMulWithBiasAndReluAndRequantize QuantizedMatMulWithBiasAndRequantize QuantizedMaxPool QuantizedMul
QuantizedRelu QuantizedRelu6 QuantizedReluX QuantizedReshape QuantizedResizeBilinear RFFT RFFT2D RFFT3D RFFTND
RGBToHSV RaggedBincount RaggedCountSparseOutput RaggedCross RaggedFillEmptyRows RaggedGather RaggedRange
RaggedTensorFromVariant RaggedTensorToSparse RaggedTensorToTensor RaggedTensorToVariant RaggedTensorToVariantGradient
RandomCrop RandomGamma RandomIndexShuffle RandomPoisson RandomPoissonV2 RandomShuffle RandomStandardNormal
RandomUniform RandomUniformInt Range Rank ReadVariableOp Real RealDiv Reciprocal ReduceJoin RefEnter RefExit
RefIdentity RefMerge RefNextIteration RefSelect RefSwitch RegexFullMatch RegexReplace Relu Relu6 RequantizationRange
RequantizationRangePerChannel Requantize RequantizePerChannel Reshape ResizeArea ResizeBicubic ResizeBilinear
ResizeNearestNeighbor ResourceCountUpTo ResourceGather ResourceGatherNd ResourceScatterAdd ResourceScatterDiv
ResourceScatterMax ResourceScatterMin ResourceScatterMul ResourceScatterNdAdd ResourceScatterNdMax
ResourceScatterNdMin ResourceScatterNdSub ResourceScatterNdUpdate ResourceScatterSub ResourceScatterUpdate
ResourceStridedSliceAssign Reverse ReverseSequence ReverseV2 RightShift Rint RngReadAndSkip RngSkip Roll Round Rsqrt
SampleDistortedBoundingBox SampleDistortedBoundingBoxV2 ScaleAndTranslate ScatterAdd ScatterDiv ScatterMax ScatterMin
ScatterMul ScatterNd ScatterNdAdd ScatterNdMax ScatterNdMin ScatterNdNonAliasingAdd ScatterNdSub ScatterNdUpdate
ScatterSub ScatterUpdate SegmentMax SegmentMaxV2 SegmentMean SegmentMin SegmentMinV2 SegmentProd SegmentProdV2
SegmentSum SegmentSumV2 Select SelectV2 SelfAdjointEig SelfAdjointEigV2 Selu SerializeManySparse SerializeSparse
SerializeTensor SetSize Shape ShapeN Sigmoid Sign Sin Sinh Size Slice Snapshot SobolSample Softmax
SoftmaxCrossEntropyWithLogits Softplus Softsign SpaceToBatch SpaceToBatchND SpaceToDepth SparseAdd SparseBincount
SparseConcat SparseCountSparseOutput SparseCross SparseCrossHashed SparseCrossV2 SparseDenseCwiseAdd
SparseDenseCwiseDiv SparseDenseCwiseMul SparseFillEmptyRows SparseMatMul SparseMatrixAdd SparseMatrixMatMul
SparseMatrixMul SparseMatrixNNZ SparseMatrixOrderingAMD SparseMatrixSoftmax SparseMatrixSparseCholesky
SparseMatrixSparseMatMul SparseMatrixTranspose SparseMatrixZeros SparseReduceMax SparseReduceMaxSparse SparseReduceSum
SparseReduceSumSparse SparseReorder SparseReshape SparseSegmentMean SparseSegmentMeanGradV2
SparseSegmentMeanWithNumSegments SparseSegmentSqrtN SparseSegmentSqrtNGradV2 SparseSegmentSqrtNWithNumSegments
SparseSegmentSum SparseSegmentSumGradV2 SparseSegmentSumWithNumSegments SparseSlice SparseSoftmax
SparseSoftmaxCrossEntropyWithLogits SparseSparseMaximum SparseSparseMinimum SparseSplit SparseTensorDenseAdd
SparseTensorDenseMatMul SparseTensorToCSRSparseMatrix SparseToDense SparseToSparseSetOperation Spence Split SplitV
Sqrt Square SquaredDifference Squeeze Stack StackClose StackCloseV2 StackPop StackPopV2 StackPush StackPushV2 StackV2
StatefulPartitionedCall StatefulRandomBinomial StatefulStandardNormal StatefulStandardNormalV2 StatefulTruncatedNormal
StatefulUniform StatefulUniformFullInt StatefulUniformInt StatelessCase StatelessIf StatelessMultinomial
StatelessParameterizedTruncatedNormal StatelessRandomBinomial StatelessRandomGammaV2 StatelessRandomGammaV3
StatelessRandomGetAlg StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg StatelessRandomNormal
StatelessRandomNormalV2 StatelessRandomPoisson StatelessRandomUniform StatelessRandomUniformFullInt
StatelessRandomUniformFullIntV2 StatelessRandomUniformInt StatelessRandomUniformIntV2 StatelessRandomUniformV2
StatelessSampleDistortedBoundingBox StatelessShuffle StatelessTruncatedNormal StatelessTruncatedNormalV2
StatelessWhile StaticRegexFullMatch StaticRegexReplace StochasticCastToInt StopGradient StridedSlice
StridedSliceAssign StringFormat StringJoin StringLength StringLower StringNGrams StringSplit StringSplitV2 StringStrip
StringToHashBucket StringToHashBucketFast StringToHashBucketStrong StringToNumber StringUpper Sub Substr Sum Svd
Switch TakeManySparseFromTensorsMap Tan Tanh TemporaryVariable TensorArray TensorArrayClose TensorArrayCloseV2
TensorArrayCloseV3 TensorArrayConcat TensorArrayConcatV2 TensorArrayConcatV3 TensorArrayGather TensorArrayGatherV2
TensorArrayGatherV3 TensorArrayGradV2 TensorArrayGradV3 TensorArrayGradWithShape TensorArrayPack TensorArrayRead
TensorArrayReadV2 TensorArrayReadV3 TensorArrayScatter TensorArrayScatterV2 TensorArrayScatterV3 TensorArraySize
TensorArraySizeV2 TensorArraySizeV3 TensorArraySplit TensorArraySplitV2 TensorArraySplitV3 TensorArrayUnpack
TensorArrayV2 TensorArrayV3 TensorArrayWrite TensorArrayWriteV2 TensorArrayWriteV3 TensorListConcat
TensorListConcatLists TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather
TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack TensorListPushBackBatch TensorListReserve
TensorListResize TensorListScatter TensorListScatterIntoExistingList TensorListScatterV2 TensorListSetItem
TensorListSplit TensorListStack TensorMapErase TensorMapHasKey TensorMapInsert TensorMapLookup TensorMapSize
TensorMapStackKeys TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate
TensorStridedSliceUpdate ThreadUnsafeUnigramCandidateSampler Tile ToBool TopK TopKUnique TopKV2 TopKWithUnique
Transpose TridiagonalMatMul TridiagonalSolve TruncateDiv TruncateMod TruncatedNormal UnicodeDecode
UnicodeDecodeWithOffsets UnicodeEncode UnicodeScript UnicodeTranscode UniformCandidateSampler UniformDequantize
UniformQuantize UniformQuantizedAdd UniformQuantizedClipByValue UniformQuantizedConvolution
UniformQuantizedConvolutionHybrid UniformQuantizedDot UniformQuantizedDotHybrid UniformRequantize Unique UniqueV2
UniqueWithCounts UniqueWithCountsV2 Unpack UnravelIndex UnsortedSegmentJoin UnsortedSegmentMax UnsortedSegmentMin
UnsortedSegmentProd UnsortedSegmentSum UpperBound VarHandleOp VarIsInitializedOp Variable VariableShape VariableV2
Where While Xdivy Xlog1py Xlogy ZerosLike Zeta
""".split()  # noqa: SIM905  # See above.
)
