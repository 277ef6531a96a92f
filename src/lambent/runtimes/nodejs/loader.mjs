// Finds the handler that `_HANDLER` names: `folder/module.nested.export`, CommonJS or ES module, as AWS's runtimes do.

import fs from 'node:fs';
import module, { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import {
  CallbackHandlerDeprecated,
  HandlerNotFound,
  ImportModuleError,
  MalformedHandlerName,
  MalformedStreamingHandler,
  UserCodeSyntaxError,
} from './errors.mjs';
import { HttpResponseStream } from './streaming.mjs';

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const STREAMING_RESPONSE = 'response';
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const CALLBACKS_REMOVED =
  'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this function to use a supported handler signature to use Node.js 24 or later. For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.';

// Resolved from /var/runtime, so that "Require stack" in messages reads as on AWS.
const require = createRequire(new URL('index.mjs', import.meta.url));

// Node 24's runtime dropped callbacks and loads everything by `import`.
export const isModern = Number(process.versions.node.split('.')[0]) >= 24;

export async function loadHandler(taskRoot, name) {
  if (name.includes('..')) {
    throw new MalformedHandlerName(
      `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const base = path.basename(name);
  const folder = name.slice(0, name.indexOf(base));
  const dot = base.indexOf('.');
  if (dot < 0) throw new MalformedHandlerName('Bad handler');
  installGlobals();
  const loaded = await loadModule(taskRoot, folder, base.slice(0, dot));
  const exported = base.slice(dot + 1);
  let handler = find(loaded, exported);
  if (!handler && isModern && loaded?.default) handler = find(loaded.default, exported);
  if (!handler) throw new HandlerNotFound(`${name} is undefined or not exported`);
  if (typeof handler !== 'function') throw new HandlerNotFound(`${name} is not a function`);
  const isStreaming = Boolean(handler[STREAMING]);
  if (isStreaming && handler[STREAMING] !== STREAMING_RESPONSE) {
    throw new MalformedStreamingHandler('Only response streaming is supported.');
  }
  if (isModern && handler.length >= 3 && !isStreaming) throw new CallbackHandlerDeprecated(CALLBACKS_REMOVED);
  return { handler, isStreaming, highWaterMark: handler[HIGH_WATER_MARK] };
}

function find(exports, keys) {
  return keys.split('.').reduce((value, key) => value?.[key], exports);
}

async function loadModule(taskRoot, folder, name) {
  const file = path.resolve(taskRoot, folder, name);
  try {
    return (await (isModern ? importFile(file) : requireOrImport(file))) ?? requireByName(name, taskRoot, folder);
  } catch (error) {
    if (error instanceof SyntaxError) throw new UserCodeSyntaxError(error);
    if (error?.code === 'MODULE_NOT_FOUND') throw new ImportModuleError(error);
    throw error;
  }
}

async function importFile(file) {
  for (const suffix of ['', '.js', '.mjs', '.cjs']) {
    if (isFile(file + suffix)) {
      if (suffix === '.mjs' || isModule(file)) resolveImportsInLayers();
      return import(pathToFileURL(file + suffix));
    }
  }
  return undefined;
}

async function requireOrImport(file) {
  if (isFile(file)) return require(file);
  const isScript = isFile(`${file}.js`);
  if (isScript && !isModule(file)) return require(`${file}.js`);
  for (const suffix of ['.js', '.mjs']) {
    if (isFile(file + suffix)) {
      resolveImportsInLayers();
      return import(pathToFileURL(file + suffix));
    }
  }
  return isFile(`${file}.cjs`) ? require(`${file}.cjs`) : undefined;
}

function requireByName(name, taskRoot, folder) {
  return require(require.resolve(name, { paths: [taskRoot, path.join(taskRoot, folder)] }));
}

function isFile(file) {
  return fs.existsSync(file);
}

// Whether the nearest package.json makes `.js` files beside `file` ES modules.
function isModule(file) {
  for (let folder = path.dirname(file); !folder.endsWith('/node_modules'); folder = path.dirname(folder)) {
    const description = path.join(folder, 'package.json');
    if (fs.existsSync(description)) {
      try {
        return JSON.parse(fs.readFileSync(description, 'utf8'))?.type === 'module';
      } catch (error) {
        console.warn(`${description} cannot be read, it will be ignored for ES module detection purposes.`, error);
        return false;
      }
    }
    if (folder === '/') return false;
  }
  return false;
}

// `import` does not look at NODE_PATH. Links beside the task root lead it to layers and runtime where a root file
// system could be made; elsewhere a hook does, which on older releases costs a thread.
function resolveImportsInLayers() {
  if (fs.existsSync('/node_modules')) return;
  const folders = (process.env.NODE_PATH ?? '').split(':').filter((folder) => fs.existsSync(folder));
  if (folders.length === 0) return;
  if (module.registerHooks) {
    module.registerHooks({ resolve: (specifier, context, next) => resolveIn(folders, specifier, context, next) });
  } else {
    module.register('./resolve-hook.mjs', import.meta.url, { data: folders });
  }
}

function resolveIn(folders, specifier, context, next) {
  try {
    return next(specifier, context);
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND' || /^[./]|^\w+:/.test(specifier)) throw error;
    for (const folder of folders) {
      try {
        return next(specifier, { ...context, parentURL: pathToFileURL(path.join(folder, '..', 'importer.mjs')).href });
      } catch (missing) {
        if (missing.code !== 'ERR_MODULE_NOT_FOUND') throw missing;
      }
    }
    throw error;
  }
}

function installGlobals() {
  const disabled = process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA;
  if (disabled === '1' || disabled === 'true') return;
  globalThis.awslambda = {
    streamifyResponse(handler, options) {
      handler[STREAMING] = STREAMING_RESPONSE;
      if (options?.highWaterMark !== undefined) handler[HIGH_WATER_MARK] = Number.parseInt(options.highWaterMark, 10);
      return handler;
    },
    HttpResponseStream,
  };
}
