// The process of a Node function. Waits for its INIT frame (a pooled process starts before there is a function), loads
// the handler and answers invocations, with the semantics of AWS's Node runtimes.

import { createRequire, Module } from 'node:module';

import { Channel } from './channel.mjs';
import { patchConsole } from './console.mjs';
import { errorPayload, UnhandledPromiseRejection } from './errors.mjs';
import { Runner } from './invocation.mjs';
import { isModern, loadHandler } from './loader.mjs';

const INIT = 'I'.charCodeAt(0);
const INVOKE = 'V'.charCodeAt(0);
const READY = 'R'.charCodeAt(0);
const INIT_ERROR = 'X'.charCodeAt(0);
const FATAL = 'F'.charCodeAt(0);

const channel = new Channel(takeDescriptor('LAMBENT_CHANNEL_FD'), onFrame);
const logFd = takeDescriptor('_LAMBDA_TELEMETRY_LOG_FD');
let logError;
let runner = null;

createRequire(import.meta.url)('./warm.cjs');

function takeDescriptor(name) {
  const fd = Number(process.env[name]);
  delete process.env[name];
  return fd;
}

function onFrame(type, body) {
  if (type === INVOKE) runner.invoke(body);
  else if (type === INIT) void init(JSON.parse(body.toString()));
}

async function init(message) {
  const handlerName = enterFunction(message);
  logError = patchConsole(logFd);
  if (!isModern) {
    process.on('uncaughtException', (error) => fail('Uncaught Exception', error, 129));
    process.on('unhandledRejection', (reason, promise) =>
      fail('Unhandled Promise Rejection', new UnhandledPromiseRejection(reason, promise), 128),
    );
  }
  // 13 is Node's own status for a module that awaits what never comes.
  process.on('beforeExit', () => (runner === null ? process.exit(13) : runner.onIdle()));
  channel.release();
  try {
    runner = new Runner(channel, logError, await loadHandler(message.task_root, handlerName));
  } catch (error) {
    fail(isModern ? 'Init Error' : 'Uncaught Exception', error, isModern ? 1 : 129);
    return;
  }
  channel.hold();
  channel.send(READY);
}

// Puts environment, time zone, folder and search path into force; returns the handler's name.
function enterFunction({ handler, environment, task_root: taskRoot }) {
  let handlerName = handler;
  if ('_HANDLER' in process.env) {
    // Started with its environment, which a wrapper script may have changed since.
    handlerName = process.env._HANDLER;
    for (const name of Object.keys(process.env)) if (name.startsWith('LAMBENT_')) delete process.env[name];
  } else {
    for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name];
    Object.assign(process.env, environment);
  }
  process.chdir(taskRoot);
  Module._initPaths();
  return handlerName;
}

// An error that nobody caught ends the process, after its report.
function fail(title, error, exitCode) {
  logError(title, error);
  const payload = errorPayload(error);
  const body = [String(payload.errorType), '\0', JSON.stringify(payload)];
  if (runner === null) channel.send(INIT_ERROR, ...body);
  else if (runner.take()) channel.send(FATAL, ...body);
  channel.flushed(() => process.exit(exitCode));
}
