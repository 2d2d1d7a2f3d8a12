// What the scripts have in common: the hark command, the API, and a receiver on this machine.
//
// The command finds the server and the key in HARK_URL and HARK_KEY, and no profile of whoever runs this.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const env = { ...process.env, HARK_API_KEY: process.env.HARK_KEY, XDG_CONFIG_HOME: mkdtempSync(join(tmpdir(), "hark-sdk-")) };

// run runs hark with an input, and answers how it ended and what it said.
export async function run(args, input = "") {
  const child = spawn(process.env.HARK_BIN, args, { env });
  let out = "", err = "";
  child.stdout.on("data", (b) => (out += b));
  child.stderr.on("data", (b) => (err += b));
  child.stdin.on("error", () => {}); // it may end without reading all
  child.stdin.end(input);
  const [code] = await once(child, "close");
  return { code, out, err };
}

// hark is run for what ends well and answers with JSON.
export async function hark(...args) {
  const { code, out, err } = await run(args);
  assert.equal(code, 0, `hark ${args.join(" ")}: ${out}${err}`);
  return JSON.parse(out);
}

// api sends one request, which must go well.
export async function api(method, path, body) {
  const res = await fetch(process.env.HARK_URL + "/api/v1" + path, {
    method, body: body && JSON.stringify(body),
    headers: { authorization: "Bearer " + process.env.HARK_KEY, "content-type": "application/json" },
  });
  const text = await res.text();
  assert.ok(res.ok, `${method} ${path}: ${res.status} ${text}`);
  return text ? JSON.parse(text) : {};
}

// receive starts a receiver, which calls back with each request, its body read, and answers its URL and its end.
export async function receive(got) {
  const server = createServer(async (req, res) => {
    const chunks = [];
    for await (const chunk of req) chunks.push(chunk);
    await got(req, Buffer.concat(chunks).toString("utf8"), res);
    res.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${server.address().port}`, close };
}
