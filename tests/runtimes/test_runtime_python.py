"""What Python functions alone do, and the fork that a template makes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from runtime_bench import SERVER_PYTHON, Workbench

MakeBench = Callable[[str], Workbench]


@pytest.fixture
def python(make_bench: MakeBench) -> Workbench:
    return make_bench(f"python{SERVER_PYTHON}")


def test_printed_lines_are_events_in_the_order_of_the_log(python: Workbench) -> None:
    source = """
import logging, sys
logging.getLogger().setLevel("INFO")
def handler(event, context):
    print("one"); print("two", "words"); logging.info("three")
    print("four", file=sys.stderr); print("five\\nsix\\n\\nseven")
    sys.stdout.write("eig"); sys.stdout.write("ht\\n")
    sys.stdout.buffer.write(b"nine\\n")
    print("unfinished", end="")
"""
    with python.runtime(source) as runtime:
        runtime.start().invoke(request_id="r-1")
        lines = runtime.logs()
    assert lines[:2] == ["one\n", "two words\n"]
    assert lines[2].startswith("[INFO]\t")
    assert lines[2].endswith("Z\tr-1\tthree\n")
    assert lines[3:] == ["four\n", "five\n", "six\n", "\n", "seven\n", "eight\n", "nine\n", "unfinished"]


def test_an_uncaught_error_is_logged_with_no_break_spaces(python: Workbench) -> None:
    with python.runtime("def handler(event, context):\n    raise KeyError('k')\n") as runtime:
        answer = runtime.start().invoke(request_id="r-1")
        (line,) = runtime.logs()
    file = f"{python.task_root}/app.py"
    assert line == (
        f"[ERROR] KeyError: 'k'\nTraceback (most recent call last):\n\xa0\xa0File \"{file}\", line 2, in handler\n"
        "\xa0\xa0\xa0\xa0raise KeyError('k')"
    )
    assert answer.json == {
        "errorMessage": "'k'",
        "errorType": "KeyError",
        "requestId": "r-1",
        "stackTrace": [f"  File \"{file}\", line 2, in handler\n    raise KeyError('k')\n"],
    }


@pytest.mark.parametrize(("runtime_id", "has_it"), [("python3.8", False), ("python3.9", True)])
def test_python38_errors_carry_no_request_id(make_bench: MakeBench, runtime_id: str, has_it: bool) -> None:
    with make_bench(runtime_id).behaving("throw") as runtime:
        assert ("requestId" in runtime.start().invoke("throw").json) is has_it


def test_an_error_at_import_has_an_empty_request_id(python: Workbench) -> None:
    with python.behaving("throw at init") as runtime:
        assert runtime.init().json["requestId"] == ""


def test_the_trace_of_an_error_at_import_names_no_file_of_the_bootstrap(python: Workbench) -> None:
    with python.runtime("raise ValueError('at import')\n") as runtime:
        trace = runtime.init().json["stackTrace"]
    assert "/importlib/__init__.py" in trace[0]
    file = f"{python.task_root}/app.py"
    assert trace[-1] == f"  File \"{file}\", line 1, in <module>\n    raise ValueError('at import')\n"


def test_results_are_serialised_as_awslambdaric_does(python: Workbench) -> None:
    source = """
import collections, decimal, json
Point = collections.namedtuple("Point", "x y")
def handler(event, context):
    return {"d": decimal.Decimal("1.10"), "p": Point(1, 2), "t": (1, 2), "b": b"bytes", "n": float("nan")}
"""
    with python.runtime(source) as runtime:
        payload = runtime.start().invoke().payload
    assert payload == b'{"d": 1.10, "p": {"x": 1, "y": 2}, "t": [1, 2], "b": "bytes", "n": NaN}'


@pytest.mark.parametrize(("execution_env", "expected"), [("3.12", '"ä"'), ("3.11", '"\\u00e4"')])
def test_newer_runtimes_answer_in_plain_utf8(python: Workbench, execution_env: str, expected: str) -> None:
    variables = {"AWS_EXECUTION_ENV": f"AWS_Lambda_python{execution_env}"}
    with python.behaving("echo", environment=variables) as runtime:
        assert runtime.start().invoke("ä").payload.decode() == expected


def test_bytes_are_answered_as_they_are(python: Workbench) -> None:
    with python.runtime("def handler(event, context):\n    return b'not json'\n") as runtime:
        assert runtime.start().invoke().payload == b"not json"


def test_the_search_path_has_package_layers_runtime_and_library_in_this_order(python: Workbench) -> None:
    source = "import sys\ndef handler(event, context):\n    return sys.path\n"
    with python.runtime(source, environment={"PYTHONPATH": "/somewhere:/var/runtime"}) as runtime:
        path = runtime.start().invoke().json
    assert path[:5] == [
        str(python.task_root),
        f"/opt/python/lib/python{SERVER_PYTHON}/site-packages",
        "/opt/python",
        "/somewhere",
        str(python.runtime_folder),
    ]
    assert not [folder for folder in path if folder.endswith(("site-packages", "dist-packages"))][1:]


def test_path_files_of_the_package_are_read(python: Workbench) -> None:
    python.write("vendored\n", "extra.pth")
    python.write("value = 5\n", "vendored/inner.py")
    with python.runtime("import inner\ndef handler(event, context):\n    return inner.value\n") as runtime:
        assert runtime.start().invoke().json == 5


def test_a_bundled_simplejson_is_found_before_the_runtimes_own(python: Workbench) -> None:
    python.write("version = 'bundled'\n", "simplejson.py")
    source = "import simplejson\ndef handler(event, context):\n    return simplejson.version\n"
    with python.runtime(source) as runtime:
        assert runtime.start().invoke().json == "bundled"


def test_nothing_of_the_host_interpreter_can_be_imported(python: Workbench) -> None:
    with python.runtime("import pip\ndef handler(event, context): pass\n") as runtime:
        assert runtime.init().json["errorMessage"] == "Unable to import module 'app': No module named 'pip'"


def test_exit_and_quit_are_there_though_site_is_not(python: Workbench) -> None:
    with python.runtime("def handler(event, context):\n    exit(4)\n") as runtime:
        runtime.start().send_invoke(b"{}")
        assert runtime.wait() == 4


def test_exiting_runs_what_was_registered_and_shows_what_was_printed(python: Workbench) -> None:
    source = """
import atexit, sys
atexit.register(print, "at exit")
def handler(event, context):
    sys.exit("for a reason")
"""
    with python.runtime(source) as runtime:
        runtime.start().send_invoke(b"{}")
        assert runtime.wait() == 1
        assert runtime.logs() == ["for a reason\n", "at exit\n"]


def test_threads_go_on_after_the_answer_and_their_errors_are_logged(python: Workbench) -> None:
    source = """
import threading
go = threading.Event()
def work():
    go.wait()
    raise ValueError("in a thread")
def handler(event, context):
    if event == 1:
        worker = threading.Thread(target=work); worker.start(); handler.worker = worker
    else:
        go.set(); handler.worker.join()
"""
    with python.runtime(source) as runtime:
        runtime.start()
        assert runtime.invoke(1).kind == "S"
        assert runtime.invoke(2).kind == "S"
        assert "ValueError: in a thread\n" in runtime.logs()


def test_a_function_may_replace_the_marshaller(python: Workbench) -> None:
    source = """
from awslambdaric.lambda_runtime_client import BaseLambdaRuntimeClient
class Own:
    def unmarshal_request(self, request, content_type): return request.decode()
    def marshal_response(self, response): return "own " + response, "text/plain"
BaseLambdaRuntimeClient.marshaller = Own()
def handler(event, context): return event
"""
    with python.runtime(source) as runtime:
        assert runtime.start().invoke([1]).payload == b"own [1]"


def test_bad_client_context_is_an_error_of_the_invocation(python: Workbench) -> None:
    with python.behaving("echo") as runtime:
        answer = runtime.start().invoke(1, client_context="{")
    assert answer.error_type == "Runtime.LambdaContextUnmarshalError"


# ---- forked from a template ------------------------------------------------------------------------------------------

TEMPLATE = """
import gc, importlib.util, os, signal, sys
spec = importlib.util.spec_from_file_location("lambent_bootstrap", sys.argv[1])
bootstrap = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bootstrap)
bootstrap.preload()
gc.freeze()
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.SIG_IGN)
for channel, log in zip(sys.argv[2::2], sys.argv[3::2]):
    if os.fork() == 0:
        bootstrap.main(int(channel), int(log))
for _ in sys.argv[2::2]:
    os.wait()
"""


def send(channel: socket.socket, kind: bytes, body: bytes) -> None:
    channel.sendall((1 + len(body)).to_bytes(4, "big") + kind + body)


def receive(channel: socket.socket) -> bytes:
    channel.settimeout(20)
    size = int.from_bytes(channel.recv(4, socket.MSG_WAITALL), "big")
    return channel.recv(size, socket.MSG_WAITALL)


def forked(python: Workbench, tmp_path: Path, handlers: list[str], environments: list[dict[str, str]]) -> list[bytes]:
    """The first answer of each of several functions forked from one template."""
    template = tmp_path / "template.py"
    template.write_text(TEMPLATE)
    pairs = [(socket.socketpair(), os.pipe()) for _ in handlers]
    fds = [fd for (_, theirs), (_, log) in pairs for fd in (theirs.fileno(), log)]
    command = [sys.executable, "-S", str(template), str(python.runtime_folder / "bootstrap.py"), *map(str, fds)]
    with subprocess.Popen(command, pass_fds=fds, env={}) as process:
        answers = []
        for ((ours, theirs), (reader, log)), handler, environment in zip(pairs, handlers, environments, strict=True):
            theirs.close()
            os.close(log)
            init = {"handler": handler, "environment": environment, "task_root": str(python.task_root)}
            send(ours, b"I", json.dumps(init).encode())
            assert receive(ours) == b"R"
            header = b"r\x000\0\0\0\0\0"
            send(ours, b"V", len(header).to_bytes(2, "big") + header + b"{}")
            answers.append(receive(ours))
            ours.close()
            os.close(reader)
        assert process.wait(20) == 0
    return answers


def test_forks_of_one_template_differ_in_randomness_and_share_no_environment(python: Workbench, tmp_path: Path) -> None:
    python.write(
        "import os, random, uuid\ndef handler(event, context):\n"
        "    return [random.random(), str(uuid.uuid4()), os.environ.get('WHO'), os.environ.get('LAMBENT')]\n"
    )
    first, second = forked(python, tmp_path, ["app.handler"] * 2, [{"WHO": "one"}, {"WHO": "two"}])
    one, two = json.loads(first[1:]), json.loads(second[1:])
    assert (one[2], two[2], one[3]) == ("one", "two", None)
    assert one[0] != two[0]
    assert one[1] != two[1]


def test_a_fork_has_the_signal_handlers_of_a_fresh_interpreter(python: Workbench, tmp_path: Path) -> None:
    python.write(
        "import signal\ndef handler(event, context):\n    fresh = signal.default_int_handler\n"
        "    return [signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN, signal.getsignal(signal.SIGINT) == fresh]\n"
    )
    assert forked(python, tmp_path, ["app.handler"], [{}]) == [b"S[true, true]"]


def test_a_fork_obeys_the_log_format_of_its_function(python: Workbench, tmp_path: Path) -> None:
    python.write(
        "import logging\ndef handler(event, context):\n"
        "    return [type(handler.formatter).__name__ for handler in logging.getLogger().handlers]\n"
    )
    variables = [{}, {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}]
    assert forked(python, tmp_path, ["app.handler"] * 2, variables) == [b'S["Formatter"]', b'S["JsonFormatter"]']


def test_what_a_template_loads_leaves_out_what_few_functions_need(python: Workbench) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(python.runtime_folder)!r}); import bootstrap; bootstrap.preload();"
        "print([name for name in ('boto3', 'ssl', 'asyncio', 'http.client', 'subprocess') if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
