package webhook

// standardTable are the providers that follow Standard Webhooks. They differ in the text of their
// secrets: Hark's own rules are the standard's (ParseKey); theirs may be shorter, or no base64.
var standardTable = []provider{
	{name: StandardWebhooks, title: "Standard Webhooks", code: newStandard(ParseKey), how: howStandard, id: "Webhook-Id | Svix-Id", kind: "$.type", source: "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"},
	follows("svix", "Svix", theirKey, "$.type", "https://docs.svix.com/receiving/verifying-payloads/how-manual"),
	follows("clerk", "Clerk", theirKey, "$.type", "https://clerk.com/docs/webhooks/sync-data"),
	follows("resend", "Resend", theirKey, "$.type", "https://resend.com/docs/dashboard/webhooks/verify-webhooks-requests"),
	follows("openai", "OpenAI", textKey, "$.type", "https://platform.openai.com/docs/guides/webhooks"),
	follows("anthropic", "Anthropic", theirKey, "$.data.type | $.type", "https://docs.anthropic.com/en/api/webhooks"),
	follows("replicate", "Replicate", theirKey, "$.status", "https://replicate.com/docs/topics/webhooks/verify-webhook"),
	follows("gemini", "Gemini (static webhooks)", theirKey, "$.type", "https://ai.google.dev/gemini-api/docs/webhooks"),
	follows("incident-io", "incident.io", theirKey, "$.event_type", "https://api-docs.incident.io/tag/Webhooks/"),
	follows("render", "Render", theirKey, "$.type", "https://render.com/docs/webhooks"),
	follows("supabase", "Supabase auth hooks", theirKey, "$.type", "https://supabase.com/docs/guides/auth/auth-hooks"),
	follows("polar", "Polar", textKey, "$.type", "https://docs.polar.sh/integrate/webhooks/delivery"),
	follows("lithic", "Lithic", theirKey, "$.event_type | $.type", "https://docs.lithic.com/docs/events-api"),
	follows("shipbob", "ShipBob", theirKey, "X-Webhook-Topic | $.topic", "https://developer.shipbob.com/webhooks"),
	follows("etsy", "Etsy", theirKey, "$.event_type | $.type", "https://developers.etsy.com/documentation/essentials/webhooks"),
	follows("stytch", "Stytch", theirKey, "$.event_type | $.type", "https://stytch.com/docs/guides/webhooks/overview"),
	follows("glean", "Glean", theirKey, "$.type", "https://developers.glean.com/"),
	follows("grok", "Grok", theirKey, "$.type", "https://docs.x.ai/docs/overview"),
	follows("brex", "Brex", theirKey, "$.event_type", "https://developer.brex.com/docs/webhooks/"),
	follows("bigcommerce", "BigCommerce", textKey, "$.scope", "https://developer.bigcommerce.com/docs/integrations/webhooks"),
	follows("gitlab-signing-token", "GitLab (signing token)", theirKey, "X-Gitlab-Event | $.object_kind", "https://docs.gitlab.com/user/project/integrations/webhooks/"),
}

const howStandard = "Standard Webhooks: `{id}.{timestamp}.{body}` in `webhook-signature` (or `svix-`), v1 HMAC-SHA256 or v1a ed25519, as base64"

// follows is a row for a sender that follows the standard.
func follows(name, title string, key func(string) (Key, error), kind, source string) provider {
	return provider{name: name, title: title, code: newStandard(key), how: howStandard, id: "Webhook-Id | Svix-Id", kind: kind, source: source}
}
