// `console` as functions see it: each call is one log event through the telemetry pipe, in text or JSON.

import fs from 'node:fs';
import util from 'node:util';

import { asError, errorLine } from './errors.mjs';

const HEADER_SIZE = 16;
const TEXT_FRAME = 0xa55a0003;
const JSON_FRAME = 0xa55a0002;
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');
const TENANT_ID = Symbol.for('aws.lambda.runtime.tenantId');

// The frame's type carries the level in these bits.
const LEVELS = { TRACE: 4, DEBUG: 8, INFO: 12, WARN: 16, ERROR: 20, FATAL: 24 };

export function setRequest(requestId, tenantId) {
  globalThis[REQUEST_ID] = requestId;
  globalThis[TENANT_ID] = tenantId;
}

// Returns `logError(title, error)`, for what the runtime itself reports.
export function patchConsole(fd) {
  const isJson = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON';
  const lowest = LEVELS[process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()] ?? LEVELS.TRACE;
  const log = (level) => {
    const bits = LEVELS[level];
    if (bits < lowest) return () => {};
    const type = ((isJson ? JSON_FRAME : TEXT_FRAME) | bits) >>> 0;
    const line = isJson ? jsonLine : textLine;
    return (...message) => {
      const now = new Date();
      writeFrame(fd, type, now.getTime(), line(now.toISOString(), level, message));
    };
  };
  Object.assign(console, {
    trace: log('TRACE'),
    debug: log('DEBUG'),
    info: log('INFO'),
    warn: log('WARN'),
    error: log('ERROR'),
    fatal: log('FATAL'),
  });
  console.log = console.info;
  const { error: logLine } = console;
  return isJson
    ? (_, error) => logLine(asError(error))
    : (title, error) => logLine(title, errorLine(asError(error)));
}

function textLine(time, level, message) {
  return `${time}\t${globalThis[REQUEST_ID]}\t${level}\t${util.format(...message)}\n`;
}

function jsonLine(timestamp, level, message) {
  const fields = { timestamp, level, requestId: globalThis[REQUEST_ID], tenantId: globalThis[TENANT_ID] };
  if (message.length === 1) {
    try {
      return JSON.stringify({ ...fields, message: message[0] }, (_, value) =>
        value instanceof Error ? { ...errorFields(value), ...value } : value,
      );
    } catch {
      return JSON.stringify({ ...fields, message: util.format(message[0]) });
    }
  }
  const error = message.find((part) => part instanceof Error);
  return JSON.stringify({ ...fields, message: util.format(...message), ...(error && errorFields(error)) });
}

function errorFields(error) {
  return {
    errorType: error.constructor?.name ?? 'UnknownError',
    errorMessage: error.message,
    stackTrace: typeof error.stack === 'string' ? error.stack.split('\n') : [],
  };
}

function writeFrame(fd, type, timeMs, line) {
  const length = Buffer.byteLength(line);
  const frame = Buffer.allocUnsafe(HEADER_SIZE + length);
  const timeUs = timeMs * 1000;
  frame.writeUInt32BE(type, 0);
  frame.writeUInt32BE(length, 4);
  frame.writeUInt32BE(Math.floor(timeUs / 0x100000000), 8);
  frame.writeUInt32BE(timeUs % 0x100000000, 12);
  frame.write(line, HEADER_SIZE);
  // The pipe blocks while the log is congested: that is the back-pressure.
  let written = 0;
  while (written < frame.length) written += fs.writeSync(fd, frame, written);
}
