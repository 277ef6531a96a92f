// Hono behind its own adapter, hono/aws-lambda, as its documentation shows it.
import crypto from "node:crypto";
import { Hono } from "hono";
import { handle } from "hono/aws-lambda";
import { getCookie, setCookie } from "hono/cookie";

const app = new Hono();

app.post("/upload", async (c) => {
  const { note, file } = await c.req.parseBody();
  const data = Buffer.from(await file.arrayBuffer());
  return c.json({
    note,
    name: file.name,
    size: data.length,
    sha256: crypto.createHash("sha256").update(data).digest("hex"),
  });
});

app.get("/cookies", (c) => {
  setCookie(c, "first", "1", { path: "/" });
  setCookie(c, "second", "2", { httpOnly: true });
  return c.json(getCookie(c));
});

app.get("/redirect", (c) => c.redirect("/target?from=redirect", 302));

app.get("/download", (c) => {
  const block = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
  return c.body(Buffer.concat(Array(400).fill(block)), 200, { "content-type": "application/octet-stream" });
});

app.get("/echo", (c) => {
  c.header("x-answer", "one", { append: true });
  c.header("x-answer", "two", { append: true });
  const many = c.req.header("x-many").split(",").map((value) => value.trim()).join(",");
  return c.json({ tags: c.req.queries("tag"), q: c.req.query("q"), many });
});

app.get("/names/:name", (c) => c.json({ name: c.req.param("name") }));

app.on(["PUT", "DELETE", "PATCH"], "/method", async (c) =>
  c.json({ method: c.req.method, body: await c.req.text() }),
);

export const handler = handle(app);
