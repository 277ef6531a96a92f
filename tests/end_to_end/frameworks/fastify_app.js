// Fastify behind @fastify/aws-lambda, as its documentation shows it.
const crypto = require("crypto");
const fastify = require("fastify");
const awsLambdaFastify = require("@fastify/aws-lambda");

const app = fastify();
app.register(require("@fastify/multipart"));
app.register(require("@fastify/cookie"));

app.post("/upload", async (request) => {
  const file = await request.file();
  const data = await file.toBuffer();
  return {
    note: file.fields.note.value,
    name: file.filename,
    size: data.length,
    sha256: crypto.createHash("sha256").update(data).digest("hex"),
  };
});

app.get("/cookies", async (request, reply) => {
  reply.setCookie("first", "1", { path: "/" });
  reply.setCookie("second", "2", { httpOnly: true });
  return request.cookies;
});

app.get("/redirect", (request, reply) => reply.redirect("/target?from=redirect", 302));

app.get("/download", async (request, reply) => {
  const block = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
  reply.type("application/octet-stream");
  return Buffer.concat(Array(400).fill(block));
});

app.get("/echo", async (request, reply) => {
  reply.header("x-answer", ["one", "two"]);
  const many = request.headers["x-many"].split(",").map((value) => value.trim()).join(",");
  return { tags: request.query.tag, q: request.query.q, many };
});

app.get("/names/:name", async (request) => ({ name: request.params.name }));

app.route({
  method: ["PUT", "DELETE", "PATCH"],
  url: "/method",
  handler: async (request) => ({ method: request.method, body: request.body }),
});

exports.handler = awsLambdaFastify(app, { binaryMimeTypes: ["application/octet-stream"] });
