package webhook

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// The two vectors of Standard Webhooks 1.0.0.
const (
	vectorSecret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorPrivate = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	vectorPublic  = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
	vectorID      = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorTime    = 1614265330
	vectorBody    = `{"test": 2432232314}`
	vectorV1      = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	vectorV1a     = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)

var vectorNow = time.Unix(vectorTime, 0)

func mustKey(t testing.TB, text string) Key {
	t.Helper()
	k, err := ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// standardVerifier is a Verifier of Standard Webhooks, asked in the terms of these tests.
type standardVerifier struct{ *Verifier }

func (v standardVerifier) Verify(h http.Header, body []byte, now time.Time) error {
	return v.Verifier.Verify(context.Background(), Request{Header: h, Body: body}, now).Err()
}

func mustVerifier(t testing.TB, secrets ...string) standardVerifier {
	t.Helper()
	v, err := NewVerifier(StandardWebhooks, Options{Secrets: secrets})
	if err != nil {
		t.Fatal(err)
	}
	return standardVerifier{v}
}

func vectorHeader(signature string) http.Header {
	return http.Header{
		HeaderID:        {vectorID},
		HeaderTimestamp: {strconv.Itoa(vectorTime)},
		HeaderSignature: {signature},
	}
}

func TestAppendSignature_MakesTheStandardsVectors(t *testing.T) {
	for secret, want := range map[string]string{
		vectorSecret: vectorV1,
		strings.TrimPrefix(vectorSecret, "whsec_"): vectorV1,
		vectorPrivate: vectorV1a,
		strings.Replace(vectorPrivate, "_", "1_", 1): vectorV1a,
	} {
		k := mustKey(t, secret)
		for range 3 { // the pooled state must not remember
			got := string(k.AppendSignature([]byte("x "), vectorID, vectorTime, []byte(vectorBody)))
			if got != "x "+want {
				t.Errorf("signature %q, want %q", got, "x "+want)
			}
		}
	}
	if got := mustKey(t, vectorPublic).AppendSignature(nil, vectorID, vectorTime, []byte(vectorBody)); got != nil {
		t.Errorf("a public key signed: %q", got)
	}
}

func TestVerify_AcceptsTheStandardsVectors(t *testing.T) {
	for _, c := range []struct{ secret, signature string }{
		{vectorSecret, vectorV1},
		{vectorPublic, vectorV1a},
		{strings.Replace(vectorPublic, "_", "1_", 1), vectorV1a},
		{vectorPrivate, vectorV1a},
		{vectorSecret, "v1,AAAA " + vectorV1},
		{vectorSecret, "v2,future v1a,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF= " + vectorV1},
		{vectorSecret, vectorV1a + " " + vectorV1},
	} {
		v := mustVerifier(t, GenerateKey().Text(), c.secret)
		if err := v.Verify(vectorHeader(c.signature), []byte(vectorBody), vectorNow); err != nil {
			t.Errorf("%s: %v", c.signature, err)
		}
	}
}

func TestVerify_Refuses(t *testing.T) {
	set := func(name string, values ...string) func(http.Header) {
		return func(h http.Header) { h[name] = values }
	}
	shifted := func(d time.Duration) func(http.Header) {
		return set(HeaderTimestamp, strconv.FormatInt(vectorNow.Add(d).Unix(), 10))
	}
	many := strings.Repeat("v1,AAAA ", maxSignatures) + vectorV1
	for _, c := range []struct {
		name   string
		change func(http.Header)
		want   error
	}{
		{"no id", set(HeaderID), ErrMissingHeader},
		{"empty id", set(HeaderID, ""), ErrMissingHeader},
		{"no timestamp", set(HeaderTimestamp), ErrMissingHeader},
		{"no signature", set(HeaderSignature), ErrMissingHeader},
		{"blank signature", set(HeaderSignature, "  "), ErrNoSignatureMatch},
		{"nothing", func(h http.Header) { clear(h) }, ErrMissingHeader},
		{"wrong id", set(HeaderID, "msg_other"), ErrNoSignatureMatch},
		{"dotted id", set(HeaderID, "msg.1"), ErrMalformed},
		{"id with a space", set(HeaderID, "msg 1"), ErrMalformed},
		{"two ids", set(HeaderID, vectorID, "msg_other"), ErrMalformed},
		{"two timestamps", set(HeaderTimestamp, "1614265330", "1"), ErrMalformed},
		{"timestamp is text", set(HeaderTimestamp, "yesterday"), ErrMalformed},
		{"timestamp with a sign", set(HeaderTimestamp, "+1614265330"), ErrMalformed},
		{"timestamp with a zero", set(HeaderTimestamp, "01614265330"), ErrMalformed},
		{"timestamp with a fraction", set(HeaderTimestamp, "1614265330.5"), ErrMalformed},
		{"negative timestamp", set(HeaderTimestamp, "-1"), ErrMalformed},
		{"timestamp beyond int64", set(HeaderTimestamp, "99999999999999999999"), ErrMalformed},
		{"huge timestamp", set(HeaderTimestamp, "9223372036854775807"), ErrTooNew},
		{"timestamp 0", set(HeaderTimestamp, "0"), ErrTooOld},
		{"too old", shifted(-5*time.Minute - time.Second), ErrTooOld},
		{"too new", shifted(5*time.Minute + time.Second), ErrTooNew},
		{"another moment", shifted(time.Second), ErrNoSignatureMatch},
		{"no version", set(HeaderSignature, strings.TrimPrefix(vectorV1, "v1,")), ErrNoSignatureMatch},
		{"unknown version", set(HeaderSignature, "v9"+vectorV1[2:]), ErrNoSignatureMatch},
		{"wrong version", set(HeaderSignature, "v1a"+vectorV1[2:]), ErrNoSignatureMatch},
		{"empty MAC", set(HeaderSignature, "v1,"), ErrNoSignatureMatch},
		{"not base64", set(HeaderSignature, "v1,"+strings.Repeat("!", 44)), ErrNoSignatureMatch},
		{"another key", set(HeaderSignature, string(GenerateKey().AppendSignature(nil, vectorID, vectorTime, []byte(vectorBody)))), ErrNoSignatureMatch},
		{"too many signatures", set(HeaderSignature, many), ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := vectorHeader(vectorV1)
			c.change(h)
			if err := mustVerifier(t, vectorSecret).Verify(h, []byte(vectorBody), vectorNow); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

func TestVerify_ToleratesFiveMinutesEitherWay(t *testing.T) {
	k := mustKey(t, vectorSecret)
	v := mustVerifier(t, vectorSecret)
	for _, c := range []struct {
		off  time.Duration
		want error
	}{
		{0, nil}, {5 * time.Minute, nil}, {-5 * time.Minute, nil},
		{5*time.Minute + time.Millisecond, ErrTooOld}, {-5*time.Minute - time.Millisecond, ErrTooNew},
	} {
		h := Sign([]Key{k}, "msg_1", vectorNow, []byte(vectorBody))
		if err := v.Verify(h, []byte(vectorBody), vectorNow.Add(c.off)); !errors.Is(err, c.want) {
			t.Errorf("%v after signing: error %v, want %v", c.off, err, c.want)
		}
	}
}

func TestVerify_RefusesEveryBitFlip(t *testing.T) {
	for _, c := range []struct{ secret, signature string }{{vectorSecret, vectorV1}, {vectorPublic, vectorV1a}} {
		v := mustVerifier(t, c.secret)
		version, encoded, _ := strings.Cut(c.signature, ",")
		raw, _ := base64.StdEncoding.DecodeString(encoded)
		flip := func(name string, data []byte, header func([]byte) http.Header, body func([]byte) []byte) {
			for bit := range len(data) * 8 {
				flipped := bytes.Clone(data)
				flipped[bit/8] ^= 1 << (bit % 8)
				if v.Verify(header(flipped), body(flipped), vectorNow) == nil {
					t.Fatalf("%s: accepted with bit %d of the %s flipped", version, bit, name)
				}
			}
		}
		flip("signature", raw, func(b []byte) http.Header {
			return vectorHeader(version + "," + base64.StdEncoding.EncodeToString(b))
		}, func([]byte) []byte { return []byte(vectorBody) })
		flip("body", []byte(vectorBody), func([]byte) http.Header { return vectorHeader(c.signature) },
			func(b []byte) []byte { return b })
		flip("header", []byte(c.signature), func(b []byte) http.Header { return vectorHeader(string(b)) },
			func([]byte) []byte { return []byte(vectorBody) })
	}
}

func TestVerify_RefusesEveryOtherLength(t *testing.T) {
	for _, c := range []struct{ secret, signature string }{{vectorSecret, vectorV1}, {vectorPublic, vectorV1a}} {
		v := mustVerifier(t, c.secret)
		version, encoded, _ := strings.Cut(c.signature, ",")
		raw, _ := base64.StdEncoding.DecodeString(encoded)
		long := append(bytes.Clone(raw), raw...)
		for n := range len(long) + 1 {
			err := v.Verify(vectorHeader(version+","+base64.StdEncoding.EncodeToString(long[:n])), []byte(vectorBody), vectorNow)
			if (err == nil) != (n == len(raw)) {
				t.Errorf("%s of %d bytes: error %v", version, n, err)
			}
		}
		for n := range len(c.signature) {
			if v.Verify(vectorHeader(c.signature[:n]), []byte(vectorBody), vectorNow) == nil {
				t.Errorf("accepted the first %d characters of %s", n, c.signature)
			}
		}
	}
}

func TestVerify_TakesSvixHeaders(t *testing.T) {
	v := mustVerifier(t, vectorSecret)
	svix := http.Header{}
	svix.Set("svix-id", vectorID)
	svix.Set("svix-timestamp", strconv.Itoa(vectorTime))
	svix.Set("svix-signature", vectorV1)
	if err := v.Verify(svix, []byte(vectorBody), vectorNow); err != nil {
		t.Error(err)
	}
	svix.Set("webhook-id", "unrelated")
	if err := v.Verify(svix, []byte(vectorBody), vectorNow); err != nil {
		t.Errorf("with a stray webhook-id: %v", err)
	}
	svix.Del("svix-id") // one of each is no set
	if err := v.Verify(svix, []byte(vectorBody), vectorNow); !errors.Is(err, ErrMissingHeader) {
		t.Errorf("mixed names: error %v, want %v", err, ErrMissingHeader)
	}
}

func TestVerify_DotsCannotMoveTheBoundaries(t *testing.T) {
	// msg.1700000000 + 5.x and msg + 1700000000.5.x are the same signed bytes.
	k := GenerateKey()
	at := time.Unix(1700000000, 0)
	h := Sign([]Key{k}, "msg", at, []byte("1700000001.{}"))
	h.Set(HeaderID, "msg.1700000000")
	h.Set(HeaderTimestamp, "1700000001")
	if err := mustVerifier(t, k.Text()).Verify(h, []byte("{}"), at); !errors.Is(err, ErrMalformed) {
		t.Errorf("error %v, want %v", err, ErrMalformed)
	}
}

func TestVerify_SeveralHeaderLinesAreOneList(t *testing.T) {
	h := vectorHeader("v1,AAAA")
	h.Add(HeaderSignature, vectorV1)
	if err := mustVerifier(t, vectorSecret).Verify(h, []byte(vectorBody), vectorNow); err != nil {
		t.Error(err)
	}
}

func TestSign_RotationSignsWithEveryKey(t *testing.T) {
	oldKey, newKey, pair := GenerateKey(), GenerateKey(), GenerateSigningKeyPair()
	public := mustKey(t, pair.Public())
	h := Sign([]Key{newKey, public, oldKey, {}, pair}, "msg_1", vectorNow, []byte(vectorBody))
	if got := len(strings.Fields(h.Get(HeaderSignature))); got != 3 {
		t.Errorf("%d signatures in %q, want 3", got, h.Get(HeaderSignature))
	}
	for _, secret := range []string{oldKey.Public(), newKey.Public(), pair.Public()} {
		if err := mustVerifier(t, secret).Verify(h, []byte(vectorBody), vectorNow); err != nil {
			t.Errorf("%s: %v", mustKey(t, secret).Version(), err)
		}
	}
}

func TestSign_OfficialLibraryAcceptsIt(t *testing.T) {
	for _, body := range []string{"", vectorBody, "\x00\xff", strings.Repeat("é", 100_000)} {
		k := GenerateKey()
		official, err := standardwebhooks.NewWebhook(k.Text())
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		if err := official.Verify([]byte(body), Sign([]Key{GenerateKey(), k}, "msg_1", now, []byte(body))); err != nil {
			t.Errorf("they refused ours: %v", err)
		}
		theirs, err := official.Sign("msg_2", now, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		h.Set("webhook-id", "msg_2")
		h.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
		h.Set("webhook-signature", theirs)
		if err := mustVerifier(t, k.Text()).Verify(h, []byte(body), now); err != nil {
			t.Errorf("we refused theirs: %v", err)
		}
	}
}

func TestVerifyRequest_ReadsAndCapsTheBody(t *testing.T) {
	v := mustVerifier(t, vectorSecret)
	v.options.MaxBody = int64(len(vectorBody))
	request := func(body string, chunked bool) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header = vectorHeader(vectorV1)
		if chunked {
			r.ContentLength = -1
		}
		return r
	}
	body, err := v.VerifyRequest(request(vectorBody, false), vectorNow)
	if err != nil || string(body) != vectorBody {
		t.Errorf("body %q, error %v", body, err)
	}
	for _, chunked := range []bool{false, true} {
		if _, err := v.VerifyRequest(request(vectorBody+" ", chunked), vectorNow); !errors.Is(err, ErrBodyTooLarge) {
			t.Errorf("error %v, want %v", err, ErrBodyTooLarge)
		}
	}
	for name, test := range map[string]struct {
		r    *http.Request
		want int
	}{
		"too large":  {request(vectorBody+" ", false), 413},
		"forged":     {request("{}", false), 401},
		"no headers": {httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}")), 401},
		"broken off": {request("", true), 400},
	} {
		if name == "broken off" {
			test.r.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
		}
		if _, err := v.VerifyRequest(test.r, vectorNow); v.Status(err) != test.want {
			t.Errorf("%s: status %d for %v, want %d", name, v.Status(err), err, test.want)
		}
	}
	for cause, want := range map[Cause]int{ErrKeyFetch: 503, ErrNoSecret: 503, ErrTooOld: 401, ErrClaim: 401} {
		if got := v.Status((Verdict{Cause: cause, Detail: "d", Outcome: Failed}).Err()); got != want {
			t.Errorf("%v: status %d, want %d", cause, got, want)
		}
	}
	if body, err := v.VerifyRequest(request("{}", false), vectorNow); !errors.Is(err, ErrNoSignatureMatch) || body != nil {
		t.Errorf("body %q, error %v, want none and %v", body, err, ErrNoSignatureMatch)
	}
	unread := request(vectorBody, false)
	unread.Header.Del(HeaderID)
	if _, err := v.VerifyRequest(unread, vectorNow); !errors.Is(err, ErrMissingHeader) {
		t.Errorf("error %v, want %v", err, ErrMissingHeader)
	}
	if rest, _ := io.ReadAll(unread.Body); string(rest) != vectorBody {
		t.Errorf("the body was read before the headers were checked: left %q", rest)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(vectorID, strconv.Itoa(vectorTime), vectorV1)
	f.Add(vectorID, strconv.Itoa(vectorTime), "v9,x  v1, v1a,"+vectorV1a+" ,, "+vectorV1a)
	f.Add("a.b", "-1", ",")
	v := mustVerifier(f, vectorSecret, vectorPublic)
	f.Fuzz(func(t *testing.T, id, timestamp, signature string) {
		h := http.Header{HeaderID: {id}, HeaderTimestamp: {timestamp}, HeaderSignature: {signature}}
		err := v.Verify(h, []byte(vectorBody), vectorNow)
		genuine := id == vectorID && timestamp == strconv.Itoa(vectorTime) &&
			(strings.Contains(signature, vectorV1) || strings.Contains(signature, vectorV1a))
		if err == nil && !genuine {
			t.Errorf("accepted %q %q %q", id, timestamp, signature)
		}
	})
}

func BenchmarkAppendSignature(b *testing.B) {
	body := make([]byte, 1024)
	for _, k := range []Key{GenerateKey(), GenerateSigningKeyPair()} {
		b.Run(k.Version(), func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]byte, 0, 128)
			for b.Loop() {
				dst = k.AppendSignature(dst[:0], vectorID, vectorTime, body)
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	body := make([]byte, 1024)
	k := GenerateKey()
	v, h := mustVerifier(b, k.Text()), Sign([]Key{k}, "msg_1", vectorNow, body)
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Verify(h, body, vectorNow); err != nil {
			b.Fatal(err)
		}
	}
}
