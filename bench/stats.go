package main

import (
	"fmt"
	"slices"
	"time"
)

// median is the one in the middle; of an even number the mean of the two there.
func median(list []result, of func(result) float64) float64 {
	values := valuesOf(list, of)
	n := len(values)
	switch {
	case n == 0:
		return 0
	case n%2 == 0:
		return (values[n/2-1] + values[n/2]) / 2
	default:
		return values[n/2]
	}
}

// spread is how far apart the lowest and the highest are, as a part of the median.
func spread(list []result, of func(result) float64) float64 {
	values := valuesOf(list, of)
	mid := median(list, of)
	if len(values) == 0 || mid == 0 {
		return 0
	}
	return (values[len(values)-1] - values[0]) / mid
}

// valuesOf is sorted.
func valuesOf(list []result, of func(result) float64) []float64 {
	values := make([]float64, 0, len(list))
	for _, r := range list {
		values = append(values, of(r))
	}
	slices.Sort(values)
	return values
}

func value(r result) float64  { return r.value }
func cpu(r result) float64    { return float64(r.cpu) }
func p99(r result) float64    { return float64(r.p99) }
func memory(r result) float64 { return float64(r.memory) }

// number shows three digits or more.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

// dash stands where there is nothing to say.
const dash = "–"

// short shows nanoseconds.
func short(ns float64) string {
	d := time.Duration(ns)
	switch {
	case d == 0:
		return dash
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}

// milliseconds shows nanoseconds of work.
func milliseconds(ns float64) string {
	if ns == 0 {
		return dash
	}
	if ns < 1e6 {
		return fmt.Sprintf("%.3f ms", ns/1e6)
	}
	return number(ns/1e6) + " ms"
}

// percent shows a part.
func percent(part float64) string { return fmt.Sprintf("%.0f %%", 100*part) }

// mebibytes shows bytes; 0 was not measured.
func mebibytes(bytes float64) string {
	if bytes == 0 {
		return dash
	}
	return number(bytes/mib) + " MiB"
}
