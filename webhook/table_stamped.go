package webhook

// stampedTable are the providers that sign a timestamp with the body, so that a captured request
// goes stale.
var stampedTable = []provider{
	{name: "stripe", title: "Stripe", schemes: one(pairs("Stripe-Signature", "t=", "v1=", "{timestamp}.{body}")), id: "$.id", kind: "$.type", note: "the whole whsec_ text is the key; v0 signatures are for tests and do not count", source: "https://docs.stripe.com/webhooks/signature"},
}

// pairs is HMAC-SHA256 in a list of key=value, the timestamp among them: Stripe's invention.
func pairs(header, timestamp, signature, signed string) Scheme {
	return Scheme{Algorithm: "hmac-sha256", Signed: signed, Header: header, Separator: ",", Prefix: signature, Timestamp: timestamp}
}
