package sandbox

import (
	"net"
	"strconv"
	"time"

	"relais/transport/hl7"
)

func (h *HL7System) accept() {
	for {
		conn, err := h.listen.Accept()
		if err != nil {
			return
		}
		h.mu.Lock()
		h.conns[conn] = true
		h.mu.Unlock()
		h.work.Go(func() {
			h.talk(conn)
			_ = conn.Close()
			h.mu.Lock()
			delete(h.conns, conn)
			h.mu.Unlock()
		})
	}
}

// talk answers the requests of one connection.
func (h *HL7System) talk(conn net.Conn) {
	in := hl7.NewFrames(conn)
	for {
		text, err := in.Next()
		if err != nil {
			return
		}
		m, err := hl7.Parse(text, hl7.UTF8)
		if err != nil {
			return
		}
		for _, answer := range h.request(m) {
			if _, err := conn.Write(hl7.Frame(answer)); err != nil {
				return
			}
		}
	}
}

// request carries out SRM^S01 and SRM^S04.
func (h *HL7System) request(m hl7.Message) [][]byte {
	head, arq := m.First("MSH"), m.First("ARQ")
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.clinicOf(m)
	if b == nil || arq == nil || m.Field(head, 9).Text(1) != "SRM" {
		return [][]byte{reject(m)}
	}
	if m.Field(head, 9).Text(2) == "S04" {
		return h.cancelAsked(b, m)
	}
	control := m.Field(head, 10).Text(1)
	filler, known := b.asked[control]
	if !known {
		filler = h.book(b, m)
		b.asked[control] = filler
	}
	return h.word(b, m, b.visit[filler], known)
}

func (h *HL7System) clinicOf(m hl7.Message) *hl7Book {
	head := m.First("MSH")
	to := hl7.Party{Application: m.Field(head, 5).Text(1), Facility: m.Field(head, 6).Text(1)}
	for _, b := range h.clinics {
		if b.Sender == to {
			return b
		}
	}
	return nil
}

// book makes the appointment that a request asks for; "" when it cannot be made.
func (h *HL7System) book(b *hl7Book, m hl7.Message) string {
	arq, aip := m.First("ARQ"), m.First("AIP")
	start, err := time.Parse("20060102150405-0700", m.Field(aip, 6).Text(1))
	minutes, err2 := strconv.Atoi(m.Field(aip, 9).Text(1))
	person := m.Field(aip, 3).Text(1)
	end := start.Add(time.Duration(minutes) * time.Minute)
	if err != nil || err2 != nil || person == "" || h.manner == HL7Refuses || !b.free(person, start, end) {
		return ""
	}
	v := b.add(HL7Visit{
		Placer: m.Field(arq, 1).Text(1), Person: person, Place: m.Field(m.First("AIL"), 3).Text(1),
		Start: start, End: end, Patient: m.Field(m.First("PID"), 3).Text(1),
	})
	return v.Filler
}

// word is what a request is told, in the manner of this record system; the SIU of a new appointment
// follows in any case, as it would for one that was made at its own desk.
func (h *HL7System) word(b *hl7Book, m hl7.Message, v *HL7Visit, again bool) [][]byte {
	if v == nil {
		return [][]byte{h.srr(b, m, "AE", nil)}
	}
	if !again && h.manner != HL7Silent {
		h.later(h.siu(b, "S12", v))
	}
	switch h.manner {
	case HL7Silent:
		return nil
	case HL7Later:
		h.later(h.srr(b, m, "AA", v))
		return [][]byte{acknowledge(m, "CA")}
	case HL7Shows:
		return [][]byte{acknowledge(m, "AA")}
	case HL7Answers, HL7Refuses:
	}
	return [][]byte{h.srr(b, m, "AA", v)}
}

// later sends a message of our own when its turn comes.
func (h *HL7System) later(text []byte) {
	h.work.Go(func() { _ = h.tell(h.ctx, text) })
}

func (h *HL7System) cancelAsked(b *hl7Book, m hl7.Message) [][]byte {
	v := b.visit[m.Field(m.First("ARQ"), 2).Text(1)]
	for _, o := range b.visit {
		if placer := m.Field(m.First("ARQ"), 1).Text(1); v == nil && placer != "" && o.Placer == placer {
			v = o
		}
	}
	if v == nil {
		return [][]byte{h.srr(b, m, "AE", nil)}
	}
	if !v.Cancelled {
		v.Cancelled = true
		h.later(h.siu(b, "S15", v))
	}
	return [][]byte{h.srr(b, m, "AA", v)}
}

// srr writes the answer of the application.
func (h *HL7System) srr(b *hl7Book, m hl7.Message, code string, v *HL7Visit) []byte {
	out := h.head(b, "SRR", m.Field(m.First("MSH"), 9).Text(2))
	out.Add("MSA", code, out.Escaped(m.Field(m.First("MSH"), 10).Text(1)))
	if v != nil {
		out.Add("SCH", out.Escaped(v.Placer), out.Escaped(v.Filler), "", "", "", "ROUTINE")
	} else if m.Field(m.First("MSH"), 9).Text(2) == "S04" {
		out.Add("ERR", "", "ARQ^1^2", "204", "E")
	}
	return out.Bytes()
}

func acknowledge(m hl7.Message, code string) []byte {
	head := m.First("MSH")
	out := hl7.Message{Delimiters: hl7.StandardDelimiters, Charset: hl7.UTF8}
	out.Add("MSH", "|", `^~\&`, "", "", "", "", time.Now().UTC().Format(hl7Time), "", "ACK", "A"+out.Escaped(m.Field(head, 10).Text(1)), "P", "2.5.1")
	out.Add("MSA", code, out.Escaped(m.Field(head, 10).Text(1)))
	return out.Bytes()
}

func reject(m hl7.Message) []byte { return acknowledge(m, "AR") }
