package webhook

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// certificateTable are the providers whose requests name the certificate that they were signed
// with. It is fetched from the provider's own hosts and from nowhere else, so that TLS says whose
// it is; a certificate that is not valid now counts for nothing.
var certificateTable = []provider{
	{name: "paypal", title: "PayPal", keyless: true, code: certificates(paypalRule), how: "rsa-sha256 of id, time, webhook id and the body's CRC-32 in `PAYPAL-TRANSMISSION-SIG` as base64, certificate from `PAYPAL-CERT-URL`", id: "$.id", kind: "$.event_type", params: "webhook_id", note: "the parameter webhook_id is needed; the body is bound by its CRC-32 only, so whoever holds one good request can make another body fit it: check what matters with PayPal", source: "https://developer.paypal.com/api/rest/webhooks/rest/"},
	{name: "sns", title: "Amazon SNS", keyless: true, code: certificates(snsRule), how: "rsa-sha1 or -sha256 of the fields in `$.Signature` as base64, certificate from `$.SigningCertURL`", id: "$.MessageId", kind: "$.Type", params: "confirm topic", challenge: confirmSNS, note: "raw delivery is not signed; subscriptions are confirmed only with the parameter confirm set to yes; topic pins the topic's ARN", source: "https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html"},
}

// certified is what a request says: what was signed, how, and with which certificate.
type certified struct {
	algorithm string
	signature string
	content   []byte
	url       string
	stamp     string // RFC 3339
	tolerance int    // in seconds, as Scheme's
}

// certificateRule is how one provider signs.
type certificateRule struct {
	header string // what says that there is a signature; "" when it is in the body
	read   func(c *call) (certified, *finding)
	host   *regexp.Regexp
	put    func(c *call, at time.Time, sign func(algorithm string, content []byte) (string, error)) error
}

type certificateChecker struct {
	certificateRule
	keys  *bodyChecker // the public keys or certificates that were given instead of fetching
	fetch *fetcher
}

func certificates(rule certificateRule) code {
	return func(o *Options, signing bool) (checker, error) {
		keys, err := newBodyChecker(Scheme{Algorithm: "rsa-sha256", Encoding: "base64"}, o, signing)
		return &certificateChecker{rule, keys, &fetcher{client: o.Client}}, err
	}
}

func (s *certificateChecker) present(r *Request) bool {
	return s.header == "" || len(r.Header[s.header]) > 0
}

func (s *certificateChecker) missing() string {
	if s.header == "" {
		return "signature"
	}
	return s.header
}

// covers does not go for PayPal: what has the right CRC-32 is easily made.
func (s *certificateChecker) covers(t term) bool { return t.header == "" && s.header == "" }

func (s *certificateChecker) check(c *call) finding {
	said, f := s.read(c)
	if f != nil {
		return *f
	}
	by := &scheme{Scheme: Scheme{Encoding: "base64"}, algorithm: algorithmOf(said.algorithm)}
	var store [maxSignature + 2]byte
	decoded, ok := by.decode(store[:0], said.signature)
	if !ok {
		return *bad("the signature is not base64")
	}
	at, f := readTime(said.stamp, "rfc3339", c, said.tolerance)
	if f != nil {
		return *f
	}
	keys := s.keys.secrets
	if len(keys) == 0 {
		key, err := s.certificate(c, said.url)
		if err != nil {
			return unfetched(err)
		}
		keys = []*secret{key}
	}
	for i, sec := range keys {
		if by.algorithm.verify(sec.public, by.algorithm.digest(said.content), decoded) {
			if len(s.keys.secrets) == 0 {
				i = -1
			}
			return finding{outcome: Verified, secret: i, timestamp: at}
		}
	}
	return failed(ErrNoSignatureMatch, "the signature does not match: another receiver's, or a request that was changed on the way")
}

// certificate fetches the certificate at an address that the request names, if it is the provider's.
func (s *certificateChecker) certificate(c *call, address string) (*secret, error) {
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(address, "https://") || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(address) > 512 || !s.host.MatchString(u.Host+u.EscapedPath()) {
		return nil, fmt.Errorf("the certificate's address is none of the provider's")
	}
	text, err := s.fetch.get(c.ctx, getting(address), address, c.now, false)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%w: what %s answered is no certificate", errFetch, u.Host)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: what %s answered is no certificate", errFetch, u.Host)
	}
	if c.now.Before(cert.NotBefore) || c.now.After(cert.NotAfter) {
		return nil, fmt.Errorf("the certificate is not valid now")
	}
	if err := fits(s.keys.algorithm, cert.PublicKey); err != nil {
		return nil, err
	}
	return &secret{public: cert.PublicKey}, nil
}

func (s *certificateChecker) sign(c *call, at time.Time) error {
	return s.put(c, at, func(name string, content []byte) (string, error) {
		by := &scheme{Scheme: Scheme{Encoding: "base64"}, algorithm: algorithmOf(name)}
		signature, err := by.algorithm.sign(s.keys.secrets[0], by.algorithm.digest(content))
		return by.encode(signature), err
	})
}

// The headers of PayPal.
const (
	paypalSignature = "Paypal-Transmission-Sig"
	paypalID        = "Paypal-Transmission-Id"
	paypalTime      = "Paypal-Transmission-Time"
	paypalURL       = "Paypal-Cert-Url"
	paypalAlgorithm = "Paypal-Auth-Algo"
)

var paypalRule = certificateRule{
	header: paypalSignature,
	host:   regexp.MustCompile(`^api(-m)?(\.sandbox)?\.paypal\.com/v1/notifications/certs/[A-Za-z0-9_-]+$`),
	read: func(c *call) (certified, *finding) {
		said := map[string]string{}
		for _, name := range []string{paypalSignature, paypalID, paypalTime, paypalURL, paypalAlgorithm} {
			if len(c.Header[name]) != 1 {
				f := failed(ErrMissingHeader, "the %s header must be there once", name)
				return certified{}, &f
			}
			said[name] = c.Header[name][0]
		}
		if said[paypalAlgorithm] != "SHA256withRSA" {
			return certified{}, bad("the algorithm must be SHA256withRSA")
		}
		content, ok := contentPayPal(c, said[paypalID], said[paypalTime])
		if !ok {
			return certified{}, claim1("the parameter webhook_id is not set: PayPal signs it")
		}
		return certified{"rsa-sha256", said[paypalSignature], content, said[paypalURL], said[paypalTime], -1}, nil
	},
	put: func(c *call, at time.Time, sign func(string, []byte) (string, error)) error {
		id, stamp := randomText(), at.UTC().Format(time.RFC3339)
		content, ok := contentPayPal(c, id, stamp)
		if !ok {
			return errUnsignable("the parameter webhook_id is not set: PayPal signs it")
		}
		signature, err := sign("rsa-sha256", content)
		c.Header.Set(paypalID, id)
		c.Header.Set(paypalTime, stamp)
		c.Header.Set(paypalSignature, signature)
		c.Header.Set(paypalAlgorithm, "SHA256withRSA")
		c.Header.Set(paypalURL, "https://api.paypal.com/v1/notifications/certs/CERT-test")
		return err
	},
}

func contentPayPal(c *call, id, stamp string) ([]byte, bool) {
	webhook := c.options.Params["webhook_id"]
	return fmt.Appendf(nil, "%s|%s|%s|%d", id, stamp, webhook, crc32.ChecksumIEEE(c.Body)), webhook != ""
}

// snsMessage is a message of SNS.
type snsMessage struct {
	Type, MessageID, TopicArn, Subject, Message, Timestamp string
	Token, SubscribeURL                                    string
	SignatureVersion, Signature, SigningCertURL            string
}

var snsHost = regexp.MustCompile(`^sns\.[a-zA-Z0-9-]{3,}\.amazonaws\.com(\.cn)?$`)

// parseSNS reads a message. Names are compared exactly: another case is another field to SNS.
func parseSNS(body []byte) (*snsMessage, map[string]string, bool) {
	var all map[string]json.RawMessage
	if duplicateNames(body) || json.Unmarshal(body, &all) != nil {
		return nil, nil, false
	}
	text := map[string]string{}
	for name, raw := range all {
		var s string
		if json.Unmarshal(raw, &s) == nil {
			text[name] = s
		}
	}
	return &snsMessage{
		Type: text["Type"], MessageID: text["MessageId"], TopicArn: text["TopicArn"], Subject: text["Subject"],
		Message: text["Message"], Timestamp: text["Timestamp"], Token: text["Token"], SubscribeURL: text["SubscribeURL"],
		SignatureVersion: text["SignatureVersion"], Signature: text["Signature"], SigningCertURL: text["SigningCertURL"],
	}, text, true
}

// contentSNS is the fields that SNS signs, a line for each name and each value.
func contentSNS(m *snsMessage, text map[string]string) []byte {
	names := []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	if m.Type == "SubscriptionConfirmation" || m.Type == "UnsubscribeConfirmation" {
		names = []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	}
	var out []byte
	for _, name := range names {
		if value, ok := text[name]; ok {
			out = append(out, name+"\n"+value+"\n"...)
		}
	}
	return out
}

var snsRule = certificateRule{
	host: regexp.MustCompile(`^sns\.[a-zA-Z0-9-]{3,}\.amazonaws\.com(\.cn)?/[A-Za-z0-9_.-]+\.pem$`),
	read: func(c *call) (certified, *finding) {
		m, text, ok := parseSNS(c.Body)
		if !ok || m.Signature == "" {
			return certified{}, bad("the body is not the JSON of a signed message")
		}
		if topic := c.options.Params["topic"]; topic != "" && m.TopicArn != topic {
			return certified{}, claim1("the message is from another topic")
		}
		algorithm := map[string]string{"1": "rsa-sha1", "2": "rsa-sha256"}[m.SignatureVersion]
		if algorithm == "" {
			return certified{}, bad("the signature's version must be 1 or 2")
		}
		// SNS documents no window: its own retries keep the time and go on for days.
		return certified{algorithm, m.Signature, contentSNS(m, text), m.SigningCertURL, m.Timestamp, -1}, nil
	},
	put: func(c *call, at time.Time, sign func(string, []byte) (string, error)) error {
		_, text, ok := parseSNS(c.Body)
		if !ok {
			return errUnsignable("the body is not the JSON of a message")
		}
		text["Timestamp"], text["SignatureVersion"] = at.UTC().Format("2006-01-02T15:04:05.000Z"), "2"
		text["SigningCertURL"] = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-test.pem"
		signature, err := sign("rsa-sha256", contentSNS(&snsMessage{Type: text["Type"]}, text))
		if err != nil {
			return err
		}
		text["Signature"] = signature
		c.Body, err = json.Marshal(text)
		c.Header.Set("X-Amz-Sns-Message-Type", text["Type"])
		return err
	},
}

// confirmSNS confirms a subscription by asking its SubscribeURL, which must be SNS's own. Only with
// the parameter confirm: whoever may subscribe us to a topic can otherwise make us call out.
func confirmSNS(v *Verifier, c *call) *Answer {
	m, _, ok := parseSNS(c.Body)
	if !ok || m.Type != "SubscriptionConfirmation" || c.options.Params["confirm"] != "yes" || c.options.Client == nil {
		return nil
	}
	u, err := url.Parse(m.SubscribeURL)
	if err != nil || u.Scheme != "https" || u.User != nil || !snsHost.MatchString(u.Host) || !v.signedNow(c) {
		return nil
	}
	f := &fetcher{client: c.options.Client}
	if _, err := f.fetch(c.ctx, getting(m.SubscribeURL)); err != nil {
		return &Answer{Status: http.StatusBadGateway} // SNS asks again
	}
	return &Answer{Status: http.StatusOK}
}
