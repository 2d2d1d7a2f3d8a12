package webhook

import "strings"

// stampedTable are the providers that sign a timestamp with the body, so that a captured request
// goes stale.
var stampedTable = []provider{
	{name: "stripe", title: "Stripe", schemes: one(pairs("Stripe-Signature", "t=", "v1=", "{timestamp}.{body}")), id: "$.id", kind: "$.type", note: "the whole whsec_ text is the key; v0 signatures are for tests and do not count", source: "https://docs.stripe.com/webhooks/signature"},
	{name: "linear", title: "Linear", schemes: one(Scheme{Algorithm: "hmac-sha256", Signed: "{body}", Header: "Linear-Signature", Timestamp: "$.webhookTimestamp", Unit: "ms", Tolerance: 60}), id: "Linear-Delivery", kind: "Linear-Event + $.action", source: "https://linear.app/developers/webhooks"},
	{name: "buildkite", title: "Buildkite", schemes: one(pairs("X-Buildkite-Signature", "timestamp=", "signature=", "{timestamp}.{body}")), kind: "X-Buildkite-Event", source: "https://buildkite.com/docs/apis/webhooks"},
	{name: "cloudflare-stream", title: "Cloudflare Stream", schemes: one(pairs("Webhook-Signature", "time=", "sig1=", "{timestamp}.{body}")), id: "$.uid + $.status.state", kind: "$.status.state", source: "https://developers.cloudflare.com/stream/manage-video-library/using-webhooks/"},
	{name: "tailscale", title: "Tailscale", schemes: one(pairs("Tailscale-Webhook-Signature", "t=", "v1=", "{timestamp}.{body}")), kind: "$[].type", source: "https://tailscale.com/kb/1213/webhooks"},
	{name: "elevenlabs", title: "ElevenLabs", schemes: one(tolerate(pairs("ElevenLabs-Signature", "t=", "v0=", "{timestamp}.{body}"), 1800)), kind: "$.type", source: "https://elevenlabs.io/docs/product-guides/administration/webhooks"},
	{name: "retell", title: "Retell", schemes: one(millis(pairs("X-Retell-Signature", "v=", "d=", "{body}{timestamp}"))), id: "$.call.call_id + $.event", kind: "$.event", note: "the secret is the API key that has webhooks", source: "https://docs.retellai.com/features/secure-webhook"},
	{name: "statsig", title: "Statsig", schemes: one(millis(stamped("X-Statsig-Signature", "v0=", "X-Statsig-Request-Timestamp", "v0:{timestamp}:{body}"))), source: "https://docs.statsig.com/integrations/event_webhook"},
	{name: "knock", title: "Knock", schemes: one(base64d(millis(pairs("X-Knock-Signature", "t=", "s=", "{timestamp}.{body}")))), id: "$.id", kind: "$.type", source: "https://docs.knock.app/developer-tools/outbound-webhooks/overview"},
	{name: "orb", title: "Orb", schemes: one(dated(stamped("X-Orb-Signature", "v1=", "X-Orb-Timestamp", "v1:{timestamp}:{body}"))), id: "$.id", kind: "$.type", source: "https://docs.withorb.com/integrations-and-exports/webhooks"},
	{name: "sanity", title: "Sanity", schemes: one(Scheme{Algorithm: "hmac-sha256", Signed: "{timestamp}.{body}", Header: "Sanity-Webhook-Signature", Separator: ",", Prefix: "v1=", Encoding: "base64url", Timestamp: "t=", Unit: "ms"}), id: "Idempotency-Key", source: "https://www.sanity.io/docs/webhooks"},
	{name: "webflow", title: "Webflow", schemes: one(millis(stamped("X-Webflow-Signature", "", "X-Webflow-Timestamp", "{timestamp}:{body}"))), kind: "$.triggerType", source: "https://developers.webflow.com/data/docs/working-with-webhooks"},
	{name: "calendly", title: "Calendly", schemes: one(tolerate(pairs("Calendly-Webhook-Signature", "t=", "v1=", "{timestamp}.{body}"), 180)), kind: "$.event", source: "https://developer.calendly.com/api-docs/ZG9jOjM2MzE2MDM4-webhook-signatures"},

	{name: "paddle", title: "Paddle Billing", schemes: one(Scheme{Algorithm: "hmac-sha256", Signed: "{timestamp}:{body}", Header: "Paddle-Signature", Separator: ";", Prefix: "h1=", Timestamp: "ts="}), id: "$.event_id", kind: "$.event_type", note: "the vendor's own libraries tolerate 5 s only", source: "https://developer.paddle.com/webhooks/signature-verification"},
	{name: "recurly", title: "Recurly", schemes: one(millis(pairs("Recurly-Signature", firstEntry, "", "{timestamp}.{body}"))), id: "$.id", kind: "$.event_type", source: "https://docs.recurly.com/recurly-subscriptions/docs/signature-verification"},
	{name: "revolut", title: "Revolut", schemes: one(Scheme{Algorithm: "hmac-sha256", Signed: "v1.{timestamp}.{body}", Header: "Revolut-Signature", Separator: ",", Prefix: "v1=", Timestamp: "Revolut-Request-Timestamp", Unit: "ms"}), kind: "$.event", source: "https://developer.revolut.com/docs/guides/manage-accounts/tutorials/work-with-webhooks/verify-the-payload-signature"},
	{name: "airwallex", title: "Airwallex", schemes: one(millis(stamped("X-Signature", "", "X-Timestamp", "{timestamp}{body}"))), id: "$.id", kind: "$.name", source: "https://www.airwallex.com/docs/developer-tools/webhooks/listen-for-webhook-events"},
	{name: "coinbase-cdp", title: "Coinbase Developer Platform", schemes: one(pairs("X-Hook0-Signature", "t=", "v0=", "{timestamp}.{body}")), source: "https://docs.cdp.coinbase.com/webhooks/verify-signatures"},
	{name: "fintoc", title: "Fintoc", schemes: one(pairs("Fintoc-Signature", "t=", "v1=", "{timestamp}.{body}")), id: "$.id", kind: "$.type", source: "https://docs.fintoc.com/docs/webhooks-walkthrough"},
	{name: "recharge", title: "Recharge", schemes: []Scheme{
		tolerate(pairs("X-Recharge-Signature", "t=", "v1=", "{timestamp}.{body}"), 172800),
		{Algorithm: "sha256", Signed: "{secret}{body}", Header: "X-Recharge-Hmac-Sha256"},
	}, id: "X-Recharge-Webhook-Id", kind: "X-Recharge-Topic", note: "the second is the older scheme, a plain hash of secret and body; the first header's name is by convention", source: "https://docs.getrecharge.com/docs/webhooks-overview"},
	{name: "synctera", title: "Synctera", schemes: one(stamped("Synctera-Signature", "", "Request-Timestamp", "{timestamp}.{body}")), id: "$.id", kind: "$.type", source: "https://dev.synctera.com/docs/webhooks-guide"},
	{name: "convergegate", title: "ConvergeGate", schemes: one(stamped("Sec-Signature", "", "Sec-Timestamp", "{timestamp}{body}")), note: "the secret is the hex of SHA-256 of the API key", source: "https://developer.convergegate.com/legacy/apm-checkout-blik/webhoook-event-notification"},
	{name: "syntage", title: "Syntage", schemes: one(pairs("X-Satws-Signature", "t=", "s=", "{timestamp}.{body}")), id: "$.id", kind: "$.type", source: "https://docs.syntage.com/guides/validating-webhook-requests"},
	{name: "payengine", title: "PayEngine", schemes: one(pairs("X-Pf-Signature", "t=", "s=", "{timestamp}.{body}")), source: "https://docs.payengine.co/developer-docs/webhooks/check-signature"},
	{name: "justifi", title: "JustiFi", schemes: one(dated(stamped("Justifi-Signature", "", "Justifi-Timestamp", "{timestamp}.{body}"))), id: "$.id", kind: "$.event_name", source: "https://docs.justifi.tech/"},
	{name: "port", title: "Port", schemes: one(base64d(stamped("X-Port-Signature", "v1,", "X-Port-Timestamp", "{timestamp}.{body}"))), note: "the secret is the organization's client secret", source: "https://docs.port.io/actions-and-automations/setup-backend/webhook/signature-verification/"},

	{name: "slack", title: "Slack", schemes: one(stamped("X-Slack-Signature", "v0=", "X-Slack-Request-Timestamp", "v0:{timestamp}:{body}")), id: "$.event_id", kind: "$.event.type | $.type", challenge: challengeSlack, note: "slash commands are form bodies; answer within 3 s", source: "https://docs.slack.dev/authentication/verifying-requests-from-slack"},
	{name: "zoom", title: "Zoom", schemes: one(stamped("X-Zm-Signature", "v0=", "X-Zm-Request-Timestamp", "v0:{timestamp}:{body}")), kind: "$.event", challenge: tokenZoom, source: "https://developers.zoom.us/docs/api/webhooks/"},
	{name: "twitch", title: "Twitch EventSub", schemes: one(tolerate(dated(stamped("Twitch-Eventsub-Message-Signature", "sha256=", "Twitch-Eventsub-Message-Timestamp", "{header:Twitch-Eventsub-Message-Id}{timestamp}{body}")), 600)), id: "Twitch-Eventsub-Message-Id", kind: "Twitch-Eventsub-Subscription-Type", challenge: challengeTwitch, source: "https://dev.twitch.tv/docs/eventsub/handling-webhook-events/"},
	{name: "front", title: "Front", schemes: one(base64d(millis(stamped("X-Front-Signature", "", "X-Front-Request-Timestamp", "{timestamp}:{body}")))), kind: "$.type", challenge: challengeFront, source: "https://dev.frontapp.com/docs/webhooks-1"},
	{name: "front-rules", title: "Front (rule webhooks)", schemes: one(Scheme{Algorithm: "hmac-sha1", Signed: "{body}", Header: "X-Front-Signature", Encoding: "base64"}), id: "$.id", kind: "$.type", note: "never sent again", source: "https://dev.frontapp.com/docs/rule-webhooks"},
	{name: "zendesk", title: "Zendesk", schemes: one(base64d(dated(stamped("X-Zendesk-Webhook-Signature", "", "X-Zendesk-Webhook-Signature-Timestamp", "{timestamp}{body}")))), id: "X-Zendesk-Webhook-Invocation-Id", kind: "$.type", source: "https://developer.zendesk.com/documentation/webhooks/verifying/"},
	{name: "klaviyo", title: "Klaviyo", schemes: one(stamped("Klaviyo-Signature", "", "Klaviyo-Timestamp", "{body}{timestamp}")), id: "$.data[].external_id", kind: "$.data[].topic", source: "https://developers.klaviyo.com/en/docs/working_with_system_webhooks"},
	{name: "customer-io", title: "Customer.io", schemes: one(stamped("X-CIO-Signature", "", "X-CIO-Timestamp", "v0:{timestamp}:{body}")), id: "$.event_id", kind: "$.object_type + $.metric", source: "https://docs.customer.io/journeys/webhooks/"},
	{name: "courier", title: "Courier", schemes: one(millis(pairs("Courier-Signature", "t=", "signature=", "{timestamp}.{body}"))), id: "$.data.id", kind: "$.type", source: "https://www.courier.com/docs/platform/automations/outbound-webhooks"},
	{name: "mux", title: "Mux", schemes: one(pairs("Mux-Signature", "t=", "v1=", "{timestamp}.{body}")), id: "$.id", kind: "$.type", source: "https://www.mux.com/docs/core/verify-webhook-signatures"},
	{name: "box", title: "Box", schemes: one(tolerate(dated(Scheme{Algorithm: "hmac-sha256", Signed: "{body}{timestamp}", Header: "Box-Signature-Primary | Box-Signature-Secondary", Encoding: "base64", Timestamp: "Box-Delivery-Timestamp"}), 600)), id: "Box-Delivery-Id", kind: "$.trigger", note: "two keys at a time, for rotation", source: "https://developer.box.com/guides/webhooks/v2/signatures-v2/"},
	{name: "persona", title: "Persona", schemes: one(pairs("Persona-Signature", "t=", "v1=", "{timestamp}.{body}")), wrap: tryGroups, id: "$.data.id", kind: "$.data.attributes.name", note: "during a rotation the header has two pairs with a space between", source: "https://docs.withpersona.com/webhooks-best-practices"},
	{name: "workos", title: "WorkOS", schemes: one(tolerate(millis(pairs("WorkOS-Signature", "t=", "v1=", "{timestamp}.{body}")), 180)), id: "$.id", kind: "$.event", source: "https://workos.com/docs/events/data-syncing/webhooks"},
	{name: "akeneo", title: "Akeneo", schemes: one(stamped("X-Akeneo-Request-Signature", "", "X-Akeneo-Request-Timestamp", "{timestamp}.{body}")), id: "$.events[].event_id", kind: "$.events[].action", note: "answer within 0.5 s", source: "https://api.akeneo.com/events-documentation/security.html"},
	{name: "oura", title: "Oura", schemes: one(Scheme{Algorithm: "hmac-sha256", Signed: "{timestamp}{body}", Header: "X-Oura-Signature", Encoding: "HEX", Timestamp: "X-Oura-Timestamp"}), kind: "$.data_type + $.event_type", params: "verify_token", challenge: echoOura, source: "https://cloud.ouraring.com/docs/webhooks"},
	{name: "tiktok", title: "TikTok", schemes: one(pairs("TikTok-Signature", "t=", "s=", "{timestamp}.{body}")), kind: "$.event", source: "https://developers.tiktok.com/doc/webhooks-verification"},
	{name: "cloudinary", title: "Cloudinary", schemes: one(Scheme{Algorithm: "sha1", Signed: "{body}{timestamp}{secret}", Header: "X-Cld-Signature", Timestamp: "X-Cld-Timestamp", Tolerance: 7200}), kind: "$.notification_type", note: "a plain hash of body, time and API secret", source: "https://cloudinary.com/documentation/notification_signatures"},
}

// pairs is HMAC-SHA256 in a list of key=value, the timestamp among them: Stripe's invention.
func pairs(header, timestamp, signature, signed string) Scheme {
	return Scheme{Algorithm: "hmac-sha256", Signed: signed, Header: header, Separator: ",", Prefix: signature, Timestamp: timestamp}
}

// stamped is HMAC-SHA256 with the timestamp in a header of its own.
func stamped(header, prefix, timestamp, signed string) Scheme {
	return Scheme{Algorithm: "hmac-sha256", Signed: signed, Header: header, Prefix: prefix, Timestamp: timestamp}
}

func millis(s Scheme) Scheme {
	s.Unit = "ms"
	return s
}

func dated(s Scheme) Scheme {
	s.Unit = "rfc3339"
	return s
}

func base64d(s Scheme) Scheme {
	s.Encoding = "base64"
	return s
}

func tolerate(s Scheme, seconds int) Scheme {
	s.Tolerance = seconds
	return s
}

// groupTrier is Persona's checker: during a rotation its header has two lists, with a space between,
// and each has a timestamp of its own.
type groupTrier struct{ *scheme }

func tryGroups(s *scheme) checker { return groupTrier{s} }

func (g groupTrier) check(c *call) finding {
	name := g.headers[0]
	groups := strings.Fields(c.Header.Get(name))
	if len(c.Header[name]) != 1 || len(groups) < 2 || len(groups) > maxEntries {
		return g.scheme.check(c)
	}
	var last finding
	for _, group := range groups {
		r := *c.Request
		r.Header = c.Header.Clone()
		r.Header[name] = []string{group}
		each := *c
		each.Request = &r
		if last = g.scheme.check(&each); last.outcome == Verified {
			return last
		}
	}
	return last
}
