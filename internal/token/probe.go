package token

import (
	"context"
	"fmt"
	"time"
)

// Probe gets the keys, and compares the clock of whoever has them with ours. What it
// says is for an operator. leeway is how far the clocks may be apart.
func (k *KeysURL) Probe(ctx context.Context, leeway time.Duration) (string, error) {
	sight, err := k.Look(ctx)
	if err != nil {
		return "", err
	}
	if sight.Count == 0 {
		return "", fmt.Errorf("%s: none of its keys can verify tokens", sight.URL)
	}
	if sight.Ahead.Abs() > max(leeway, minSkew) {
		return "", fmt.Errorf("%s: its clock is %s ours, so that tokens will be refused: set the clocks", sight.URL, skew(sight.Ahead))
	}
	found := fmt.Sprintf("%d keys at %s", sight.Count, sight.URL)
	if sight.Ahead.Abs() > minSkew {
		found += ", its clock is " + skew(sight.Ahead) + " ours"
	}
	return found, nil
}

// minSkew is what a Date header can be wrong by: it has whole seconds, and was on its
// way for a while.
const minSkew = 5 * time.Second

func skew(ahead time.Duration) string {
	if ahead < 0 {
		return ahead.Abs().Round(time.Second).String() + " behind"
	}
	return ahead.Round(time.Second).String() + " ahead of"
}
