// Calls every operation that the installed svix client has and that Hark serves, and checks the
// answers. It runs with svix 1.x and 2.x: where the two name a thing differently, `v2` decides.
//
//   HARK_URL=http://127.0.0.1:8071 HARK_KEY=… node drive.mjs
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as svixModule from "svix";
import * as standardModule from "standardwebhooks";
import { receive } from "./hark.mjs";

const { Svix, Webhook } = svixModule.Svix ? svixModule : svixModule.default;
const StandardWebhook = standardModule.Webhook ?? standardModule.default.Webhook;
const version = JSON.parse(readFileSync(new URL("./node_modules/svix/package.json", import.meta.url))).version;
const v2 = Number(version.split(".")[0]) >= 2;
const svix = new Svix(process.env.HARK_KEY, { serverUrl: process.env.HARK_URL });

// A receiver that verifies with both libraries, and fails where its path says so.
const secrets = new Map(); // path → secret
const got = []; // { path, id, body, error }
const receiver = await receive((req, body, res) => {
  const arrival = { path: req.url, id: req.headers["webhook-id"] ?? req.headers["svix-id"], headers: req.headers, body };
  try {
    const secret = secrets.get(req.url);
    if (secret) {
      new Webhook(secret).verify(body, req.headers);
      new StandardWebhook(secret).verify(body, req.headers);
      arrival.verified = true;
    }
  } catch (error) {
    arrival.error = error;
  }
  got.push(arrival);
  res.writeHead(req.url.startsWith("/fail") ? 500 : 200, { "content-type": "text/plain" });
  res.write("thank you");
});
const sink = receiver.url;

let passed = 0;
async function step(name, run) {
  try {
    await run();
    passed++;
  } catch (error) {
    console.error(`FAILED ${name}\n`, error);
    process.exitCode = 1;
  }
}

async function eventually(what, check) {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not in time: ${what}`);
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

async function failsWith(code, promise) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.code, code, `${error}`);
    assert.ok(error.body && error.body.detail, "the error has a detail");
    return true;
  });
}

const uid = (name) => `${name}-${version.replaceAll(".", "-")}-${Date.now()}`;
const upsert = (api, ...args) => (v2 ? api.upsert(...args) : api.update(...args));
const types = (list) => (v2 ? { eventTypes: list } : { filterTypes: list });
const created = (date) => assert.ok(date instanceof Date && Math.abs(Date.now() - date) < 60_000, `${date}`);

await step("health.get", () => svix.health.get());

// Event types.
const paid = uid("invoice.paid");
await step("eventType.create", async () => {
  const made = await svix.eventType.create({
    name: paid,
    description: "An invoice was paid",
    schemas: { 1: { type: "object", properties: { id: { type: "string" } }, examples: [{ id: "in_1", amount: 42 }] } },
  });
  assert.equal(made.name, paid);
  assert.equal(made.deprecated, false);
  created(made.createdAt);
  await failsWith(409, svix.eventType.create({ name: paid, description: "again" }));
});
await step("eventType.get, list, patch, update, delete", async () => {
  assert.equal((await svix.eventType.get(paid)).description, "An invoice was paid");
  const page = await svix.eventType.list({ withContent: true, limit: 250 });
  assert.ok(page.data.some((t) => t.name === paid && t.schemas["1"].type === "object"));
  assert.equal((await svix.eventType.patch(paid, { description: "Paid" })).description, "Paid");
  const other = uid("user.created");
  const fields = { description: "A user came" };
  assert.equal((await upsert(svix.eventType, other, fields)).name, other);
  assert.equal((await upsert(svix.eventType, other, { ...fields, archived: true })).archived, true);
  assert.ok((await svix.eventType.list({ includeArchived: true, limit: 250 })).data.some((t) => t.name === other));
  assert.ok(!(await svix.eventType.list({ limit: 250 })).data.some((t) => t.name === other));
  await svix.eventType.delete(other);
  await svix.eventType.delete(other, { expunge: true });
  await failsWith(404, svix.eventType.get(other));
});

// Applications.
const appUid = uid("app");
let app;
await step("application.create, getOrCreate, get", async () => {
  app = await svix.application.create({ name: "Ümlaut & Söhne 😀", uid: appUid, metadata: { plan: "pro" } });
  assert.match(app.id, /^app_[0-9A-Za-z]{27}$/);
  assert.equal(app.uid, appUid);
  assert.deepEqual(app.metadata, { plan: "pro" });
  created(app.createdAt);
  assert.equal((await svix.application.getOrCreate({ name: "x", uid: appUid })).id, app.id);
  assert.equal((await svix.application.get(appUid)).name, "Ümlaut & Söhne 😀");
  await failsWith(409, svix.application.create({ name: "again", uid: appUid }));
  await failsWith(422, svix.application.create({ name: "" }));
  await failsWith(404, svix.application.get("nobody-knows"));
});
await step("application.update, patch, list, delete", async () => {
  assert.equal((await upsert(svix.application, app.id, { name: "Second", uid: appUid, throttleRate: 1000 })).throttleRate, 1000);
  const patched = await svix.application.patch(app.id, { throttleRate: null, metadata: { a: "b" } });
  assert.equal(patched.name, "Second");
  assert.deepEqual(patched.metadata, { a: "b" });
  const doomed = await svix.application.create({ name: "doomed" });
  const seen = [];
  for (let iterator = undefined, done = false; !done; ) {
    const page = await svix.application.list({ limit: 1, iterator, order: "ascending" });
    seen.push(...page.data.map((a) => a.id));
    ({ iterator, done } = page);
  }
  assert.ok(seen.includes(app.id) && seen.includes(doomed.id), "paging shows both");
  assert.equal(new Set(seen).size, seen.length, "paging shows none twice");
  await svix.application.delete(doomed.id);
  await failsWith(404, svix.application.get(doomed.id));
});

// Endpoints.
let endpoint;
await step("endpoint.create, get, list", async () => {
  endpoint = await svix.endpoint.create(appUid, {
    url: `${sink}/one`, uid: uid("ep"), description: "first", channels: ["news"], metadata: { k: "v" }, ...types([paid]),
  });
  assert.match(endpoint.id, /^ep_[0-9A-Za-z]{27}$/);
  assert.deepEqual(v2 ? endpoint.eventTypes : endpoint.filterTypes, [paid]);
  assert.equal((await svix.endpoint.get(appUid, endpoint.uid)).id, endpoint.id);
  assert.ok((await svix.endpoint.list(appUid, { limit: 10, order: "descending" })).data.some((e) => e.id === endpoint.id));
  await failsWith(422, svix.endpoint.create(appUid, { url: "not a url" }));
  await failsWith(422, svix.endpoint.create(appUid, { url: `${sink}/x`, ...types(["never.registered"]) }));
});
await step("endpoint.update, patch", async () => {
  const changed = await upsert(svix.endpoint, appUid, endpoint.id, { url: `${sink}/one`, description: "changed", uid: endpoint.uid });
  assert.equal(changed.description, "changed");
  assert.equal(changed.channels ?? null, null);
  assert.equal((await svix.endpoint.patch(appUid, endpoint.id, { description: "patched", disabled: true })).disabled, true);
  assert.equal((await svix.endpoint.patch(appUid, endpoint.id, { disabled: false })).description, "patched");
});
await step("endpoint headers", async () => {
  await (v2 ? svix.endpoint.setHeaders(appUid, endpoint.id, { headers: { "X-Team": "blue", Authorization: "Bearer secret" } })
    : svix.endpoint.updateHeaders(appUid, endpoint.id, { headers: { "X-Team": "blue", Authorization: "Bearer secret" } }));
  let out = await svix.endpoint.getHeaders(appUid, endpoint.id);
  assert.equal(out.headers["X-Team"], "blue");
  assert.ok(!JSON.stringify(out.headers).includes("Bearer secret"), "a sensitive value is not shown");
  assert.deepEqual(out.sensitive, ["Authorization"]);
  await svix.endpoint.patchHeaders(appUid, endpoint.id, { headers: { "X-More": "1" } });
  out = await svix.endpoint.getHeaders(appUid, endpoint.id);
  assert.equal(out.headers["X-More"], "1");
  assert.equal(out.headers["X-Team"], "blue");
});
await step("endpoint.getSecret, rotateSecret", async () => {
  const before = (await svix.endpoint.getSecret(appUid, endpoint.id)).key;
  assert.match(before, /^whsec_/);
  await svix.endpoint.rotateSecret(appUid, endpoint.id, {});
  const after = (await svix.endpoint.getSecret(appUid, endpoint.id)).key;
  assert.notEqual(after, before);
  secrets.set("/one", after);
  await svix.endpoint.rotateSecret(appUid, endpoint.id, { key: "whsec_" + Buffer.alloc(24, 7).toString("base64") });
  // The key before last still signs: receivers have a day to change over.
});
await step("endpoint transformations", async () => {
  const api = svix.endpoint;
  const read = (id) => (v2 ? api.transformation.get(appUid, id) : api.transformationGet(appUid, id));
  const patch = (id, change) => (v2 ? api.transformation.patch(appUid, id, change) : api.patchTransformation(appUid, id, change));
  const other = await svix.endpoint.create(appUid, { url: sink + "/transformed", channels: ["transformed"] });
  const none = await read(other.id);
  assert.ok(!none.code && !none.enabled && !none.updatedAt);
  const code = "function handler(webhook) { webhook.payload.word = webhook.variables.WORD ?? 'hello'; return webhook; }"; // older clients know no variables
  await patch(other.id, { code, enabled: true, variables: { WORD: "hello" } });
  const saved = await read(other.id);
  assert.equal(saved.code, code);
  assert.equal(saved.enabled, true);
  created(saved.updatedAt);
  await failsWith(422, patch(other.id, { code: "function handler(webhook) {" }));
  secrets.set("/transformed", (await svix.endpoint.getSecret(appUid, other.id)).key);
  const sent = await svix.message.create(appUid, { eventType: paid, channels: ["transformed"], payload: { n: 1 } });
  const arrival = await eventually("a transformed delivery", () => got.find((a) => a.id === sent.id && a.path === "/transformed"));
  assert.equal(arrival.error, undefined);
  assert.ok(arrival.verified, "the signature is that of what was sent");
  assert.deepEqual(JSON.parse(arrival.body), { n: 1, word: "hello" });
  await svix.endpoint.delete(appUid, other.id);
});

// Messages.
let message;
await step("message.create: delivered, verified, byte for byte", async () => {
  message = await svix.message.create(appUid, {
    eventType: paid, eventId: uid("evt"), channels: ["news"], payload: { id: "in_1", note: "Zoë 😀 \u2028", amount: 4.2, nested: { list: [1, null, true] } },
  }, { withContent: true });
  assert.match(message.id, /^msg_[0-9A-Za-z]{27}$/);
  assert.equal(message.payload.note, "Zoë 😀 \u2028");
  created(message.timestamp);
  const arrival = await eventually("delivery", () => got.find((a) => a.id === message.id && a.path === "/one"));
  assert.equal(arrival.error, undefined);
  assert.ok(arrival.verified);
  assert.equal(JSON.parse(arrival.body).note, "Zoë 😀 \u2028");
  assert.equal(arrival.headers["x-team"], "blue");
  assert.equal(arrival.headers.authorization, "Bearer secret");
});
await step("message.create: idempotent, and refused when wrong", async () => {
  const key = { idempotencyKey: uid("key") };
  const one = await svix.message.create(appUid, { eventType: paid, payload: { n: 1 } }, key);
  const two = await svix.message.create(appUid, { eventType: paid, payload: { n: 1 } }, key);
  assert.equal(one.id, two.id);
  await failsWith(422, svix.message.create(appUid, { eventType: "no spaces allowed", payload: {} }));
  await failsWith(404, svix.message.create("nobody-knows", { eventType: paid, payload: {} }));
});
await step("message.get, list", async () => {
  assert.deepEqual((await svix.message.get(appUid, message.id, { withContent: true })).payload.nested, { list: [1, null, true] });
  assert.equal((await svix.message.get(appUid, message.eventId)).id, message.id);
  const page = await svix.message.list(appUid, { eventTypes: [paid], limit: 250, after: new Date(Date.now() - 3_600_000), withContent: true });
  assert.ok(page.data.some((m) => m.id === message.id));
  assert.equal((await svix.message.list(appUid, { channel: "news" })).data[0].id, message.id);
  assert.equal((await svix.message.list(appUid, { eventTypes: ["nothing.like.it"] })).data.length, 0);
});
await step("message.precheck", async () => {
  assert.equal((await svix.message.precheck(appUid, { eventType: paid })).active, true);
});
await step("endpoint.sendExample", async () => {
  const example = await svix.endpoint.sendExample(appUid, endpoint.id, { eventType: paid });
  const arrival = await eventually("example", () => got.find((a) => a.id === example.id));
  assert.deepEqual(JSON.parse(arrival.body), { id: "in_1", amount: 42 });
});

// Attempts.
let failing;
await step("messageAttempt: lists and filters", async () => {
  failing = await svix.endpoint.create(appUid, { url: `${sink}/fail` });
  const sent = await svix.message.create(appUid, { eventType: paid, payload: { will: "fail in one place" } });
  const attempts = await eventually("two attempts", async () => {
    const { data } = await svix.messageAttempt.listByMsg(appUid, sent.id, { withContent: true });
    return data.length === 2 && data;
  });
  const bad = attempts.find((a) => a.endpointId === failing.id);
  assert.equal(bad.responseStatusCode, 500);
  assert.equal(bad.response, "thank you");
  assert.equal(bad.statusText, "fail"); // the delivery is what is "sending" now
  const byEndpoint = await svix.messageAttempt.listByEndpoint(appUid, endpoint.id, { status: 0, withMsg: true, limit: 250 });
  assert.ok(byEndpoint.data.some((a) => a.msgId === sent.id));
  assert.equal((await svix.messageAttempt.listByEndpoint(appUid, endpoint.id, { statusCodeClass: 500 })).data.length, 0);
  assert.equal((await svix.messageAttempt.listByEndpoint(appUid, failing.id, { statusCodeClass: 500 })).data[0].id, bad.id);
  assert.equal((await svix.messageAttempt.get(appUid, sent.id, bad.id)).id, bad.id);
  const messages = await svix.messageAttempt.listAttemptedMessages(appUid, failing.id, { limit: 10 });
  assert.equal(messages.data[0].id, sent.id);
  assert.ok(messages.data[0].nextAttempt > new Date());
  const destinations = await svix.messageAttempt.listAttemptedDestinations(appUid, sent.id);
  assert.deepEqual(destinations.data.map((d) => d.id).sort(), [endpoint.id, failing.id].sort());
  await svix.messageAttempt.expungeContent(appUid, sent.id, bad.id);
  assert.equal((await svix.messageAttempt.get(appUid, sent.id, bad.id)).response, "EXPUNGED");
});
await step("messageAttempt.resend", async () => {
  const before = got.filter((a) => a.id === message.id).length;
  await svix.messageAttempt.resend(appUid, message.id, endpoint.id);
  await eventually("resent", () => got.filter((a) => a.id === message.id).length > before);
  await eventually("recorded as manual", async () =>
    (await svix.messageAttempt.listByMsg(appUid, message.id)).data.some((a) => a.triggerType === 1));
});
await step("endpoint.getStats", async () => {
  const stats = await svix.endpoint.getStats(appUid, endpoint.id, { since: new Date(Date.now() - 3_600_000) });
  assert.ok(stats.success >= 4, JSON.stringify(stats));
  assert.equal(stats.fail, 0);
});

// Replays and their tasks.
async function finished(task) {
  assert.match(task.id, /^qtask_[0-9A-Za-z]{27}$/);
  return eventually(`${task.task} finished`, async () => {
    const now = await svix.backgroundTask.get(task.id);
    assert.notEqual(now.status, "failed");
    return now.status === "finished" && now;
  });
}
const hourAgo = new Date(Date.now() - 3_600_000);
await step("endpoint.recover", async () => {
  const before = got.filter((a) => a.path === "/fail").length;
  await finished(await svix.endpoint.recover(appUid, failing.id, { since: hourAgo }));
  await eventually("failed again", () => got.filter((a) => a.path === "/fail").length > before);
});
let late;
await step("endpoint.replayMissing", async () => {
  late = await svix.endpoint.create(appUid, { url: `${sink}/late` });
  secrets.set("/late", (await svix.endpoint.getSecret(appUid, late.id)).key);
  const task = await finished(await svix.endpoint.replayMissing(appUid, late.id, { since: hourAgo }));
  assert.ok(task.data.messagesSent > 0, JSON.stringify(task.data));
  const arrival = await eventually("missing message", () => got.find((a) => a.path === "/late" && a.id === message.id));
  assert.ok(arrival.verified, `${arrival.error}`);
});
await step("endpoint.bulkReplay", async () => {
  const before = got.filter((a) => a.path === "/late").length;
  await finished(await svix.endpoint.bulkReplay(appUid, late.id, { since: hourAgo, eventTypes: [paid] }));
  await eventually("replayed", () => got.filter((a) => a.path === "/late").length > before);
});
await step("backgroundTask.list", async () => {
  const page = await svix.backgroundTask.list({ status: "finished", limit: 250 });
  assert.ok(page.data.some((t) => t.task === "endpoint.recover"));
});

// The customers' portal, and what its token may do.
await step("authentication.appPortalAccess", async () => {
  const access = await svix.authentication.appPortalAccess(appUid, { featureFlags: ["beta"] });
  assert.ok(URL.canParse(access.url), access.url);
  const customer = new Svix(access.token, { serverUrl: process.env.HARK_URL });
  assert.equal((await customer.endpoint.get(app.id, endpoint.id)).id, endpoint.id);
  await failsWith(403, customer.application.list());
  await failsWith(403, customer.message.create(app.id, { eventType: paid, payload: {} }));
  const stranger = await svix.application.create({ name: "stranger" });
  await failsWith(404, customer.endpoint.list(stranger.id));
});
await step("a wrong key", () => failsWith(401, new Svix("hark_live_wrong", { serverUrl: process.env.HARK_URL }).application.list()));

// Payloads that go, and the end.
if (svix.message.poller) {
  await step("message.poller: poll, consumerPoll, consumerSeek", async () => {
    const made = await fetch(`${process.env.HARK_URL}/api/v1/app/${appUid}/consumer`, {
      method: "POST",
      headers: { authorization: `Bearer ${process.env.HARK_KEY}`, "content-type": "application/json" },
      body: JSON.stringify({ channels: ["polled"] }),
    });
    assert.equal(made.status, 201);
    const sinkId = (await made.json()).id;
    const ids = [];
    for (let n = 0; n < 5; n++) {
      ids.push((await svix.message.create(appUid, { eventType: paid, channels: ["polled"], payload: { n } })).id);
    }
    const { poller } = svix.message;
    const all = await eventually("five messages", async () => {
      const page = await poller.poll(appUid, sinkId, { limit: 10 });
      return page.data.length === 5 && page;
    });
    assert.deepEqual([...all.data.map((m) => m.id)].sort(), [...ids].sort());
    assert.equal(all.done, true);
    created(all.data[0].timestamp);
    const first = await poller.poll(appUid, sinkId, { limit: 2 });
    assert.equal(first.done, false);
    const rest = await poller.poll(appUid, sinkId, { limit: 10, iterator: first.iterator });
    assert.deepEqual([...first.data, ...rest.data], all.data);
    assert.equal((await poller.poll(appUid, sinkId, { eventType: "nothing.of.it" })).data.length, 0);
    assert.equal((await poller.poll(appUid, sinkId, { after: new Date(Date.now() + 60_000) })).data.length, 0);

    const read = async (limit) => (await poller.consumerPoll(appUid, sinkId, "worker", { limit })).data.map((m) => m.id);
    const order = all.data.map((m) => m.id);
    assert.deepEqual(await read(3), order.slice(0, 3));
    assert.deepEqual(await read(3), order.slice(3));
    assert.deepEqual(await read(3), []);
    const place = await poller.consumerSeek(appUid, sinkId, "worker", { after: new Date(Date.now() - 60_000) });
    assert.equal(typeof place.iterator, "string");
    assert.deepEqual(await read(10), order);
    // What was not asked for behind is answered again.
    const start = await poller.consumerPoll(appUid, sinkId, "careful", { limit: 2 });
    const next = await poller.consumerPoll(appUid, sinkId, "careful", { limit: 2, iterator: start.iterator });
    assert.deepEqual(next.data.map((m) => m.id), order.slice(2, 4));
    const restarted = await poller.consumerPoll(appUid, sinkId, "careful", { limit: 2 });
    assert.deepEqual(restarted.data, next.data);
    await failsWith(404, poller.poll(appUid, "sink_nobody"));
  });
}
await step("message.expungeContent, bulkExpungeContent, expungeAllContents", async () => {
  await svix.message.expungeContent(appUid, message.id);
  assert.deepEqual((await svix.message.get(appUid, message.id, { withContent: true })).payload, { expired: true });
  await failsWith(400, svix.messageAttempt.resend(appUid, message.id, endpoint.id));
  if (v2) {
    const out = await svix.message.bulkExpungeContent(appUid, { ids: [message.id, "nobody-knows"] });
    assert.equal(out.results["nobody-knows"], "not-found");
  }
  const task = await finished(await svix.message.expungeAllContents(appUid));
  assert.equal(task.task, "application.purge_content");
});
await step("operations that Hark does not serve answer in JSON", () => failsWith(404, svix.integration.list(appUid)));
await step("endpoint.delete", async () => {
  await svix.endpoint.delete(appUid, endpoint.id);
  await failsWith(404, svix.endpoint.get(appUid, endpoint.id));
});

receiver.close();
console.log(`svix ${version}: ${passed} steps passed${process.exitCode ? ", some failed" : ""}`);
