package app

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"relais/actors/system"
	"relais/engine"
	"relais/engine/health"
	"relais/engine/offer"
	"relais/engine/reach"
	"relais/storage/bolt"
	"relais/transport/carrier"
	"relais/transport/mail"
)

// metrics is everything that operators watch. docs/metrics.md says what each one means. No label
// carries personal data.
type metrics struct {
	registry     *prometheus.Registry
	backups      *backupMetrics
	detection    *prometheus.HistogramVec
	firstMessage *prometheus.HistogramVec
	fill         *prometheus.HistogramVec
	openings     *prometheus.CounterVec
	offers       *prometheus.CounterVec
	claims       *prometheus.CounterVec
	deliveries   *prometheus.CounterVec
	proof        *prometheus.HistogramVec
	reachValid   *prometheus.CounterVec
	reachProved  *prometheus.CounterVec
	reachedBy    *prometheus.CounterVec
	missed       *prometheus.CounterVec
	notCounted   *prometheus.CounterVec
	settled      *prometheus.CounterVec
	lookups      *prometheus.CounterVec
	webhooksOut  *prometheus.CounterVec
	duplicates   *prometheus.CounterVec
	leftLate     *prometheus.CounterVec
	status       *prometheus.GaugeVec
	suspensions  *prometheus.CounterVec
	writeBack    *prometheus.HistogramVec
	alerts       *prometheus.CounterVec
	openSlots    *prometheus.GaugeVec
	letters      *prometheus.CounterVec
	joined       *prometheus.CounterVec
	acceptance   *prometheus.GaugeVec
	exposure     *prometheus.GaugeVec
	commit       *prometheus.HistogramVec
	batch        prometheus.Histogram
	stale        prometheus.Counter
	panics       *prometheus.CounterVec
	dropped      *prometheus.CounterVec
	feedClients  prometheus.Gauge
	evictions    *prometheus.CounterVec
	requests     *prometheus.HistogramVec
	limited      *prometheus.CounterVec
	refused      *prometheus.CounterVec
	webhooks     *prometheus.HistogramVec
	mailIn       *prometheus.CounterVec
	hl7          *prometheus.CounterVec
	hl7Until     prometheus.Gauge
	reloads      *prometheus.CounterVec
	reloadedAt   prometheus.Gauge
	tlsUntil     prometheus.Gauge
}

func newMetrics() *metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	quick := prometheus.ExponentialBuckets(0.001, 2, 16) // 1 ms to 33 s
	proofs := []float64{0.5, 1, 2, 3, 5, 8, 12, 20, 30, 45, 60, 75, 90, 105, 120, 180, 300, 600, 1800, 3600}
	slow := prometheus.ExponentialBuckets(1, 2, 16) // 1 s to 9 h
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		registry.MustRegister(h)
		return h
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		registry.MustRegister(c)
		return c
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		registry.MustRegister(g)
		return g
	}
	m := &metrics{
		registry:     registry,
		detection:    histogram("relais_detection_seconds", "From the change in the record system, by its clock, to the slot opened.", quick, "clinic"),
		firstMessage: histogram("relais_first_message_seconds", "From the slot opened, its grace over, to its first message in a carrier's hands.", quick, "clinic"),
		fill:         histogram("relais_fill_seconds", "From the slot opened to the booking in the record system.", slow, "clinic"),
		openings:     counter("relais_openings_total", "Slots opened.", "clinic"),
		offers:       counter("relais_offers_total", "Offers made.", "clinic"),
		claims:       counter("relais_replies_total", "Replies to offers by what they came to.", "clinic", "answer"),
		deliveries:   counter("relais_deliveries_total", "Messages by where they ended.", "channel", "kind", "status", "reason"),
		proof:        histogram("relais_proof_seconds", "From an offer to the first proof that it reached its person.", proofs, "channel"),
		reachValid:   counter("relais_reach_valid_total", "Offers that count for reach.", "clinic"),
		reachProved:  counter("relais_reach_proved_total", "Offers that count for reach and were proven to have reached their person within 120 s.", "clinic"),
		reachedBy:    counter("relais_reach_by_total", "Offers that reached their person, by the channel that proved it first.", "channel"),
		missed:       counter("relais_reach_missed_total", "Offers that count for reach and did not reach their person in time.", "channel", "reason"),
		notCounted:   counter("relais_reach_excluded_total", "Offers that do not count for reach.", "clinic", "why"),
		settled:      counter("relais_unknown_settled_total", "Messages whose outcome was unknown, by how that ended.", "channel", "end"),
		webhooksOut:  counter("relais_events_told_total", "Events of slots for programs outside, by what came of telling them.", "clinic", "outcome"),
		lookups:      counter("relais_lookups_total", "Questions to carriers about messages of which they said nothing.", "channel", "found"),
		duplicates:   counter("relais_duplicates_total", "Messages that arrived twice.", "channel"),
		leftLate:     counter("relais_left_late_total", "Messages that left for an offer which had ended.", "channel"),
		status:       gauge("relais_dme_status", "1 for the status that the clinic's record system has now.", "clinic", "status"),
		suspensions:  counter("relais_suspensions_total", "Times that a clinic was suspended.", "clinic"),
		writeBack:    histogram("relais_writeback_seconds", "From a claim to the record system's word on it; retried counts attempts.", quick, "clinic", "outcome"),
		alerts:       counter("relais_alerts_total", "Things that somebody at the clinic should look at.", "clinic", "what"),
		letters:      counter("relais_letters_total", "Messages about no offer, by what handing them over came to.", "clinic", "channel", "kind", "status"),
		joined:       counter("relais_joined_total", "People who put themselves on the list, by how far they came.", "clinic", "step"),
		openSlots:    gauge("relais_open_slots", "Slots that look for somebody.", "clinic"),
		reloads:      counter("relais_config_reloads_total", "Times that the configuration was read again.", "result"),
		tlsUntil:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "relais_tls_certificate_expiry_timestamp_seconds", Help: "When the certificate for browsers expires, Unix time; 0 without TLS."}),
		reloadedAt:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "relais_config_loaded_timestamp_seconds", Help: "When the configuration that counts was read, Unix time."}),
		acceptance:   gauge("relais_learned_acceptance", "Share of offers that are accepted, as the adaptive strategy believes.", "clinic", "lead", "channel"),
		exposure:     gauge("relais_learned_offers", "Offers that this belief rests on, older ones counting less.", "clinic", "lead", "channel"),
		commit:       histogram("relais_commit_seconds", "Time of one group commit.", prometheus.ExponentialBuckets(0.0001, 2, 16), "outcome"),
		batch:        prometheus.NewHistogram(prometheus.HistogramOpts{Name: "relais_commit_batches", Help: "Batches that shared one sync.", Buckets: prometheus.ExponentialBuckets(1, 2, 12)}),
		stale:        prometheus.NewCounter(prometheus.CounterOpts{Name: "relais_commit_stale_total", Help: "Batches refused because a record had changed."}),
		panics:       counter("relais_actor_panics_total", "Panics caught in actors; each one loaded its state again.", "kind"),
		dropped:      counter("relais_actor_dropped_total", "Messages to actors that reached nobody.", "kind", "reason"),
		feedClients:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "relais_feed_clients", Help: "Browsers on the live feed."}),
		evictions:    counter("relais_feed_evictions_total", "Browsers dropped because they did not keep up.", "reason"),
		requests:     histogram("relais_http_request_seconds", "Requests by route.", quick, "route", "method", "status"),
		limited:      counter("relais_limited_total", "Requests refused by a limit.", "what"),
		refused:      counter("relais_webhooks_refused_total", "Webhooks without the right signature or secret.", "source"),
		hl7:          counter("relais_hl7_messages_total", "HL7 messages by what became of them, and connections that were closed or not taken.", "clinic", "event"),
	}
	m.webhooks = histogram("relais_webhook_seconds", "Until a telephone carrier's webhook was answered; it hangs up on slow ones.", []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 2, 5, 10}, "hook")
	m.mailIn = counter("relais_mail_in_total", "Mails, recipients and connections that came in, by what they came to.", "what")
	for _, what := range mail.Words() {
		m.mailIn.WithLabelValues(what)
	}
	m.hl7Until = prometheus.NewGauge(prometheus.GaugeOpts{Name: "relais_hl7_certificate_expiry_timestamp_seconds", Help: "When the certificate of the HL7 listener expires, as Unix time; 0 without TLS."})
	m.reloadedAt.SetToCurrentTime()
	registry.MustRegister(m.hl7Until, m.reloadedAt, m.tlsUntil, m.batch, m.stale, m.feedClients)
	for _, ch := range []engine.Channel{engine.SMS, engine.Voice, engine.EmailMail} { // an alert sees the first one, too
		m.duplicates.WithLabelValues(string(ch))
		m.leftLate.WithLabelValues(string(ch))
	}
	m.backups = newBackupMetrics(registry)
	m.refused.WithLabelValues("twilio")
	m.refused.WithLabelValues("fhir")
	return m
}

// watchActors adds the readings of the actor system.
func (m *metrics) watchActors(stats func() []system.KindStats) {
	m.registry.MustRegister(&actorStats{
		stats:  stats,
		actors: prometheus.NewDesc("relais_actors", "Actors alive.", []string{"kind"}, nil),
		queued: prometheus.NewDesc("relais_mailbox_messages", "Messages waiting in mailboxes or being handled.", []string{"kind"}, nil),
		parked: prometheus.NewDesc("relais_actors_parked", "Actors that wait after panicking again and again.", []string{"kind"}, nil),
	})
}

type actorStats struct {
	stats                  func() []system.KindStats
	actors, queued, parked *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (a *actorStats) Describe(ch chan<- *prometheus.Desc) {
	ch <- a.actors
	ch <- a.queued
	ch <- a.parked
}

// Collect implements prometheus.Collector.
func (a *actorStats) Collect(ch chan<- prometheus.Metric) {
	for _, s := range a.stats() {
		ch <- prometheus.MustNewConstMetric(a.actors, prometheus.GaugeValue, float64(s.Actors), s.Kind)
		ch <- prometheus.MustNewConstMetric(a.queued, prometheus.GaugeValue, float64(s.Queued), s.Kind)
		ch <- prometheus.MustNewConstMetric(a.parked, prometheus.GaugeValue, float64(s.Parked), s.Kind)
	}
}

// watchCarriers adds the readings of the telephone accounts.
func (m *metrics) watchCarriers(stats func() []carrier.Stat) {
	m.registry.MustRegister(&carrierStats{
		stats:   stats,
		breaker: prometheus.NewDesc("relais_carrier_breaker_open", "1 while an account is left alone because it failed again and again, 0.5 while it is tried.", []string{"carrier"}, nil),
		waiting: prometheus.NewDesc("relais_carrier_waiting_messages", "Messages that wait for their turn.", []string{"carrier", "channel"}, nil),
		sent:    prometheus.NewDesc("relais_carrier_messages_total", "Messages handed to an account, by what it said.", []string{"carrier", "channel", "status", "reason"}, nil),
		passed:  prometheus.NewDesc("relais_carrier_failovers_total", "Messages that went on to another account, by why.", []string{"carrier", "reason"}, nil),
	})
}

type carrierStats struct {
	stats                          func() []carrier.Stat
	breaker, waiting, sent, passed *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (a *carrierStats) Describe(ch chan<- *prometheus.Desc) {
	ch <- a.breaker
	ch <- a.waiting
	ch <- a.sent
	ch <- a.passed
}

// Collect implements prometheus.Collector.
func (a *carrierStats) Collect(ch chan<- prometheus.Metric) {
	for _, s := range a.stats() {
		open := map[string]float64{"open": 1, "half-open": 0.5}[s.Breaker]
		ch <- prometheus.MustNewConstMetric(a.breaker, prometheus.GaugeValue, open, s.Name)
		ch <- prometheus.MustNewConstMetric(a.waiting, prometheus.GaugeValue, float64(s.Texts), s.Name, string(engine.SMS))
		ch <- prometheus.MustNewConstMetric(a.waiting, prometheus.GaugeValue, float64(s.Calls), s.Name, string(engine.Voice))
		for c, n := range s.Sent {
			ch <- prometheus.MustNewConstMetric(a.sent, prometheus.CounterValue, float64(n), s.Name, string(c.Channel), string(c.Status), string(c.Reason))
		}
		for reason, n := range s.Passed {
			ch <- prometheus.MustNewConstMetric(a.passed, prometheus.CounterValue, float64(n), s.Name, string(reason))
		}
	}
}

// clinicMetrics is what the actors tell.
type clinicMetrics struct {
	*metrics
	alarm func(c engine.ClinicID, before, now health.Status) // must not block
}

func (m clinicMetrics) Opened(c engine.ClinicID, detected time.Duration) {
	m.openings.WithLabelValues(string(c)).Inc()
	if detected >= 0 {
		m.detection.WithLabelValues(string(c)).Observe(detected.Seconds())
	}
}

func (m clinicMetrics) Offered(c engine.ClinicID, n int) {
	m.offers.WithLabelValues(string(c)).Add(float64(n))
}

func (m clinicMetrics) FirstMessage(c engine.ClinicID, after time.Duration) {
	m.firstMessage.WithLabelValues(string(c)).Observe(after.Seconds())
}

func (m clinicMetrics) Filled(c engine.ClinicID, after time.Duration) {
	m.fill.WithLabelValues(string(c)).Observe(after.Seconds())
}

func (m clinicMetrics) Claim(c engine.ClinicID, outcome string) {
	m.claims.WithLabelValues(string(c), outcome).Inc()
}

func (m clinicMetrics) Delivery(ch engine.Channel, kind engine.MessageKind, status reach.DeliveryStatus, reason engine.Reason) {
	m.deliveries.WithLabelValues(string(ch), string(kind), string(status), string(reason)).Inc()
}

func (m clinicMetrics) Reached(ch engine.Channel, after time.Duration) {
	m.proof.WithLabelValues(string(ch)).Observe(after.Seconds())
}

func (m clinicMetrics) Judged(c engine.ClinicID, v reach.Judged) {
	if v.Excluded != "" {
		m.notCounted.WithLabelValues(string(c), v.Excluded).Inc()
		return
	}
	m.reachValid.WithLabelValues(string(c)).Inc()
	if v.Proved {
		m.reachProved.WithLabelValues(string(c)).Inc()
		m.reachedBy.WithLabelValues(string(v.Channel)).Inc()
		return
	}
	m.missed.WithLabelValues(string(v.Channel), string(v.Reason)).Inc()
}

func (m clinicMetrics) Settled(ch engine.Channel, expired bool) {
	end := "known"
	if expired {
		end = "expired"
	}
	m.settled.WithLabelValues(string(ch), end).Inc()
}

func (m clinicMetrics) Looked(ch engine.Channel, found bool) {
	m.lookups.WithLabelValues(string(ch), strconv.FormatBool(found)).Inc()
}

func (m clinicMetrics) Duplicate(ch engine.Channel) { m.duplicates.WithLabelValues(string(ch)).Inc() }

func (m clinicMetrics) LeftLate(ch engine.Channel) { m.leftLate.WithLabelValues(string(ch)).Inc() }

func (m clinicMetrics) Health(c engine.ClinicID, before, now health.Status) {
	for _, s := range []health.Status{health.Starting, health.Healthy, health.Suspended, health.Checking} {
		value := 0.0
		if s == now {
			value = 1
		}
		m.status.WithLabelValues(string(c), string(s)).Set(value)
	}
	if now != before {
		m.alarm(c, before, now)
	}
	suspensions := m.suspensions.WithLabelValues(string(c))
	if now == health.Suspended && before != health.Suspended {
		suspensions.Inc()
	}
}

func (m clinicMetrics) WriteBack(c engine.ClinicID, outcome string, after time.Duration) {
	m.writeBack.WithLabelValues(string(c), outcome).Observe(after.Seconds())
}

func (m clinicMetrics) Alert(c engine.ClinicID, what string) {
	m.alerts.WithLabelValues(string(c), what).Inc()
}

func (m clinicMetrics) OpenSlots(c engine.ClinicID, n int) {
	m.openSlots.WithLabelValues(string(c)).Set(float64(n))
}

func (m clinicMetrics) Letter(c engine.ClinicID, ch engine.Channel, kind engine.MessageKind, status engine.OutcomeStatus) {
	m.letters.WithLabelValues(string(c), string(ch), string(kind), string(status)).Inc()
}

func (m clinicMetrics) Joined(c engine.ClinicID, step string) {
	m.joined.WithLabelValues(string(c), step).Inc()
}

func (m clinicMetrics) Learned(c engine.ClinicID, cells []offer.Learned) {
	for _, l := range cells {
		m.acceptance.WithLabelValues(string(c), l.Lead, string(l.Channel)).Set(l.Accept)
		m.exposure.WithLabelValues(string(c), l.Lead, string(l.Channel)).Set(l.Exposure)
	}
}

// actorFaults is what the actor system tells.
type actorFaults struct{ *metrics }

func (m actorFaults) Panicked(kind string) { m.panics.WithLabelValues(kind).Inc() }
func (m actorFaults) Dropped(kind, reason string) {
	m.dropped.WithLabelValues(kind, reason).Inc()
}

// webMetrics is what the web server tells.
type webMetrics struct{ *metrics }

func (m webMetrics) Served(route, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Observe(took.Seconds())
}
func (m webMetrics) Sockets(n int)         { m.feedClients.Set(float64(n)) }
func (m webMetrics) Evicted(reason string) { m.evictions.WithLabelValues(reason).Inc() }
func (m webMetrics) Limited(what string)   { m.limited.WithLabelValues(what).Inc() }
func (m webMetrics) Panicked()             { m.panics.WithLabelValues("web").Inc() }

// committed is what the store tells.
func (m *metrics) committed(c bolt.Commit) {
	m.commit.WithLabelValues(string(c.Outcome)).Observe(c.Duration.Seconds())
	m.batch.Observe(float64(c.Batches))
	m.stale.Add(float64(c.Stale))
}

// forget takes a clinic that was closed off the gauges; counters stay.
func (m *metrics) forget(c engine.ClinicID) {
	of := prometheus.Labels{"clinic": string(c)}
	for _, g := range []*prometheus.GaugeVec{m.status, m.openSlots, m.acceptance, m.exposure} {
		g.DeletePartialMatch(of)
	}
}
