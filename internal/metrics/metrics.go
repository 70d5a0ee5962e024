// Package metrics counts for Prometheus what happens at the login. The values of
// labels come from the configuration and from us, never from a client: so their
// number is bounded.
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/moorgate/moorgate/internal/lockout"
)

// Metrics are what is counted. A nil one counts nothing.
type Metrics struct {
	registry *prometheus.Registry
	logins   *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// New returns metrics of this process, and of the Go runtime, that have counted
// nothing yet.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moorgate_logins_total",
			Help: "Answers of identity sources, by the source, by what was shown (password, token, arrival), and by outcome (ok, wrong, unknown, expired, busy, fault, gone).",
		}, []string{"source", "by", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "moorgate_login_seconds",
			Help:    "How long identity sources took to answer.",
			Buckets: []float64{.0001, .001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"source", "by"}),
	}
	m.registry.MustRegister(m.logins, m.seconds,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Gatherer returns what there is to show.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Total shows a number that only grows, such as that of computed hashes. value may be
// called at any time.
func (m *Metrics) Total(name, help string, value func() uint64) {
	if m == nil {
		return
	}
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
		func() float64 { return float64(value()) }))
}

// Lockouts shows how many locks are in force.
func (m *Metrics) Lockouts(g *lockout.Guard) {
	if m == nil {
		return
	}
	m.registry.MustRegister(&lockouts{g, prometheus.NewDesc("moorgate_lockouts",
		"Locks in force after wrong passwords, by kind: pair (a user at an address), user, address.", []string{"kind"}, nil)})
	m.Total("moorgate_lockout_refused_total", "Passwords that were not looked at, as somebody had to wait.", g.Refused)
}

// lockouts is a prometheus.Collector.
type lockouts struct {
	guard *lockout.Guard
	desc  *prometheus.Desc
}

// Describe is prometheus.Collector.
func (l *lockouts) Describe(to chan<- *prometheus.Desc) { to <- l.desc }

// Collect is prometheus.Collector.
func (l *lockouts) Collect(to chan<- prometheus.Metric) {
	for kind, n := range l.guard.InForce() {
		to <- prometheus.MustNewConstMetric(l.desc, prometheus.GaugeValue, float64(n), string(kind))
	}
}
