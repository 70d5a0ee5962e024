package token

import "net/http"

// SetTransport lets a test answer the fetches of k.
func SetTransport(k *KeysURL, rt http.RoundTripper) { k.client.Transport = rt }

// ParseKeys is the reader of key sets.
func ParseKeys(data []byte) (map[string]Key, error) { return parseKeys(data) }
