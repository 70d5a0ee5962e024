// Package wire writes answers: JSON bodies, and errors by the one table.
package wire

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
)

// JSONType is the media type of most answers.
const JSONType = "application/json; charset=utf-8"

// JSON answers with a JSON value on one line, without a line break at its end.
//
// Errors: v is not JSON; then nothing was written.
func JSON(w http.ResponseWriter, status int, mediaType string, v any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // a sign such as < in an annotation would take six times the room
	if err := enc.Encode(v); err != nil {
		return err
	}
	body := bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone; no body is sent for HEAD
	return nil
}
