// The providers' own libraries on both sides of Hark: what they sign, hark verify and a source accept;
// what hark sign makes, and what Hark forwards, they accept.
//
//   HARK_BIN=…/hark HARK_URL=http://127.0.0.1:8071 HARK_KEY=… node senders.mjs
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import Stripe from "stripe";
import { Webhooks } from "@octokit/webhooks";
import slack from "@slack/bolt/dist/receivers/verify-request.js";
import { Webhook as Standard } from "standardwebhooks";
import twilio from "twilio";
import { api, receive, run } from "./hark.mjs";

const stripe = new Stripe("sk_test_unused");
const octokit = new Webhooks({ secret: "octo secret" });
const standardSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const standard = new Standard(standardSecret);
const now = () => Math.floor(Date.now() / 1000);

// Each sender: what it signs with, how its library signs a body, and how it checks a request.
const senders = [
  {
    name: "stripe", secret: "whsec_stripe_test", body: { id: "evt_1", object: "event", type: "payment_intent.succeeded", data: { object: { id: "pi_1" } } },
    sign: (s, body) => ({ "stripe-signature": stripe.webhooks.generateTestHeaderString({ payload: body, secret: s.secret }) }),
    check: (s, headers, body) => assert.equal(stripe.webhooks.constructEvent(body, headers["stripe-signature"], s.secret).id, "evt_1"),
  },
  {
    name: "github", secret: "octo secret", body: { ref: "refs/heads/main" }, extra: { "x-github-event": "push", "x-github-delivery": "d-1" },
    sign: async (s, body) => ({ "x-hub-signature-256": await octokit.sign(body) }),
    check: async (s, headers, body) => assert.ok(await octokit.verify(body, headers["x-hub-signature-256"])),
  },
  {
    name: "slack", secret: "8f742231b10e8888abcd99yyyzzz85a5", body: { type: "event_callback", event_id: "Ev1", event: { type: "app_mention" } },
    // Bolt only checks: what it checks is made here as Slack documents it.
    sign: (s, body) => {
      const at = String(now());
      return { "x-slack-request-timestamp": at, "x-slack-signature": "v0=" + createHmac("sha256", s.secret).update(`v0:${at}:${body}`).digest("hex") };
    },
    check: (s, headers, body) => slack.verifySlackRequest({
      signingSecret: s.secret, body,
      headers: { "x-slack-signature": headers["x-slack-signature"], "x-slack-request-timestamp": Number(headers["x-slack-request-timestamp"]) },
    }),
  },
  {
    name: "standard-webhooks", secret: standardSecret, body: { type: "invoice.paid", data: {} }, extra: { "webhook-id": "msg_out_1" },
    sign: (s, body) => {
      const at = new Date();
      return { "webhook-id": "msg_out_1", "webhook-timestamp": String(Math.floor(at / 1000)), "webhook-signature": standard.sign("msg_out_1", at, body) };
    },
    check: (s, headers, body) => standard.verify(body, headers),
    resigned: true, // Hark's own signature stands under these names when it forwards
  },
  {
    name: "twilio", secret: "12345", form: { CallSid: "CA1", From: "+14158675310", To: "+18005551212" }, url: "https://example.com/hooks/twilio?foo=1",
    sign: (s) => ({ "x-twilio-signature": twilio.getExpectedTwilioSignature(s.secret, s.url, s.form) }),
    check: (s, headers) => assert.ok(twilio.validateRequest(s.secret, headers["x-twilio-signature"], s.url, s.form)),
    anonymous: true, // nothing in the request says which event it is, so that the same again is another
  },
];

const bodyOf = (s) => (s.form ? new URLSearchParams(s.form).toString() : JSON.stringify(s.body));
const typeOf = (s) => (s.form ? "application/x-www-form-urlencoded" : "application/json");

const flags = (s, headers = {}) => [
  "--provider", s.name, "--secret", s.secret, ...(s.url ? ["--url", s.url] : []),
  ...Object.entries({ ...headers, "content-type": typeOf(s) }).flatMap(([k, v]) => ["--header", `${k}: ${v}`]),
];

const got = [];
const receiver = await receive((req, body) => got.push({ path: req.url, headers: req.headers, body }));

for (const s of senders) {
  const body = bodyOf(s);
  const signed = { ...s.extra, ...(await s.sign(s, body)) };

  const good = await run(["verify", ...flags(s, signed)], body);
  assert.equal(good.code, 0, `${s.name}: hark verify: ${good.out}${good.err}`);
  const changed = s.form ? body.replace("CA1", "CA2") : body.replace("{", "{ ");
  assert.equal((await run(["verify", ...flags(s, signed)], changed)).code, 1, `${s.name}: a changed body is verified`);

  const made = await run(["sign", "--json", ...flags(s, s.extra)], body);
  assert.equal(made.code, 0, `${s.name}: hark sign: ${made.err}`);
  await s.check(s, { ...s.extra, ...JSON.parse(made.out) }, body);

  const source = await api("POST", "/source", { name: s.name, provider: s.name, secret: s.secret, ...(s.url ? { signedUrl: s.url.split("?")[0] } : {}) });
  await api("POST", `/app/${source.applicationId}/endpoint`, { url: `${receiver.url}/${s.name}` });
  const send = (b) => fetch(source.url + (s.url ? "?" + s.url.split("?")[1] : ""), { method: "POST", body: b, headers: { ...signed, "content-type": typeOf(s) } });
  assert.equal((await send(changed)).status, 401, `${s.name}: a source takes a changed body`);
  for (const _ of [1, 2]) {
    const res = await send(body);
    assert.ok(res.ok, `${s.name}: the source answered ${res.status} ${await res.text()}`);
  }
  const arrived = () => got.filter((g) => g.path === `/${s.name}`);
  const want = s.anonymous ? 2 : 1;
  for (let i = 0; i < 2400 && arrived().length < want; i++) await new Promise((r) => setTimeout(r, 25));
  await new Promise((r) => setTimeout(r, 100));
  assert.equal(arrived().length, want, `${s.name}: of two alike`);
  const [one] = arrived();
  assert.equal(one.body, body, `${s.name}: the body is not what was sent`);
  assert.equal(one.headers["content-type"], typeOf(s));
  if (!s.resigned) await s.check(s, one.headers, one.body);
  console.log(`ok ${s.name}`);
}
receiver.close();
