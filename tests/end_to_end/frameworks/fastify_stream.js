// Fastify behind @fastify/aws-lambda with its payload as a stream, as its documentation shows it.
const { PassThrough } = require("node:stream");
const { pipeline } = require("node:stream/promises");
const { setTimeout: sleep } = require("node:timers/promises");
const fastify = require("fastify");
const awsLambdaFastify = require("@fastify/aws-lambda");

const app = fastify();
app.register(require("@fastify/cookie"));

app.get("/events", (request, reply) => {
  reply.setCookie("first", "1", { path: "/" });
  reply.setCookie("second", "2");
  reply.type("text/event-stream");
  const body = new PassThrough();
  reply.send(body);
  (async () => {
    for (let n = 0; n < 3; n++) {
      body.write(`event: tick\ndata: ${Date.now()}\nid: ${n}\n\n`);
      await sleep(200);
    }
    body.end();
  })();
});

app.get("/large", (request, reply) => {
  const body = new PassThrough();
  reply.type("application/octet-stream").send(body);
  (async () => {
    for (let n = 0; n < 100; n++)
      if (!body.write(Buffer.alloc(50000, n))) await new Promise((resolve) => body.once("drain", resolve));
    body.end();
  })();
});

app.get("/teapot", async (request, reply) => reply.code(418).send({ short: true }));

const proxy = awsLambdaFastify(app, { payloadAsStream: true });
exports.handler = awslambda.streamifyResponse(async (event, responseStream, context) => {
  const { meta, stream } = await proxy(event, context);
  await pipeline(stream, awslambda.HttpResponseStream.from(responseStream, meta));
});
