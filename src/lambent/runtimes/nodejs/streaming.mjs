// The stream that `awslambda.streamifyResponse` handlers write to. The response is collected and answered whole.

import { Writable } from 'node:stream';

import { InvalidStreamingOperation } from './errors.mjs';

const PRELUDE_TYPE = 'application/vnd.awslambda.http-integration-response';
const PRELUDE_END = Buffer.alloc(8);

export class ResponseStream extends Writable {
  #chunks = [];
  #prelude = null;
  contentType = 'application/octet-stream';

  constructor() {
    super({ decodeStrings: true });
  }

  // Anything but text and bytes is sent as JSON.
  write(chunk, ...rest) {
    const isPlain = typeof chunk === 'string' || chunk instanceof Uint8Array;
    return super.write(isPlain ? chunk : JSON.stringify(chunk), ...rest);
  }

  setContentType(contentType) {
    if (this.#chunks.length > 0) throw new InvalidStreamingOperation('Cannot set content-type, too late.');
    this.contentType = contentType;
  }

  setPrelude(prelude) {
    this.setContentType(PRELUDE_TYPE);
    this.#prelude = JSON.stringify(prelude);
  }

  body() {
    const start = this.#prelude === null ? [] : [Buffer.from(this.#prelude), PRELUDE_END];
    return Buffer.concat([...start, ...this.#chunks]);
  }

  _write(chunk, _encoding, done) {
    this.#chunks.push(Buffer.from(chunk));
    done();
  }
}

export class HttpResponseStream {
  static from(stream, prelude) {
    stream.setPrelude(prelude);
    return stream;
  }
}
