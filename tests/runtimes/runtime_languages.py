"""The functions of the conformance suite, one for each behaviour, in each language."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    #: The module of `app.handler`.
    file: str
    #: Where the error payload holds the stack.
    trace: str
    functions: dict[str, str]
    #: Sources that cannot be parsed, and that import what is not there.
    syntax_error: str
    missing_import: str


PYTHON = Language(
    file="app.py",
    trace="stackTrace",
    syntax_error="def handler(event, context)\n  return 1\n",
    missing_import="import no_such_package\ndef handler(event, context): pass\n",
    functions={
        "echo": "def handler(event, context):\n    return event\n",
        "nothing": "def handler(event, context):\n    pass\n",
        "count": "calls = 0\ndef handler(event, context):\n    global calls\n    calls += 1\n    return calls\n",
        "throw": (
            "def handler(event, context):\n    if event == 'throw':\n        raise TypeError('of äl')\n"
            "    return event\n"
        ),
        "throw at init": "raise TypeError('too early')\n",
        "exit": "import sys\ndef handler(event, context):\n    sys.exit(event)\n",
        "exit at init": "import sys\nsys.exit(7)\n",
        "environment": "import os\ndef handler(event, context):\n    return dict(os.environ)\n",
        "folder": "import os\ndef handler(event, context):\n    return os.getcwd()\n",
        "hour at noon UTC": (
            "import datetime\ndef handler(event, context):\n    return datetime.datetime.fromtimestamp(43200).hour\n"
        ),
        "context": """
def handler(event, context):
    return {
        "requestId": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "name": context.function_name,
        "version": context.function_version,
        "memory": context.memory_limit_in_mb,
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "remaining": context.get_remaining_time_in_millis(),
        "custom": context.client_context.custom if context.client_context else None,
        "identity": context.identity.cognito_identity_id,
        "tenant": context.tenant_id,
    }
""",
        "log": """
import logging
logging.getLogger().setLevel(logging.DEBUG)
def handler(event, context):
    for level, text in event:
        getattr(logging, level)(text)
""",
        "children": (
            "import os\ndef handler(event, context):\n"
            "    os.system('echo from a child')\n    os.write(2, b'by hand\\n')\n"
        ),
        "large": "def handler(event, context):\n    return 'x' * event\n",
        "unserialisable": "def handler(event, context):\n    return object() if event else 'fine'\n",
    },
)

NODEJS = Language(
    file="app.js",
    trace="trace",
    syntax_error="exports.handler = async (event => {\n",
    missing_import="require('no-such-package');\nexports.handler = async () => {};\n",
    functions={
        "echo": "exports.handler = async (event) => event;\n",
        "nothing": "exports.handler = async () => {};\n",
        "count": "let calls = 0;\nexports.handler = async () => ++calls;\n",
        "throw": (
            "exports.handler = async (event) => {\n"
            "  if (event === 'throw') throw new TypeError('of äl');\n  return event;\n};\n"
        ),
        "throw at init": "throw new TypeError('too early');\n",
        "exit": "exports.handler = async (event) => process.exit(event);\n",
        "exit at init": "process.exit(7);\n",
        "environment": "exports.handler = async () => ({ ...process.env });\n",
        "folder": "exports.handler = async () => process.cwd();\n",
        "hour at noon UTC": "exports.handler = async () => new Date(43200000).getHours();\n",
        "context": """
exports.handler = async (event, context) => ({
  requestId: context.awsRequestId,
  arn: context.invokedFunctionArn,
  name: context.functionName,
  version: context.functionVersion,
  memory: context.memoryLimitInMB,
  group: context.logGroupName,
  stream: context.logStreamName,
  remaining: context.getRemainingTimeInMillis(),
  custom: context.clientContext ? context.clientContext.custom : null,
  identity: context.identity ? context.identity.cognitoIdentityId : null,
  tenant: context.tenantId ?? null,
});
""",
        "log": """
const methods = { debug: 'debug', info: 'info', warning: 'warn', error: 'error' };
exports.handler = async (event) => event.forEach(([level, text]) => console[methods[level]](text));
""",
        "children": """
const { execFileSync } = require('child_process');
exports.handler = async () => {
  execFileSync('/bin/echo', ['from a child'], { stdio: 'inherit' });
  require('fs').writeSync(2, 'by hand\\n');
};
""",
        "large": "exports.handler = async (event) => 'x'.repeat(event);\n",
        "unserialisable": "exports.handler = async (event) => (event ? { of: 1n } : 'fine');\n",
    },
)

LANGUAGES = {"python": PYTHON, "nodejs": NODEJS}
