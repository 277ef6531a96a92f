// The stream that `awslambda.streamifyResponse` handlers write to. What is written leaves the process at once, in
// frames; a client that reads slowly is felt here as it is on AWS: `write` returns false and `drain` comes late.

import { Writable } from 'node:stream';

import { InvalidStreamingOperation } from './errors.mjs';

const BEGIN = 'B'.charCodeAt(0);
const PIECE = 'P'.charCodeAt(0);
const WHOLE = 'W'.charCodeAt(0);
const PRELUDE_TYPE = 'application/vnd.awslambda.http-integration-response';
const PRELUDE_END = Buffer.alloc(8);
const MAX_PIECE_BYTES = 65536;

export class ResponseStream extends Writable {
  #channel;
  #contentType = 'application/octet-stream';
  #hasWritten = false;
  #isOpen = true;
  // Whether the server knows that a response began.
  hasBegun = false;
  // Called before the first piece with a function that writes in front of it.
  _onBeforeFirstWrite = null;

  constructor(channel, highWaterMark) {
    super({ decodeStrings: true, ...(highWaterMark === undefined ? {} : { highWaterMark }) });
    this.#channel = channel;
    // Its error is the invocation's; a handler that does not listen for it is not to die of it.
    this.on('error', () => {});
  }

  // Anything but text and bytes is sent as JSON.
  write(chunk, ...rest) {
    if (!this.#hasWritten) {
      this.#hasWritten = true;
      this._onBeforeFirstWrite?.((first) => super.write(first));
    }
    const isPlain = typeof chunk === 'string' || chunk instanceof Uint8Array;
    return super.write(isPlain ? chunk : JSON.stringify(chunk), ...rest);
  }

  end(chunk, ...rest) {
    if (chunk === undefined || chunk === null || typeof chunk === 'function') return super.end(chunk, ...rest);
    this.write(chunk, ...rest.filter((argument) => typeof argument !== 'function'));
    return super.end(...rest.filter((argument) => typeof argument === 'function'));
  }

  setContentType(contentType) {
    if (this.#hasWritten) throw new InvalidStreamingOperation('Cannot set content-type, too late.');
    this.#contentType = contentType;
  }

  // The invocation is over: what a handler still writes belongs to no response.
  close() {
    this.#isOpen = false;
  }

  _write(chunk, _encoding, done) {
    this.#begin();
    this.#send(chunk, 0, done);
  }

  // The client has everything now, whatever the handler still does.
  _final(done) {
    this.#begin();
    if (this.#isOpen) this.#channel.send(WHOLE);
    done();
  }

  #begin() {
    if (this.hasBegun || !this.#isOpen) return;
    this.hasBegun = true;
    this.#channel.send(BEGIN, this.#contentType);
  }

  #send(chunk, start, done) {
    let at = start;
    while (at < chunk.length && this.#isOpen) {
      const end = Math.min(at + MAX_PIECE_BYTES, chunk.length);
      const isSent = this.#channel.send(PIECE, chunk.subarray(at, end));
      at = end;
      if (!isSent) {
        // The server has held up this process, or is busy: the rest waits, and so does whoever writes.
        this.#channel.flushed(() => this.#send(chunk, at, done));
        return;
      }
    }
    done();
  }
}

export class HttpResponseStream {
  // Status, headers and cookies go in front of the first write; a response without any has none.
  static from(stream, prelude) {
    stream.setContentType(PRELUDE_TYPE);
    const text = JSON.stringify(prelude);
    stream._onBeforeFirstWrite = (write) => {
      write(text);
      write(PRELUDE_END);
    };
    return stream;
  }
}
