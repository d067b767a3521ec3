package mail

import (
	"bufio"
	"bytes"
	"net/textproto"
	"regexp"
	"strings"

	"relais/engine"
)

// verdict reads a delivery status notification (RFC 3464): what became of a message of ours. ok is
// false when it says nothing final, as of a delay.
func verdict(status []byte) (s engine.ReceiptStatus, why engine.Reason, ok bool) {
	fields := bufio.NewReader(bytes.NewReader(append(status, "\r\n\r\n"...)))
	in := textproto.NewReader(fields)
	for range mostPart { // the first group is of the message, then one comes for each recipient
		h, err := in.ReadMIMEHeader()
		switch action(h) {
		case "delivered":
			return engine.ReceiptDelivered, "", true
		case "relayed", "expanded":
			return engine.ReceiptSent, "", true
		case "failed":
			return engine.ReceiptFailed, reasonOf(h), true
		}
		if err != nil {
			break
		}
	}
	return "", "", false
}

func action(h textproto.MIMEHeader) string {
	word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(h.Get("Action"))), " ")
	return word
}

var enhancedForm = regexp.MustCompile(`\b([245])\.([0-9]{1,3})\.([0-9]{1,3})\b`)

// reasonOf gives the meaning of a failed recipient's status (RFC 3463). Only what says that there is
// no such mailbox spoils the address; what could pass tomorrow does not.
func reasonOf(h textproto.MIMEHeader) engine.Reason {
	m := enhancedForm.FindStringSubmatch(h.Get("Status"))
	if m == nil || m[2] == "0" { // the gateway did not know; the far server's own words may
		if d := enhancedForm.FindStringSubmatch(h.Get("Diagnostic-Code")); d != nil {
			m = d
		}
	}
	if m == nil || m[1] != "5" {
		return engine.Unreached
	}
	switch subject := m[2] + "." + m[3]; subject {
	case "1.1", "1.2", "1.3", "1.6", "1.10", "2.1", "4.4":
		return engine.BadContact
	case "1.7", "1.8", "7.8", "7.20", "7.21", "7.22", "7.23", "7.24", "7.25", "7.26", "7.27":
		return engine.AccountFault // our sender, or our signature
	case "2.3", "3.4":
		return engine.Filtered
	}
	if m[2] == "7" || m[2] == "6" {
		return engine.Filtered
	}
	return engine.Unreached
}

// complained returns the attempt that a feedback report (RFC 5965) is about, and whether the person
// reported it as abuse or asked to be left alone. The addresses in the copy of our message that it
// carries prove that it is one.
func (a *Addresses) complained(l *letter) (engine.AttemptID, bool) {
	if l.feedback == nil {
		return "", false
	}
	in := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(l.feedback, "\r\n\r\n"...))))
	h, _ := in.ReadMIMEHeader()
	switch strings.ToLower(strings.TrimSpace(h.Get("Feedback-Type"))) {
	case "abuse", "opt-out", "opt-out-list", "":
	default: // "not-spam", "fraud", "virus": nobody asks us to stop
		return "", false
	}
	for _, address := range []string{h.Get("Original-Mail-From"), l.original.Get("Return-Path"), l.original.Get("Reply-To")} {
		if _, id, ok := a.open(address); ok && id != "" {
			return id, true
		}
	}
	return "", false
}
