// Errors as AWS's Node runtimes name, log and answer them.

function runtimeError(name) {
  const type = class extends Error {};
  type.prototype.name = `Runtime.${name}`;
  return type;
}

export const CallbackHandlerDeprecated = runtimeError('CallbackHandlerDeprecated');
export const HandlerNotFound = runtimeError('HandlerNotFound');
export const InvalidStreamingOperation = runtimeError('InvalidStreamingOperation');
export const JSONStringifyError = runtimeError('JSONStringifyError');
export const MalformedHandlerName = runtimeError('MalformedHandlerName');
export const MalformedStreamingHandler = runtimeError('MalformedStreamingHandler');

// These two speak for an error of Node's own.
export class ImportModuleError extends runtimeError('ImportModuleError') {
  constructor(cause) {
    super(String(cause));
  }
}

export class UserCodeSyntaxError extends runtimeError('UserCodeSyntaxError') {
  constructor(cause) {
    super(String(cause));
    this.stack = cause.stack;
  }
}

export class UnhandledPromiseRejection extends runtimeError('UnhandledPromiseRejection') {
  constructor(reason, promise) {
    super(reason);
    this.reason = reason;
    this.promise = promise;
  }
}

const looksLikeError = (value) =>
  value instanceof Error ||
  (typeof value?.name === 'string' && typeof value.message === 'string' && typeof value.stack === 'string');

// A DEL would not survive the header that carries the error's type.
const clean = (text) => text?.replaceAll('\x7F', '%7F');

// What the caller of the function gets.
export function errorPayload(error) {
  try {
    if (looksLikeError(error)) {
      return {
        errorType: clean(error.name),
        errorMessage: clean(error.message),
        trace: clean(error.stack)?.split('\n') ?? [],
      };
    }
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage:
        'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
      trace: [],
    };
  }
}

export const asError = (value) => (value instanceof Error ? value : new Error(value));

// One line of JSON with everything enumerable on an error, for the text log.
export function errorLine(error) {
  try {
    return `\t${JSON.stringify(error, (_, value) => (value instanceof Error ? withStack(value) : value))}`;
  } catch {
    return `\t${JSON.stringify(errorPayload(error))}`;
  }
}

function withStack(error) {
  const fields = { errorType: error.name, errorMessage: error.message, code: error.code, ...error };
  if (typeof error.stack === 'string') fields.stack = error.stack.split('\n');
  return fields;
}
