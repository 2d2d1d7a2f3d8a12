package webhook

// tokenTable are the providers that show a shared secret instead of signing: they are no more than
// authenticated. Where a person chooses the header, the parameter header names it.
var tokenTable = []provider{
	{name: "gitlab", title: "GitLab", schemes: one(token("X-Gitlab-Token", "")), id: "Idempotency-Key | X-Gitlab-Event-UUID", kind: "X-Gitlab-Event | $.object_kind", note: "since 19.0 there are signing tokens: gitlab-signing-token", source: "https://docs.gitlab.com/user/project/integrations/webhooks/"},
	{name: "buildkite-token", title: "Buildkite (token)", schemes: one(token("X-Buildkite-Token", "")), kind: "X-Buildkite-Event", source: "https://buildkite.com/docs/apis/webhooks"},
	{name: "cloudflare-notifications", title: "Cloudflare Notifications", schemes: one(token("Cf-Webhook-Auth", "")), id: "$.alert_correlation_id", kind: "$.alert_type + $.alert_event", source: "https://developers.cloudflare.com/notifications/get-started/configure-webhooks/"},
	{name: "hugging-face", title: "Hugging Face", schemes: one(token("X-Webhook-Secret", "")), kind: "$.event.scope + $.event.action", source: "https://huggingface.co/docs/hub/webhooks"},
	{name: "deepgram", title: "Deepgram", schemes: one(token("Dg-Token", "")), id: "$.metadata.request_id", source: "https://developers.deepgram.com/docs/callback"},
	{name: "telegram", title: "Telegram", schemes: one(token("X-Telegram-Bot-Api-Secret-Token", "")), id: "$.update_id", kind: "$.*", source: "https://core.telegram.org/bots/api#setwebhook"},
	{name: "flutterwave-v3", title: "Flutterwave v3", schemes: one(token("Verif-Hash", "")), id: "$.data.id", kind: "$.event", source: "https://developer.flutterwave.com/v3.0/docs/webhooks"},
	{name: "okta", title: "Okta", schemes: one(chosen()), id: "$.eventId | $.data.events[].uuid", kind: "$.data.events[].eventType", params: "header", challenge: challengeOkta, source: "https://developer.okta.com/docs/concepts/event-hooks/"},
	{name: "auth0", title: "Auth0 log streams", schemes: one(chosen()), id: "$[].log_id", kind: "$[].data.type", params: "header", source: "https://auth0.com/docs/customize/log-streams/custom-log-streams"},
	{name: "datadog", title: "Datadog", schemes: one(chosen()), params: "header", source: "https://docs.datadoghq.com/integrations/webhooks/"},
	{name: "new-relic", title: "New Relic", schemes: one(chosen()), params: "header", source: "https://docs.newrelic.com/docs/alerts/get-notified/notification-integrations/"},
	{name: "brevo", title: "Brevo", schemes: one(chosen()), kind: "$.event", params: "header", source: "https://developers.brevo.com/docs/username-and-password-authentication"},
	{name: "zapier", title: "Zapier", schemes: one(chosen()), params: "header", source: "https://help.zapier.com/hc/en-us/articles/8496326446989"},
	{name: "fillout", title: "Fillout", schemes: one(chosen()), id: "$.submission.submissionId", params: "header", source: "https://www.fillout.com/help/webhook"},
	{name: "chargebee", title: "Chargebee", schemes: one(basic()), id: "$.id", kind: "$.event_type", source: "https://www.chargebee.com/docs/billing/2.0/site-configuration/webhook_settings"},
	{name: "pipedrive", title: "Pipedrive", schemes: one(basic()), id: "$.meta.id", kind: "$.meta.entity + $.meta.action", source: "https://pipedrive.readme.io/docs/guide-for-webhooks-v2"},
	{name: "postmark", title: "Postmark", schemes: one(basic()), id: "$.MessageID + $.RecordType", kind: "$.RecordType", source: "https://postmarkapp.com/developer/webhooks/webhooks-overview"},
	{name: "sparkpost", title: "SparkPost", schemes: one(basic()), kind: "$[].msys.message_event.type", source: "https://developers.sparkpost.com/api/webhooks/"},
	{name: "mixpanel", title: "Mixpanel cohorts", schemes: one(basic()), kind: "$.action", source: "https://docs.mixpanel.com/docs/cohort-sync/webhooks"},
	{name: "recurly-xml", title: "Recurly (XML)", schemes: one(basic()), source: "https://docs.recurly.com/recurly-subscriptions/docs/webhooks"},
	{name: "microsoft-graph", title: "Microsoft Graph", code: newClientState, how: "`$.value[].clientState` of every change is the secret", id: "$.value[].id", kind: "$.value[].changeType", challenge: echoValidationToken, accept: reply{status: 202}, source: "https://learn.microsoft.com/en-us/graph/change-notifications-delivery-webhooks"},
	{name: "sharepoint", title: "SharePoint", code: newClientState, how: "`$.value[].clientState` of every change is the secret", kind: "$.value[].resource", challenge: echoValidationToken, source: "https://learn.microsoft.com/en-us/sharepoint/dev/apis/webhooks/overview-sharepoint-webhooks"},
	{name: "strava", title: "Strava", id: "$.event_time", kind: "$.object_type + $.aspect_type", params: "verify_token", challenge: echoStrava, note: "only the handshake has a secret, the parameter verify_token", source: "https://developers.strava.com/docs/webhooks/"},
	{name: "ringcentral", title: "RingCentral", schemes: one(token("Verification-Token", "")), id: "$.uuid", kind: "$.event", challenge: echoRingCentral, source: "https://developers.ringcentral.com/guide/notifications/webhooks/creating-webhooks"},
	{name: "vapi", title: "Vapi", schemes: one(token("X-Vapi-Secret | X-Vapi-Signature", "")), kind: "$.message.type", note: "some events want an answer with content, which a source of Hark's does not give", source: "https://docs.vapi.ai/server-url/server-authentication"},
	{name: "openclaw", title: "OpenClaw", schemes: []Scheme{token("Authorization", "Bearer "), token("X-OpenClaw-Token", "")}, kind: "$.name", source: "https://docs.openclaw.ai/automation/webhook"},
	{name: "adobe-sign", title: "Adobe Acrobat Sign", schemes: one(token("X-AdobeSign-ClientId", "")), id: "$.webhookNotificationId", kind: "$.event", challenge: challengeAdobeSign, accept: reply{echo: "xAdobeSignClientId"}, note: "the secret is the application's client id, which is sent back with every answer", source: "https://helpx.adobe.com/sign/web/developers/webhooks/overview.html"},
	{name: "mailchimp", title: "Mailchimp", id: "form:data[id]", kind: "form:type", challenge: alive, note: "put a secret into the URL", source: "https://mailchimp.com/developer/marketing/guides/sync-audience-data-webhooks/"},
	{name: "azure-event-grid", title: "Azure Event Grid", id: "$[].id | $.id", kind: "$[].eventType | $.type", challenge: challengeEventGrid, note: "put a secret into the URL, or check its bearer token", source: "https://learn.microsoft.com/en-us/azure/event-grid/end-point-validation-event-grid-events-schema"},
	{name: "cloudevents", title: "CloudEvents", id: "Ce-Id | $.id", kind: "Ce-Type | $.type", challenge: consentCloudEvents, source: "https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md"},
	{name: "mollie-classic", title: "Mollie (classic)", id: "form:id", note: "says only an id: fetch what it names", source: "https://docs.mollie.com/reference/webhooks"},
	{name: "salesforce", title: "Salesforce outbound messages", accept: reply{kind: "text/xml", body: salesforceAck}, note: "put a secret into the URL, or require the client certificate", source: "https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_om_outboundmessaging.htm"},
}

const salesforceAck = `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse></soapenv:Body></soapenv:Envelope>`

// token is a header that holds the secret itself.
func token(header, prefix string) Scheme {
	return Scheme{Algorithm: "token", Header: header, Prefix: prefix}
}

// chosen is a token in a header that the user of the provider names.
func chosen() Scheme { return token("{param:header}", "") }

func basic() Scheme { return Scheme{Algorithm: "basic"} }
