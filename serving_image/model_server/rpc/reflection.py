"""Tells clients like grpcurl which services there are: `grpc.reflection.v1` and its older name, v1alpha.

Both have the same messages under other names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from model_server.rpc.codes import Code
from model_server.rpc.open_inference import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.rpc.calls import Call
    from model_server.rpc.conversations import Conversation


class Reflection:
    """The method of the service."""

    def __init__(self, services: Sequence[str]) -> None:
        self._services = sorted(services)
        self._pool: Any = descriptor_pool.Default()

    async def info(self, call: Call, conversation: Conversation) -> None:
        """ServerReflectionInfo: an answer to each question."""
        while (message := await conversation.next()) is not None:
            await conversation.say(self._answer(parse(ServerReflectionRequest, message)))

    def _answer(self, request: Any) -> bytes:
        response = ServerReflectionResponse(valid_host=request.host)
        response.original_request.CopyFrom(request)
        try:
            self._fill(request, response)
        except KeyError:
            response.error_response.error_code = Code.NOT_FOUND
            response.error_response.error_message = "there is no such thing"
        text: bytes = response.SerializeToString()
        return text

    def _fill(self, request: Any, response: Any) -> None:
        """Answer one question. Raises KeyError."""
        asked = request.WhichOneof("message_request")
        if asked == "list_services":
            for service in self._services:
                response.list_services_response.service.add(name=service)
        elif asked == "file_by_filename":
            self._add_file(self._pool.FindFileByName(request.file_by_filename), response)
        elif asked == "file_containing_symbol":
            self._add_file(self._pool.FindFileContainingSymbol(request.file_containing_symbol), response)
        elif asked == "file_containing_extension":
            extension = request.file_containing_extension
            message = self._pool.FindMessageTypeByName(extension.containing_type)
            self._add_file(self._pool.FindExtensionByNumber(message, extension.extension_number).file, response)
        elif asked == "all_extension_numbers_of_type":
            message = self._pool.FindMessageTypeByName(request.all_extension_numbers_of_type)
            response.all_extension_numbers_response.base_type_name = message.full_name
            response.all_extension_numbers_response.extension_number.extend(
                extension.number for extension in self._pool.FindAllExtensions(message)
            )
        else:
            response.error_response.error_code = Code.INVALID_ARGUMENT
            response.error_response.error_message = "nothing is asked for"

    @staticmethod
    def _add_file(file: Any, response: Any) -> None:
        """Add a file and those that it needs."""
        files = {file.name: file}
        waiting = [file]
        while waiting:
            for needed in waiting.pop().dependencies:
                if needed.name not in files:
                    files[needed.name] = needed
                    waiting.append(needed)
        response.file_descriptor_response.file_descriptor_proto.extend(each.serialized_pb for each in files.values())
