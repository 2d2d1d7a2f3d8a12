package webhook

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// urlTable are the providers that sign the URL they call, alone or with form fields. Behind a proxy
// Options.URL must say what they call: a host, a port or a slash of difference is another signature.
var urlTable = []provider{
	{name: "square", title: "Square", schemes: one(Scheme{Algorithm: "hmac-sha256", Signed: "{url}{body}", Header: "X-Square-Hmacsha256-Signature", Encoding: "base64"}), id: "$.event_id", kind: "$.type", source: "https://developer.squareup.com/docs/webhooks/step3validate"},
	{name: "trello", title: "Trello", schemes: one(Scheme{Algorithm: "hmac-sha1", Signed: "{body}{url}", Header: "X-Trello-Webhook", Encoding: "base64"}), id: "$.action.id", kind: "$.action.type", challenge: alive, note: "the secret is the application's; 410 removes the webhook", source: "https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/"},
	{name: "twilio", title: "Twilio", schemes: one(Scheme{Algorithm: "hmac-sha1", Signed: "url, then every form field by name", Header: "X-Twilio-Signature", Encoding: "base64"}), content: contentTwilio, wrap: tryPorts, id: "I-Twilio-Idempotency-Token", kind: "form:SmsStatus | form:CallStatus", note: "JSON bodies are signed through bodySHA256 in the URL; the secret is the auth token", source: "https://www.twilio.com/docs/usage/webhooks/webhooks-security"},
	{name: "plivo-v3", title: "Plivo", schemes: one(Scheme{Algorithm: "hmac-sha256", Signed: "url with sorted query, form fields by name, nonce", Header: "X-Plivo-Signature-V3 | X-Plivo-Signature-Ma-V3", Separator: ",", Encoding: "base64"}), content: contentPlivo, kind: "form:Event", source: "https://www.plivo.com/docs/voice/concepts/signature-validation"},
	{name: "mandrill", title: "Mandrill", schemes: one(Scheme{Algorithm: "hmac-sha1", Signed: "url, then every form field by name", Header: "X-Mandrill-Signature", Encoding: "base64"}), content: contentFields, challenge: probeMandrill, source: "https://mailchimp.com/developer/transactional/guides/track-respond-activity-webhooks/"},
	{name: "hubspot", title: "HubSpot v3", schemes: one(base64d(millis(stamped("X-HubSpot-Signature-v3", "", "X-HubSpot-Request-Timestamp", "method, url with some escapes undone, body, timestamp")))), content: contentHubSpot, id: "$[].eventId", kind: "$[].subscriptionType", source: "https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation"},
	{name: "hubspot-v2", title: "HubSpot v2", schemes: one(Scheme{Algorithm: "sha256", Signed: "{secret}{method}{url}{body}", Header: "X-HubSpot-Signature"}), id: "$[].eventId", kind: "$[].subscriptionType", note: "a plain hash", source: "https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation"},
	{name: "hubspot-v1", title: "HubSpot v1", schemes: one(Scheme{Algorithm: "sha256", Signed: "{secret}{body}", Header: "X-HubSpot-Signature"}), id: "$[].eventId", kind: "$[].subscriptionType", note: "a plain hash", source: "https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation"},
	{name: "contentful", title: "Contentful", schemes: one(tolerate(millis(stamped("X-Contentful-Signature", "", "X-Contentful-Timestamp", "method, path, the headers that x-contentful-signed-headers names, body")), 30)), content: contentContentful, kind: "X-Contentful-Topic", source: "https://www.contentful.com/developers/docs/webhooks/request-verification/"},
}

// form reads a body as a form. Semicolons and bad escapes make it none.
func form(c *call) (url.Values, bool) {
	values, err := url.ParseQuery(string(c.Body))
	return values, err == nil
}

// appendFields appends name and value of every field, by name. Values of one name are sorted, and
// each counts once.
func appendFields(dst []byte, fields url.Values) []byte {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		for _, value := range slices.Compact(slices.Sorted(slices.Values(fields[name]))) {
			dst = append(append(dst, name...), value...)
		}
	}
	return dst
}

// contentFields is Mandrill's: the URL, then every field. Bodies are signed as what a form parser
// reads in them.
func contentFields(dst []byte, c *call, _ string, _ func(before, body []byte) []byte) ([]byte, bool) {
	fields, ok := form(c)
	return appendFields(append(dst, c.url...), fields), ok
}

// contentTwilio is contentFields, except that a URL with bodySHA256 stands for any other body.
func contentTwilio(dst []byte, c *call, timestamp string, flush func(before, body []byte) []byte) ([]byte, bool) {
	want, ok := queryOf(c.url, "bodySHA256")
	if !ok {
		return contentFields(dst, c, timestamp, flush)
	}
	sum := sha256.Sum256(c.Body)
	same := subtle.ConstantTimeCompare([]byte(want), []byte(hex.EncodeToString(sum[:]))) == 1
	return append(dst, c.url...), same
}

func queryOf(address, name string) (string, bool) {
	_, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	if err != nil || len(values[name]) != 1 {
		return "", false
	}
	return values[name][0], true
}

// portTrier is Twilio's checker: it signs the URL with its port or without, as it likes.
type portTrier struct{ *scheme }

func tryPorts(s *scheme) checker { return portTrier{s} }

func (p portTrier) check(c *call) finding {
	first := p.scheme.check(c)
	if first.cause != ErrNoSignatureMatch {
		return first
	}
	for _, variant := range portVariants(c.url) {
		other := *c
		other.url = variant
		if f := p.scheme.check(&other); f.outcome == Verified {
			return f
		}
	}
	return first
}

// portVariants are other spellings of a URL: with the scheme's own port, or without any.
func portVariants(address string) []string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil
	}
	port := map[string]string{"https": "443", "http": "80"}[u.Scheme]
	host := u.Host
	if u.Port() != "" {
		return []string{strings.Replace(address, host, strings.TrimSuffix(host, ":"+u.Port()), 1)}
	}
	if port == "" {
		return nil
	}
	return []string{strings.Replace(address, host, host+":"+port, 1)}
}

// contentPlivo is the URL with its query sorted, the fields, and the nonce of its header.
func contentPlivo(dst []byte, c *call, _ string, _ func(before, body []byte) []byte) ([]byte, bool) {
	nonce := c.Header["X-Plivo-Signature-V3-Nonce"]
	u, err := url.Parse(c.url)
	query, bad := url.ParseQuery(queryPart(c.url))
	fields, ok := form(c)
	if err != nil || bad != nil || !ok || len(nonce) != 1 {
		return dst, false
	}
	dst = append(dst, u.Scheme+"://"+u.Host+u.EscapedPath()...)
	if c.Method == "GET" {
		for name, values := range fields {
			query[name] = values
		}
		fields = nil
	}
	if len(query)+len(fields) > 0 {
		dst = append(dst, '?')
	}
	dst = append(dst, sortedQuery(query)...)
	if len(query) > 0 && len(fields) > 0 {
		dst = append(dst, '.')
	}
	dst = appendFields(dst, fields)
	return append(append(dst, '.'), nonce[0]...), true
}

func queryPart(address string) string {
	_, query, _ := strings.Cut(address, "?")
	return query
}

func sortedQuery(query url.Values) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		for _, value := range slices.Sorted(slices.Values(query[name])) {
			pairs = append(pairs, name+"="+value)
		}
	}
	return strings.Join(pairs, "&")
}

// contentHubSpot is method, URL, body and timestamp. Some escapes of the URL are undone before
// HubSpot signs it.
func contentHubSpot(dst []byte, c *call, timestamp string, flush func(before, body []byte) []byte) ([]byte, bool) {
	dst = append(append(dst, c.Method...), hubSpotEscapes.Replace(c.url)...)
	return append(flush(dst, c.Body), timestamp...), true
}

var hubSpotEscapes = strings.NewReplacer("%3A", ":", "%2F", "/", "%3F", "?", "%40", "@", "%21", "!", "%24", "$",
	"%27", "'", "%28", "(", "%29", ")", "%2A", "*", "%2C", ",", "%3B", ";",
	"%3a", ":", "%2f", "/", "%3f", "?", "%2a", "*", "%2c", ",", "%3b", ";")

// contentContentful is a canonical request: method, path, named headers, body, a line each. The
// list of headers must name the timestamp and itself, or they would not be signed.
func contentContentful(dst []byte, c *call, _ string, flush func(before, body []byte) []byte) ([]byte, bool) {
	lists := c.Header["X-Contentful-Signed-Headers"]
	if len(lists) != 1 {
		return dst, false
	}
	dst = append(dst, c.Method+"\n"+pathOf(c.url)+"\n"...)
	stampIsSigned := false
	for i, name := range strings.Split(lists[0], ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		values := c.Header[canonical(name)]
		if len(values) != 1 {
			return dst, false
		}
		stampIsSigned = stampIsSigned || name == "x-contentful-timestamp"
		if i > 0 {
			dst = append(dst, ';')
		}
		dst = append(dst, name+":"+values[0]...)
	}
	return flush(append(dst, '\n'), c.Body), stampIsSigned
}
