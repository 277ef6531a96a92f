// Runs invocations one after another: the context object, the ways in which a handler answers, and when the answer
// leaves this process.

import { finished } from 'node:stream/promises';

import { setRequest } from './console.mjs';
import { errorPayload, JSONStringifyError } from './errors.mjs';
import { isModern } from './loader.mjs';
import { ResponseStream } from './streaming.mjs';

const RESPONSE = 'S'.charCodeAt(0);
const ERROR = 'E'.charCodeAt(0);
const STREAM_END = 'Z'.charCodeAt(0);

// RAPID's limit: 6 MiB and 100 bytes.
const MAX_RESPONSE_BYTES = 6291556;
const TOO_LARGE = {
  errorType: 'Function.ResponseSizeTooLarge',
  errorMessage: `Response payload size exceeded maximum allowed payload size (${MAX_RESPONSE_BYTES} bytes).`,
};

export class Runner {
  #channel;
  #logError;
  #handler;
  #isStreaming;
  #highWaterMark;
  #environment;
  // What to do once the event loop is empty; null between two invocations.
  #whenIdle = null;

  constructor(channel, logError, { handler, isStreaming, highWaterMark }) {
    this.#channel = channel;
    this.#logError = logError;
    this.#handler = handler;
    this.#isStreaming = isStreaming;
    this.#highWaterMark = highWaterMark;
    this.#environment = {
      functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
      functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
      memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
      logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
      logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    };
  }

  // `frame`: the length of the header, its fields joined by NUL, the payload.
  invoke(frame) {
    const start = 2 + frame.readUInt16BE(0);
    const header = frame.utf8Slice(2, start).split('\0');
    const payload = frame.utf8Slice(start, frame.length);
    setRequest(header[0], header[6] || undefined);
    if (header[3]) process.env._X_AMZN_TRACE_ID = header[3];
    else delete process.env._X_AMZN_TRACE_ID;
    // From here the event loop may run empty, which ends an invocation that waits for it.
    this.#channel.release();
    if (this.#isStreaming) void this.#runStreaming(header, payload);
    else if (isModern) void this.#runAsync(header, payload);
    else this.#run(header, payload);
  }

  // The event loop is empty.
  onIdle() {
    this.#whenIdle?.();
  }

  // Takes the right to answer the current invocation; false if it was answered before.
  take() {
    if (this.#whenIdle === null) return false;
    this.#whenIdle = null;
    return true;
  }

  #context(header) {
    const deadline = Number(header[1]);
    return {
      ...this.#environment,
      clientContext: parseJson(header[4], 'ClientContext'),
      identity: parseJson(header[5], 'CognitoIdentity'),
      invokedFunctionArn: header[2],
      awsRequestId: header[0],
      tenantId: header[6] || undefined,
      getRemainingTimeInMillis: () => deadline - Date.now(),
    };
  }

  // Node 22 and older: a promise, a callback or the context's own functions answer, whichever is first.
  #run(header, payload) {
    let isOver = false;
    let waitsForIdle = true;
    const succeed = (result) => {
      if (isOver) return;
      this.#respond(result);
      isOver = true;
    };
    const fail = (error) => {
      if (isOver) return;
      isOver = true;
      this.#fail(error ?? 'handled');
    };
    const callback = (error, result) => {
      if (isOver) return;
      if (error !== undefined && error !== null) fail(error);
      else if (!waitsForIdle) succeed(result);
      else {
        isOver = true;
        this.#whenIdle = () => setImmediate(() => this.#respond(result));
      }
    };
    this.#whenIdle = () => succeed(null);
    try {
      const context = Object.assign(this.#context(header), {
        succeed,
        fail,
        done: (error, result) => (error !== undefined && error !== null ? fail(error) : succeed(result)),
      });
      Object.defineProperty(context, 'callbackWaitsForEmptyEventLoop', {
        get: () => waitsForIdle,
        set: (value) => (waitsForIdle = value),
        enumerable: true,
        configurable: true,
      });
      const result = this.#handler(JSON.parse(payload), context, callback);
      if (typeof result?.then === 'function') result.then(succeed, fail).catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  // Node 24 and newer: what the handler returns, awaited. If the event loop runs empty before, the process ends.
  async #runAsync(header, payload) {
    this.#whenIdle = () => {};
    try {
      this.#respond(await this.#handler(JSON.parse(payload), this.#context(header)));
    } catch (error) {
      this.#fail(error);
    }
  }

  async #runStreaming(header, payload) {
    const stream = new ResponseStream(this.#channel, this.#highWaterMark);
    this.#whenIdle = () => this.#endStream(stream, 'Response stream is not finished.');
    try {
      const result = this.#handler(JSON.parse(payload), stream, this.#context(header));
      if (typeof result?.then !== 'function') throw 'Streaming does not support non-async handlers.';
      if ((await result) !== undefined) console.warn('Streaming handlers ignore return values.');
      if (!stream.writableFinished) await finished(stream);
      this.#endStream(stream);
    } catch (error) {
      this.#endStream(stream, error);
    }
  }

  // Everything written is on its way; `error` tells why there is no more of it.
  #endStream(stream, error) {
    const isWhole = error === undefined || stream.writableFinished;
    if (!isWhole && !stream.hasBegun) {
      stream.close();
      this.#fail(error);
      return;
    }
    if (!this.take()) return;
    stream.close();
    if (error !== undefined) this.#logError('Invoke Error', error);
    this.#channel.hold();
    if (isWhole) {
      this.#channel.send(STREAM_END);
    } else {
      const payload = errorPayload(error);
      this.#channel.send(STREAM_END, String(payload.errorType), '\0', JSON.stringify(payload));
    }
  }

  #respond(result) {
    if (this.#whenIdle === null) return;
    this.#answer(stringify(result));
  }

  #answer(body) {
    if (!this.take()) return;
    this.#channel.hold();
    if (body.length > MAX_RESPONSE_BYTES / 4 && Buffer.byteLength(body) > MAX_RESPONSE_BYTES) {
      this.#channel.send(ERROR, TOO_LARGE.errorType, '\0', JSON.stringify(TOO_LARGE));
    } else {
      this.#channel.send(RESPONSE, body);
    }
  }

  #fail(error) {
    if (!this.take()) return;
    this.#logError('Invoke Error', error);
    const payload = errorPayload(error);
    this.#channel.hold();
    this.#channel.send(ERROR, String(payload.errorType), '\0', JSON.stringify(payload));
  }
}

function stringify(result) {
  try {
    return JSON.stringify(result === undefined ? null : result) ?? 'null';
  } catch {
    if (isModern) throw new JSONStringifyError('Unable to stringify response body');
    throw new Error('Unable to stringify response body');
  }
}

function parseJson(text, name) {
  if (!text) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot parse ${name} as json: ${error}`);
  }
}
