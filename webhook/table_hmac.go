package webhook

// hmacTable are the providers that sign the body and nothing else. What they send besides, such as
// GitHub's event header, is not signed, and a captured request stays good for ever: the event's id
// is the only guard against sending it again.
var hmacTable = []provider{
	{name: "github", title: "GitHub", schemes: []Scheme{sha256Hex("X-Hub-Signature-256", "sha256="), sha1Hex("X-Hub-Signature", "sha1=")}, id: "X-GitHub-Delivery", kind: "X-GitHub-Event + $.action", note: "the sha1 header counts only where the sha256 one is missing", source: "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"},
	{name: "bitbucket", title: "Bitbucket Cloud", schemes: one(sha256Hex("X-Hub-Signature", "sha256=")), id: "X-Request-UUID", kind: "X-Event-Key", note: "payloads above 256 KB are never sent", source: "https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/"},
	{name: "jira", title: "Jira Cloud", schemes: one(sha256Hex("X-Hub-Signature", "sha256=")), id: "X-Atlassian-Webhook-Identifier", kind: "$.webhookEvent", note: "only webhooks that were made with a secret", source: "https://developer.atlassian.com/cloud/jira/platform/webhooks/"},
	{name: "sentry", title: "Sentry", schemes: one(sha256Hex("Sentry-Hook-Signature", "")), id: "Request-ID", kind: "Sentry-Hook-Resource + $.action", note: "the secret is the integration's client secret", source: "https://docs.sentry.io/organization/integrations/integration-platform/webhooks/"},
	{name: "pagerduty", title: "PagerDuty v3", schemes: one(list("X-PagerDuty-Signature", ",", "v1=")), id: "$.event.id", kind: "$.event.event_type", source: "https://developer.pagerduty.com/docs/verifying-webhook-signatures"},
	{name: "circleci", title: "CircleCI", schemes: one(list("Circleci-Signature", ",", "v1=")), id: "$.id", kind: "circleci-event-type | $.type", source: "https://circleci.com/docs/outbound-webhooks/"},
	{name: "vercel", title: "Vercel", schemes: one(sha1Hex("X-Vercel-Signature", "")), id: "$.id", kind: "$.type", params: "verify", challenge: echoVercel, note: "log drains are sent the value of the parameter verify in x-vercel-verify", source: "https://vercel.com/docs/webhooks/webhooks-api"},
	{name: "heroku", title: "Heroku", schemes: one(sha256Base64("Heroku-Webhook-Hmac-SHA256", "")), id: "$.id", kind: "$.resource + $.action", source: "https://devcenter.heroku.com/articles/app-webhooks"},
	{name: "launchdarkly", title: "LaunchDarkly", schemes: one(sha256Hex("X-LD-Signature", "")), id: "$._id", kind: "$.kind", source: "https://launchdarkly.com/docs/integrations/webhooks"},
	{name: "npm", title: "npm", schemes: one(sha256Hex("X-Npm-Signature", "sha256=")), kind: "$.event", source: "https://docs.npmjs.com/cli/commands/npm-hook"},
	{name: "cursor", title: "Cursor", schemes: one(sha256Hex("X-Webhook-Signature", "sha256=")), id: "X-Webhook-ID", kind: "X-Webhook-Event", source: "https://cursor.com/docs/background-agent/api/webhooks"},
	{name: "segment", title: "Segment", schemes: one(sha1Hex("X-Signature", "")), id: "$.messageId", kind: "$.type", source: "https://segment.com/docs/connections/destinations/catalog/webhooks/"},
	{name: "hookdeck", title: "Hookdeck", schemes: one(sha256Base64("X-Hookdeck-Signature | X-Hookdeck-Signature-2", "")), id: "X-Hookdeck-EventID", note: "the second header is there during a rotation", source: "https://hookdeck.com/docs/authentication"},
	{name: "asana", title: "Asana", schemes: one(sha256Hex("X-Hook-Signature", "")), kind: "$.events[].action", challenge: handOverAsana, note: "the first request hands over the secret in X-Hook-Secret", source: "https://developers.asana.com/docs/webhooks-guide"},
	{name: "clickup", title: "ClickUp", schemes: one(sha256Hex("X-Signature", "")), id: "$.history_items[].id", kind: "$.event", source: "https://developer.clickup.com/docs/webhooksignature"},
	{name: "notion", title: "Notion", schemes: one(sha256Hex("X-Notion-Signature", "sha256=")), id: "$.id", kind: "$.type", challenge: handOverNotion, note: "the first request hands over the secret: verification_token", source: "https://developers.notion.com/reference/webhooks"},
	{name: "airtable", title: "Airtable", schemes: one(keyed(sha256Hex("X-Airtable-Content-MAC", "hmac-sha256="), "base64")), note: "says only that something changed: fetch the payloads by cursor", source: "https://airtable.com/developers/web/api/webhooks-overview"},
	{name: "cal-com", title: "Cal.com", schemes: one(sha256Hex("X-Cal-Signature-256", "")), id: "$.payload.uid", kind: "$.triggerEvent", source: "https://cal.com/docs/developing/guides/automation/webhooks"},
	{name: "typeform", title: "Typeform", schemes: one(sha256Base64("Typeform-Signature", "sha256=")), id: "$.event_id", kind: "$.event_type", note: "410 turns the webhook off", source: "https://www.typeform.com/developers/webhooks/secure-your-webhooks/"},
	{name: "tally", title: "Tally", schemes: one(sha256Base64("Tally-Signature", "")), id: "$.eventId", kind: "$.eventType", source: "https://tally.so/help/webhooks"},

	{name: "lemon-squeezy", title: "Lemon Squeezy", schemes: one(sha256Hex("X-Signature", "")), kind: "X-Event-Name | $.meta.event_name", source: "https://docs.lemonsqueezy.com/help/webhooks/signing-requests"},
	{name: "razorpay", title: "Razorpay", schemes: one(sha256Hex("X-Razorpay-Signature", "")), id: "X-Razorpay-Event-Id", kind: "$.event", source: "https://razorpay.com/docs/webhooks/validate-test/"},
	{name: "paystack", title: "Paystack", schemes: one(Scheme{Algorithm: "hmac-sha512", Signed: "{body}", Header: "X-Paystack-Signature"}), id: "$.data.id", kind: "$.event", note: "the secret is the API's secret key", source: "https://paystack.com/docs/payments/webhooks/"},
	{name: "flutterwave", title: "Flutterwave v4", schemes: one(sha256Base64("Flutterwave-Signature", "")), id: "$.webhook_id | $.data.id", kind: "$.type", source: "https://developer.flutterwave.com/docs/webhooks"},
	{name: "coinbase-commerce", title: "Coinbase Commerce", schemes: one(sha256Hex("X-CC-Webhook-Signature", "")), id: "$.event.id", kind: "$.event.type", source: "https://docs.cdp.coinbase.com/commerce-onchain/docs/webhooks-security"},
	{name: "gocardless", title: "GoCardless", schemes: one(sha256Hex("Webhook-Signature", "")), id: "$.events[].id", kind: "$.events[].resource_type + $.events[].action", refuse: 498, source: "https://developer.gocardless.com/getting-started/staying-up-to-date-with-webhooks"},
	{name: "checkout-com", title: "Checkout.com", schemes: one(sha256Hex("Cko-Signature", "")), id: "$.id", kind: "$.type", source: "https://www.checkout.com/docs/developer-resources/webhooks"},
	{name: "dwolla", title: "Dwolla", schemes: one(sha256Hex("X-Request-Signature-SHA-256", "")), id: "$.id", kind: "$.topic", source: "https://developers.dwolla.com/docs/balance/webhooks"},
	{name: "mollie", title: "Mollie (next-generation)", schemes: one(sha256Hex("X-Mollie-Signature", "sha256=")), id: "$.id", kind: "$.type", source: "https://docs.mollie.com/reference/webhooks-best-practices"},
	{name: "ramp", title: "Ramp", schemes: one(sha256Hex("X-Ramp-Signature", "")), id: "$.id", kind: "$.type", note: "the encoding is not documented; hex is what the community uses", source: "https://docs.ramp.com/developer-api/v1/webhooks"},
	{name: "xero", title: "Xero", schemes: one(sha256Base64("X-Xero-Signature", "")), kind: "$.events[].eventType", challenge: probeXero, refuse: 401, note: "probes with bad signatures: answer 200 or 401 without a body, within 5 s", source: "https://developer.xero.com/documentation/guides/webhooks/configuring-your-server/"},
	{name: "quickbooks", title: "QuickBooks", schemes: one(sha256Base64("Intuit-Signature", "")), id: "$[].id", kind: "$[].type", note: "the secret is the verifier token", source: "https://developer.intuit.com/app/developer/qbo/docs/develop/webhooks"},
	{name: "adyen-platform", title: "Adyen for Platforms", schemes: one(keyed(sha256Base64("HmacSignature", ""), "hex")), id: "$.data.id", kind: "$.type", source: "https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures"},
	{name: "solidgate", title: "Solidgate", schemes: one(Scheme{Algorithm: "hmac-sha512", Signed: "{param:public_key}{body}{param:public_key}", Header: "Signature", Encoding: "base64-hex"}), id: "Solidgate-Event-Id", kind: "Solidgate-Event-Type", params: "public_key", source: "https://docs.solidgate.com/payments/integrate/webhooks/"},
	{name: "fastspring", title: "FastSpring", schemes: one(sha256Base64("X-FS-Signature", "")), id: "$.events[].id", kind: "$.events[].type", source: "https://developer.fastspring.com/reference/message-security"},
	{name: "tebex", title: "Tebex", schemes: one(Scheme{Algorithm: "hmac-sha256", Signed: "{body_sha256}", Header: "X-Signature"}), id: "$.id", kind: "$.type", challenge: confirmTebex, source: "https://docs.tebex.io/developers/webhooks/overview"},
	{name: "autotask", title: "Autotask", schemes: one(Scheme{Algorithm: "hmac-sha1", Signed: "{body}", Header: "X-Hook-Signature", Prefix: "sha1=", Encoding: "base64"}), source: "https://www.autotask.net/help/developerhelp/Content/APIs/Webhooks/SecretKeyPayloadVerification.htm"},
	{name: "rutter", title: "Rutter", schemes: one(sha256Base64("X-Rutter-Signature", "sha256=")), kind: "$.type + $.code", note: "the secret is the client secret", source: "https://docs.rutterapi.com/docs/webhook-security"},
	{name: "veriff", title: "Veriff", schemes: one(sha256Hex("X-HMAC-Signature", "")), id: "$.verification.attemptId + $.verification.status | $.attemptId + $.action", kind: "$.verification.status | $.action", note: "the secret is the integration's shared secret key", source: "https://devdocs.veriff.com/docs/hmac-authentication-and-endpoint-security"},
	{name: "nango", title: "Nango", schemes: []Scheme{
		sha256Hex("X-Nango-Hmac-Sha256", ""),
		{Algorithm: "sha256", Signed: "{secret}{body}", Header: "X-Nango-Signature"},
	}, kind: "$.type", note: "the second is the older scheme, a plain hash of secret and body", source: "https://docs.nango.dev/guides/verify-webhooks-from-nango"},
	{name: "checkbook", title: "Checkbook", schemes: one(Scheme{Algorithm: "hmac-sha256", Signed: "{body}{timestamp}", Header: "Signature", Separator: ",", Prefix: "signature=", Timestamp: "nonce=", Unit: "nonce"}), id: "$.id + $.status", kind: "$.type + $.status", note: "{timestamp} is a nonce", source: "https://docs.checkbook.io/docs/webhooks"},

	{name: "meta", title: "Meta (Facebook)", schemes: one(sha256Hex("X-Hub-Signature-256", "sha256=")), id: "$.entry[].id", kind: "$.object + $.entry[].changes[].field", params: "verify_token", challenge: echoMeta, note: "an entry's id is the page's, not the event's: deduplicate by the body", source: "https://developers.facebook.com/docs/graph-api/webhooks/getting-started"},
	{name: "whatsapp", title: "WhatsApp", schemes: one(sha256Hex("X-Hub-Signature-256", "sha256=")), id: "$.entry[].changes[].value.messages[].id | $.entry[].changes[].value.statuses[].id", kind: "$.object + $.entry[].changes[].field", params: "verify_token", challenge: echoMeta, source: "https://developers.facebook.com/docs/whatsapp/cloud-api/guides/set-up-webhooks"},
	{name: "instagram", title: "Instagram", schemes: one(sha256Hex("X-Hub-Signature-256", "sha256=")), id: "$.entry[].messaging[].message.mid", kind: "$.object + $.entry[].changes[].field", params: "verify_token", challenge: echoMeta, source: "https://developers.facebook.com/docs/instagram-platform/webhooks"},
	{name: "twitter", title: "X (Twitter)", schemes: one(sha256Base64("X-Twitter-Webhooks-Signature", "sha256=")), kind: "$.*", challenge: tokenTwitter, note: "the secret is the app's consumer secret", source: "https://docs.x.com/x-api/webhooks/introduction"},
	{name: "linkedin", title: "LinkedIn", schemes: one(sha256Hex("X-LI-Signature", "hmacsha256=")), challenge: tokenLinkedIn, note: "the secret is the client secret", source: "https://learn.microsoft.com/en-us/linkedin/shared/api-guide/webhook-validation"},
	{name: "line", title: "LINE", schemes: one(sha256Base64("X-Line-Signature", "")), id: "$.events[].webhookEventId", kind: "$.events[].type", source: "https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/"},
	{name: "intercom", title: "Intercom", schemes: one(sha1Hex("X-Hub-Signature", "sha1=")), id: "$.id", kind: "$.topic", challenge: alive, source: "https://developers.intercom.com/docs/webhooks"},
	{name: "shopify", title: "Shopify", schemes: one(sha256Base64("X-Shopify-Hmac-Sha256 | Shopify-Hmac-Sha256", "")), id: "X-Shopify-Webhook-Id | X-Shopify-Event-Id | Shopify-Webhook-Id", kind: "X-Shopify-Topic | Shopify-Topic", source: "https://shopify.dev/docs/apps/build/webhooks/subscribe/https"},
	{name: "woocommerce", title: "WooCommerce", schemes: one(sha256Base64("X-WC-Webhook-Signature", "")), id: "X-WC-Webhook-Delivery-ID", kind: "X-WC-Webhook-Topic", challenge: pingWooCommerce, note: "the ping when a webhook is made is an unsigned form", source: "https://woocommerce.com/document/webhooks/"},
	{name: "easypost", title: "EasyPost", schemes: one(sha256Hex("X-Hmac-Signature", "hmac-sha256-hex=")), id: "$.id", kind: "$.description", note: "give secrets outside ASCII in Unicode form NFKD", source: "https://docs.easypost.com/guides/webhooks-guide"},
	{name: "pusher", title: "Pusher", schemes: one(sha256Hex("X-Pusher-Signature", "")), kind: "$.events[].name", source: "https://pusher.com/docs/channels/server_api/webhooks/"},
	{name: "ably", title: "Ably", schemes: one(sha256Base64("X-Ably-Signature", "")), kind: "$.items[].name", note: "batched webhooks only", source: "https://ably.com/docs/platform/integrations/webhooks"},
	{name: "dropbox", title: "Dropbox", schemes: one(sha256Hex("X-Dropbox-Signature", "")), challenge: echoDropbox, note: "says only whose files changed", source: "https://www.dropbox.com/developers/reference/webhooks"},
	{name: "docusign", title: "DocuSign", schemes: one(sha256Base64("X-DocuSign-Signature-1 | X-DocuSign-Signature-2 | X-DocuSign-Signature-3 | X-DocuSign-Signature-4 | X-DocuSign-Signature-5", "")), id: "$.data.envelopeId + $.event", kind: "$.event", note: "a header for each HMAC key", source: "https://developers.docusign.com/platform/webhooks/connect/hmac/"},
	{name: "onfido", title: "Onfido", schemes: one(sha256Hex("X-SHA2-Signature", "")), kind: "$.payload.action", source: "https://documentation.onfido.com/api/latest/#verifying-webhook-signatures"},
	{name: "alchemy", title: "Alchemy", schemes: one(sha256Hex("X-Alchemy-Signature", "")), id: "$.id", kind: "$.type", source: "https://www.alchemy.com/docs/reference/notify-api-quickstart"},
	{name: "attentive", title: "Attentive", schemes: one(sha256Hex("X-Attentive-Hmac-Sha256", "")), kind: "$.type", source: "https://docs.attentive.com/pages/developer-guides/set-up-webhooks/"},
	{name: "smartcar", title: "Smartcar", schemes: one(sha256Hex("SC-Signature", "")), id: "$.eventId", kind: "$.eventType | $.eventName", challenge: tokenSmartcar, note: "the secret is the application management token", source: "https://smartcar.com/docs/integrations/webhooks/payload-verification"},
	{name: "uber", title: "Uber", schemes: one(sha256Hex("X-Uber-Signature", "")), id: "$.event_id", kind: "$.event_type", note: "the secret is the client secret", source: "https://developer.uber.com/docs/eats/guides/webhooks"},
	{name: "commerce-layer", title: "Commerce Layer", schemes: one(sha256Base64("X-CommerceLayer-Signature", "")), id: "$.data.id", kind: "X-CommerceLayer-Topic", source: "https://docs.commercelayer.io/core/callbacks-security"},
	{name: "pylon", title: "Pylon", schemes: one(sha256Hex("X-Pylon-Signature", "")), note: "some presets expect hs256= before it; the vendor's own page does not", source: "https://kb.help.usepylon.com/articles/6080966819-how-do-i-verify-the-webhook-signatures"},
	{name: "picqer", title: "Picqer", schemes: one(sha256Base64("X-Picqer-Signature", "")), id: "$.idhook", kind: "$.event", source: "https://picqer.com/en/api/webhooks"},
	{name: "shiphero", title: "ShipHero", schemes: one(sha256Base64("X-Shiphero-Hmac-Sha256", "")), kind: "$.webhook_type", source: "https://developer.shiphero.com/webhooks/"},
	{name: "nylas", title: "Nylas", schemes: one(sha256Hex("X-Nylas-Signature", "")), id: "$.id", kind: "$.type", challenge: echoDropbox, note: "a compressed body is signed compressed: do not unpack it before verifying", source: "https://developer.nylas.com/docs/v3/notifications/"},
	{name: "expo", title: "Expo", schemes: one(sha1Hex("Expo-Signature", "sha1=")), id: "$.id", kind: "$.status", source: "https://docs.expo.dev/eas/webhooks/"},
	{name: "dub", title: "Dub", schemes: one(sha256Hex("Dub-Signature", "")), id: "$.id", kind: "$.event", source: "https://dub.co/docs/concepts/webhooks/verifying-webhooks"},
	{name: "neynar", title: "Neynar", schemes: one(Scheme{Algorithm: "hmac-sha512", Signed: "{body}", Header: "X-Neynar-Signature"}), id: "$.idempotency_key", kind: "$.type", source: "https://docs.neynar.com/docs/how-to-verify-the-incoming-webhooks-using-signatures"},
	{name: "favro", title: "Favro", schemes: one(Scheme{Algorithm: "hmac-sha1", Signed: "{$.payloadId}{url}", Header: "X-Favro-Webhook", Encoding: "base64"}), id: "$.payloadId", kind: "$.action", note: "signs the payload's id and the URL, not the body: no more than authenticated", source: "https://favro.com/developer/#webhook-signatures"},
}

// sha256Hex is HMAC-SHA256 of the body, in hex: the commonest scheme.
func sha256Hex(header, prefix string) Scheme {
	return Scheme{Algorithm: "hmac-sha256", Signed: "{body}", Header: header, Prefix: prefix}
}

func sha256Base64(header, prefix string) Scheme {
	return Scheme{Algorithm: "hmac-sha256", Signed: "{body}", Header: header, Prefix: prefix, Encoding: "base64"}
}

func sha1Hex(header, prefix string) Scheme {
	return Scheme{Algorithm: "hmac-sha1", Signed: "{body}", Header: header, Prefix: prefix}
}

// list is HMAC-SHA256 of the body where the header may have several, each with the same prefix.
func list(header, separator, prefix string) Scheme {
	return Scheme{Algorithm: "hmac-sha256", Signed: "{body}", Header: header, Separator: separator, Prefix: prefix}
}

func keyed(s Scheme, key string) Scheme {
	s.Key = key
	return s
}

func one(s Scheme) []Scheme { return []Scheme{s} }
