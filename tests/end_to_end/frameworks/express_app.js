// Express behind @codegenie/serverless-express, as its documentation shows it.
const crypto = require("crypto");
const express = require("express");
const cookieParser = require("cookie-parser");
const multer = require("multer");
const serverlessExpress = require("@codegenie/serverless-express");

const app = express();
app.use(cookieParser());

app.post("/upload", multer().single("file"), (request, response) => {
  const { originalname, buffer } = request.file;
  response.json({
    note: request.body.note,
    name: originalname,
    size: buffer.length,
    sha256: crypto.createHash("sha256").update(buffer).digest("hex"),
  });
});

app.get("/cookies", (request, response) => {
  response.cookie("first", "1", { path: "/" });
  response.cookie("second", "2", { httpOnly: true });
  response.json(request.cookies);
});

app.get("/redirect", (request, response) => response.redirect(302, "/target?from=redirect"));

app.get("/download", (request, response) => {
  const block = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
  response.type("application/octet-stream").send(Buffer.concat(Array(400).fill(block)));
});

app.get("/echo", (request, response) => {
  response.append("x-answer", "one");
  response.append("x-answer", "two");
  const many = request.get("x-many").split(",").map((value) => value.trim()).join(",");
  response.json({ tags: request.query.tag, q: request.query.q, many });
});

app.get("/names/:name", (request, response) => response.json({ name: request.params.name }));

const method = (request, response) => response.json({ method: request.method, body: request.body });
app.use("/method", express.text({ type: "*/*" }));
app.put("/method", method);
app.delete("/method", method);
app.patch("/method", method);

// Express's own answer needs a socket with events, which serverless-express 4.17 does not give it, on AWS neither.
app.use((request, response) => response.status(404).json({ message: "nothing here" }));

exports.handler = serverlessExpress({ app, binarySettings: { contentTypes: ["application/octet-stream"] } });
