// Frames between the server and this process, over one Unix socket: length, type, body.
// Reads into one buffer that is never replaced; a frame's body is a view that lives until its handler returns.

import fs from 'node:fs';
import net from 'node:net';

const READ_SIZE = 65536;
const HEADER_SIZE = 5;

export class Channel {
  #fd;
  #socket;
  #onFrame;
  // A frame that did not come in one piece: its buffer, and how much of it is there.
  #partial = null;
  #filled = 0;

  constructor(fd, onFrame) {
    this.#fd = fd;
    this.#onFrame = onFrame;
    this.#socket = new net.Socket({
      fd,
      readable: true,
      writable: true,
      onread: { buffer: Buffer.allocUnsafeSlow(READ_SIZE), callback: (size, buffer) => this.#received(size, buffer) },
    });
    // The server is gone, so there is nobody to answer to.
    this.#socket.on('end', () => process.reallyExit(0));
    this.#socket.on('error', () => process.reallyExit(0));
    this.#socket.resume();
  }

  // An idle process waits for frames; one that runs a handler ends its event loop when the handler's work is done.
  hold() {
    this.#socket.ref();
  }

  release() {
    this.#socket.unref();
  }

  // `parts` are strings or buffers. Goes out at once where the socket has room, as it nearly always has; false where
  // some of it waits for room.
  send(type, ...parts) {
    let size = HEADER_SIZE;
    for (const part of parts) size += typeof part === 'string' ? Buffer.byteLength(part) : part.length;
    const frame = Buffer.allocUnsafe(size);
    frame.writeUInt32BE(size - 4, 0);
    frame[4] = type;
    let at = HEADER_SIZE;
    for (const part of parts) at += typeof part === 'string' ? frame.write(part, at) : part.copy(frame, at);
    const sent = this.#socket.writableLength === 0 ? this.#tryWrite(frame) : 0;
    if (sent < size) this.#socket.write(frame.subarray(sent));
    return sent === size;
  }

  // Calls back when everything sent has left this process.
  flushed(callback) {
    if (this.#socket.writableLength === 0) callback();
    else this.#socket.write('', callback);
  }

  #tryWrite(frame) {
    try {
      return fs.writeSync(this.#fd, frame, 0, frame.length);
    } catch (error) {
      if (error.code === 'EAGAIN') return 0;
      throw error;
    }
  }

  #received(size, buffer) {
    let at = 0;
    while (at < size) at = this.#partial === null ? this.#begin(buffer, at, size) : this.#continue(buffer, at, size);
    return true;
  }

  #begin(buffer, at, size) {
    if (size - at >= 4) {
      const end = at + 4 + buffer.readUInt32BE(at);
      if (end <= size) {
        this.#onFrame(buffer[at + 4], buffer.subarray(at + HEADER_SIZE, end));
        return end;
      }
      this.#partial = Buffer.allocUnsafeSlow(end - at);
    } else {
      this.#partial = Buffer.allocUnsafeSlow(4);
    }
    this.#filled = 0;
    return at;
  }

  #continue(buffer, at, size) {
    const taken = buffer.copy(this.#partial, this.#filled, at, size);
    this.#filled += taken;
    if (this.#filled < this.#partial.length) return at + taken;
    const complete = this.#partial;
    if (complete.length === 4) {
      // Only the length was known to be wanted until now.
      this.#partial = Buffer.allocUnsafeSlow(4 + complete.readUInt32BE(0));
      complete.copy(this.#partial);
    } else {
      this.#partial = null;
      this.#onFrame(complete[4], complete.subarray(HEADER_SIZE));
    }
    return at + taken;
  }
}
