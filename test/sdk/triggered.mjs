// What hark trigger sends is taken for the provider's own by the providers' libraries: signature, headers
// and shape. The receivers are theirs where they have one (Slack's Bolt).
//
//   HARK_BIN=…/hark node triggered.mjs
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import "@shopify/shopify-api/adapters/node";
import { ApiVersion, shopifyApi } from "@shopify/shopify-api";
import { Webhooks } from "@octokit/webhooks";
import { App, HTTPReceiver, LogLevel } from "@slack/bolt";
import Ajv from "ajv";
import formats from "ajv-formats";
import { Webhook as Standard } from "standardwebhooks";
import Stripe from "stripe";
import { hark, receive } from "./hark.mjs";

const eventsOf = async (provider) => (await hark("trigger", "--list", "--json", "--provider", provider)).map((e) => e.event);
const send = (provider, event, to, secret) => hark("trigger", event, "--provider", provider, "--to", to, "--secret", secret, "--json");

// A plain receiver: the last request, as it came.
let last;
const receiver = await receive(({ headers, rawHeaders, method, url }, body) => (last = { headers, rawHeaders, method, url, body }));
const plain = `${receiver.url}/hooks`;

// everyEvent triggers all events of a provider, and has each checked.
async function everyEvent(provider, least, secret, check) {
  const events = await eventsOf(provider);
  assert.ok(events.length >= least, `${provider} has only ${events.length} events`);
  for (const event of events) {
    await send(provider, event, plain, secret);
    await check(event, last);
  }
  console.log(`ok ${provider}: ${events.length} events`);
}

const stripe = new Stripe("sk_test_unused");
// What the library's types say of an event, with decimal numbers as they come: texts.
let typed = `import Stripe from "stripe";
type Raw<T> = T extends Stripe.Decimal ? string : T extends object ? { [K in keyof T]: Raw<T[K]> } : T;
`;
await everyEvent("stripe", 30, "whsec_stripe_test", (event, { headers, body }) => {
  const parsed = stripe.webhooks.constructEvent(body, headers["stripe-signature"], "whsec_stripe_test");
  assert.equal(parsed.type, event);
  assert.equal(parsed.object, "event");
  assert.throws(() => stripe.webhooks.constructEvent(body + " ", headers["stripe-signature"], "whsec_stripe_test"));
  const type = event.split(/[._]/).map((word) => word[0].toUpperCase() + word.slice(1)).join("") + "Event";
  typed += `// ${event}\nexport const e${typed.length}: Raw<Stripe.${type}> = ${body};\n`;
});
writeFileSync("stripe-events.ts", typed);
const compiled = spawnSync("node_modules/.bin/tsc", [
  ..."--noEmit --strict --skipLibCheck --module nodenext --target es2022 --ignoreConfig".split(" "), "stripe-events.ts",
], { encoding: "utf8" });
assert.equal(compiled.status, 0, `an event is not as Stripe's types say: ${compiled.error ?? compiled.stdout}`);
console.log("ok stripe: the types");

// GitHub's library takes the event in, and the published schemas say whether it has the right shape.
const schemas = new Ajv({ strict: false, allErrors: true });
formats(schemas);
const { definitions } = JSON.parse(readFileSync(createRequire(import.meta.url).resolve("@octokit/webhooks-schemas/schema.json")));
schemas.addSchema({ definitions }, "github");
const octokit = new Webhooks({ secret: "octo secret" });
let heard;
octokit.onAny((e) => (heard = e));
await everyEvent("github", 20, "octo secret", async (event, { headers, body }) => {
  heard = undefined;
  await octokit.verifyAndReceive({ id: headers["x-github-delivery"], name: headers["x-github-event"], payload: body, signature: headers["x-hub-signature-256"] });
  const { name, payload } = heard;
  assert.equal(payload.action ? `${name}.${payload.action}` : name, event);
  const valid = schemas.getSchema(`github#/definitions/${payload.action ? `${name}$${payload.action}` : `${name}$event`}`);
  assert.ok(valid(payload), `${event} is not as GitHub's schema says: ${JSON.stringify(valid.errors, null, 1)}`);
});

const shopify = shopifyApi({
  apiKey: "unused", apiSecretKey: "hush", hostName: "localhost", apiVersion: Object.values(ApiVersion).at(-1), isEmbeddedApp: false, logger: { level: 0 },
});
await everyEvent("shopify", 10, "hush", async (event, { headers, rawHeaders, method, url, body }) => {
  const verdict = await shopify.webhooks.validate({ rawBody: body, rawRequest: { headers, rawHeaders, method, url }, rawResponse: {} });
  assert.ok(verdict.valid, `${event}: ${JSON.stringify(verdict)}`);
  assert.equal(verdict.topic, event.toUpperCase().replace("/", "_"));
});

const standardSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const standard = new Standard(standardSecret);
for (const event of ["loaf.baked", "invoice.paid"]) {
  const sent = await send("standard-webhooks", event, plain, standardSecret);
  const payload = standard.verify(last.body, last.headers);
  assert.equal(payload.type, event);
  assert.equal(sent.id, last.headers["webhook-id"]);
}
console.log("ok standard-webhooks");
receiver.close();

// Slack's Bolt is a server of its own: it verifies, parses, and calls the listener that it finds.
const bolt = new App({
  receiver: new HTTPReceiver({ signingSecret: "slack secret", logLevel: LogLevel.ERROR }),
  authorize: async () => ({ botToken: "xoxb-unused", botId: "B1", botUserId: "U1" }),
  logLevel: LogLevel.ERROR,
});
let called;
const listen = (name) => async (args) => {
  called = name(args);
  await args.ack?.();
};
bolt.event(/.*/, listen(({ event }) => event.type));
bolt.command(/.*/, listen(() => "slash_command"));
bolt.action(/.*/, listen(({ body }) => body.type));
bolt.view(/.*/, listen(({ body }) => body.type));
const server = await bolt.start({ port: 0, host: "127.0.0.1" });
const slackURL = `http://127.0.0.1:${server.address().port}/slack/events`;
const slackEvents = await eventsOf("slack");
assert.ok(slackEvents.length >= 6);
for (const event of slackEvents) {
  called = undefined;
  const sent = await send("slack", event, slackURL, "slack secret");
  if (event === "url_verification") {
    assert.match(sent.answer, /"challenge":"\w{20,}"/);
    continue;
  }
  assert.equal(called, event);
}
console.log(`ok slack: ${slackEvents.length} events`);
await bolt.stop();
