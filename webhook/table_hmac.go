package webhook

// hmacTable are the providers that sign the body and nothing else. What they send besides, such as
// GitHub's event header, is not signed, and a captured request stays good for ever: the event's id
// is the only guard against sending it again.
var hmacTable = []provider{
	{name: "github", title: "GitHub", schemes: []Scheme{sha256Hex("X-Hub-Signature-256", "sha256="), sha1Hex("X-Hub-Signature", "sha1=")}, id: "X-GitHub-Delivery", kind: "X-GitHub-Event + $.action", note: "the sha1 header counts only where the sha256 one is missing", source: "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"},
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

func one(s Scheme) []Scheme { return []Scheme{s} }
