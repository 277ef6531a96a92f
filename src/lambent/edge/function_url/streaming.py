"""Function URLs with InvokeMode RESPONSE_STREAM: the client gets the first byte when the function writes it."""

from __future__ import annotations

from lambent.edge.http_events import responses, streamed
from lambent.invoke.streams import open_stream
from lambent.ports import Asker, FunctionCalls, InvokeResult, ResponseSink, UrlTarget
from lambent.request import Response

#: Bytes of JSON that may stand before the body.
PRELUDE_LIMIT = 64 * 1024


async def answer(
    functions: FunctionCalls,
    target: UrlTarget,
    asker: Asker,
    event: bytes,
    *,
    request_id: str,
    trace_id: str,
) -> Response:
    """The head, and a `streamed.Body` for the rest.

    Raises FunctionFailed, MalformedProxyResponse and what `FunctionCalls.call` raises.
    """

    async def invoke(sink: ResponseSink) -> InvokeResult:
        return await functions.call(
            target.function_arn, asker, event, request_id=request_id, trace_id=trace_id, stream=sink
        )

    stream = await open_stream(invoke)
    try:
        opening = await streamed.opening(stream, PRELUDE_LIMIT, has_prelude=streamed.is_prelude(stream.content_type))
        content_type = streamed.body_type(stream.content_type)
        response = (
            responses.head_of(opening.prelude, content_type) if opening.prelude else Response(200, [content_type])
        )
    except BaseException:
        stream.close()
        raise
    response.body = opening.first
    response.stream = streamed.Body(stream, request_id)
    return response


def collected(payload: bytes, content_type: str) -> Response:
    """The answer of a function that streams, where the URL does not: its metadata holds all the same.

    Raises MalformedProxyResponse.
    """
    given = streamed.body_type(content_type)
    if not streamed.is_prelude(content_type) or not payload:
        return Response(200, [given], payload)
    prelude, separator, body = payload.partition(streamed.SEPARATOR)
    if not separator:
        raise responses.MalformedProxyResponse("The response has no eight NUL bytes behind its metadata.")
    response = responses.head_of(prelude, given)
    response.body = body
    return response
