// What hark listen forwards is taken for the provider's own by the official libraries: the bytes and headers
// are those that came, whether through a source that verifies or through the URL that hark listen prints. And
// the signature that Hark adds is good for the library of Standard Webhooks.
//
//   HARK_BIN=…/hark HARK_URL=http://127.0.0.1:8071 HARK_KEY=… node listened.mjs
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { Webhooks } from "@octokit/webhooks";
import { Webhook as Standard } from "standardwebhooks";
import Stripe from "stripe";
import { api, env, hark, receive } from "./hark.mjs";

// A receiver as a library's manual has it: the raw body and a header go in, and what does not verify is a 400.
let check; // of the provider whose turn it is
const got = [];
const receiver = await receive(async ({ headers }, body, res) => {
  try {
    await check(body, headers);
    got.push({ body, headers });
    res.write("verified");
  } catch (error) {
    res.statusCode = 400;
    res.write(String(error));
  }
});

// listen starts hark listen, and answers its first record and a way to the next response.
async function listen(app) {
  const run = spawn(process.env.HARK_BIN, ["listen", "--app", app, "--format", "json", "--forward-to", `${receiver.url}/hooks`], { env, stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: run.stdout })[Symbol.asyncIterator]();
  const next = async (type) => {
    for (;;) {
      const { value, done } = await lines.next();
      assert.ok(!done, `hark listen ended before a record ${type}`);
      const record = JSON.parse(value);
      if (record.type === type) return record;
    }
  };
  const end = async () => {
    run.kill("SIGINT");
    const [code] = await once(run, "close");
    assert.equal(code, 0, "hark listen ends well");
  };
  return { ready: await next("ready"), response: () => next("response"), end };
}

const stripe = new Stripe("sk_test_unused");
const providers = [
  {
    name: "stripe", secret: "whsec_of_stripe",
    check: (s, body, headers) => stripe.webhooks.constructEvent(body, headers["stripe-signature"], s.secret),
  },
  {
    name: "github", secret: "octo secret",
    check: async (s, body, headers) => assert.ok(await new Webhooks({ secret: s.secret }).verify(body, headers["x-hub-signature-256"]), "octokit verifies"),
  },
  {
    // Hark's own signature stands under the names that the sender's had.
    name: "standard-webhooks", secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", events: ["loaf.baked", "invoice.paid"],
    check: () => {},
  },
];
for (const s of providers) {
  const uid = `listened-${s.name}`;
  const source = await api("POST", "/source", { name: uid, uid, provider: s.name, secret: s.secret });
  const listener = await listen(source.applicationId);
  const { url, secret } = listener.ready;
  check = async (body, headers) => {
    await s.check(s, body, headers);
    new Standard(secret).verify(body, headers);
  };
  const events = s.events ?? (await hark("trigger", "--list", "--json", "--provider", s.name)).map((e) => e.event);
  for (const event of events) {
    const way = events.indexOf(event) % 2 ? ["--to", url] : ["--source", uid];
    got.length = 0;
    await hark("trigger", event, "--provider", s.name, "--secret", s.secret, ...way, "--json");
    const response = await listener.response();
    assert.equal(response.status, 200, `${s.name} ${event} by ${way[0]}: ${response.body}`);
    assert.equal(response.body, "verified");
    assert.equal(got.length, 1);
  }
  // The checks above can fail: the last signature does not fit another body, which the URL takes all the same.
  const forged = await fetch(url, { method: "POST", body: '{"id":"evt_forged"}', headers: { ...signature(got[0].headers), "content-type": "application/json" } });
  assert.ok(forged.ok, `${forged.status}`);
  const refused = await listener.response();
  assert.equal(refused.status, s.name === "standard-webhooks" ? 200 : 400, `${s.name}: ${refused.body}`);
  await listener.end();
  console.log(`ok ${s.name}: ${events.length} events`);
}
receiver.close();

// signature are the headers that a provider signs with.
function signature(headers) {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => /^(x-|stripe-)/.test(name)));
}
