"""What Node functions alone do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from runtime_bench import INTERPRETERS, Workbench
from runtime_harness import Runtime

NODES = [name for name in INTERPRETERS if name.startswith("nodejs")]
LEGACY = [name for name in NODES if int(name[6:8]) < 24]
MODERN = [name for name in NODES if int(name[6:8]) >= 24]


@pytest.fixture
def node(make_bench: Callable[[str], Workbench]) -> Workbench:
    """A release with callbacks."""
    return make_bench(LEGACY[0] if LEGACY else "nodejs20.x")


@pytest.fixture
def modern(make_bench: Callable[[str], Workbench]) -> Workbench:
    return make_bench(MODERN[0] if MODERN else "nodejs24.x")


def test_a_callback_answers_when_the_event_loop_is_empty(node: Workbench) -> None:
    source = """
exports.handler = (event, context, callback) => {
  setTimeout(() => console.log('work'), 20);
  callback(null, context.callbackWaitsForEmptyEventLoop);
};
"""
    with node.runtime(source) as runtime:
        answer = runtime.start().invoke()
        assert answer.json is True
        assert [line.split("\t")[3] for line in runtime.logs()] == ["work\n"]
        assert runtime.invoke().json is True


def test_without_waiting_a_callback_answers_at_once_and_work_goes_on_in_the_next_invocation(node: Workbench) -> None:
    source = """
let finish;
exports.handler = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = false;
  if (event === 'first') {
    const timer = setInterval(() => {}, 1000);
    finish = () => { clearInterval(timer); callback(null, 'second'); };
    return callback(null, 'first');
  }
  finish();
  setTimeout(() => callback(null, 'late'), 10);
};
"""
    with node.runtime(source) as runtime:
        runtime.start()
        assert runtime.invoke("first").json == "first"
        assert runtime.invoke("second").json == "late"


@pytest.mark.parametrize(
    ("body", "kind", "payload"),
    [
        ("callback(new RangeError('no'))", "E", {"errorType": "RangeError", "errorMessage": "no"}),
        ("callback('text')", "E", {"errorType": "string", "errorMessage": "text", "trace": []}),
        ("context.succeed('yes')", "S", "yes"),
        ("context.fail('no')", "E", {"errorType": "string", "errorMessage": "no", "trace": []}),
        ("context.done(null, 'yes')", "S", "yes"),
        ("context.succeed(1); callback(null, 2)", "S", 1),
        ("throw 'text'", "E", {"errorType": "string", "errorMessage": "text", "trace": []}),
        ("return 'ignored'", "S", None),
        ("setImmediate(() => callback(null, 'later'))", "S", "later"),
        ("return new Promise(() => {})", "S", None),
    ],
)
def test_every_way_of_answering_without_async(node: Workbench, body: str, kind: str, payload: object) -> None:
    with node.runtime(f"exports.handler = (event, context, callback) => {{ {body}; }};\n") as runtime:
        answer = runtime.start().invoke()
        result = answer.json
        if isinstance(payload, dict) and "trace" not in payload:
            assert result.pop("trace")
        assert (answer.kind, result) == (kind, payload)
        assert runtime.invoke().kind == kind


@pytest.mark.parametrize(
    ("files", "handler"),
    [
        ({"app.mjs": "export const handler = async () => 'ok';"}, "app.handler"),
        ({"app.js": "export const handler = async () => 'ok';", "package.json": '{"type": "module"}'}, "app.handler"),
        ({"app.cjs": "exports.handler = async () => 'ok';"}, "app.handler"),
        ({"app.mjs": "export const handler = await Promise.resolve(async () => 'ok');"}, "app.handler"),
        ({"app.js": "exports.a = { b: { handler: async () => 'ok' } };"}, "app.a.b.handler"),
        ({"src/app.mjs": "export const handler = async () => 'ok';"}, "src/app.handler"),
        (
            {"src/app.js": "export const handler = async () => 'ok';", "package.json": '{"type": "module"}'},
            "src/app.handler",
        ),
        ({"node_modules/kept/index.js": "exports.handler = async () => 'ok';"}, "kept.handler"),
        ({"app": "exports.handler = async () => 'ok';"}, "app.handler"),
    ],
    ids=[
        "mjs",
        "type module",
        "cjs",
        "top-level await",
        "nested",
        "folder",
        "folder of type module",
        "package",
        "bare",
    ],
)
@pytest.mark.parametrize("runtime_id", NODES)
def test_every_kind_of_module_is_loaded(
    make_bench: Callable[[str], Workbench], runtime_id: str, files: dict[str, str], handler: str
) -> None:
    if runtime_id in MODERN and "app" in files:
        pytest.skip("`import` knows no file without a suffix")
    node = make_bench(runtime_id)
    for name, source in files.items():
        node.write(source, name)
    with node.runtime(handler=handler) as runtime:
        assert runtime.start().invoke().json == "ok"


@pytest.mark.parametrize(
    ("handler", "error_type", "message"),
    [
        ("app.other", "Runtime.HandlerNotFound", "app.other is undefined or not exported"),
        ("app.value", "Runtime.HandlerNotFound", "app.value is not a function"),
        (
            "../app.handler",
            "Runtime.MalformedHandlerName",
            "'../app.handler' is not a valid handler name. Use absolute paths when specifying root directories in "
            "handler names.",
        ),
    ],
)
def test_the_words_for_a_wrong_handler_are_awss(node: Workbench, handler: str, error_type: str, message: str) -> None:
    with node.runtime("exports.handler = async () => {}; exports.value = 1;\n", handler=handler) as runtime:
        answer = runtime.init()
        assert (answer.error_type, answer.json["errorMessage"]) == (error_type, message)
        assert runtime.wait() == 129
        (line,) = runtime.logs()
    _, request_id, level, title, fields = line.split("\t")
    assert (request_id, level, title) == ("undefined", "ERROR", "Uncaught Exception ")
    assert json.loads(fields)["errorType"] == error_type


def test_a_missing_module_names_who_required_it(node: Workbench) -> None:
    with node.runtime("require('absent');\n") as runtime:
        message = runtime.init().json["errorMessage"]
    index = node.runtime_folder / "index.mjs"
    assert message == (f"Error: Cannot find module 'absent'\nRequire stack:\n- {node.task_root}/app.js\n- {index}")


@pytest.mark.parametrize("runtime_id", NODES)
def test_modules_of_layers_and_runtime_are_found_by_require_and_import(
    make_bench: Callable[[str], Workbench], runtime_id: str
) -> None:
    node = make_bench(runtime_id)
    node.write("exports.name = 'layer';", "layer/node_modules/shared/index.js")
    variables = {"NODE_PATH": f"/opt/nodejs/node_modules:{node.task_root}/layer/node_modules"}
    node.write("import { name } from 'shared';\nexport const handler = async () => name;\n", "esm.mjs")
    with node.runtime("exports.handler = async () => require('shared').name;\n", environment=variables) as runtime:
        assert runtime.start().invoke().json == "layer"
    with node.runtime(handler="esm.handler", environment=variables) as runtime:
        assert runtime.start().invoke().json == "layer"


def test_an_unhandled_rejection_is_answered_and_ends_the_process(node: Workbench) -> None:
    source = """
exports.handler = async () => {
  Promise.reject(new Error('lost'));
  await new Promise((resolve) => setTimeout(resolve, 5000));
};
"""
    with node.runtime(source) as runtime:
        answer = runtime.start().invoke(request_id="r-1")
        assert (answer.kind, answer.error_type) == ("F", "Runtime.UnhandledPromiseRejection")
        assert answer.json["errorMessage"] == "Error: lost"
        assert answer.json["trace"][0] == "Runtime.UnhandledPromiseRejection: Error: lost"
        assert runtime.wait() == 128
        (line,) = runtime.logs()
    _, request_id, level, title, fields = line.split("\t")
    assert (request_id, level, title) == ("r-1", "ERROR", "Unhandled Promise Rejection ")
    assert json.loads(fields)["reason"]["errorMessage"] == "lost"


def test_an_uncaught_exception_is_answered_and_ends_the_process(node: Workbench) -> None:
    source = "exports.handler = (e, c, callback) => setTimeout(() => { throw new Error('thrown late'); }, 1);\n"
    with node.runtime(source) as runtime:
        answer = runtime.start().invoke()
        assert (answer.kind, answer.error_type, answer.json["errorMessage"]) == ("F", "Error", "thrown late")
        assert runtime.wait() == 129


def test_an_exception_between_two_invocations_ends_the_process(node: Workbench) -> None:
    source = "exports.handler = async () => { setTimeout(() => { throw new Error('too late'); }, 1); };\n"
    with node.runtime(source) as runtime:
        assert runtime.start().invoke().kind == "S"
        assert runtime.wait() == 129


def test_console_lines_have_time_request_level_and_formatted_text(node: Workbench) -> None:
    source = """
console.log('at init');
exports.handler = async () => {
  console.log('%s is %d', 'it', 1, { a: { b: [1] } });
  console.trace('t'); console.debug('d'); console.info('i'); console.warn('w'); console.error(new Error('e').message);
  console.fatal('f');
};
"""
    with node.runtime(source) as runtime:
        runtime.start().invoke(request_id="r-1")
        lines = [line.rstrip("\n").split("\t") for line in runtime.logs()]
    assert lines[0][1:] == ["undefined", "INFO", "at init"]
    assert [line[1:] for line in lines[1:]] == [
        ["r-1", "INFO", "it is 1 { a: { b: [ 1 ] } }"],
        ["r-1", "TRACE", "t"],
        ["r-1", "DEBUG", "d"],
        ["r-1", "INFO", "i"],
        ["r-1", "WARN", "w"],
        ["r-1", "ERROR", "e"],
        ["r-1", "FATAL", "f"],
    ]
    assert all(len(line[0]) == len("2026-11-23T00:00:00.000Z") for line in lines)


def test_an_invoke_error_is_logged_with_its_own_properties(node: Workbench) -> None:
    source = "exports.handler = async () => { throw Object.assign(new Error('no'), { code: 'E1', extra: 2 }); };\n"
    with node.runtime(source) as runtime:
        runtime.start().invoke()
        (line,) = runtime.logs()
    title, fields = line.split("\t")[3:]
    assert title == "Invoke Error "
    logged = json.loads(fields)
    assert logged.pop("stack")[0] == "Error: no"
    assert logged == {"errorType": "Error", "errorMessage": "no", "code": "E1", "extra": 2}


def test_json_logs_keep_objects_as_objects(node: Workbench) -> None:
    source = "exports.handler = async () => { console.log({ a: 1 }); console.warn('x', new TypeError('t')); };\n"
    with node.runtime(source, environment={"AWS_LAMBDA_LOG_FORMAT": "JSON"}) as runtime:
        runtime.start().invoke(tenant_id="blue")
        first, second = [json.loads(line) for line in runtime.logs()]
    assert (first["message"], first["tenantId"], list(first)[:3]) == (
        {"a": 1},
        "blue",
        ["timestamp", "level", "requestId"],
    )
    assert (second["level"], second["errorType"], second["errorMessage"]) == ("WARN", "TypeError", "t")


def answers(runtime: Runtime, **header: Any) -> list[tuple[str, bytes]]:
    """Everything up to the end of one invocation, pieces beside each other put together."""
    runtime.send_invoke(b"{}", **header)
    frames: list[tuple[str, bytes]] = []
    while not frames or frames[-1][0] not in "SEFZ":
        answer = runtime.receive()
        if answer.kind == "P" and frames[-1][0] == "P":
            frames[-1] = ("P", frames[-1][1] + answer.body)
        else:
            frames.append((answer.kind, answer.body))
    return frames


STREAMING = """
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const { HttpResponseStream, streamifyResponse } = awslambda;
exports.handler = streamifyResponse(async (event, stream, context) => {
  stream = HttpResponseStream.from(stream, { statusCode: 201 });
  stream.write('one '); stream.write(Buffer.from('two ')); stream.write({ three: 3 });
  stream.end('.');
});
exports.piped = streamifyResponse(async (event, stream) => {
  stream.setContentType('text/plain');
  await pipeline(Readable.from(['a', 'b', Buffer.from('c')]), stream);
});
exports.later = streamifyResponse(async (event, stream) => { setTimeout(() => stream.end('late'), 20); });
exports.empty = streamifyResponse(async (event, stream) => { stream.end(); return 1; });
exports.open = streamifyResponse(async (event, stream) => { stream.write('x'); });
exports.silent = streamifyResponse(async (event, stream) => {});
exports.broken = streamifyResponse(async (event, stream) => { throw new Error('early'); });
exports.midway = streamifyResponse(async (event, stream) => { stream.write('part'); throw new Error('mid'); });
exports.source = streamifyResponse(async (event, stream) => {
  await pipeline(async function* () { yield 'part'; throw new RangeError('source'); }, stream);
});
exports.after = streamifyResponse(async (event, stream) => {
  await new Promise((resolve) => stream.end('whole', resolve));
  throw new Error('after');
});
exports.plain = streamifyResponse((event, stream) => { stream.end('x'); });
exports.late = streamifyResponse(async (event, stream) => { stream.write('x'); stream.setContentType('a/b'); });
exports.huge = streamifyResponse(async (event, stream) => {
  const piece = Buffer.alloc(300000, 1);
  let waits = 0;
  for (let i = 0; i < 20; i++) if (!stream.write(piece)) {
    waits++;
    await new Promise((resolve) => stream.once('drain', resolve));
  }
  stream.end(`waited ${waits}`);
});
"""
OCTETS = ("B", b"application/octet-stream")


def test_a_streaming_handler_is_answered_as_it_writes(node: Workbench) -> None:
    prelude = b'{"statusCode":201}' + bytes(8)
    expected = {
        "handler": [
            ("B", b"application/vnd.awslambda.http-integration-response"),
            ("P", prelude + b'one two {"three":3}.'),
            ("W", b""),
            ("Z", b""),
        ],
        "piped": [("B", b"text/plain"), ("P", b"abc"), ("W", b""), ("Z", b"")],
        "later": [OCTETS, ("P", b"late"), ("W", b""), ("Z", b"")],
        "empty": [OCTETS, ("W", b""), ("Z", b"")],
        "after": [OCTETS, ("P", b"whole"), ("W", b""), ("Z", b"")],
    }
    node.write(STREAMING)
    for name, frames in expected.items():
        with node.runtime(handler=f"app.{name}") as runtime:
            assert answers(runtime.start()) == frames, name
            # And again in the same process.
            assert answers(runtime) == frames, name


def test_a_stream_that_does_not_end_well_says_so_whether_it_began_or_not(node: Workbench) -> None:
    early = {
        "broken": "early",
        "silent": "Response stream is not finished.",
        "plain": "Streaming does not support non-async handlers.",
    }
    midway = {
        "open": (b"x", "Response stream is not finished."),
        "midway": (b"part", "mid"),
        "source": (b"part", "source"),
        "late": (b"x", "Cannot set content-type, too late."),
    }
    node.write(STREAMING)
    for name, message in early.items():
        with node.runtime(handler=f"app.{name}") as runtime:
            *begun, (kind, body) = answers(runtime.start())
            if name != "plain":
                assert (begun, kind) == ([], "E")
            assert json.loads(body.partition(b"\0")[2])["errorMessage"] == message
    for name, (part, message) in midway.items():
        with node.runtime(handler=f"app.{name}") as runtime:
            first, piece, (kind, body) = answers(runtime.start())
            assert (first, piece, kind) == (OCTETS, ("P", part), "Z")
            assert json.loads(body.partition(b"\0")[2])["errorMessage"] == message
            assert "Invoke Error" in runtime.output() + "".join(runtime.logs())


def test_a_stream_that_nobody_reads_makes_its_writer_wait(node: Workbench) -> None:
    node.write(STREAMING)
    with node.runtime(handler="app.huge") as runtime:
        begun, (_, pieces), *end = answers(runtime.start())
        assert (begun, end) == (OCTETS, [("W", b""), ("Z", b"")])
        waited = pieces[6_000_000:].removeprefix(b"waited ")
        # What the socket takes at once holds up nobody.
        assert waited.isdigit()
        assert 10 < int(waited) <= 20


def test_a_module_that_never_loads_ends_the_process(node: Workbench) -> None:
    node.write("await new Promise(() => {});\n", "app.mjs")
    with node.runtime() as runtime:
        runtime.send_init()
        assert runtime.wait() == 13


def test_options_of_the_function_replace_the_default_ones(node: Workbench) -> None:
    source = (
        "exports.handler = async () => process.execArgv.length + ' ' + process.execArgv.includes('--trace-warnings');\n"
    )
    launch, program = node.runtime_folder / "launch", str(INTERPRETERS[node.runtime_id].program)
    command = ["/bin/sh", str(launch), program, "--trace-warnings", str(node.runtime_folder / "index.mjs")]
    with node.runtime(source) as runtime:
        runtime.command = command
    for variables, expected in (({}, "1 true"), ({"NODE_OPTIONS": "--no-deprecation"}, "0 false")):
        own = {"PATH": "/usr/bin:/bin", "_HANDLER": "app.handler", **variables}
        runtime = node.runtime(exec_environment=own)
        runtime.command = command
        with runtime:
            assert runtime.start().invoke().json == expected


# ---- Node 24 and newer -----------------------------------------------------------------------------------------------


def test_handlers_with_callbacks_are_refused_from_node_24_on(modern: Workbench) -> None:
    with modern.runtime("exports.handler = (event, context, callback) => callback(null, 1);\n") as runtime:
        answer = runtime.init()
        assert answer.error_type == "Runtime.CallbackHandlerDeprecated"
        assert answer.json["errorMessage"].startswith("ERROR: AWS Lambda has removed support for callback-based")
        assert runtime.wait() == 1


def test_a_promise_that_never_settles_ends_a_node_24_process(modern: Workbench) -> None:
    with modern.runtime("exports.handler = async () => new Promise(() => {});\n") as runtime:
        runtime.start().send_invoke(b"1")
        assert runtime.wait() == 0
