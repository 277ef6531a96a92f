// Hono behind its own adapter for streams, hono/aws-lambda, as its documentation shows it.
import { Hono } from "hono";
import { streamHandle } from "hono/aws-lambda";
import { setCookie } from "hono/cookie";
import { stream, streamSSE } from "hono/streaming";

const app = new Hono();

app.get("/events", (c) => {
  setCookie(c, "first", "1", { path: "/" });
  setCookie(c, "second", "2");
  return streamSSE(c, async (events) => {
    for (let n = 0; n < 3; n++) {
      await events.writeSSE({ data: String(Date.now()), event: "tick", id: String(n) });
      await events.sleep(200);
    }
  });
});

app.get("/large", (c) => stream(c, async (body) => {
  for (let n = 0; n < 100; n++) await body.write(new Uint8Array(50000).fill(n));
}));

app.get("/teapot", (c) => c.json({ short: true }, 418));

export const handler = streamHandle(app);
