package webhook

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The example of the specification, which libraries in all languages verify.
func TestSignatureIsThatOfStandardWebhooks(t *testing.T) {
	t.Parallel()
	const id, body = "msg_p5jXN8AQM9LWM0D4loKWxJek", `{"test": 2432232314}`
	all, err := parseSecrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
	if err != nil {
		t.Fatal(err)
	}
	h := all.sign(id, time.Unix(1614265330, 0), []byte(body))
	if got := h.Get("webhook-signature"); got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" || h.Get("webhook-timestamp") != "1614265330" || h.Get("webhook-id") != id {
		t.Errorf("%v", h)
	}
	if err := all.verify(h, id, []byte(body)); err != nil {
		t.Error(err)
	}
}

func TestForgedSignatures(t *testing.T) {
	t.Parallel()
	parse := func(text string) secrets {
		all, err := parseSecrets(text)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	const one, two, three = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_NfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_OfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	ours := parse(one + "\n" + two)
	body, now := []byte(letIn), time.Now()
	good := func() http.Header { return parse(two).sign("id", now, body) }
	for name, tt := range map[string]struct {
		h    http.Header
		body string
		ok   bool
	}{
		"good":                  {good(), letIn, true},
		"good, beside another":  {parse(three+"\n"+one).sign("id", now, body), letIn, true},
		"none":                  {http.Header{}, letIn, false},
		"empty":                 {http.Header{"Webhook-Id": {"id"}, "Webhook-Signature": {"v1,"}}, letIn, false},
		"of another secret":     {parse(three).sign("id", now, body), letIn, false},
		"of an earlier one":     {ours.sign("earlier", now, body), letIn, false},
		"another id on it":      {func() http.Header { h := ours.sign("earlier", now, body); h.Set(headerID, "id"); return h }(), letIn, false},
		"another time on it":    {func() http.Header { h := good(); h.Set(headerTimestamp, "1"); return h }(), letIn, false},
		"another body under it": {good(), strings.Replace(letIn, "alice", "admin", 1), false},
		"parts moved":           {parse(one).sign("id", now, []byte("1."+letIn)), letIn, false},
		"behind very many": {func() http.Header {
			h := good()
			h.Set(headerSignature, strings.Repeat("v1,AAAA ", 1000)+h.Get(headerSignature))
			return h
		}(), letIn, false},
	} {
		if err := ours.verify(tt.h, "id", []byte(tt.body)); (err == nil) != tt.ok || err != nil && !errors.Is(err, errUnsigned) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	const good = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	for text, want := range map[string]int{
		good:                               1,
		"\r\n " + good + "\r\n" + good:     2,
		"":                                 0,
		"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": 0, // without its prefix
		"whsec_MfKQ9r8GKYqrTwjUPD8I":       0, // short
		"whsec_" + strings.Repeat("A", 88): 0, // long
		"whsec_(secret)":                   0,
		good + "\nwhsec_":                  0,
		strings.Repeat(good+"\n", 5):       0,
	} {
		all, err := parseSecrets(text)
		if len(all) != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d secrets, %v", text, len(all), err)
		}
		if err != nil && (strings.Contains(err.Error(), "MfKQ") || strings.Contains(err.Error(), "(secret)")) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}
